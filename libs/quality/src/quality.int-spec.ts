import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  keptLogCharacters,
  type CheckFacts,
  type Finding,
  type ProjectView,
  type RerunAnswer,
  type TaskAssignment,
  type VerificationExplanation,
  type VerificationFacts,
  type VerificationLog,
  type VerificationView,
  type VerifyInput,
} from '@muster/contracts';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { Authenticator } from '#messages/auth';
import { FindVerification, RequestVerification, type VerificationRequest } from '#messages/quality';
import { CancelTask } from '#messages/runtime';
import { Repositories } from '#platform/git';
import { startApp, type TestServer } from '#test/app';
import { ReportsRetention } from './reports-retention.ts';
import { Sweep } from './sweep.ts';

let folder: string;
let server: TestServer;
let project: ProjectView;
let verifier: string;
let instanceId: string;
let rounds = 0;

/** The whole server, with a verifier that is played here over the routes that the real one uses. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-quality-'));
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=S', '-c', 'user.email=s@example.org', ...args], { cwd: folder });
  git('init', '--quiet', '-b', 'main');
  await writeFile(join(folder, 'greet.js'), 'export const greet = () => "hello";\n');
  git('add', '.');
  git('commit', '--quiet', '-m', 'Begin');
  const rules = join(folder, 'gate.yaml');
  await writeFile(rules, 'required: [header]\nseed: unguessable\n');
  server = await startApp({ env: { MUSTER_IMPORT_PATHS: folder, MUSTER_GATE_POLICY: rules } });
  const made = await server.request('POST', '/api/projects', { name: 'Greeter', source: { path: folder } });
  expect(made.status).toBe(201);
  project = made.body;
  verifier = await server.app.get(Authenticator).issueSystemKey('verifier');
  const hello = await server.request(
    'POST',
    '/api/runtime/instances',
    { agent: 'muster-verifier', capabilities: ['muster.verify'], capacity: 10 },
    { token: verifier },
  );
  expect(hello.status).toBe(201);
  ({ instanceId } = hello.body);
});
afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

const ask = (more: Partial<VerificationRequest> = {}): Promise<VerificationView> =>
  server.app.get(CommandBus).execute(
    new RequestVerification({
      teamId: project.teamId,
      projectId: project.id,
      purpose: 'admission',
      subjectId: null,
      candidateTree: (++rounds).toString(16).padStart(40, '0'),
      baseTree: 'b'.repeat(40),
      restoresTree: null,
      rulesCommit: project.head ?? '',
      approvedBy: null,
      ...more,
    }),
  );
const find = async (id: string): Promise<VerificationView> => {
  const found = await server.app.get(QueryBus).execute(new FindVerification(id));
  if (found === null) throw new Error(`no verification ${id}`);
  return found;
};
const claim = async (): Promise<{ task: TaskAssignment; input: VerifyInput }> => {
  const { status, body } = await server.request(
    'POST',
    `/api/runtime/instances/${instanceId}/claim`,
    { waitSeconds: 5, count: 1 },
    { token: verifier },
  );
  expect(status).toBe(200);
  const [task] = (body as { tasks: TaskAssignment[] }).tasks;
  if (task === undefined) throw new Error('no task came');
  return { task, input: task.input as unknown as VerifyInput };
};
const answer = async (task: TaskAssignment, verb: 'complete' | 'fail', body: object): Promise<void> => {
  const path = `/api/tasks/${task.taskId}/attempts/${task.fence}/${verb}`;
  expect((await server.request('POST', path, body, { token: verifier })).status).toBeLessThan(300);
};
const check = (name: string, more: Partial<CheckFacts> = {}): CheckFacts => ({
  check: name,
  category: 'tests',
  status: 'passed',
  summary: 'fine',
  findings: [],
  metrics: {},
  tool: null,
  ms: 1,
  ...more,
});
const factsFor = (input: VerifyInput, more: Partial<VerificationFacts> = {}): VerificationFacts => ({
  candidateTree: input.candidateTree,
  baseTree: input.baseTree,
  rulesDigest: input.rulesDigest,
  toolchain: { digest: 'd', node: '24', platform: 'linux-x64', sandbox: 'unshare', gate: '0.1.0' },
  sandbox: { driver: 'unshare', proven: true, notes: [] },
  checks: input.policy.required.map((name) => check(name)),
  baseFailures: [],
  testCases: [],
  ms: 5,
  ...more,
});
const finished = async (id: string): Promise<VerificationView> => {
  for (let round = 0; round < 100; round++) {
    const found = await find(id);
    if (found.state === 'finished') return found;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error(`verification ${id} did not finish`);
};
const played = async (asked: VerificationView, more: Partial<VerificationFacts> = {}): Promise<VerificationView> => {
  const { task, input } = await claim();
  await answer(task, 'complete', { output: factsFor(input, more) });
  return finished(asked.id);
};

describe('a verification', () => {
  test('is accepted on facts about exactly what was asked, and told once', async () => {
    const asked = await ask();
    expect(asked).toMatchObject({ state: 'pending', verdict: null, taskId: expect.any(String) });
    const done = await played(asked);
    expect(done).toMatchObject({ verdict: 'accepted', score: 100, reasons: [] });
    const events = await server.database.sql(
      `select type from events where subject = $1 and type = 'verification.finished'`,
      [asked.id],
    );
    expect(events).toHaveLength(1);
  });

  test('of one question is made once, however many ask at once, and answered from evidence later', async () => {
    const candidateTree = 'c'.repeat(40);
    const asked = await Promise.all(Array.from({ length: 12 }, () => ask({ candidateTree })));
    expect(new Set(asked.map(({ id }) => id)).size).toBe(1);
    expect(new Set(asked.map(({ taskId }) => taskId)).size).toBe(1);
    const [first] = asked;
    await played(first as VerificationView);
    expect(await ask({ candidateTree })).toMatchObject({ id: first?.id, state: 'finished', verdict: 'accepted' });
    const other = await ask({ candidateTree, baseTree: 'd'.repeat(40) });
    expect(other.id).not.toBe(first?.id);
    await played(other);
    // A person's word is part of the question, and the verifier is told whose it is.
    const approved = await ask({ candidateTree, approvedBy: 'Ada (user_1)' });
    expect(approved.id).not.toBe(first?.id);
    const { task, input } = await claim();
    expect(input.approvedBy).toBe('Ada (user_1)');
    await answer(task, 'complete', { output: factsFor(input) });
    expect(await finished(approved.id)).toMatchObject({ verdict: 'accepted', approvedBy: 'Ada (user_1)' });
  });

  test('asks what the server asks of everyone, and tells what the work declares', async () => {
    const declared = { title: 'Fix the greeting', paths: ['greet.js'] };
    const asked = await ask({ declared });
    const { task, input } = await claim();
    expect(input).toMatchObject({ declared, server: { required: ['header'] } });
    expect(input.policy.required).toContain('header');
    expect(input.draw).toMatch(/^[0-9a-f]{16}$/);
    expect(JSON.stringify(input)).not.toContain('unguessable');
    const checks = ['tests', 'secrets', 'tampering'].map((name) => check(name));
    await answer(task, 'complete', { output: factsFor(input, { checks }) });
    expect((await finished(asked.id)).reasons).toEqual([expect.stringMatching(/^header: this check is required/)]);
  });

  test.each([
    ['another tree', { candidateTree: 'e'.repeat(40) }],
    ['a comparison with another tree', { baseTree: 'e'.repeat(40) }],
    ['other rules', { rulesDigest: 'softer' }],
  ])('is refused when the verifier answered for %s', async (what, more) => {
    const done = await played(await ask(), more);
    expect(done).toMatchObject({ verdict: 'rejected', facts: null });
    expect(done.reasons[0]).toContain(what);
  });

  test('is refused when the answer is no facts at all', async () => {
    const asked = await ask();
    const { task } = await claim();
    await answer(task, 'complete', { output: { verdict: 'accepted', score: 100 } });
    expect(await finished(asked.id)).toMatchObject({ verdict: 'rejected', score: null });
  });

  test.each<[string, boolean, Partial<CheckFacts>]>([
    ['the machine could not run a required check', false, { status: 'not_run', blocked: true }],
    ['a required check could not tell', false, { status: 'inconclusive' }],
    ['the project keeps a required check from being run', true, { status: 'not_run' }],
    ['a required check failed', true, { status: 'failed' }],
  ])('knows whether it is evidence when %s', async (_what, evidence, gap) => {
    const asked = await ask();
    const { task, input } = await claim();
    const checks = input.policy.required.map((name, at) => check(name, at === 0 ? gap : {}));
    await answer(task, 'complete', { output: factsFor(input, { checks }) });
    expect(await finished(asked.id)).toMatchObject({ verdict: 'rejected', evidence });
  });

  test('that saw enough to refuse is evidence, whatever else could not be run', async () => {
    const asked = await ask();
    const { task, input } = await claim();
    const leak = {
      check: 'secrets', rule: 'secrets.key', level: 'error', veto: true, message: 'a key', path: null, line: null, remedy: null,
      fingerprint: 'f',
    } as const; // prettier-ignore
    const checks = input.policy.required.map((name) =>
      name === 'secrets'
        ? check(name, { status: 'failed', findings: [leak] })
        : check(name, { status: 'not_run', blocked: true }),
    );
    await answer(task, 'complete', { output: factsFor(input, { checks }) });
    expect(await finished(asked.id)).toMatchObject({ verdict: 'rejected', evidence: true });
  });

  test('after a landing is evidence only when the command ran', async () => {
    const asked = await ask({ purpose: 'post_landing' });
    const { task, input } = await claim();
    await answer(task, 'complete', {
      output: factsFor(input, { checks: [check('post-landing', { status: 'not_run' })] }),
    });
    expect(await finished(asked.id)).toMatchObject({ verdict: 'rejected', evidence: false });
  });

  test('is refused when the machine could not run a required check, and tried anew for the next who asks', async () => {
    const candidateTree = 'f'.repeat(40);
    const asked = await ask({ candidateTree });
    const { task, input } = await claim();
    const checks = input.policy.required.map((name, at) =>
      check(name, at === 0 ? { status: 'not_run', blocked: true } : {}),
    );
    await answer(task, 'complete', { output: factsFor(input, { checks }) });
    expect(await finished(asked.id)).toMatchObject({ verdict: 'rejected' });
    const again = await ask({ candidateTree });
    expect(again.id).not.toBe(asked.id);
    expect(await played(again)).toMatchObject({ verdict: 'accepted' });
  });

  test('whose verifier fails for good or is cancelled is refused, never accepted', async () => {
    const failing = await ask();
    const { task } = await claim();
    await answer(task, 'fail', { error: 'no sandbox here', retryable: false });
    expect(await finished(failing.id)).toMatchObject({
      evidence: false,
      reasons: ['could not be verified: no sandbox here'],
    });
    const cancelled = await ask();
    await server.app.get(CommandBus).execute(new CancelTask(cancelled.taskId ?? '', 'not wanted'));
    expect(await finished(cancelled.id)).toMatchObject({ verdict: 'rejected', score: null });
  });

  test('that lost its task to a crash gets it from the sweep', async () => {
    const asked = await ask();
    const { task, input } = await claim();
    await server.database.sql(
      `update verifications set task_id = null, next_action_at = clock_timestamp() where id = $1`,
      [asked.id],
    );
    await server.app.get(Sweep).sweep();
    expect(await find(asked.id)).toMatchObject({ taskId: task.taskId, state: 'pending' });
    await answer(task, 'complete', { output: factsFor(input) });
    expect(await finished(asked.id)).toMatchObject({ verdict: 'accepted' });
  });

  test('cannot be accepted without facts, not even in the database', async () => {
    const asked = await ask();
    await expect(
      server.database.sql(
        `update verifications set state = 'finished', verdict = 'accepted', score = 100, finished_at = now(), next_action_at = null where id = $1`,
        [asked.id],
      ),
    ).rejects.toThrow(/check/);
    await played(asked);
  });
});

const told = (subject: string, type: string): Promise<{ data: Record<string, unknown> }[]> =>
  server.database.sql(`select data from events where subject = $1 and type = $2 order by position`, [subject, type]);

describe('what a verifier tells while it works', () => {
  const ended = (name: string) => ({
    ...{
      check: name,
      category: 'tests',
      status: 'passed',
      summary: 'fine',
      errors: 0,
      warnings: 1,
      ms: 5,
      reused: false,
    },
  });
  const begun = async () => {
    const asked = await ask();
    const { task, input } = await claim();
    const path = `/api/verifications/${asked.id}`;
    const report = async (body: object, fence = task.fence): Promise<number> =>
      (await server.request('POST', `${path}/report`, { fence, ...body }, { token: verifier })).status;
    const read = async (query: string): Promise<VerificationLog> =>
      (await server.request('GET', `${path}/logs?${query}`)).body;
    return { asked, task, input, path, report, read };
  };

  test('is read line by line, by check and from where one was, and is never kept twice', async () => {
    const { asked, task, input, path, report, read } = await begun();
    const first = { check: 'tests', at: 0, text: 'one\ntwo\n' };
    expect(await report({ log: [first, { check: 'lint', at: 0, text: 'a\u0000b \ud800\n' }] })).toBe(204);
    expect(await report({ log: [first] })).toBe(204);
    expect(await report({ log: [{ check: 'tests', at: 4, text: 'two\nthree\n' }] })).toBe(204);
    const all = await read('');
    expect(all.items.map(({ check: name, text }) => [name, text])).toEqual([
      ['tests', 'one\ntwo\n'],
      ['lint', 'a\ufffdb \ufffd\n'],
      ['tests', 'three\n'],
    ]);
    expect(all).toMatchObject({ more: false, finished: false, position: 3 });
    expect((await read('check=tests&after=1')).items.map(({ text }) => text)).toEqual(['three\n']);
    expect((await read('limit=1')).more).toBe(true);
    expect((await read('tail=2')).items.map(({ text }) => text).join('')).toBe('a\ufffdb \ufffd\nthree\n');
    expect(await report({ log: [{ check: 'tests', at: 900, text: 'later\n' }] })).toBe(204);
    expect((await read('after=3')).items[0]?.text).toBe('[886 characters did not arrive]\nlater\n');
    expect(await told(asked.id, 'verification.logged')).toHaveLength(3);

    // Whoever waits is answered by what comes, and by the end.
    const waiting = read('after=4&waitSeconds=20');
    expect(await report({ log: [{ check: 'lint', at: 6, text: 'c\n' }] })).toBe(204);
    expect((await waiting).items.map(({ text }) => text)).toEqual(['c\n']);
    const last = read('after=5&waitSeconds=20');
    await answer(task, 'complete', { output: factsFor(input) });
    expect(await last).toMatchObject({ items: [], finished: true });
    expect((await read('after=0')).items).toHaveLength(5);
    expect((await server.request('GET', `${path}/logs?after=x`)).status).toBe(400);
    await finished(asked.id);
  });

  test('is bounded by what is kept, whatever a check prints', async () => {
    const { asked, task, input, report, read } = await begun();
    const piece = `${'x'.repeat(64 * 1024 - 1)}\n`;
    for (let at = 0; at < 6; at++)
      expect(await report({ log: [{ check: 'tests', at: at * piece.length, text: piece }] })).toBe(204);
    const log = await read('');
    expect(log.items.map(({ text }) => text).join('')).toHaveLength(keptLogCharacters);
    expect(await report({ log: [{ check: 'tests', at: 0, text: piece + piece }] })).toBe(400);
    await answer(task, 'complete', { output: factsFor(input) });
    await finished(asked.id);
  });

  test('says once of each check that it has ended, at the time or with the answer', async () => {
    const { asked, task, input, path, report } = await begun();
    expect(await report({ checks: [ended('tests')] })).toBe(204);
    expect(await report({ checks: [ended('tests')] })).toBe(204);
    expect(await told(asked.id, 'check.finished')).toMatchObject([
      { data: { check: 'tests', status: 'passed', warnings: 1, verificationId: asked.id } },
    ]);
    const now = await server.request('GET', `${path}/checks`);
    expect(now.body).toMatchObject({ finished: false, items: [{ check: 'tests', state: 'ended', status: 'passed' }] });
    await answer(task, 'complete', { output: factsFor(input) });
    await finished(asked.id);
    const names = (await told(asked.id, 'check.finished')).map(({ data }) => data['check']);
    expect(names).toHaveLength(new Set(names).size);
    expect(names.sort()).toEqual([...input.policy.required].sort());
  });

  test('is told by the attempt that has the task, and by no other and nobody else', async () => {
    const { asked, task, path, report, read } = await begun();
    const log = [{ check: 'tests', at: 0, text: 'mine\n' }];
    expect(await report({ log })).toBe(204);
    expect(await report({ log, checks: [ended('tests')] }, task.fence + 1)).toBe(409);
    expect((await server.request('POST', `${path}/report`, { fence: task.fence, log })).status).toBe(403);
    const release = `/api/tasks/${task.taskId}/attempts/${task.fence}/release`;
    expect((await server.request('POST', release, { reason: 'going away' }, { token: verifier })).status).toBe(200);
    expect(await report({ log: [{ check: 'tests', at: 5, text: 'late\n' }] })).toBe(409);
    // The next attempt runs everything again; nothing of the one before stands beside it.
    const next = await claim();
    expect(next.task.taskId).toBe(task.taskId);
    expect(await report({ log: [{ check: 'tests', at: 0, text: 'again\n' }] }, next.task.fence)).toBe(204);
    expect((await read('')).items.map(({ text }) => text)).toEqual(['again\n']);
    await answer(next.task, 'complete', { output: factsFor(next.input) });
    await finished(asked.id);
    expect(await report({ log }, next.task.fence)).toBe(409);
  });

  test('may be reports in other formats, which are listed, fetched and taken away after their time', async () => {
    const { asked, task, input, path } = await begun();
    const put = async (name: string, body: string, mediaType = 'text/plain', fence = task.fence): Promise<number> => {
      const query = new URLSearchParams({ fence: String(fence), check: 'tests', mediaType });
      const sent = await fetch(`${server.url}${path}/artefacts/${name}?${query.toString()}`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${verifier}`, 'content-type': 'application/octet-stream' },
        body,
      });
      return sent.status;
    };
    expect(await put('coverage.lcov', 'TN:\n')).toBe(204);
    expect(await put('coverage.lcov', 'TN:changed\n')).toBe(204);
    expect(await put('page.html', '<script>', 'text/html')).toBe(400);
    expect(await put('..%2fescape', 'x')).toBe(400);
    expect(await put('late.txt', 'x', 'text/plain', task.fence + 1)).toBe(409);
    await answer(task, 'complete', { output: factsFor(input) });
    await finished(asked.id);
    const list = (await server.request('GET', `${path}/artefacts`)).body as { items: { name: string; path: string }[] };
    expect(list.items.map(({ name }) => name)).toEqual(['findings.sarif', 'coverage.lcov']);
    const got = await server.request('GET', `${path}/artefacts/coverage.lcov`);
    expect(got.body).toBe('TN:changed\n');
    expect(got.headers.get('content-disposition')).toBe('attachment; filename="coverage.lcov"');
    expect((await server.request('GET', `${path}/artefacts/findings.sarif`)).body).toMatchObject({ version: '2.1.0' });
    expect((await server.request('GET', `${path}/artefacts/none.txt`)).status).toBe(404);

    await server.database.sql(`update verifications set finished_at = finished_at - interval '91 days' where id = $1`, [
      asked.id,
    ]);
    await server.database.sql(`update verification_contents set kept_at = kept_at - interval '2 hours'`);
    expect(await server.app.get(ReportsRetention).forget()).toMatchObject({ reports: 1, contents: 2 });
    expect((await server.request('GET', `${path}/artefacts/coverage.lcov`)).status).toBe(404);
    expect((await server.request('GET', `${path}/checks`)).body).toMatchObject({ items: [] });
    expect(await find(asked.id)).toMatchObject({ verdict: 'accepted' });
  });
});

describe('asking again', () => {
  const rerun = async (id: string, body: object = {}, token?: string): Promise<{ status: number; body: RerunAnswer }> =>
    server.request('POST', `/api/verifications/${id}/rerun`, body, token === undefined ? {} : { token });

  test('changes nothing where everything could be seen: the same evidence stands', async () => {
    const asked = await ask();
    expect((await rerun(asked.id)).body).toMatchObject({ rerun: false, verification: { id: asked.id } });
    await played(asked);
    const again = await rerun(asked.id);
    expect(again).toMatchObject({
      status: 200,
      body: { rerun: false, because: expect.stringContaining('same evidence stands'), verification: { id: asked.id } },
    });
  });

  test('looks anew at the checks that are named, once however many ask, and leaves what was seen where it is', async () => {
    const candidateTree = '7'.repeat(40);
    const asked = await ask({ candidateTree });
    await played(asked);
    expect((await rerun(asked.id, { checks: ['nonsense'] })).status).toBe(422);
    expect((await rerun(asked.id, { checks: [1] })).status).toBe(400);
    const answers = await Promise.all(Array.from({ length: 6 }, () => rerun(asked.id, { checks: ['tests'] })));
    const made = answers.filter(({ body }) => body.rerun);
    expect(made).toHaveLength(1);
    const [first] = made;
    const next = first?.body.verification;
    expect(answers.every(({ body }) => body.verification.id === next?.id)).toBe(true);
    expect(next).toMatchObject({ rerunOf: asked.id, candidateTree, state: 'pending' });
    const { task, input } = await claim();
    expect(input).toMatchObject({ verificationId: next?.id, fresh: ['tests'] });
    await answer(task, 'complete', {
      output: factsFor(input, {
        checks: input.policy.required.map((name) => check(name, name === 'tests' ? { status: 'failed' } : {})),
      }),
    });
    expect(await finished(next?.id ?? '')).toMatchObject({ verdict: 'rejected', evidence: true });
    // What it came to stays with it; whoever asks from now on is answered by the new one.
    expect(await find(asked.id)).toMatchObject({ verdict: 'accepted', evidence: true, supersededBy: next?.id });
    expect(await ask({ candidateTree })).toMatchObject({ id: next?.id });
    const explained = await server.request('GET', `/api/verifications/${next?.id}/explain`);
    expect(explained.body).toMatchObject({
      rerunOf: asked.id,
      previous: {
        verificationId: asked.id,
        because: 'rerun',
        checks: [{ check: 'tests', was: 'passed', is: 'failed' }],
      },
    });
  });

  test('looks by itself at what could not tell, and at all of what came to nothing', async () => {
    const unsure = await ask();
    const { task, input } = await claim();
    const checks = input.policy.required.map((name) =>
      check(
        name,
        name === 'tests' ? { status: 'inconclusive' } : name === 'header' ? { status: 'not_run', blocked: true } : {},
      ),
    );
    await answer(task, 'complete', {
      output: factsFor(input, {
        checks: [...checks, check('benchmarks', { status: 'not_run', summary: 'none declared' })],
      }),
    });
    await finished(unsure.id);
    const again = await rerun(unsure.id);
    expect(again.body).toMatchObject({ rerun: true, verification: { rerunOf: unsure.id } });
    expect([...again.body.checks].sort()).toEqual(['header', 'tests']);
    await played(again.body.verification);
    expect(await find(unsure.id)).toMatchObject({ evidence: false });

    const failing = await ask();
    const lost = await claim();
    await answer(lost.task, 'fail', { error: 'no sandbox', retryable: false });
    await finished(failing.id);
    const anew = await rerun(failing.id, { checks: ['tests'] });
    expect(anew.body).toMatchObject({ rerun: true, because: expect.stringContaining('come to nothing') });
    await played(anew.body.verification);
  });

  test('is for those who may request verifications, and for no agent', async () => {
    const asked = await ask();
    const key = await server.request('POST', '/api/keys', { name: 'an agent' });
    const { secret } = key.body as { secret: string };
    expect((await rerun(asked.id, {}, secret)).status).toBe(403);
    await played(asked);
  });
});

describe('an explanation', () => {
  const findingOf = (given: Partial<Finding>): Finding => ({
    ...{
      check: 'tests',
      rule: 'tests.x',
      level: 'warning',
      veto: false,
      message: 'm',
      path: 'a.js',
      line: 3,
      remedy: 'Mend it.',
    },
    ...{ fingerprint: (++rounds).toString(16).padStart(40, 'f'), reproduce: 'muster verify --check tests' },
    ...given,
  });
  const explain = async (id: string): Promise<VerificationExplanation> =>
    (await server.request('GET', `/api/verifications/${id}/explain`)).body;

  test('adds up to the score, with every point at its line and how to win it back', async () => {
    const asked = await ask();
    expect((await explain(asked.id)).summary).toMatch(/not finished/);
    const { task, input } = await claim();
    const findings = Array.from({ length: 5 }, () => findingOf({ level: 'warning' }));
    const checks = input.policy.required.map((name) =>
      name === 'tests'
        ? check(name, { status: 'failed', findings: [...findings, findingOf({ level: 'error', rule: 'tests.worse' })] })
        : check(name, { reused: { since: '2026-01-01T00:00:00.000Z', because: 'the same tree' } }),
    );
    await answer(task, 'complete', { output: factsFor(input, { checks }) });
    const done = await finished(asked.id);
    const told = await explain(asked.id);
    const lost = told.categories.reduce((sum, each) => sum + each.lost, 0);
    expect(Math.floor(100 - lost)).toBe(done.score);
    expect(told.lost.reduce((sum, each) => sum + each.points, 0)).toBe(lost);
    expect(told.lost[0]).toMatchObject({
      rule: 'tests.worse', path: 'a.js', line: 3, points: 20, remedy: 'Mend it.', reproduce: 'muster verify --check tests',
    }); // prettier-ignore
    expect(told.categories.find(({ category }) => category === 'tests')).toMatchObject({
      most: 60, perError: 20, perWarning: 4, errors: 1, warnings: 5, full: 40, lost: 32,
    }); // prettier-ignore
    expect(told.summary).toMatch(/^Refused because 68 points are fewer than the 85/);
    expect(told.rules).toMatchObject({ commit: project.head, ofTheServer: ['header'], approvedBy: null });
    expect(told.toolchain).toMatchObject({ node: '24', gate: '0.1.0' });
    expect(told.checks.find(({ check: name }) => name === 'secrets')?.reused).toMatchObject({
      because: 'the same tree',
    });
  });

  test('says which finding no score makes up for', async () => {
    const asked = await ask();
    const { task, input } = await claim();
    const leak = findingOf({ check: 'secrets', rule: 'secrets.key', level: 'error', veto: true, message: 'A key.' });
    const checks = input.policy.required.map((name) =>
      name === 'secrets' ? check(name, { category: 'security', status: 'failed', findings: [leak] }) : check(name),
    );
    await answer(task, 'complete', { output: factsFor(input, { checks }) });
    await finished(asked.id);
    const told = await explain(asked.id);
    expect(told.vetoes).toMatchObject([{ rule: 'secrets.key', message: 'A key.' }]);
    expect(told.summary).toMatch(/no score makes up for.*secrets\.key: A key/);
    const other = `${asked.id.slice(0, -1)}${asked.id.endsWith('0') ? '1' : '0'}`;
    expect((await server.request('GET', `/api/verifications/${other}/explain`)).status).toBe(404);
  });
});

describe('a first look', () => {
  test('is shown and told while the whole goes on, by the verifier only, and decides nothing', async () => {
    const asked = await ask();
    const path = `/api/verifications/${asked.id}/first-look`;
    const checks = [{ check: 'secrets', status: 'failed', summary: 'a key' }];
    const look = { state: 'failing', checks, testFiles: ['a.test.js'], failing: ['a key'], ms: 900 };
    expect((await server.request('POST', path, look)).status).toBe(403);
    expect((await server.request('POST', path, { state: 'fine' }, { token: verifier })).status).toBe(400);
    expect((await server.request('POST', path, look, { token: verifier })).status).toBe(204);
    expect(await find(asked.id)).toMatchObject({ state: 'pending', verdict: null, firstLook: look });
    expect(await told(asked.id, 'verification.first_look')).toHaveLength(1);
    expect(await played(asked)).toMatchObject({ verdict: 'accepted' });
    await server.request('POST', path, { ...look, ms: 1 }, { token: verifier });
    expect((await find(asked.id)).firstLook?.ms).toBe(900);
  });
});

describe('quality over time', () => {
  const trend = async (path: string): Promise<{ points: unknown[] }> =>
    (await server.request('GET', `/api/quality/${path}`)).body;

  test('is told by agent and version, for whole verifications and for each check', async () => {
    const by = (version: string) => ({ author: { agent: 'trendy', version } });
    await played(await ask(by('1.0.0')));
    const worse = await ask(by('1.1.0'));
    const { task, input } = await claim();
    const error = {
      check: 'tests', rule: 'tests.broken', level: 'error', veto: true, message: 'm', path: 'a.js', line: 1, remedy: null, fingerprint: 'f',
    } as const; // prettier-ignore
    const checks = input.policy.required.map((name) =>
      name === 'tests' ? check(name, { status: 'failed', findings: [error], metrics: { total: 8 }, ms: 3000 }) : check(name),
    ); // prettier-ignore
    await answer(task, 'complete', { output: factsFor(input, { checks }) });
    await finished(worse.id);

    const { points } = await trend('trends?agent=trendy&by=version');
    expect(points).toMatchObject([
      { agent: null, version: '1.0.0', projectId: null, verifications: 1, accepted: 1, scoreMean: 100, breached: 0 },
      { agent: null, version: '1.1.0', verifications: 1, accepted: 0, scoreLowest: 80 },
    ]);
    const seen = await trend('checks?agent=trendy&check=tests&by=agent,version&bucket=week');
    expect(seen).toMatchObject({
      bucket: 'week',
      truncated: false,
      points: [
        { check: 'tests', agent: 'trendy', version: '1.0.0', runs: 1, passed: 1, errors: 0, metrics: {} },
        { check: 'tests', version: '1.1.0', failed: 1, errors: 1, secondsMedian: 3, metrics: { total: 8 } },
      ],
    });
    const all = await trend(`checks?agent=trendy&check=tests&by=project`);
    expect(all.points).toMatchObject([{ projectId: project.id, runs: 2, metrics: { total: 8 } }]);
    expect((await trend('trends?agent=trendy&to=2020-01-01T00:00:00Z')).points).toEqual([]);
  });

  test('says what the project insists on, and tells a breach', async () => {
    const asked = await ask();
    const { task, input } = await claim();
    const checks = [
      ...input.policy.required.map((name) => check(name)),
      check('coverage', { status: 'failed', summary: 'tests run 1 of 9 changed lines' }),
    ];
    await answer(task, 'complete', { output: factsFor(input, { checks }) });
    const done = await finished(asked.id);
    expect(done).toMatchObject({ verdict: 'rejected', evidence: true, breaches: [{ rule: 'coverage' }] });
    const told = await server.database.sql(`select data from events where type = 'enforcer.breached' and subject = $1`, [asked.id]);
    expect(told).toMatchObject([{ data: { onBreach: 'refuse', breaches: [{ rule: 'coverage' }] } }]);
    const shown = await server.request('GET', `/api/projects/${project.id}/enforcer`);
    expect(shown.body).toMatchObject({ rules: { onBreach: 'refuse', changedLines: 80, critical: [] }, agents: [], held: [] });
  }); // prettier-ignore

  test.each(['by=colour', 'from=yesterday', 'bucket=minute', 'projectId=1'])('refuses to be asked with %s', async (query) => {
    const refused = await server.request('GET', `/api/quality/trends?${query}`);
    expect(refused.status).toBe(400);
  }); // prettier-ignore
});

describe('the routes', () => {
  test("verify the branch's head, give its trees to the verifier only, and print SARIF", async () => {
    const posted = await server.request('POST', `/api/projects/${project.id}/verifications`, {});
    expect(posted.status).toBe(201);
    const asked = posted.body as VerificationView;
    const tree = await server.app.get(Repositories).treeOf(project.id, project.head ?? '');
    expect(asked).toMatchObject({ purpose: 'base', candidateTree: tree, baseTree: null });

    const path = `/api/verifications/${asked.id}`;
    expect((await server.request('GET', `${path}/trees/${tree}`)).status).toBe(403);
    expect(
      (await server.request('GET', `${path}/trees/${'a'.repeat(40)}`, undefined, { token: verifier })).status,
    ).toBe(404);
    const tar = await server.request('GET', `${path}/trees/${tree}`, undefined, { token: verifier });
    expect(tar.status).toBe(200);
    expect(tar.body as string).toContain('export const greet');
    expect((await find(asked.id)).state).toBe('running');
    expect((await server.request('GET', `${path}/sarif`)).status).toBe(409);

    await played(asked);
    const sarif = await server.request('GET', `${path}/sarif`);
    expect(sarif.headers.get('content-type')).toContain('application/sarif+json');
    expect(sarif.body).toMatchObject({ version: '2.1.0' });
    const list = await server.request('GET', `/api/projects/${project.id}/verifications?limit=3&purpose=base`);
    expect((list.body as { items: VerificationView[] }).items.map(({ id }) => id)).toEqual([asked.id]);
  });

  test("keep another team's verifications out of sight", async () => {
    const owner = { email: 'owner@elsewhere.example.org', password: 'a long enough password' };
    await server.request('POST', '/api/teams', { name: 'Elsewhere', slug: 'elsewhere', owner });
    const { accessToken: token } = (await server.request('POST', '/api/auth/login', owner, { token: null })).body as {
      accessToken: string;
    };
    const asked = await ask();
    for (const path of [`/api/verifications/${asked.id}`, `/api/projects/${project.id}/verifications`]) {
      expect((await server.request('GET', path, undefined, { token })).status).toBe(404);
    }
    const seen = await server.request('GET', '/api/quality/trends', undefined, { token });
    expect(seen.body).toMatchObject({ points: [] });
    await played(asked);
  });
});
