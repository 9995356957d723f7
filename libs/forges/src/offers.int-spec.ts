import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { ForgeRequest, ProjectView, SubmissionView, TaskView } from '@muster/contracts';
import { hangUp, refuse, type RequestHere } from '../../../test/support/forge-here.ts';
import { finding, type Followed, ForgeWorld } from '../test/world.ts';
import { LookAtRequests } from './commands/look-at-requests.ts';

let world: ForgeWorld;
beforeAll(async () => {
  world = await ForgeWorld.begin();
});
afterEach(() => world.forget());
afterAll(() => world.end());

const until = (project: ProjectView, good: (request: ForgeRequest) => boolean): Promise<ForgeRequest> =>
  world.until(async () => {
    await world.lookNow();
    const [request] = await world.requestsOf(project);
    return request !== undefined && good(request) ? request : null;
  });
const isOpen = ({ state }: ForgeRequest): boolean => state === 'open';
const isClosed = ({ state }: ForgeRequest): boolean => state === 'closed';
const there = (request: ForgeRequest): RequestHere => {
  const found = world.forge.requests.find(({ number }) => number === request.number);
  if (found === undefined) throw new Error(`There is no request ${request.number}.`);
  return found;
};
const branches = ({ there: dir }: Followed): Promise<string> =>
  world.git(dir, 'for-each-ref', '--format=%(objectname)', 'refs/heads/muster');
const made = (): number => world.forge.asked.filter((one) => /^POST .*\/(pulls|merge_requests)$/.test(one)).length;
/** Accepted work waits for a person, so that its request can be looked at. */
const BY_A_PERSON = 'landing: { mode: person }\n';

async function offering(account = 'hub', repository = 'octo/repo', rules = BY_A_PERSON): Promise<Followed> {
  const followed = await world.followed(account, repository, { requests: { out: true } }, rules);
  world.forge.folders.set(repository, followed.there);
  await world.pushesBack(followed);
  await world.employ(followed.project);
  return followed;
}
async function accepted(
  followed: Followed,
  content = 'one\n',
): Promise<{ task: TaskView; submission: SubmissionView }> {
  const task = await world.start(followed.project);
  const submission = await world.submit(followed.project, content);
  await world.verify(followed.project);
  return { task, submission };
}

describe.each([
  ['hub', 'octo/repo'],
  ['lab', 'group/sub/repo'],
])('a change that was accepted, at %s', (account, repository) => {
  it('is shown by a request with its evidence, which is closed with its branch when it has landed there', async () => {
    const followed = await offering(account, repository);
    const { task, submission } = await accepted(followed);
    const request = await until(followed.project, isOpen);
    expect(request).toMatchObject({ direction: 'out', submissionId: submission.id, taskId: task.id, problem: null });
    expect(there(request)).toMatchObject({
      branch: `muster/${task.id}`,
      head: submission.commit,
      base: 'main',
      title: 'Write one',
      state: 'open',
    });
    const said = await world.until(async () => {
      await world.lookNow();
      const { body } = there(request);
      return body.includes('waits: person') && body;
    });
    expect(said).toMatch(/verified as tree `[0-9a-f]{40}`: accepted/);
    expect(said).toContain('> `as @everyone wants`');
    expect(await branches(followed)).toBe(submission.commit);
    await world.must('POST', `/api/submissions/${submission.id}/release`);
    const closed = await until(followed.project, isClosed);
    const landed = await world.git(followed.there, 'rev-parse', 'main');
    expect(closed.why).toBe(`It landed as ${landed}.`);
    expect(there(closed)).toMatchObject({
      state: 'closed',
      body: expect.stringContaining(`It landed as \`${landed}\`.`),
    });
    expect(await branches(followed)).toBe('');
    expect(made()).toBe(1);
  });
});

it('a request is made once, also when its answer is lost, or a server is killed between any two steps of it', async () => {
  const followed = await offering();
  world.forge.moods.push({ ...hangUp, to: /POST .*\/pulls$/ });
  await accepted(followed);
  const request = await until(followed.project, isOpen);
  // As a kill leaves it: pushed and not written down, made and not written down, described and not written down.
  for (const left of [
    `number = null, state = 'unseen', described = null`,
    `pushed = null, described = null`,
    `described = null`,
  ]) {
    await world.server.database.sql(`update forge_requests set ${left}, next_action_at = muster_now()`);
    await world.lookNow();
    expect((await world.requestsOf(followed.project))[0]).toMatchObject({ state: 'open', number: request.number });
  }
  expect(made()).toBe(1);
  expect(world.forge.requests).toHaveLength(1);
});

it('work that is done again goes on in the same request, with the branch moved, and is closed when nobody works on it any more', async () => {
  const followed = await offering();
  const { task, submission } = await accepted(followed);
  const first = await until(followed.project, isOpen);
  // Somebody else of the team has looked at it.
  await world.server.database.sql(
    `insert into reviews (project_id, base_tree, tree, user_id, team_id, submission_id, name, verdict, comment)
     select project_id, 'b', tree, 'user_grace', team_id, id, 'Grace', 'reject', 'not so' from submissions where id = $1`,
    [submission.id],
  );
  await world.server.database.sql(`update submissions set next_action_at = muster_now() where id = $1`, [
    submission.id,
  ]);
  await world.until(async () => {
    await world.lookNow();
    return there(first).body.includes('is being worked on again');
  });
  const second = await world.submit(followed.project, 'two\n');
  await world.verify(followed.project);
  await world.until(async () => {
    await world.lookNow();
    return (await branches(followed)) === second.commit;
  });
  expect(await until(followed.project, isOpen)).toMatchObject({ number: first.number, submissionId: second.id });
  expect(made()).toBe(1);
  await world.must('POST', `/api/tasks/${task.id}/cancel`, { reason: 'nobody wants it' });
  await until(followed.project, isClosed);
  expect(there(first)).toMatchObject({ state: 'closed', body: expect.stringContaining('did not land') });
  expect(await branches(followed)).toBe('');
});

it('a request that somebody closes or merges there stays as they left it, and that is said', async () => {
  const followed = await offering();
  await accepted(followed);
  const request = await until(followed.project, isOpen);
  there(request).state = 'closed';
  await world.server.app.get(LookAtRequests).listDue();
  await world.server.database.sql(`update forges set list_requests_at = muster_now()`);
  await world.server.app.get(LookAtRequests).listDue();
  expect(await until(followed.project, isClosed)).toMatchObject({ why: 'It was closed there.' });
  expect(made()).toBe(1);
});

it('a branch that somebody else has put something on is left to them, and a request that the forge will not have is given up and told', async () => {
  const followed = await offering();
  const { task } = await accepted(followed);
  const request = await until(followed.project, isOpen);
  await world.git(followed.there, 'checkout', '--quiet', `muster/${task.id}`);
  const theirs = await world.commit(followed.there, 'theirs.txt');
  await world.git(followed.there, 'checkout', '--quiet', '--force', 'main');
  await world.server.database.sql(`update forge_requests set pushed = null, next_action_at = muster_now()`);
  const failing = await until(followed.project, ({ problem }) => problem !== null);
  expect(failing.problem).toContain(`Somebody else has put ${theirs}`);
  expect(await branches(followed)).toBe(theirs);
  expect(await world.forgeOf(followed.project)).toMatchObject({ failingRequests: 1 });
  expect(there(request).state).toBe('open');

  await world.forget();
  const other = await offering();
  world.forge.moods.push(
    ...Array.from({ length: 10 }, () => ({ ...refuse(403, 'not allowed'), to: /POST .*\/pulls$/ })),
  );
  await accepted(other);
  const given = await until(other.project, ({ failures }) => failures === 10);
  expect(given).toMatchObject({
    state: 'unseen',
    number: null,
    nextLookAt: null,
    problem: expect.stringContaining('not allowed'),
  });
  await world.must('POST', `/api/projects/${other.project.id}/forge/requests/${given.id}/look`);
  await until(other.project, isOpen);
});

it('what came in by a request is not offered by another one', async () => {
  const policy = { requests: { from: 'writers', out: true } } as const;
  const followed = await world.followed('hub', 'octo/repo', policy, BY_A_PERSON);
  world.forge.folders.set('octo/repo', followed.there);
  world.forge.writers.add('ada');
  const head = await world.propose(followed, 'refs/pull/1/head', 'topic', 'b.txt');
  world.forge.open({ repository: 'octo/repo', head });
  await world.server.app.get(LookAtRequests).listDue();
  const { submissionId } = await until(followed.project, isOpen);
  await world.verify(followed.project, [finding(1, { veto: false, level: 'note' })]);
  await world.until(async () => {
    const { held } = await world.must<SubmissionView>('GET', `/api/submissions/${submissionId}`);
    return held === 'person';
  });
  await world.lookNow();
  expect(await world.requestsOf(followed.project)).toHaveLength(1);
  expect(made()).toBe(0);
});
