import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type {
  AuditReport,
  CheckFacts,
  Finding,
  LandingView,
  ProjectView,
  SubmissionView,
  TaskAssignment,
  TaskDetail,
  TaskHistory,
  VerificationExplanation,
  VerificationFacts,
  VerifyInput,
} from '@muster/contracts';
import { Authenticator } from '#messages/auth';
import { startApp, type TestServer } from '#test/app';

let folder: string;
let server: TestServer;
let project: ProjectView;
let agentKey: string;
let agentInstance: string;
let verifierKey: string;
let verifierInstance: string;

/** The whole server. The agent and the verifier are played over the routes that real ones use. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-landing-'));
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=S', '-c', 'user.email=s@example.org', ...args], { cwd: folder });
  git('init', '--quiet', '-b', 'main');
  await writeFile(join(folder, 'greet.js'), 'export const greet = () => "hello";\n');
  await writeFile(join(folder, 'muster.yaml'), 'postLanding: node smoke.js\n');
  git('add', '.');
  git('commit', '--quiet', '-m', 'Begin');
  server = await startApp({ env: { MUSTER_IMPORT_PATHS: folder } });
  project = await post('/api/projects', { name: 'Greeter', source: { path: folder } });
  const source = 'metadata: { name: author, version: 1.0.0 }\nskills: [{ name: code.change }]\n';
  await post('/api/agents', { source, publish: true });
  await post(`/api/projects/${project.id}/agents`, { agent: 'author', capabilities: ['code.change'] });
  agentKey = (await post<{ secret: string }>('/api/keys', { name: 'author' })).secret;
  verifierKey = await server.app.get(Authenticator).issueSystemKey('verifier');
  const hello = async (agent: string, capability: string, token: string) =>
    (
      await post<{ instanceId: string }>(
        '/api/runtime/instances',
        { agent, capabilities: [capability], capacity: 10 },
        token,
      )
    ).instanceId;
  agentInstance = await hello('author', 'code.change', agentKey);
  verifierInstance = await hello('muster-verifier', 'muster.verify', verifierKey);
});
afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

async function post<T>(path: string, body: unknown, token?: string): Promise<T> {
  const answer = await server.request('POST', path, body, token === undefined ? {} : { token });
  if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}
const get = async <T>(path: string): Promise<T> => (await server.request('GET', path)).body;
async function until<T>(path: string, good: (found: T) => boolean): Promise<T> {
  for (let tries = 0; tries < 200; tries += 1) {
    const found = await get<T>(path);
    if (good(found)) return found;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error(`it did not come: ${JSON.stringify(await get(path))}`);
}
async function claim(instance: string, token: string): Promise<TaskAssignment> {
  for (let tries = 0; tries < 5; tries += 1) {
    const { tasks } = await post<{ tasks: TaskAssignment[] }>(
      `/api/runtime/instances/${instance}/claim`,
      { waitSeconds: 5, count: 1 },
      token,
    );
    if (tasks[0] !== undefined) return tasks[0];
  }
  throw new Error('no task came');
}
const submit = ({ taskId, fence }: TaskAssignment, base: string, content: string) =>
  post<SubmissionView>(
    '/api/submissions',
    { taskId, fence, base, message: `Greet: ${content}`, files: [{ path: 'greet.js', content }] },
    agentKey,
  );
/** The verifier's next task, answered with facts. */
async function verify(purpose: VerifyInput['purpose'], findings: Finding[] = []): Promise<void> {
  const task = await claim(verifierInstance, verifierKey);
  const input = task.input as unknown as VerifyInput;
  expect(input.purpose).toBe(purpose);
  const required = purpose === 'post_landing' ? ['post-landing'] : input.policy.required;
  const checks: CheckFacts[] = required.map((check, at) => ({
    check, category: 'tests', status: at === 0 && findings.length > 0 ? 'failed' : 'passed', summary: 'seen', metrics: {}, tool: null, ms: 1,
    findings: at === 0 ? findings : [],
  })); // prettier-ignore
  const output: VerificationFacts = {
    candidateTree: input.candidateTree, baseTree: input.baseTree, rulesDigest: input.rulesDigest, checks, baseFailures: [], testCases: [], ms: 5,
    toolchain: { digest: 'd', node: '24', platform: 'linux-x64', sandbox: 'unshare', gate: '0.1.0' },
    sandbox: { driver: 'unshare', proven: true, notes: [] },
  }; // prettier-ignore
  await post(`/api/tasks/${task.taskId}/attempts/${task.fence}/complete`, { output }, verifierKey);
}
const broken: Finding = {
  check: 'tests', rule: 'tests/failed', level: 'error', veto: true, message: 'greets the world: failed', path: 'greet.js', line: 1,
  remedy: null, fingerprint: 'f',
}; // prettier-ignore

it('a refused change comes back with its findings, the reworked one lands, fails in use, is taken back, and its work is queued again', async () => {
  const { id: taskId } = await post<TaskDetail>('/api/tasks', {
    projectId: project.id,
    capability: 'code.change',
    title: 'Greet',
  });
  const first = await claim(agentInstance, agentKey);
  expect(first).toMatchObject({ taskId, rework: null });
  const refused = await submit(first, project.head ?? '', 'broken\n');
  expect(await get(`/api/tasks/${taskId}`)).toMatchObject({ state: 'waiting', submissionId: refused.id });
  await verify('admission', [broken]);
  await until<SubmissionView>(`/api/submissions/${refused.id}`, ({ state }) => state === 'rejected');

  const second = await claim(agentInstance, agentKey);
  expect(second).toMatchObject({ taskId, rework: { round: 1, reason: 'rejected', submissionId: refused.id } });
  expect(second.rework?.findings.map(({ message }) => message)).toEqual([broken.message]);
  const good = await submit(second, project.head ?? '', 'export const greet = () => "hello, world";\n');
  await verify('admission');
  const task = await until<TaskDetail>(`/api/tasks/${taskId}`, ({ state }) => state === 'succeeded');
  const landed = await get<SubmissionView>(`/api/submissions/${good.id}`);
  const landing = await get<LandingView>(`/api/landings/${landed.landingId}`);
  expect(task.output).toEqual({ submissionId: good.id, landingId: landing.id, commit: landing.commit });
  expect(landing).toMatchObject({ before: project.head, landedTree: landing.verifiedTree, postLanding: 'pending' });
  expect(await get<ProjectView>(`/api/projects/${project.id}`)).toMatchObject({ head: landing.commit });
  expect(await get<AuditReport>(`/api/projects/${project.id}/audit`)).toMatchObject({ ok: true, checked: 2 });

  await verify('post_landing', [{ ...broken, check: 'post-landing' }]);
  await verify('revert');
  const after = await until<LandingView>(
    `/api/landings/${landing.id}`,
    ({ followUpTaskId }) => followUpTaskId !== null,
  );
  expect(after).toMatchObject({ state: 'rolled_back', postLanding: 'failed' });
  expect(await get<TaskDetail>(`/api/tasks/${after.followUpTaskId}`)).toMatchObject({
    reopens: taskId,
    capability: 'code.change',
  });
  expect(await get<TaskDetail>(`/api/tasks/${taskId}`)).toMatchObject({ state: 'succeeded' });

  const history = await get<TaskHistory>(`/api/tasks/${taskId}/history?limit=200`);
  expect(history.changes).toMatchObject([
    {
      submissionId: good.id,
      state: 'landed',
      verification: { state: 'finished', verdict: 'accepted' },
      landing: { id: landing.id, state: 'rolled_back', commit: landing.commit, followUpTaskId: after.followUpTaskId },
    },
    { submissionId: refused.id, state: 'rejected', verification: { verdict: 'rejected' }, landing: null },
  ]);
  const [last, before] = history.changes;
  expect(await get<VerificationExplanation>(`/api/verifications/${last?.verification?.id}/explain`)).toMatchObject({
    verdict: 'accepted',
    score: 100,
    previous: {
      verificationId: before?.verification?.id,
      because: 'earlier_try',
      verdict: 'rejected',
      scoreChange: 20,
      fixed: [{ rule: broken.rule, path: broken.path, line: broken.line }],
      added: [],
      remaining: 0,
      checks: [{ was: 'failed', is: 'passed' }],
    },
  });
  expect(history.reworks).toMatchObject([{ round: 1, submissionId: refused.id }]);
  for (const { links } of history.changes)
    for (const link of [links.submission, links.verification, links.landing])
      if (link !== null) expect(await get(link)).toHaveProperty('id');
  expect(history.events.items.map(({ type }) => type)).toEqual(
    expect.arrayContaining([
      'task.created',
      'submission.received',
      'verification.finished',
      'landing.landed',
      'task.succeeded',
    ]),
  );
  expect(await get<AuditReport>(`/api/projects/${project.id}/audit`)).toMatchObject({ ok: true, checked: 3 });
});

it('an outsider verifies the history with the commands of the documentation, and finds what was forged since', async () => {
  const page = await readFile(new URL('../../docs/landing.md', import.meta.url), 'utf8');
  const [, commands = ''] = /<!-- these commands are run by[^>]*-->\s*```sh\n([\s\S]*?)```/.exec(page) ?? [];
  const place = await mkdtemp(join(tmpdir(), 'muster-outsider-'));
  const program = fileURLToPath(new URL('../../packages/verify-provenance/src/main.ts', import.meta.url));
  // As `npx` would find it once it is published.
  const npx = `npx() { shift; "${process.execPath}" "${program}" "$@"; }`;
  // A first shell whose input is a socket takes itself for a remote one, and reads the machine's settings.
  const env = { ...process.env, SHLVL: '2', MUSTER: server.url, TOKEN: server.admin.token, PROJECT: project.id };
  const run = (script: string) =>
    spawnSync('bash', ['-euc', `${npx}\n${script}`], { cwd: place, encoding: 'utf8', env });
  // The server runs in this process: it has to be able to answer meanwhile.
  const served = commands.trim().split('\n').slice(0, -1).join('\n');
  const fetched = await promisify(execFile)('bash', ['-euc', served], { cwd: place, env });
  expect(fetched.stderr).toBe('');
  const last = commands.trim().split('\n').at(-1) ?? '';
  expect(run(last)).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^verified 2 landings, 2 commits of main/),
  });
  expect(
    run(`git -C clone -c user.name=M -c user.email=m@example.org commit --quiet --allow-empty -m Innocent; ${last}`),
  ).toMatchObject({
    status: 1,
    stdout: expect.stringContaining('note.missing'),
  });
  await rm(place, { recursive: true, force: true });
});

it('what nobody could verify waits for a person, who queues it again; it has cost no rework', async () => {
  // What the revert above landed proves itself, too.
  await verify('post_landing');
  const { id: taskId } = await post<TaskDetail>('/api/tasks', {
    projectId: project.id,
    capability: 'code.change',
    title: 'Greet unseen',
  });
  const unseen = async (attempt: TaskAssignment): Promise<SubmissionView> => {
    const { head } = await get<ProjectView>(`/api/projects/${project.id}`);
    return submit(attempt, head ?? '', `export const greet = () => "unseen ${attempt.fence}";\n`);
  };
  const mine = async (): Promise<TaskAssignment> => {
    // The follow-up of the rollback above may come first; its agent takes one at a time.
    for (let tries = 0; tries < 3; tries += 1) {
      const found = await claim(agentInstance, agentKey);
      if (found.taskId === taskId) return found;
      await post(`/api/tasks/${found.taskId}/cancel`, { reason: 'somebody else does it' });
    }
    throw new Error('the task did not come');
  };
  const submission = await unseen(await mine());
  const broke = await claim(verifierInstance, verifierKey);
  const error = 'there is no sandbox here';
  await post(`/api/tasks/${broke.taskId}/attempts/${broke.fence}/fail`, { error, retryable: false }, verifierKey);
  const waiting = await until<TaskDetail>(`/api/tasks/${taskId}`, ({ wait }) => wait?.reason === 'person');
  expect(waiting).toMatchObject({ state: 'waiting', reworks: 0, wait: { ref: submission.id } });
  expect(waiting.wait?.detail).toContain(error);
  expect(await get<SubmissionView>(`/api/submissions/${submission.id}`)).toMatchObject({
    state: 'failed',
    reasons: [`could not be verified: ${error}`],
  });

  await post(`/api/tasks/${taskId}/retry`, {});
  const again = await unseen(await mine());
  await verify('admission');
  await until<TaskDetail>(`/api/tasks/${taskId}`, ({ state }) => state === 'succeeded');
  expect(await get<SubmissionView>(`/api/submissions/${again.id}`)).toMatchObject({ state: 'landed' });
});
