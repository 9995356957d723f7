import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readlink, realpath, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { agentDefinition, permissions, type Permission, type SubmissionView } from '@muster/contracts';
import { Global, Module } from '@nestjs/common';
import { CommandHandler, CqrsModule, type ICommandHandler, type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { pack } from 'tar-stream';
import { typeid } from 'typeid-js';
import { MusterError } from '#kernel';
import { type Actor, Authenticator } from '#messages/auth';
import { ReceivePush } from '#messages/integration';
import { FindPublishedVersion, type PublishedVersion } from '#messages/registry';
import { FindProjectOperations } from '#messages/runtime';
import { ConfigModule, loadConfig } from '#platform/config';
import { DatabaseModule } from '#platform/database';
import { GitModule, Repositories } from '#platform/git';
import { httpAdapter, HttpModule } from '#platform/http';
import { testDatabase, type TestDatabase } from '#test/database';
import { projectsEntities, ProjectsModule } from './index.ts';

const run = promisify(execFile);
const team = typeid('team').toString();
const otherTeam = typeid('team').toString();
const agentKey: Permission[] = ['project.read', 'repository.read', 'repository.submit'];

/** The doors of the other rooms, as they stand open in this test. */
const actorOf = (name: string, teamId: string, held: readonly Permission[]): Actor => ({
  kind: 'key',
  id: `key_${name}`,
  name,
  teamId,
  permissions: new Set(held),
  projects: new Map(),
  onlyProjectId: null,
});
const people = permissions.filter((permission) => !permission.startsWith('system.'));
const actors: Record<string, Actor> = {
  owner: actorOf('owner', team, people),
  agent: actorOf('agent', team, agentKey),
  reader: actorOf('reader', team, ['project.read', 'repository.read']),
  stranger: actorOf('stranger', otherTeam, people),
};
class Keys extends Authenticator {
  async authenticate(credential: string): Promise<Actor | null> {
    return actors[credential] ?? null;
  }
  allows(actor: Actor, permission: Permission): boolean {
    return actor.permissions.has(permission);
  }
  onRevoked(): () => void {
    return () => {};
  }
  async issueSystemKey(): Promise<string> {
    return 'none';
  }
}
let database: TestDatabase;
const pushes: Array<ReceivePush['push']> = [];
let repositories: Repositories;
@CommandHandler(ReceivePush)
class TakePush implements ICommandHandler<ReceivePush> {
  async execute({ push }: ReceivePush): Promise<SubmissionView> {
    if (push.task?.fence === 1)
      throw new MusterError('runtime.stale_lease', 409, 'This lease is over: stop working on the task.');
    // Out of quarantine: another process of git can read it.
    if ((await repositories.resolve(push.projectId, push.commit)) === null)
      throw new Error('the objects are not there');
    pushes.push(push);
    return { id: 'sub_01jd9x0m4ve2tbk6x3h2v4q8zr', state: 'received' } as SubmissionView;
  }
}
let openTasks: Array<{ capability: string; count: number }> = [];
@QueryHandler(FindProjectOperations)
class Operations implements IQueryHandler<FindProjectOperations> {
  async execute() {
    return { operations: [], openTasks };
  }
}
@QueryHandler(FindPublishedVersion)
class Versions implements IQueryHandler<FindPublishedVersion> {
  async execute({ agent }: FindPublishedVersion): Promise<PublishedVersion | null> {
    const [row] = await database.sql<{ id: string; agent_id: string; version: string; definition: unknown }>(
      'select * from agent_versions where name = $1 and team_id = $2 order by version desc',
      [agent, team],
    );
    if (row === undefined) return null;
    return {
      agentId: row.agent_id,
      agentVersionId: row.id,
      name: agent,
      version: row.version,
      definition: agentDefinition.parse(row.definition),
    };
  }
}
@Global()
@Module({
  imports: [CqrsModule],
  providers: [{ provide: Authenticator, useClass: Keys }, TakePush, Operations, Versions],
  exports: [Authenticator],
})
class OtherRooms {}

let folder: string;
let app: NestFastifyApplication;
let url: string;
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'muster-projects-')));
  database = await testDatabase();
  await mkdir(join(folder, 'allowed'));
  const config = loadConfig({
    MUSTER_DATA_DIR: join(folder, 'data'),
    MUSTER_PORT: '0',
    MUSTER_IMPORT_PATHS: join(folder, 'allowed'),
  });
  const testing = await Test.createTestingModule({
    imports: [
      ConfigModule.forRoot(config),
      DatabaseModule.forRoot({ url: database.url, entities: projectsEntities, migrations: [], poolSize: 5 }),
      CqrsModule.forRoot(),
      HttpModule,
      GitModule,
      OtherRooms,
      ProjectsModule,
    ],
  }).compile();
  app = testing.createNestApplication<NestFastifyApplication>(httpAdapter(config), {
    logger: ['error'],
    forceCloseConnections: true,
  });
  await app.listen(0, '127.0.0.1');
  url = (await app.getUrl()).replace('[::1]', '127.0.0.1');
  repositories = app.get(Repositories);
});
afterAll(async () => {
  await app?.close();
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

interface Answer {
  status: number;
  body: { id: string; head: string; code: string; items: unknown[]; agent_metadata: unknown };
  headers: Headers;
}
async function call(
  method: string,
  path: string,
  body?: unknown,
  who = 'owner',
  headers: Record<string, string> = {},
): Promise<Answer> {
  const raw = body instanceof Uint8Array;
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${who}`,
      ...(body === undefined ? {} : { 'content-type': raw ? 'application/gzip' : 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: raw ? (body as Uint8Array<ArrayBuffer>) : JSON.stringify(body) }),
  });
  const text = await answer.text();
  return {
    status: answer.status,
    body: JSON.parse(text === '' ? '{}' : text) as Answer['body'],
    headers: answer.headers,
  };
}
const project = async (name: string, more: object = {}) => {
  const answer = await call('POST', '/api/projects', { name, ...more });
  expect(answer).toMatchObject({ status: 201 });
  return answer.body as Answer['body'] & { slug: string; branch: string; gitPath: string };
};
const git = async (dir: string, ...args: string[]): Promise<{ ok: boolean; says: string }> => {
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    GIT_TERMINAL_PROMPT: '0',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'A',
    GIT_AUTHOR_EMAIL: 'a@b',
    GIT_COMMITTER_NAME: 'A',
    GIT_COMMITTER_EMAIL: 'a@b',
  };
  return run('git', args, { cwd: dir, env }).then(
    ({ stdout, stderr }) => ({ ok: true, says: stdout + stderr }),
    (error: { stdout: string; stderr: string }) => ({ ok: false, says: error.stdout + error.stderr }),
  );
};
const remote = (made: { gitPath: string }, who: string) => `${url.replace('://', `://x:${who}@`)}${made.gitPath}`;
async function archive(
  entries: Array<{ name: string; body?: string; mode?: number; type?: 'symlink' | 'link' | 'fifo'; linkname?: string }>,
): Promise<Buffer> {
  const tar = pack();
  for (const { body = '', ...header } of entries) tar.entry(header, body);
  tar.finalize();
  const parts: Buffer[] = [];
  for await (const part of tar) parts.push(part as Buffer);
  return gzipSync(Buffer.concat(parts));
}

describe('a project', () => {
  it('begins empty with a head, is listed, shown, renamed under its ETag, and deleted', async () => {
    const made = await project('Großes Projekt');
    expect(made).toMatchObject({
      slug: 'gro-es-projekt',
      branch: 'main',
      head: expect.stringMatching(/^[0-9a-f]{40}$/),
    });
    expect((await project('Großes Projekt')).slug).toBe('gro-es-projekt-2');
    expect((await call('GET', '/api/projects?slug=gro-es-projekt')).body.items).toEqual([
      expect.objectContaining({ id: made.id }),
    ]);
    const shown = await call('GET', `/api/projects/${made.id}`);
    expect(shown.body).toMatchObject({
      policySource: 'default',
      policyProblem: null,
      policy: { threshold: 85 },
      agent_metadata: { assigned_agents: [], capability_requirements: [], operation_history: [] },
    });
    const tag = shown.headers.get('etag') ?? '';
    expect(await call('PATCH', `/api/projects/${made.id}`, { name: 'B' }, 'owner', { 'if-match': tag })).toMatchObject({
      status: 200,
      body: { name: 'B' },
    });
    expect(await call('PATCH', `/api/projects/${made.id}`, { name: 'C' }, 'owner', { 'if-match': tag })).toMatchObject({
      status: 412,
    });
    openTasks = [{ capability: 'code.change', count: 1 }];
    expect(await call('DELETE', `/api/projects/${made.id}`)).toMatchObject({
      status: 409,
      body: { code: 'projects.open_work' },
    });
    openTasks = [];
    expect((await call('DELETE', `/api/projects/${made.id}`)).status).toBe(204);
    expect((await call('GET', `/api/projects/${made.id}`)).status).toBe(404);
    expect(await repositories.exists(made.id)).toBe(false);
  });

  it('is not there for another team, and a slug belongs to one project of the team', async () => {
    const made = await project('Secret', { slug: 'secret' });
    expect((await call('GET', `/api/projects/${made.id}`, undefined, 'stranger')).status).toBe(404);
    expect((await call('GET', '/api/projects?limit=200', undefined, 'stranger')).body.items).toEqual([]);
    expect(await call('POST', '/api/projects', { name: 'x', slug: 'secret' })).toMatchObject({
      status: 409,
      body: { code: 'projects.slug_taken' },
    });
    expect((await call('POST', '/api/projects', { name: 'x', slug: 'secret' }, 'stranger')).status).toBe(201);
    expect((await call('POST', '/api/projects', { name: 'x' }, 'agent')).status).toBe(403);
    expect((await call('POST', '/api/projects', { name: 'x', extra: 1 })).status).toBe(400);
  });
});

describe('an archive', () => {
  it('becomes one commit with its executable bits and links', async () => {
    const body = await archive(
      [
        { name: './', type: undefined },
        { name: './a "quoted" file', body: 'hello' },
        { name: './bin/run', body: '#!/bin/sh\n', mode: 0o755 },
        { name: './link', type: 'symlink', linkname: '/etc/passwd' },
        { name: './again', type: 'link', linkname: './bin/run' },
        { name: './muster.yaml', body: 'threshold: 90\n' },
      ].filter((entry) => entry.name !== './') as Parameters<typeof archive>[0],
    );
    const answer = await call('POST', '/api/projects/import?name=Tar', body);
    expect(answer).toMatchObject({ status: 201, body: { name: 'Tar', branch: 'main' } });
    const { id, head } = answer.body;
    expect((await repositories.readFile(id, head, 'a "quoted" file', 100))?.toString()).toBe('hello');
    expect(await repositories.readFile(id, head, 'link', 100)).toBeNull();
    const entries: Record<string, { mode?: number | undefined; linkname?: string | null | undefined }> = {};
    const { extract } = await import('tar-stream');
    const reader = extract();
    repositories.tar(id, await repositories.treeOf(id, head)).pipe(reader);
    for await (const entry of reader) {
      entries[entry.header.name] = { mode: entry.header.mode, linkname: entry.header.linkname };
      entry.resume();
    }
    expect(entries).toMatchObject({
      'bin/run': { mode: 0o755 },
      again: { mode: 0o755 },
      link: { linkname: '/etc/passwd' },
    });
    expect((await call('GET', `/api/projects/${id}/policy`)).body).toMatchObject({
      source: 'muster.yaml',
      policy: { threshold: 90 },
    });
  });
  it('can have its top folder stripped', async () => {
    const answer = await call(
      'POST',
      '/api/projects/import?name=Strip&strip=1',
      await archive([{ name: 'top/a', body: '1' }]),
    );
    expect((await repositories.readFile(answer.body.id, answer.body.head, 'a', 10))?.toString()).toBe('1');
  });
  it.each([
    ['a path outside', [{ name: '../x', body: 'x' }]],
    ['an absolute path', [{ name: '/etc/x', body: 'x' }]],
    ['.git', [{ name: '.git/config', body: 'x' }]],
    ['.GIT below', [{ name: 'a/.GIT/hooks/x', body: 'x' }]],
    ['a device', [{ name: 'p', type: 'fifo' as const }]],
    [
      'a file that is a folder',
      [
        { name: 'a', body: 'x' },
        { name: 'a/b', body: 'x' },
      ],
    ],
    ['nothing', []],
  ])('with %s is refused and leaves nothing', async (_, entries) => {
    const before = await database.sql('select id from projects');
    const answer = await call('POST', '/api/projects/import?name=Bad', await archive(entries));
    expect(answer).toMatchObject({ status: 422, body: { code: 'projects.archive_invalid' } });
    expect(await database.sql('select id from projects')).toHaveLength(before.length);
  });
  it('that is none is refused', async () => {
    for (const body of [
      Buffer.from('PK\x03\x04 zip'),
      Buffer.from([0x1f, 0x8b, 1, 2, 3]),
      Buffer.alloc(1000, 7),
      (await archive([{ name: 'a', body: 'x'.repeat(5000) }])).subarray(0, 60),
    ])
      expect(await call('POST', '/api/projects/import?name=Bad', body)).toMatchObject({
        status: 422,
        body: { code: 'projects.archive_invalid' },
      });
  });
});

describe('a source', () => {
  it('gives its default branch and tags, and nothing else', async () => {
    const dir = join(folder, 'allowed', 'source');
    await mkdir(dir);
    await git(dir, 'init', '-q', '-b', 'trunk');
    await writeFile(join(dir, 'muster.yaml'), 'threshold: nonsense\n');
    await git(dir, 'add', '.');
    await git(dir, 'commit', '-q', '-m', 'One');
    await git(dir, 'tag', 'v1');
    await git(dir, 'branch', 'side');
    await git(dir, 'update-ref', 'refs/pull/1/head', 'HEAD');
    const made = await project('Imported', { source: { path: dir } });
    expect(made.branch).toBe('trunk');
    expect((await repositories.refs(made.id, 'refs')).map(({ ref }) => ref)).toEqual([
      'refs/heads/trunk',
      'refs/tags/v1',
    ]);
    expect((await call('GET', `/api/projects/${made.id}`)).body).toMatchObject({
      policySource: 'default',
      policyProblem: expect.stringContaining('threshold'),
    });
    expect((await project('Side', { branch: 'side', source: { url: `file://${dir}` } })).branch).toBe('side');
  });
  it('that is not a repository, not allowed or private is refused with what to do', async () => {
    const plain = join(folder, 'allowed', 'plain');
    await mkdir(plain);
    const tries: Array<[object, string]> = [
      [{ path: plain }, 'projects.not_a_repository'],
      [{ path: folder }, 'projects.source_refused'],
      [{ path: `${folder}/allowed/../data` }, 'projects.source_refused'],
      [{ path: '--upload-pack=touch /tmp/x' }, 'projects.source_refused'],
      [{ url: 'ssh://git@example.org/x.git' }, 'projects.source_refused'],
      [{ url: 'ext::sh -c touch% /tmp/x' }, 'projects.source_refused'],
      [{ url: 'http://example.org/x.git' }, 'projects.source_refused'],
      [{ url: 'https://127.0.0.1/x.git' }, 'projects.source_refused'],
      [{ url: 'https://[::1]/x.git' }, 'projects.source_refused'],
      [{ url: 'https://[::ffff:7f00:1]/x.git' }, 'projects.source_refused'],
      [{ url: 'https://localhost/x.git' }, 'projects.source_refused'],
      [{ url: 'https://user:pass@example.org/x.git' }, 'projects.source_refused'],
    ];
    for (const [source, code] of tries) {
      const answer = await call('POST', '/api/projects', { name: 'Bad', source });
      expect({ source, status: answer.status, code: answer.body.code }).toEqual({ source, status: 422, code });
    }
  });
});

describe('an assignment', () => {
  const version = typeid('agv').toString();
  beforeAll(async () => {
    const agent = typeid('agent').toString();
    await database.sql(`insert into agents (id, team_id, name, created_at) values ($1, $2, 'builder', now())`, [
      agent,
      team,
    ]);
    await database.sql(
      `insert into agent_versions (id, team_id, agent_id, name, version, content_hash, definition, created_at) values ($1, $2, $3, 'builder', '1.0.0', $4, $5, now())`,
      [
        version,
        team,
        agent,
        '0'.repeat(64),
        JSON.stringify({
          metadata: { name: 'builder', version: '1.0.0' },
          skills: [{ name: 'code.change' }, { name: 'code.review' }],
        }),
      ],
    );
    await database.sql(`insert into agent_version_skills values ($1, 'code.change'), ($1, 'code.review')`, [version]);
  });

  it('of a version that is not published, or lacks the capability, is refused by the database', async () => {
    const made = await project('Assigned');
    const path = `/api/projects/${made.id}/agents`;
    expect(await call('POST', path, { agent: 'builder', capabilities: ['code.change'] })).toMatchObject({
      status: 422,
      body: { code: 'projects.agent_not_published' },
    });
    await database.sql(`update agent_versions set state = 'published', published_at = now() where id = $1`, [version]);
    expect(
      await call('POST', path, { agent: 'builder', capabilities: ['code.change', 'docs.generate'] }),
    ).toMatchObject({
      status: 422,
      body: {
        code: 'projects.capability_missing',
        data: { missing: ['docs.generate'], offered: ['code.change', 'code.review'] },
      },
    });
    expect(
      await call('POST', path, { agent: 'builder', version: 'not a range', capabilities: ['code.change'] }),
    ).toMatchObject({ status: 400 });
    expect((await call('GET', path)).body).toEqual({ items: [] });

    const assigned = await call('POST', path, { agent: 'builder', version: '^1.0.0', capabilities: ['code.change'] });
    expect(assigned).toMatchObject({
      status: 201,
      body: { agent: 'builder', versionRange: '^1.0.0', version: '1.0.0', capabilities: ['code.change'] },
    });
    const again = await call('POST', path, { agent: 'builder', capabilities: ['code.review', 'code.change'] });
    expect(again.body).toMatchObject({
      id: assigned.body.id,
      versionRange: '*',
      capabilities: ['code.change', 'code.review'],
    });
    openTasks = [{ capability: 'docs.generate', count: 2 }];
    expect((await call('GET', `/api/projects/${made.id}`)).body.agent_metadata).toMatchObject({
      assigned_agents: [{ agent: 'builder' }],
      capability_requirements: [
        { capability: 'code.change', agents: ['builder'], open_tasks: 0 },
        { capability: 'code.review', agents: ['builder'], open_tasks: 0 },
        { capability: 'docs.generate', agents: [], open_tasks: 2 },
      ],
    });
    openTasks = [];
    expect((await call('DELETE', `${path}/builder`)).status).toBe(204);
    expect((await call('DELETE', `${path}/builder`)).status).toBe(404);
  });
});

describe('git over HTTP', () => {
  const task = 'task_01jd9x0m4ve2tbk6x3h2v4q8zr';
  it('lets an agent clone, and turns a push to refs/for into a submission', async () => {
    const made = await project('Pushed');
    await repositories.updateRef(made.id, 'refs/muster/submissions/one', made.head, '0'.repeat(40));
    await repositories.updateRef(made.id, 'refs/muster/private', made.head, '0'.repeat(40));
    expect(await git(folder, 'clone', '-q', remote(made, 'agent'), 'clone')).toMatchObject({ ok: true });
    const dir = join(folder, 'clone');
    expect((await git(dir, 'ls-remote')).says).toMatch(/refs\/muster\/submissions\/one/);
    expect((await git(dir, 'ls-remote')).says).not.toMatch(/private/);
    await writeFile(join(dir, 'file'), 'content '.repeat(200_000));
    await git(dir, 'add', '.');
    await git(dir, 'commit', '-q', '-m', 'Work');
    const head = (await git(dir, 'rev-parse', 'HEAD')).says.trim();

    const pushed = await git(
      dir,
      'push',
      'origin',
      'HEAD:refs/for/main',
      '-o',
      `task=${task}`,
      '-o',
      'fence=7',
      '-o',
      'claim=it; $(works)',
    );
    expect(pushed).toMatchObject({
      ok: true,
      says: expect.stringContaining('remote: submission sub_01jd9x0m4ve2tbk6x3h2v4q8zr received'),
    });
    expect(pushes.at(-1)).toEqual({
      teamId: team,
      projectId: made.id,
      branch: 'main',
      commit: head,
      task: { taskId: task, fence: 7 },
      pushedBy: 'key_agent',
      person: null,
      claim: 'it; $(works)',
    });
    expect((await repositories.refs(made.id, 'refs')).map(({ ref }) => ref)).toEqual([
      'refs/heads/main',
      'refs/muster/private',
      'refs/muster/submissions/one',
    ]);

    const refused: Array<[string[], string]> = [
      [['HEAD:refs/heads/main'], 'refs/for/main'],
      [['HEAD:refs/heads/other'], 'Direct pushes'],
      [['HEAD:refs/tags/v1'], 'Direct pushes'],
      [['HEAD:refs/notes/muster'], 'Direct pushes'],
      [['HEAD:refs/muster/submissions/two'], 'Direct pushes'],
      [['HEAD:refs/muster/private'], 'hidden ref'],
      [['HEAD:refs/for/main', 'HEAD:refs/for/other', '-o', `task=${task}`, '-o', 'fence=7'], 'one commit'],
      [['HEAD:refs/for/other', '-o', `task=${task}`, '-o', 'fence=7'], 'no branch "other"'],
      [['HEAD:refs/for/main', '-o', `task=${task}`, '-o', 'fence=1'], 'runtime.stale_lease'],
      [['HEAD:refs/for/main', '-o', 'task=x', '-o', 'fence=1'], 'must be a task id'],
      [['HEAD:refs/for/main', '-o', `task=${task}`], 'fence must be the number'],
      [['HEAD:refs/for/main', '-o', 'rm=-rf'], 'not known'],
      [['HEAD:refs/for/main'], 'repository.import'],
      [['--delete', 'refs/heads/main'], 'refs/for/main'],
    ];
    for (const [args, reason] of refused) {
      const answer = await git(dir, 'push', 'origin', ...args);
      expect({ args, ...answer }).toMatchObject({ args, ok: false, says: expect.stringContaining(reason) });
    }
    expect(pushes).toHaveLength(1);
    expect(await repositories.resolve(made.id, 'refs/heads/main')).toBe(made.head);

    expect((await git(dir, 'push', remote(made, 'owner'), 'HEAD:refs/for/main')).ok).toBe(true);
    expect(pushes.at(-1)).toMatchObject({ task: null, pushedBy: 'key_owner', person: null });
  }, 60_000);

  it('asks for a password, and hides a project from other teams', async () => {
    const made = await project('Hidden');
    const none = await fetch(`${url}${made.gitPath}/info/refs?service=git-upload-pack`);
    expect(none.status).toBe(401);
    expect(none.headers.get('www-authenticate')).toMatch(/^Basic /);
    expect(await git(folder, 'clone', remote(made, 'stranger'), 'no')).toMatchObject({
      ok: false,
      says: expect.stringContaining('not found'),
    });
    expect((await git(folder, 'clone', '-q', remote(made, 'reader'), 'read')).ok).toBe(true);
    expect(await git(join(folder, 'read'), 'push', 'origin', 'HEAD:refs/for/main')).toMatchObject({
      ok: false,
      says: expect.stringContaining('403'),
    });
    const get = (path: string) =>
      fetch(`${url}${made.gitPath}${path}`, { headers: { authorization: 'Bearer owner' } }).then(
        (answer) => answer.status,
      );
    expect(await get('/info/refs')).toBe(400);
    expect(await get('/HEAD')).toBe(404);
    expect(await get('/objects/info/packs')).toBe(404);
    const body = await fetch(`${url}${made.gitPath}/git-receive-pack`, {
      method: 'POST',
      headers: { authorization: 'Bearer owner', 'content-type': 'application/json' },
      body: '{}',
    });
    expect(body.status).toBe(400);
  });

  it('takes the compressed bodies that git sends', async () => {
    const made = await project('Compressed');
    const answer = await fetch(`${url}${made.gitPath}/git-upload-pack`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from('x:agent').toString('base64')}`,
        'content-type': 'application/x-git-upload-pack-request',
        'content-encoding': 'gzip',
        'git-protocol': 'version=2',
      },
      body: new Uint8Array(gzipSync('0014command=ls-refs\n0000')),
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('application/x-git-upload-pack-result');
    expect(await answer.text()).toContain(`${made.head} refs/heads/main`);
  });

  it('hands out the same repository in every version of the protocol, to clones and to fetches that have some of it', async () => {
    const made = await large('Versions');
    for (const version of ['0', '1', '2']) {
      const dir = join(folder, `version-${version}`);
      const speaking = ['-c', `protocol.version=${version}`];
      const cloned = await git(folder, ...speaking, 'clone', '-q', '--bare', remote(made, 'reader'), dir);
      expect({ version, ...cloned }).toMatchObject({ version, ok: true });
      expect((await git(dir, 'fsck', '--full', '--strict')).ok).toBe(true);
      expect((await git(dir, 'rev-parse', 'main')).says.trim()).toBe(made.head);
      const shallow = join(folder, `shallow-${version}`);
      const some = ['clone', '-q', '--bare', '--depth', '1'];
      expect((await git(folder, ...speaking, ...some, remote(made, 'reader'), shallow)).ok).toBe(true);
      const fetched = await git(shallow, ...speaking, 'fetch', '-q', '--unshallow', 'origin');
      expect({ version, ...fetched }).toMatchObject({ version, ok: true });
      expect((await git(shallow, 'fsck', '--full', '--strict')).ok).toBe(true);
      expect((await git(shallow, 'rev-list', '--count', 'main')).says.trim()).toBe('3');
    }
  }, 60_000);

  it('lets git write a pack into the connection, which ends with it', async () => {
    const made = await large('Direct');
    const answer = await fetch(`${url}${made.gitPath}/git-upload-pack`, wanting(made.head));
    expect(answer.status).toBe(200);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': 'application/x-git-upload-pack-result',
      'cache-control': 'no-cache, max-age=0, must-revalidate',
      'x-content-type-options': 'nosniff',
      connection: 'close',
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    expect(bytes.subarray(0, 13).toString()).toBe('000dpackfile\n');
    expect(bytes.subarray(-4).toString()).toBe('0000');
    expect(bytes.length).toBeGreaterThan(largeBytes);
    // Behind it the server goes on as before.
    const none = await fetch(`${url}${made.gitPath}/git-upload-pack`, wanting('1'.repeat(40)));
    expect(await none.text()).toContain(`not our ref ${'1'.repeat(40)}`);
  });

  it('ends git when the client has gone, also while git writes', async () => {
    const made = await large('Left');
    const { hostname, port } = new URL(url);
    const { headers, body } = wanting(made.head);
    const head = Object.entries({ ...headers, host: hostname, 'content-length': body.length });
    const socket = connect({ host: hostname, port: Number(port) });
    socket.write(
      [
        `POST ${made.gitPath}/git-upload-pack HTTP/1.1`,
        ...head.map(([name, value]) => `${name}: ${value}`),
        '',
        body,
      ].join('\r\n'),
    );
    await once(socket, 'data');
    socket.pause();
    expect(await gitProcessesIn(repositories.path(made.id))).toBeGreaterThan(0);
    socket.destroy();
    for (let tries = 0; tries < 200 && (await gitProcessesIn(repositories.path(made.id))) > 0; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await gitProcessesIn(repositories.path(made.id))).toBe(0);
  }, 30_000);

  it('refuses compressed questions that cannot be unpacked, or are too long unpacked', async () => {
    const made = await project('Bombs');
    for (const body of [Buffer.from('not gzip'), gzipSync(Buffer.alloc(11 * 1024 * 1024))]) {
      const { headers } = wanting(made.head);
      const request = {
        method: 'POST',
        headers: { ...headers, 'content-encoding': 'gzip' },
        body: new Uint8Array(body),
      };
      const answer = await fetch(`${url}${made.gitPath}/git-upload-pack`, request);
      expect({ status: answer.status, ...((await answer.json()) as object) }).toMatchObject({
        status: 400,
        code: 'projects.git_request_invalid',
      });
    }
  });
});

/** More than what sockets between two processes hold. */
const largeBytes = 24 * 1024 * 1024;
async function large(name: string): ReturnType<typeof project> {
  const source = join(folder, 'allowed', name);
  await mkdir(source);
  await git(source, 'init', '-q', '-b', 'main');
  for (const at of ['first', 'second', 'third']) {
    await writeFile(join(source, at), randomBytes(largeBytes / 3));
    await git(source, 'add', '.');
    await git(source, 'commit', '-q', '-m', `The ${at}`);
  }
  return await project(name, { source: { path: source } });
}
/** A clone's last question. */
const wanting = (commit: string) => ({
  method: 'POST',
  headers: {
    authorization: `Basic ${Buffer.from('x:reader').toString('base64')}`,
    'content-type': 'application/x-git-upload-pack-request',
    'git-protocol': 'version=2',
  },
  body: `0012command=fetch\n00010032want ${commit}\n0009done\n0000`,
});
/** Git's processes that work in this folder. */
async function gitProcessesIn(dir: string): Promise<number> {
  const places = await Promise.all(
    (await readdir('/proc'))
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')),
  );
  return places.filter((place) => place === dir).length;
}
