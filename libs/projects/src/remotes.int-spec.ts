import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ProjectView, SubmissionView } from '@muster/contracts';
import { Global, Module } from '@nestjs/common';
import { CommandBus, CommandHandler, CqrsModule, type ICommandHandler } from '@nestjs/cqrs';
import { Test, type TestingModule } from '@nestjs/testing';
import { Authenticator } from '#messages/auth';
import { ReceivePush } from '#messages/integration';
import { ConfigModule, loadConfig } from '#platform/config';
import { DatabaseModule } from '#platform/database';
import { Git, GitModule, Repositories } from '#platform/git';
import { HttpModule } from '#platform/http';
import { testDatabase, type TestDatabase } from '#test/database';
import { ada, Nobody } from '#test/nobody';
import { CreateProject } from './commands/create-project.ts';
import { SetRemote } from './commands/set-remote.ts';
import { SyncRemote } from './commands/sync-remote.ts';
import { fetchBranch, headThere, pushBranch, reach } from './domain/remote-transport.ts';
import { projectsEntities, ProjectsModule } from './index.ts';

const run = promisify(execFile);
const actor = ada();
const pushes: Array<ReceivePush['push']> = [];
@CommandHandler(ReceivePush)
class TakePush implements ICommandHandler<ReceivePush> {
  execute({ push }: ReceivePush): Promise<SubmissionView> {
    pushes.push(push);
    return Promise.resolve({ id: 'sub_01jd9x0m4ve2tbk6x3h2v4q8zr', state: 'received' } as SubmissionView);
  }
}
@Global()
@Module({
  imports: [CqrsModule],
  providers: [{ provide: Authenticator, useClass: Nobody }, TakePush],
  exports: [Authenticator],
})
class OtherRooms {}

let folder: string;
let database: TestDatabase;
let module: TestingModule;
let commands: CommandBus;
let repositories: Repositories;
const settings = (more: Record<string, string> = {}) =>
  loadConfig({
    MUSTER_DATA_DIR: join(folder, 'data'),
    MUSTER_ROLE: 'api',
    MUSTER_IMPORT_PATHS: join(folder, 'allowed'),
    MUSTER_IMPORT_HOSTS: '127.0.0.1',
    MUSTER_REMOTE_TIMEOUT_SECONDS: '2',
    ...more,
  });
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'muster-remotes-')));
  await mkdir(join(folder, 'allowed'));
  database = await testDatabase();
  module = await Test.createTestingModule({
    imports: [
      ConfigModule.forRoot(settings()),
      DatabaseModule.forRoot({ url: database.url, entities: projectsEntities, migrations: [], poolSize: 5 }),
      CqrsModule.forRoot(), HttpModule, GitModule, OtherRooms, ProjectsModule,
    ], // prettier-ignore
  }).compile();
  module.useLogger(false);
  await module.init();
  commands = module.get(CommandBus);
  repositories = module.get(Repositories, { strict: false });
});
afterAll(async () => {
  await module?.close();
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

const git = async (dir: string, ...args: string[]): Promise<string> => {
  const who = ['-c', 'user.name=S', '-c', 'user.email=s@example.org', '-c', 'safe.directory=*'];
  return (await run('git', [...who, ...args], { cwd: dir })).stdout.trim();
};
let number = 0;
/** A repository elsewhere with one commit, and a project that began with it. */
async function pair(): Promise<{ there: string; url: string; project: ProjectView }> {
  const there = join(folder, 'allowed', `there-${(number += 1)}`);
  await mkdir(there);
  await git(there, 'init', '--quiet', '-b', 'main');
  await writeFile(join(there, 'a.txt'), 'a\n');
  await git(there, 'add', '.');
  await git(there, 'commit', '--quiet', '-m', 'Begin');
  const project = await commands.execute(
    new CreateProject(actor, { name: `There ${number}`, source: { path: there } }),
  );
  return { there, url: `file://${there}`, project };
}
async function commit(dir: string, file: string): Promise<string> {
  await writeFile(join(dir, file), `${file}\n`);
  await git(dir, 'add', '.');
  await git(dir, 'commit', '--quiet', '-m', file);
  return await git(dir, 'rev-parse', 'HEAD');
}

describe('a remote that is followed', () => {
  it('has what is new there handed in, once, and with nobody who answers for rules', async () => {
    const { there, url, project } = await pair();
    await commands.execute(new SetRemote(project.id, 'from', { url }, actor));
    expect(await commands.execute(new SyncRemote(project.id, 'from'))).toMatchObject({
      state: 'in_step',
      submissionId: null,
    });
    pushes.length = 0;
    const next = await commit(there, 'b.txt');
    const seen = await commands.execute(new SyncRemote(project.id, 'from'));
    expect(seen).toMatchObject({ state: 'in_step', commit: next, submissionId: 'sub_01jd9x0m4ve2tbk6x3h2v4q8zr' });
    await commands.execute(new SyncRemote(project.id, 'from'));
    expect(pushes).toEqual([
      { teamId: actor.teamId, projectId: project.id, branch: 'main', commit: next, task: null, pushedBy: actor.id, person: null },
    ]); // prettier-ignore
    expect(await repositories.resolve(project.id, 'refs/heads/main')).toBe(project.head);
  });

  it('is left alone when its history was rewritten: a person has to look', async () => {
    const { there, url, project } = await pair();
    await commands.execute(new SetRemote(project.id, 'from', { url }, actor));
    await commit(there, 'b.txt');
    await commands.execute(new SyncRemote(project.id, 'from'));
    pushes.length = 0;
    await git(there, 'commit', '--quiet', '--amend', '-m', 'Rewritten');
    expect(await commands.execute(new SyncRemote(project.id, 'from'))).toMatchObject({
      state: 'diverged',
      problem: expect.stringContaining('was rewritten there'),
    });
    expect(pushes).toEqual([]);
  });

  it.each([
    ['hangs', (): void => undefined],
    [
      'talks nonsense',
      (socket: { end(text: string): void }): void => socket.end('HTTP/1.1 200 OK\r\n\r\nnothing of git\n'),
    ],
    ['hangs up', (socket: { end(text: string): void }): void => socket.end('')],
  ])('that %s is said to fail, and is tried again later', async (_, answer) => {
    const { project } = await pair();
    const open = new Set<{ destroy(): void }>();
    const server: Server = createServer((socket) => {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.once('data', () => answer(socket));
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/x.git`;
      await commands.execute(new SetRemote(project.id, 'from', { url }, actor));
      expect(await commands.execute(new SyncRemote(project.id, 'from'))).toMatchObject({
        state: 'failing',
        problem: expect.stringMatching(/\w/),
      });
      const [row] = await database.sql<{ later: boolean }>(
        `select next_action_at > muster_now() as later from project_remotes where project_id = $1`,
        [project.id],
      );
      expect(row).toEqual({ later: true });
    } finally {
      for (const socket of open) socket.destroy();
      await new Promise((done) => server.close(done));
    }
  });
});

describe('a remote that is pushed to', () => {
  const bare = async (from: string): Promise<string> => {
    const to = join(folder, 'allowed', `bare-${(number += 1)}.git`);
    await git(folder, 'clone', '--quiet', '--bare', from, to);
    return to;
  };
  /** As a landing does it. */
  async function land(project: ProjectView): Promise<string> {
    const head = (await repositories.resolve(project.id, 'refs/heads/main')) ?? '';
    const tree = await repositories.applyFiles(project.id, head, [{ path: 'landed.txt', content: 'landed\n' }]);
    const who = { name: 'Muster', email: 'muster@localhost' };
    const commit = await repositories.commitTree(project.id, {
      tree, parents: [head], message: 'Landed', author: who, committer: who, date: new Date(0),
    }); // prettier-ignore
    await repositories.updateRef(project.id, 'refs/heads/main', commit, head);
    await repositories.addNote(project.id, 'refs/notes/muster', commit, 'signed');
    return commit;
  }

  it('gets what has landed with its statements, and its own hooks are not run by us', async () => {
    const { there, project } = await pair();
    const to = await bare(there);
    const hook = join(to, 'hooks', 'pre-receive');
    await mkdir(join(to, 'hooks'), { recursive: true });
    await writeFile(hook, `#!/bin/sh\ntouch '${join(folder, 'hook-ran')}'\n`);
    await chmod(hook, 0o755);
    await commands.execute(new SetRemote(project.id, 'to', { url: `file://${to}` }, actor));
    const landed = await land(project);
    expect(await commands.execute(new SyncRemote(project.id, 'to'))).toMatchObject({
      state: 'in_step',
      commit: landed,
    });
    expect(await git(to, 'rev-parse', 'refs/heads/main')).toBe(landed);
    expect(await git(to, 'notes', '--ref=refs/notes/muster', 'show', landed)).toBe('signed');
    expect(await stat(join(folder, 'hook-ran')).catch(() => null)).toBeNull();
  });

  it('is never overwritten: what somebody else put there stays, and a person is told', async () => {
    const { there, project } = await pair();
    const theirs = await commit(there, 'theirs.txt');
    const to = await bare(there);
    await land(project);
    await commands.execute(new SetRemote(project.id, 'to', { url: `file://${to}` }, actor));
    expect(await commands.execute(new SyncRemote(project.id, 'to'))).toMatchObject({
      state: 'diverged',
      problem: expect.stringContaining('refused there'),
    });
    expect(await git(to, 'rev-parse', 'refs/heads/main')).toBe(theirs);
  });
});

describe('an address', () => {
  it.each([
    'ext::sh -c touch% /tmp/x',
    'file:///etc',
    'https://name:secret@127.0.0.1/x.git',
    'https://example.org/x.git',
    'ssh://git@127.0.0.1/x.git',
    'git://127.0.0.1/x.git',
  ])('like %s is refused at once', async (url) => {
    const { project } = await pair();
    await expect(commands.execute(new SetRemote(project.id, 'from', { url }, actor))).rejects.toMatchObject({
      code: 'projects.source_refused',
      status: 422,
    });
  });

  it('over ssh is reached with the operator’s key, at the address that was checked, and with nothing of anybody’s settings', async () => {
    const rules = settings({
      MUSTER_REMOTE_SSH_KEY: "/keys/it's mine",
      MUSTER_REMOTE_KNOWN_HOSTS: '/keys/known_hosts',
    });
    const { env, protocols } = await reach('ssh://git@127.0.0.1:2222/owner/repo.git', rules);
    expect(protocols).toBe('ssh');
    const ssh = env['GIT_SSH_COMMAND'] ?? '';
    for (const part of [
      '-F /dev/null', `-i '/keys/it'\\''s mine'`, 'HostName=127.0.0.1', 'StrictHostKeyChecking=yes', 'BatchMode=yes',
    ]) expect(ssh).toContain(part); // prettier-ignore
    for (const url of ['ssh://-oProxyCommand=x@127.0.0.1/x', 'ssh://git@127.0.0.1/-x', 'ssh://git:pw@127.0.0.1/x.git'])
      await expect(reach(url, rules)).rejects.toMatchObject({ code: 'projects.source_refused' });
    expect(await readFile(join(folder, 'data', 'import.gitconfig'), 'utf8')).toContain('hooksPath = /dev/null');
  });
});

/** Where the branch stands there, what it holds fetched, and a commit of ours pushed: as a remote in both directions is used. */
async function both(
  project: ProjectView,
  url: string,
  more: Record<string, string>,
): Promise<{ head: string; pushed: boolean }> {
  const dir = repositories.path(project.id);
  const runner = module.get(Git, { strict: false });
  const there = await reach(url, settings(more));
  const head = await headThere(runner, dir, there, 'main');
  await fetchBranch(runner, dir, there, 'main', 'refs/muster/remote/main');
  expect(await repositories.resolve(project.id, 'refs/muster/remote/main')).toBe(head);
  const { pushed } = await pushBranch(runner, dir, there, [`${head}:refs/heads/from-us`]);
  return { head: head ?? '', pushed };
}
const saidBy = (error: unknown): string => (error as { stderr?: string }).stderr ?? String(error);

describe('a remote over https', () => {
  let server: TlsServer;
  let url: string;
  let project: ProjectView;
  let head: string;
  const file = (name: string): string => join(folder, name);

  /** git's own http-backend behind TLS, for whoever knows the password. */
  beforeAll(async () => {
    const made = await pair();
    project = made.project;
    head = await commit(made.there, 'there.txt');
    const root = join(folder, 'over-https');
    await mkdir(root);
    await git(folder, 'clone', '--quiet', '--bare', made.there, join(root, 'repo.git'));
    await git(join(root, 'repo.git'), 'config', 'http.receivepack', 'true');
    const subject = ['-nodes', '-days', '2', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
    for (const name of ['ca', 'other-ca'])
      await run('openssl', [
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-keyout',
        file(`${name}.key`),
        '-out',
        file(`${name}.pem`),
        ...subject,
      ]);
    const expected = `Basic ${Buffer.from('robot:open sesame').toString('base64')}`;
    server = createTlsServer(
      { key: await readFile(file('ca.key')), cert: await readFile(file('ca.pem')) },
      (request, response) => {
        if (request.headers.authorization !== expected) {
          response.writeHead(401, { 'www-authenticate': 'Basic realm="there"' }).end();
          return;
        }
        const { pathname, search } = new URL(request.url ?? '/', 'https://127.0.0.1');
        const backend = spawn('git', ['-c', 'safe.directory=*', 'http-backend'], {
          env: {
            PATH: process.env['PATH'],
            GIT_PROJECT_ROOT: root,
            GIT_HTTP_EXPORT_ALL: '1',
            GIT_CONFIG_COUNT: '1',
            GIT_CONFIG_KEY_0: 'safe.directory',
            GIT_CONFIG_VALUE_0: '*',
            PATH_INFO: pathname,
            QUERY_STRING: search.slice(1),
            REQUEST_METHOD: request.method,
            REMOTE_USER: 'robot',
            CONTENT_TYPE: request.headers['content-type'] ?? '',
            HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
            HTTP_GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
          },
        });
        request.pipe(backend.stdin);
        backend.stdin.on('error', () => undefined);
        const chunks: Buffer[] = [];
        backend.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
        backend.on('close', () => {
          const answer = Buffer.concat(chunks);
          const end = answer.indexOf('\r\n\r\n');
          const lines = answer.subarray(0, end).toString().split('\r\n');
          const headers = Object.fromEntries(lines.map((line) => line.split(': ', 2) as [string, string]));
          response.writeHead(Number.parseInt(headers['Status'] ?? '200', 10), headers).end(answer.subarray(end + 4));
        });
      },
    );
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as AddressInfo;
    url = `https://127.0.0.1:${port}/repo.git`;
    await writeFile(file('credentials'), `https://robot:open%20sesame@127.0.0.1:${port}\n`, { mode: 0o600 });
    await writeFile(file('wrong-credentials'), `https://robot:guess@127.0.0.1:${port}\n`, { mode: 0o600 });
  });
  afterAll(async () => {
    server?.closeAllConnections();
    await new Promise((done) => server.close(done));
  });

  it('is fetched from and pushed to with the operator’s password and certificate', async () => {
    const done = await both(project, url, {
      MUSTER_REMOTE_CA: file('ca.pem'),
      MUSTER_REMOTE_CREDENTIALS: file('credentials'),
    });
    expect(done).toEqual({ head, pushed: true });
    expect(await git(join(folder, 'over-https', 'repo.git'), 'rev-parse', 'refs/heads/from-us')).toBe(head);
  });

  it.each([
    ['nobody vouches for', {}, /certificate/i],
    ['another authority vouches for', { MUSTER_REMOTE_CA: 'other-ca.pem' }, /certificate/i],
    [
      'the password is wrong for',
      { MUSTER_REMOTE_CA: 'ca.pem', MUSTER_REMOTE_CREDENTIALS: 'wrong-credentials' },
      /Authentication failed|could not read/,
    ],
    ['there is no password for', { MUSTER_REMOTE_CA: 'ca.pem' }, /could not read Username|terminal prompts disabled/],
  ] as const)('that %s is refused, and asks nobody', async (_, more, why) => {
    const rules = Object.fromEntries(
      Object.entries({ MUSTER_REMOTE_CREDENTIALS: 'credentials', ...more }).map(([name, value]) => [name, file(value)]),
    );
    if (_ === 'there is no password for') delete rules['MUSTER_REMOTE_CREDENTIALS'];
    const said = await both(project, url, rules).then(() => 'nothing', saidBy);
    expect(said).toMatch(why);
    expect(said).not.toContain('sesame');
  });
});

const SSHD = '/usr/sbin/sshd';
const hasSshd = existsSync(SSHD);
if (!hasSshd) process.stderr.write('\nSKIPPED: remotes over ssh, because openssh-server is not installed.\n');
it('sshd is installed where everything is to be tested', () => {
  expect(hasSshd || process.env['CI'] !== 'true').toBe(true);
});

(hasSshd ? describe : describe.skip)('a remote over ssh', () => {
  let sshd: ChildProcess;
  let url: string;
  let project: ProjectView;
  let head: string;
  const file = (name: string): string => join(folder, 'ssh', name);
  const rules = { key: 'client', known: 'known_hosts' };
  const more = ({ key, known }: typeof rules): Record<string, string> => ({
    MUSTER_REMOTE_SSH_KEY: file(key),
    MUSTER_REMOTE_KNOWN_HOSTS: file(known),
  });

  beforeAll(async () => {
    const made = await pair();
    project = made.project;
    head = await commit(made.there, 'there.txt');
    await mkdir(join(folder, 'ssh'), { mode: 0o700 });
    await git(folder, 'clone', '--quiet', '--bare', made.there, file('repo.git'));
    for (const name of ['host', 'other-host', 'client', 'stranger'])
      await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file(name)]);
    await writeFile(file('authorized_keys'), await readFile(file('client.pub')));
    const publicKey = async (name: string): Promise<string> =>
      (await readFile(file(`${name}.pub`), 'utf8')).split(' ').slice(0, 2).join(' ');
    await writeFile(file('known_hosts'), `127.0.0.1 ${await publicKey('host')}\n`);
    await writeFile(file('wrong_hosts'), `127.0.0.1 ${await publicKey('other-host')}\n`);
    await writeFile(file('no_hosts'), '');
    const probe = createServer();
    await new Promise<void>((done) => probe.listen(0, '127.0.0.1', done));
    const { port } = probe.address() as AddressInfo;
    await new Promise((done) => probe.close(done));
    await writeFile(
      file('sshd_config'),
      [
        `Port ${port}`, 'ListenAddress 127.0.0.1', `HostKey ${file('host')}`, `AuthorizedKeysFile ${file('authorized_keys')}`, 'PidFile none',
        'StrictModes no', 'UsePAM no', 'PasswordAuthentication no', 'KbdInteractiveAuthentication no', 'PermitRootLogin prohibit-password',
      ].join('\n'),
    ); // prettier-ignore
    if (userInfo().uid === 0) await mkdir('/run/sshd', { recursive: true });
    sshd = spawn(SSHD, ['-D', '-e', '-f', file('sshd_config')], { stdio: ['ignore', 'ignore', 'pipe'] });
    await new Promise<void>((listening, failed) => {
      let said = '';
      sshd.stderr?.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (said.includes('Server listening')) listening();
      });
      sshd.once('exit', () => failed(new Error(said)));
    });
    url = `ssh://${userInfo().username}@127.0.0.1:${port}${file('repo.git')}`;
  });
  afterAll(async () => {
    if (sshd?.exitCode !== null) return;
    const gone = new Promise((done) => sshd.once('exit', done));
    sshd.kill();
    await gone;
  });

  it('is fetched from and pushed to with the operator’s key, where the host has the key that it must have', async () => {
    expect(await both(project, url, more(rules))).toEqual({ head, pushed: true });
    expect(await git(file('repo.git'), 'rev-parse', 'refs/heads/from-us')).toBe(head);
  });

  it.each([
    [
      'a host with another key',
      { ...rules, known: 'wrong_hosts' },
      /Host key verification failed|IDENTIFICATION HAS CHANGED/,
    ],
    ['a host that nobody knows', { ...rules, known: 'no_hosts' }, /Host key verification failed/],
    ['a key that is not let in', { ...rules, key: 'stranger' }, /Permission denied/],
  ])('%s is refused, and nobody is asked', async (_, wrong, why) => {
    expect(await both(project, url, more(wrong)).then(() => 'nothing', saidBy)).toMatch(why);
    expect(await readFile(file('no_hosts'), 'utf8')).toBe('');
  });
});
