import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createRequire } from 'node:module';
import type { CloudEvent, ForgeRequest, ProjectView, SubmissionView } from '@muster/contracts';
import { hangUp, refuse, type RequestHere } from '../../../test/support/forge-here.ts';
import { finding, type Followed, ForgeWorld } from '../test/world.ts';
import { LookAtRequests } from './commands/look-at-requests.ts';

const recorded = (
  createRequire(import.meta.url)('@octokit/webhooks-examples') as Array<{
    name: string;
    examples: Array<Record<string, unknown>>;
  }>
).find(({ name }) => name === 'pull_request')?.examples[0] as { repository: object };

let world: ForgeWorld;
beforeAll(async () => {
  world = await ForgeWorld.begin();
});
afterEach(() => world.forget());
afterAll(() => world.end());

let deliveries = 0;
/** As GitHub tells of a pull request: what it says of it is not believed, so that it is the recorded one's. */
async function tell({ webhook }: Followed, { repository, number }: RequestHere): Promise<unknown> {
  const text = JSON.stringify({
    ...recorded,
    action: 'synchronize',
    number,
    repository: { ...recorded.repository, full_name: repository },
    delivery: (deliveries += 1),
  });
  return (await world.send(webhook, text, await world.signed(webhook, text, `d${deliveries}`, 'pull_request'))).body;
}
/** The only request of the project, once it is like that. */
const until = (project: ProjectView, good: (request: ForgeRequest) => boolean): Promise<ForgeRequest> =>
  world.until(async () => {
    const [request] = await world.requestsOf(project);
    return request !== undefined && good(request) ? request : null;
  });
const taken = (project: ProjectView, head: string): Promise<string> =>
  until(project, (one) => one.state === 'open' && one.head === head && one.submissionId !== null).then(
    ({ submissionId }) => submissionId ?? '',
  );
const submission = (id: string): Promise<SubmissionView> => world.must('GET', `/api/submissions/${id}`);
const commented = (request: RequestHere, words: string): Promise<string> =>
  world.until(async () => {
    const body = request.comments.at(-1)?.body;
    return body?.includes(words) === true ? body : null;
  });
async function github(requestsOf: object = { from: 'writers' }, rules: string | null = null): Promise<Followed> {
  const followed = await world.followed('hub', 'octo/repo', { requests: requestsOf }, rules);
  world.forge.folders.set('octo/repo', followed.there);
  world.forge.writers.add('ada');
  return followed;
}
async function proposed(
  followed: Followed,
  more: Partial<RequestHere> = {},
  file = 'b.txt',
): Promise<{ request: RequestHere; head: string }> {
  const head = await world.propose(followed, 'refs/pull/1/head', 'topic', file);
  return { request: world.forge.open({ repository: 'octo/repo', head, ...more }), head };
}

describe('a pull request', () => {
  it('is handed in, verified and landed; what has landed is pushed, the request says so once and is closed', async () => {
    const followed = await github();
    const { project, there } = followed;
    await world.pushesBack(followed);
    const { request, head } = await proposed(followed);
    expect(await tell(followed, request)).toEqual({ outcome: 'acted' });
    const id = await taken(project, head);
    expect(await submission(id)).toMatchObject({ commit: head, taskId: null, approvedBy: null });
    await world.verify(project);
    await world.until(async () => {
      await world.lookNow();
      return request.state === 'closed';
    });
    const { landingId } = await submission(id);
    const landed = await world.git(there, 'rev-parse', 'main');
    expect(await world.must('GET', `/api/landings/${landingId}`)).toMatchObject({ commit: landed });
    await commented(request, `It landed as \`${landed}\`. It is on the branch here.`);
    expect(request.comments).toHaveLength(1);
    expect(await until(project, ({ state }) => state === 'closed')).toMatchObject({
      number: 1,
      author: 'ada',
      why: `It landed as ${landed}.`,
      problem: null,
      nextLookAt: null,
    });
    await world.until(async () => {
      const said = world.forge.said.filter((one) => one.commit === head).map(({ context, state }) => context + state);
      return said.includes('muster/landingsuccess') && said.includes('muster/verificationsuccess');
    });
  });

  it('whose own commits have landed is left for the forge to call merged', async () => {
    const followed = await github({ from: 'writers' }, 'landing: { strategy: merge }\n');
    await world.pushesBack(followed);
    const { request } = await proposed(followed);
    await tell(followed, request);
    await world.verify(followed.project);
    await world.until(async () => {
      await world.lookNow();
      return (await world.requestsOf(followed.project))[0]?.state === 'closed';
    });
    expect(request.state).toBe('merged');
    expect(world.forge.asked.filter((one) => one.startsWith('PATCH /repos/octo/repo/pulls'))).toEqual([]);
  });

  it('that is refused says so with its findings; moved on by force it is another submission, and the comment is the same', async () => {
    const followed = await github();
    const { project } = followed;
    const { request, head } = await proposed(followed);
    await tell(followed, request);
    const first = await taken(project, head);
    await world.verify(project, [finding(3, { message: 'closes #1 @everyone `x` <img src=x>', remedy: 'mend\nit' })]);
    const body = await commented(request, 'was refused');
    expect(body).toContain('`b.txt:3`');
    expect(body).toContain("`closes #1 @everyone 'x' <img src=x>`");
    const next = await world.propose(followed, 'refs/pull/1/head', 'topic', 'b.txt', 'better\n');
    request.head = next;
    await tell(followed, request);
    const second = await taken(project, next);
    expect(second).not.toBe(first);
    await commented(request, next.slice(0, 12));
    // While this one is still looked at, it is replaced once more.
    const last = await world.propose(followed, 'refs/pull/1/head', 'topic', 'c.txt');
    await tell(followed, request);
    const third = await taken(project, last);
    expect((await submission(second)).reasons).toEqual([`Request 1 has moved on to ${last} there.`]);
    expect((await submission(third)).state).not.toBe('failed');
    await commented(request, last.slice(0, 12));
    // Back at a commit that was here before, it is looked at again.
    for (const ref of ['refs/pull/1/head', 'refs/heads/topic'])
      await world.git(followed.there, 'update-ref', ref, next);
    await tell(followed, request);
    const fourth = await taken(project, next);
    expect(fourth).not.toBe(second);
    await commented(request, `${next.slice(0, 12)}\` is being verified`);
    expect(request.comments).toHaveLength(1);
  });

  it('that is closed is taken back, and open again it is handed in again', async () => {
    const followed = await github();
    const { project } = followed;
    const { request, head } = await proposed(followed);
    await tell(followed, request);
    const first = await taken(project, head);
    request.state = 'closed';
    await tell(followed, request);
    await until(project, ({ state }) => state === 'closed');
    await world.until(async () => (await submission(first)).state === 'failed');
    expect((await submission(first)).reasons[0]).toContain('It was closed there');
    await commented(request, 'was taken back');
    request.state = 'open';
    await tell(followed, request);
    const second = await taken(project, head);
    expect(second).not.toBe(first);
    expect(request.comments).toHaveLength(1);
  });

  it.each<[string, object, Partial<RequestHere>, string | null]>([
    ['of somebody who may push there', { from: 'writers' }, {}, null],
    ['of a stranger', { from: 'writers' }, { author: 'eve' }, 'eve is nobody'],
    ['of a stranger who is listed', { from: 'writers', authors: ['Eve'] }, { author: 'eve' }, null],
    ['of anyone, where anyone may', { from: 'anyone' }, { author: 'eve' }, null],
    ['from a fork', { from: 'anyone' }, { from: 'eve/repo' }, 'another repository'],
    ['from a fork, where forks may', { from: 'writers', forks: true }, { from: 'ada/repo' }, null],
    ['that is a draft', { from: 'writers' }, { draft: true }, 'It is a draft'],
    ['that is a draft, where drafts may', { from: 'writers', drafts: true }, { draft: true }, null],
    ['for another branch', { from: 'anyone' }, { base: 'old' }, 'It is for old'],
  ])('%s is taken or skipped as the project’s policy says', async (_, policy, more, why) => {
    const followed = await github(policy);
    const { request, head } = await proposed(followed, more);
    await tell(followed, request);
    if (why === null) {
      await taken(followed.project, head);
      return;
    }
    expect(await until(followed.project, ({ state }) => state !== 'unseen')).toMatchObject({
      state: 'skipped',
      why: expect.stringContaining(why),
      submissionId: null,
    });
    expect(request.comments).toEqual([]);
  });

  it('that nobody has told of is found in the list, and one that the project takes from nobody is left alone', async () => {
    const nobody = await world.followed('hub', 'octo/repo');
    expect(await tell(nobody, world.forge.open({ repository: 'octo/repo', head: 'a'.repeat(40) }))).toEqual({
      outcome: 'ignored',
    });
    await world.forget();
    const followed = await github();
    const { request, head } = await proposed(followed);
    await world.server.app.get(LookAtRequests).listDue();
    await taken(followed.project, head);
    request.state = 'closed';
    await world.server.database.sql(`update forges set list_requests_at = muster_now()`);
    await world.server.app.get(LookAtRequests).listDue();
    await until(followed.project, ({ state }) => state === 'closed');
  });

  it('that was handed in by a server that was killed before it wrote that down is withdrawn when it has moved on', async () => {
    const followed = await github();
    const { project } = followed;
    const { request, head } = await proposed(followed);
    await tell(followed, request);
    const first = await taken(project, head);
    await world.server.database.sql(
      `update forge_requests set state = 'unseen', submission_id = null, handed_in = null, next_action_at = null`,
    );
    const next = await world.propose(followed, 'refs/pull/1/head', 'topic', 'c.txt');
    await tell(followed, request);
    await taken(project, next);
    await world.until(async () => (await submission(first)).state === 'failed');
    expect((await submission(first)).reasons[0]).toContain(`has moved on to ${next}`);
  });

  it('gets one comment, also when the answer to it is lost, or a server is killed before it knows', async () => {
    const followed = await github();
    const { project } = followed;
    world.forge.moods.push({ ...hangUp, to: /POST .*\/comments/ });
    const { request, head } = await proposed(followed);
    await tell(followed, request);
    await taken(project, head);
    await until(project, ({ problem }) => problem !== null);
    await world.lookNow();
    await until(project, ({ problem }) => problem === null);
    expect(request.comments).toHaveLength(1);
    await world.server.database.sql(`update forge_requests set comment_id = null, comment_said = null`);
    await world.server.database.sql(`update forge_requests set next_action_at = muster_now()`);
    await world.lookNow();
    expect(request.comments).toHaveLength(1);
    // Who takes the comment away gets it again with the next word.
    request.comments.length = 0;
    await world.verify(project, [finding(1)]);
    await commented(request, 'was refused');
    expect(request.comments).toHaveLength(1);
  });

  it('about which the forge will not be asked is given up after ten tries and told, shown as failing, and looked at when somebody asks', async () => {
    const followed = await github();
    const { project } = followed;
    world.forge.moods.push(...Array.from({ length: 10 }, () => refuse(403, 'Resource not accessible by integration')));
    const { request, head } = await proposed(followed);
    await tell(followed, request);
    const given = await world.until(async () => {
      await world.lookNow();
      const [one] = await world.requestsOf(project);
      return one?.failures === 10 ? one : null;
    });
    expect(given).toMatchObject({
      state: 'unseen',
      nextLookAt: null,
      problem: expect.stringContaining('not accessible'),
    });
    expect(await world.forgeOf(project)).toMatchObject({ failingRequests: 1, openRequests: 0 });
    const path = `/api/events?type=forge.request_failed&projectId=${project.id}`;
    expect((await world.must<{ items: CloudEvent[] }>('GET', path)).items).toHaveLength(1);
    await world.must('POST', `/api/projects/${project.id}/forge/requests/${given.id}/look`);
    await taken(project, head);
    await world.until(async () => {
      const { failingRequests, openRequests } = await world.forgeOf(project);
      return failingRequests === 0 && openRequests === 1;
    });
    expect(
      await world.server.request(
        'POST',
        `/api/projects/${project.id}/forge/requests/freq_01jd9x0m4ve2tbk6x3h2v4q8zr/look`,
      ),
    ).toMatchObject({ status: 404 });
  });

  it('lets the account rest when the forge asks for it, and is looked at afterwards', async () => {
    const followed = await github();
    world.forge.moods.push(refuse(403, 'You have exceeded a secondary rate limit.', { 'retry-after': '60' }));
    const { request, head } = await proposed(followed);
    await tell(followed, request);
    const pauses = (): Promise<unknown[]> => world.server.database.sql(`select account from forge_pauses`);
    await world.until(async () => (await pauses()).length > 0);
    const asked = world.forge.asked.length;
    await world.lookNow();
    expect(world.forge.asked).toHaveLength(asked);
    await world.server.database.sql(`delete from forge_pauses`);
    await world.lookNow();
    await taken(followed.project, head);
  });

  it('whose commit git does not have yet, or cannot be used, is said so', async () => {
    const followed = await github();
    const { project } = followed;
    const { request, head } = await proposed(followed, { from: 'octo/repo', branch: 'elsewhere' });
    request.head = 'b'.repeat(40);
    await tell(followed, request);
    const failing = await until(project, ({ problem }) => problem !== null);
    expect(failing.problem).toContain(`git has ${head} there, and the forge says ${request.head}`);
    request.head = head;
    await world.lookNow();
    await taken(project, head);
    expect(await world.server.database.sql(`select from submissions where project_id = $1`, [project.id])).toHaveLength(
      1,
    );
  });
});

it('a merge request of GitLab is taken, commented once, and closed when what has landed is there', async () => {
  const followed = await world.followed('lab', 'group/sub/repo', { requests: { from: 'writers' } });
  const { project, webhook } = followed;
  await world.pushesBack(followed);
  world.forge.folders.set('group/sub/repo', followed.there);
  world.forge.writers.add('ada');
  const head = await world.propose(followed, 'refs/merge-requests/7/head', 'topic', 'b.txt');
  const request = world.forge.open({ repository: 'group/sub/repo', number: 7, head });
  const text = JSON.stringify({
    object_kind: 'merge_request',
    project: { path_with_namespace: 'group/sub/repo' },
    object_attributes: { iid: 7, action: 'open', state: 'opened' },
  });
  const headers = {
    'x-gitlab-event': 'Merge Request Hook',
    'x-gitlab-token': webhook.secret,
    'idempotency-key': 'one',
  };
  expect((await world.send(webhook, text, headers)).body).toEqual({ outcome: 'acted' });
  await taken(project, head);
  await world.verify(project);
  await world.until(async () => {
    await world.lookNow();
    return request.state === 'closed';
  });
  await commented(request, 'It is on the branch here.');
  expect(request.comments).toHaveLength(1);
  expect(await until(project, ({ state }) => state === 'closed')).toMatchObject({ number: 7, author: 'ada' });
});
