import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { SubmissionView, VerificationView } from '@muster/contracts';
import { defineAgent, type JsonValue, MusterClient, type RunningAgent } from '@muster/sdk';
import { Authenticator } from '#messages/auth';
import { startApp, type TestServer } from '#test/app';
import { verify } from '../../apps/agents/src/verifier/verify.ts';

const run = promisify(execFile);
const rules = (threshold: number): string =>
  [
    `threshold: ${threshold}`,
    'checks: { install: false, build: false, test: false, types: false, lint: false, honesty: false }',
    'required: [secrets, tampering]',
    "protected: ['deploy/**']",
    '',
  ].join('\n');

let folder: string;
let work: string;
let server: TestServer;
let muster: MusterClient;
let verifier: RunningAgent;
let projectId: string;
let address: (credential: string) => string;

/** The whole server and the gate's own verifier; everything goes through git, as people and agents use it. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-rules-'));
  const source = join(folder, 'source');
  work = join(folder, 'work');
  await run('git', ['init', '--quiet', '-b', 'main', source]);
  await writeFile(join(source, 'muster.yaml'), rules(80));
  await writeFile(join(source, 'README.md'), '# Rules\n');
  await git(source, 'add', '.');
  await git(source, 'commit', '--quiet', '-m', 'Begin');
  server = await startApp({ env: { MUSTER_IMPORT_PATHS: folder } });
  const token = await server.app.get(Authenticator).issueSystemKey('verifier');
  const settings = {
    url: server.url,
    token,
    dir: join(folder, 'verifier'),
    sandbox: 'auto',
    sandboxes: {},
    npmRegistry: null,
    npmCache: null,
    pythonWheels: null,
  } as const;
  // Nothing of this project is run, so it needs no sandbox.
  const sandbox = { driver: null, proven: false, notes: ['nothing to run'] };
  verifier = await defineAgent({
    name: 'muster-verifier',
    capacity: 2,
    capabilities: {
      'muster.verify': async (task, context) =>
        JSON.parse(JSON.stringify(await verify(task, context, settings, sandbox))) as JsonValue,
    },
  }).connect({ url: server.url, token });
  muster = new MusterClient({ url: server.url, token: server.admin.token, retryForMs: 0 });
  const project = await muster.projects.create({ name: 'Rules', source: { path: source } });
  projectId = project.id;
  address = (credential) =>
    `${server.url.replace('://', `://x:${encodeURIComponent(credential)}@`)}/git/${projectId}.git`;
  await git(folder, 'clone', '--quiet', address(server.admin.token), work);
}, 60_000);
afterAll(async () => {
  await verifier?.stop();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

async function git(dir: string, ...args: string[]): Promise<string> {
  const { stdout, stderr } = await run('git', ['-c', 'user.name=P', '-c', 'user.email=p@example.org', ...args], {
    cwd: dir,
    env: { PATH: process.env['PATH'], HOME: folder, GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0' },
  });
  return `${stdout}${stderr}`;
}
async function push(credential: string, commit: string, ...options: string[]): Promise<string> {
  const said = await git(work, 'push', ...options, address(credential), `${commit}:refs/for/main`);
  const id = /submission (sub_\w+) received/.exec(said)?.[1];
  if (id === undefined) throw new Error(said);
  return id;
}
async function ended(submissionId: string): Promise<{ submission: SubmissionView; verification: VerificationView }> {
  for (let tries = 0; tries < 300; tries += 1) {
    const submission = await muster.submissions.get(submissionId);
    if (['landed', 'rejected', 'failed', 'conflicted'].includes(submission.state)) {
      const { body } = await server.request('GET', `/api/verifications/${submission.verificationId}`);
      return { submission, verification: body };
    }
    await new Promise((wake) => setTimeout(wake, 200));
  }
  throw new Error(`${submissionId} did not end`);
}

it('an agent may not change the rules; its commit lands when a maintainer hands it in, and counts from then on', async () => {
  await muster.agents.register({
    definition: { metadata: { name: 'bold', version: '1.0.0' }, skills: [{ name: 'code.change' }] },
    publish: true,
  });
  await muster.projects.assign(projectId, { agent: 'bold', capabilities: ['code.change'] });
  const { secret: agentKey } = await muster.keys.create({ name: 'bold', role: 'agent' });
  const { secret: ownersKey } = await muster.keys.create({ name: 'deploy', role: 'owner' });
  await muster.tasks.create({ projectId, capability: 'code.change', title: 'Be quicker' });
  const post = async <T>(path: string, body: unknown): Promise<T> =>
    (await server.request('POST', path, body, { token: agentKey })).body;
  const hello = { agent: 'bold', capabilities: ['code.change'], capacity: 1 };
  const { instanceId } = await post<{ instanceId: string }>('/api/runtime/instances', hello);
  const { tasks } = await post<{ tasks: Array<{ taskId: string; fence: number }> }>(
    `/api/runtime/instances/${instanceId}/claim`,
    { waitSeconds: 5, count: 1 },
  );

  await writeFile(join(work, 'muster.yaml'), rules(60));
  await git(work, 'checkout', '--quiet', '-b', 'lower');
  await git(work, 'commit', '--quiet', '-am', 'Ask for less');
  const commit = (await git(work, 'rev-parse', 'HEAD')).trim();

  const agents = await ended(
    await push(agentKey, commit, '-o', `task=${tasks[0]?.taskId}`, '-o', `fence=${tasks[0]?.fence}`),
  );
  expect(agents.submission).toMatchObject({ state: 'rejected', approvedBy: null });
  expect(agents.submission.reasons[0]).toContain('tampering.gate_settings');
  const remedies = agents.verification.facts?.checks.flatMap(({ findings }) => findings.map(({ remedy }) => remedy));
  expect(remedies?.[0]).toContain('git fetch origin refs/muster/submissions/<id>');
  await expect(push(agentKey, commit)).rejects.toThrow(/repository\.import/);

  // A key is no person, not even an owner's.
  const keys = await ended(await push(ownersKey, commit));
  expect(keys.submission).toMatchObject({ state: 'rejected', approvedBy: null });

  // What the remedy says, word for word.
  await git(work, 'fetch', '--quiet', address(server.admin.token), `refs/muster/submissions/${agents.submission.id}`);
  const owner = await ended(await push(server.admin.token, 'FETCH_HEAD'));
  const who = await muster.whoAmI();
  const approvedBy = { id: who.id, name: who.name };
  expect(owner.submission).toMatchObject({ state: 'landed', commit, approvedBy });
  expect(owner.verification).toMatchObject({ verdict: 'accepted', threshold: 80 });
  const note = owner.verification.facts?.checks.flatMap(({ findings }) => findings)[0];
  expect(note).toMatchObject({ rule: 'tampering.gate_settings', level: 'note', veto: false });
  expect(note?.message).toContain(`Let through by ${who.name} (${who.id})`);

  await git(work, 'fetch', '--quiet', address(server.admin.token), 'refs/heads/main');
  await git(work, 'checkout', '--quiet', 'FETCH_HEAD');
  await writeFile(join(work, 'README.md'), '# Rules that changed\n');
  await git(work, 'commit', '--quiet', '-am', 'Say so');
  const next = await ended(await push(ownersKey, 'HEAD'));
  expect(next.submission.state).toBe('landed');
  expect(next.verification.threshold).toBe(60);
  expect((await server.request('GET', `/api/projects/${projectId}/audit`)).body).toMatchObject({
    ok: true,
    checked: 3,
  });
}, 120_000);
