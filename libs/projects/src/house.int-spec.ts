import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startApp, type TestServer } from '#test/app';

const run = promisify(execFile);
let server: TestServer;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-house-'));
  server = await startApp();
});
afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});
const git = (dir: string, ...args: string[]) =>
  run('git', ['-c', 'user.name=A', '-c', 'user.email=a@example.org', ...args], {
    cwd: dir,
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, GIT_TERMINAL_PROMPT: '0' },
  });

it('with all rooms open, a project is created, an agent assigned, and a push becomes a submission', async () => {
  const created = await server.request('POST', '/api/projects', { name: 'House' });
  expect(created).toMatchObject({ status: 201 });
  const project = created.body as { id: string; gitPath: string; branch: string };
  const source = 'metadata: { name: builder, version: 1.0.0 }\nskills: [{ name: code.change }]\n';
  expect(await server.request('POST', '/api/agents', { source, publish: true })).toMatchObject({ status: 201 });

  const agents = `/api/projects/${project.id}/agents`;
  expect(await server.request('POST', agents, { agent: 'builder', capabilities: ['code.review'] })).toMatchObject({
    status: 422,
    body: { code: 'projects.capability_missing' },
  });
  expect(await server.request('POST', agents, { agent: 'builder', capabilities: ['code.change'] })).toMatchObject({
    status: 201,
  });
  expect(await server.request('GET', `/api/projects/${project.id}`)).toMatchObject({
    status: 200,
    body: { agent_metadata: { assigned_agents: [{ agent: 'builder' }], operation_history: [] } },
  });

  const dir = join(folder, 'clone');
  await git(
    folder,
    'clone',
    '-q',
    `${server.url.replace('://', `://x:${server.admin.token}@`)}${project.gitPath}`,
    dir,
  );
  await writeFile(join(dir, 'README.md'), '# House\n');
  await git(dir, 'add', '.');
  await git(dir, 'commit', '-q', '-m', 'Say what this is');
  const { stderr } = await git(dir, 'push', 'origin', `HEAD:refs/for/${project.branch}`);
  const id = /submission (sub_\w+) received/.exec(stderr)?.[1];
  expect(await server.request('GET', `/api/submissions/${id}`)).toMatchObject({
    status: 200,
    body: { id, taskId: null, projectId: project.id, message: expect.stringContaining('Say what this is') },
  });
  const stale = git(
    dir,
    'push',
    'origin',
    `HEAD:refs/for/${project.branch}`,
    '-o',
    'task=task_01jd9x0m4ve2tbk6x3h2v4q8zr',
    '-o',
    'fence=7',
  );
  await expect(stale).rejects.toMatchObject({ stderr: expect.stringMatching(/remote rejected.*\[[a-z]+\.[a-z_]+\]/) });
});
