import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { permissions, type ProjectView, type SubmissionView } from '@muster/contracts';
import { Global, Module } from '@nestjs/common';
import { CommandBus, CommandHandler, CqrsModule, type ICommandHandler } from '@nestjs/cqrs';
import { Test, type TestingModule } from '@nestjs/testing';
import { typeid } from 'typeid-js';
import { type Actor, Authenticator } from '#messages/auth';
import { ReceivePush } from '#messages/integration';
import { ConfigModule, loadConfig } from '#platform/config';
import { DatabaseModule } from '#platform/database';
import { GitModule, Repositories } from '#platform/git';
import { HttpModule } from '#platform/http';
import { testDatabase, type TestDatabase } from '#test/database';
import { CreateProject } from './commands/create-project.ts';
import { SetRemote } from './commands/set-remote.ts';
import { SyncRemote } from './commands/sync-remote.ts';
import { reach } from './domain/remote-transport.ts';
import { projectsEntities, ProjectsModule } from './index.ts';

const run = promisify(execFile);
const actor: Actor = {
  kind: 'user',
  id: typeid('user').toString(),
  name: 'Ada',
  teamId: typeid('team').toString(),
  permissions: new Set(permissions),
  projects: new Map(),
  onlyProjectId: null,
};
const pushes: Array<ReceivePush['push']> = [];
@CommandHandler(ReceivePush)
class TakePush implements ICommandHandler<ReceivePush> {
  execute({ push }: ReceivePush): Promise<SubmissionView> {
    pushes.push(push);
    return Promise.resolve({ id: 'sub_01jd9x0m4ve2tbk6x3h2v4q8zr', state: 'received' } as SubmissionView);
  }
}
class Nobody extends Authenticator {
  authenticate(): Promise<null> {
    return Promise.resolve(null);
  }
  allows(): boolean {
    return false;
  }
  onRevoked(): () => void {
    return () => undefined;
  }
  issueSystemKey(): Promise<string> {
    return Promise.reject(new Error('no keys here'));
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
