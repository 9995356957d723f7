import { createServer, type IncomingMessage, type Server } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { main } from './program.ts';

const project = {
  id: 'proj_01jd9x0m4ve2tbk6x3h2v4q8zr',
  teamId: 'team_01jd9x0m4ve2tbk6x3h2v4q8zr',
  name: 'Ledger',
  slug: 'ledger',
  branch: 'main',
  head: 'a'.repeat(40),
  gitPath: '/git/proj.git',
  createdAt: '2026-11-21T00:00:00.000Z',
};
const task = {
  id: 'task_01jd9x0m4ve2tbk6x3h2v4q8zr',
  teamId: project.teamId,
  projectId: project.id,
  capability: 'code.change',
  title: 'Greet',
  state: 'queued',
  wait: null,
  priority: 'normal',
  input: {},
  output: null,
  error: null,
  attempt: 1,
  reworks: 0,
  submissionId: null,
  parentId: null,
  reopens: null,
  costUsd: 1.1,
  createdAt: project.createdAt,
  updatedAt: project.createdAt,
  finishedAt: null,
};
const key = {
  id: 'key_01jd9x0m4ve2tbk6x3h2v4q8zr',
  teamId: project.teamId,
  name: 'ci',
  role: 'viewer',
  permissions: ['project.read'],
  projectId: project.id,
  createdAt: project.createdAt,
  expiresAt: null,
  revokedAt: null,
  lastUsedAt: null,
};
const answers: Record<string, { status: number; body: unknown }> = {
  'GET /api/projects': { status: 200, body: { items: [project], nextCursor: null } },
  [`GET /api/projects/${project.id}/audit`]: {
    status: 200,
    body: {
      projectId: project.id,
      branch: 'main',
      ok: false,
      checked: 1,
      publicKeys: [],
      commits: [
        {
          commit: 'b'.repeat(40),
          tree: 'c'.repeat(40),
          subject: 'Sneak in',
          kind: 'unknown',
          landingId: null,
          problems: ['no landing vouches for it'],
        },
      ],
    },
  },
  'POST /api/keys': { status: 201, body: { ...key, secret: 'muster_01jd_secret' } },
  'GET /api/keys': { status: 200, body: { items: [key], nextCursor: null } },
  [`DELETE /api/keys/${key.id}`]: { status: 204, body: {} },
  [`POST /api/tasks/${task.id}/retry`]: { status: 200, body: task },
  [`GET /api/tasks/${task.id}`]: { status: 200, body: { ...task, deadline: null, dependsOn: [], attempts: [] } },
  'POST /api/tasks': {
    status: 400,
    body: {
      type: 'about:blank',
      title: 'Bad Request',
      status: 400,
      code: 'request.invalid',
      detail: 'Correct the fields named in errors.',
      errors: [{ path: 'capability', message: 'must look like code.review' }],
    },
  },
};

describe('the command line', () => {
  let server: Server;
  let home: string;
  let out = '';
  let err = '';
  const seen: Array<string | undefined> = [];
  const bodies: unknown[] = [];
  const kept = process.env['XDG_CONFIG_HOME'];
  const muster = async (...args: string[]): Promise<number> => {
    out = err = '';
    jest.spyOn(process.stdout, 'write').mockImplementation((chunk) => ((out += String(chunk)), true));
    jest.spyOn(process.stderr, 'write').mockImplementation((chunk) => ((err += String(chunk)), true));
    const { port } = server.address() as AddressInfo;
    return main([...args, '--url', `http://127.0.0.1:${port}`, '--token', 'secret']);
  };
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'muster-cli-'));
    process.env['XDG_CONFIG_HOME'] = home;
    server = createServer((request: IncomingMessage, response) => {
      seen.push(request.headers.authorization);
      if (request.method === 'POST') void json(request).then((sent) => bodies.push(sent));
      const { status, body } = answers[`${request.method} ${request.url?.split('?')[0]}`] ?? { status: 404, body: {} };
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => {
    jest.restoreAllMocks();
    process.exitCode = 0;
  });
  afterAll(async () => {
    if (kept === undefined) delete process.env['XDG_CONFIG_HOME'];
    else process.env['XDG_CONFIG_HOME'] = kept;
    await new Promise((resolve) => server.close(resolve));
    await rm(home, { recursive: true, force: true });
  });

  it('prints tables for people and the API’s own shape for programs', async () => {
    expect(await muster('project', 'list')).toBe(0);
    expect(out).toMatch(/ledger.*main/);
    expect(await muster('project', 'list', '--json')).toBe(0);
    expect(JSON.parse(out)).toEqual({ items: [project], nextCursor: null });
    expect(seen).toContain('Bearer secret');
  });

  it('makes a key whose secret is shown once, and refuses one that cannot be before it asks', async () => {
    expect(await muster('key', 'create', 'ci', '--role', 'viewer', '--project', 'ledger')).toBe(0);
    expect(out).toMatch(/muster_01jd_secret[^]*MUSTER_TOKEN/);
    expect(bodies.at(-1)).toEqual({ name: 'ci', role: 'viewer', projectId: project.id });
    const before = bodies.length;
    expect(await muster('key', 'create', 'ci', '--role', 'emperor')).toBe(64);
    expect(err).toMatch(/role/);
    expect(bodies).toHaveLength(before);
    expect(await muster('key', 'list')).toBe(0);
    expect(out).toMatch(/ci.*viewer/);
    expect(await muster('key', 'revoke', key.id)).toBe(0);
  });

  it('lets a task that waits for a person go on, and shows it', async () => {
    expect(await muster('tasks', 'retry', task.id)).toBe(0);
    expect(out).toMatch(/Greet/);
    expect(out).toMatch(/queued/);
    expect(await muster('tasks', 'retry', task.id, '--json')).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ id: task.id, attempts: [] });
  });

  it('ends with 1 when the audit finds something, and names it', async () => {
    expect(await muster('audit', 'ledger')).toBe(1);
    expect(out).toMatch(/no landing vouches for it/);
  });

  it('says what the server said, field by field', async () => {
    expect(await muster('tasks', 'create', '--project', project.id, '--capability', 'Nonsense')).toBe(1);
    expect(err).toMatch(/Correct the fields named in errors/);
    expect(err).toMatch(/capability: must look like code.review/);
    expect(await muster('tasks', 'create', '--project', project.id, '--capability', 'Nonsense', '--json')).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ code: 'request.invalid' });
  });

  it('refuses what it does not understand with exit code 64', async () => {
    expect(await muster('tasks', 'create', '--project', project.id, '--capability', 'a.b', '--input', 'nonsense')).toBe(
      64,
    );
    expect(err).toMatch(/JSON object/);
    expect(await muster('no-such-command')).toBe(64);
    expect(await muster('project', 'show', 'unknown')).toBe(64);
    expect(err).toMatch(/There is no project unknown/);
  });
});
