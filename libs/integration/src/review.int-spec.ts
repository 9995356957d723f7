import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { ProjectRecord } from '#messages/projects';
import { startWorld, type World } from '../test/world.ts';
import { ListReviews } from './queries/list-reviews.ts';
import { ShowQueue } from './queries/show-queue.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterEach(() => {
  world.neighbours.review = {};
});
afterAll(async () => {
  await world.close();
});

const accepted = async (submissionId: string) => {
  await world.submissions.run(submissionId);
  return await world.judge(submissionId, 'accepted');
};
const owned: World['neighbours']['review'] = {
  owners: [{ paths: ['deploy/**'], people: ['@maintainer'], approvals: 2 }],
};

describe('a change that touches what somebody owns', () => {
  it('waits in nobody’s way until its owners have approved it, and says whom it waits for', async () => {
    const project = await world.project();
    world.neighbours.review = owned;
    const [ada, ben, dev] = [
      world.person('ada', 'maintainer'),
      world.person('ben', 'maintainer'),
      world.person('dev', 'developer'),
    ];
    const waiting = await world.submit(project, { 'deploy/x.js': 'x\n' });
    expect(await accepted(waiting.id)).toMatchObject({ state: 'queued', held: 'review', turn: null });
    const other = await world.submit(project, { 'free.js': 'free\n' });
    expect(await accepted(other.id)).toMatchObject({ state: 'landed' });

    await world.review(waiting.id, ada);
    await world.review(waiting.id, dev);
    expect((await world.queries.execute(new ShowQueue(project.id))).waiting).toEqual([
      {
        submissionId: waiting.id, taskId: waiting.taskId, for: 'review',
        why: 'waits for 1 more approval of @maintainer for deploy/x.js',
      },
    ]); // prettier-ignore
    await world.review(waiting.id, ben);
    expect(await world.row(waiting.id)).toMatchObject({ state: 'verifying', held: null, review_needs: [] });
    expect(await world.judge(waiting.id, 'accepted')).toMatchObject({ state: 'landed' });
    expect((await world.landingOf(waiting.id)).reviewers).toEqual([ada, ben]);
    const note = await world.repositories.readNote(project.id, 'refs/notes/muster', await world.head(project));
    const [summary = ''] = (note ?? '').split('\n');
    const payload: unknown = JSON.parse(
      Buffer.from((JSON.parse(summary) as { payload: string }).payload, 'base64').toString(),
    );
    expect(payload).toMatchObject({ predicate: { muster: { reviewers: [ada, ben] } } });
    expect(await world.audit(project)).toMatchObject({ ok: true });
    expect(await world.events(waiting.id)).toEqual(
      expect.arrayContaining(['queue.held', 'submission.approved', 'queue.entered']),
    );
  });

  it('needs new approvals when its content changes, and keeps them when it does not', async () => {
    const project = await world.project();
    world.neighbours.review = { owners: [{ paths: ['deploy/**'], people: ['@maintainer'], approvals: 1 }] };
    const ada = world.person('ada', 'maintainer');
    const base = await world.head(project);
    const first = await world.submit(project, { 'deploy/x.js': 'x\n' }, base);
    await world.submissions.run(first.id);
    await world.review(first.id, ada);
    const other = await world.submit(project, { 'deploy/x.js': 'something else\n' }, base);
    expect(await accepted(other.id)).toMatchObject({ state: 'queued', held: 'review' });
    const same = await world.submit(project, { 'deploy/x.js': 'x\n' }, base);
    expect(await accepted(same.id)).toMatchObject({ state: 'landed' });
    expect(await world.queries.execute(new ListReviews(same.id))).toMatchObject([
      { submissionId: first.id, name: 'ada', verdict: 'approve' },
    ]);
  });

  it('is not approved by whose agent made it: neither at once nor by what they said about the same content', async () => {
    const project = await world.project();
    world.neighbours.review = { approvals: 1 };
    const [ada, ben] = [world.person('ada', 'maintainer'), world.person('ben', 'maintainer')];
    world.neighbours.people.set(world.neighbours.holder, world.neighbours.people.get(ada.id)!);
    const base = await world.head(project);
    const hers = await world.submit(project, { 'new.js': 'new\n' }, base);
    await expect(world.review(hers.id, ada)).rejects.toMatchObject({ code: 'integration.own_work', status: 403 });
    // Said about somebody else's work, with the same content.
    world.neighbours.people.set(world.neighbours.holder, world.neighbours.people.get(ben.id)!);
    await world.review(hers.id, ada);
    world.neighbours.people.set(world.neighbours.holder, world.neighbours.people.get(ada.id)!);
    expect(await accepted(hers.id)).toMatchObject({
      held: 'review',
      review_needs: [{ because: 'quorum', missing: 1 }],
    });
    await world.review(hers.id, ben);
    expect(await world.row(hers.id)).toMatchObject({ state: 'landed' });
    expect((await world.landingOf(hers.id)).reviewers).toEqual([ben]);
    world.neighbours.people.delete(world.neighbours.holder);
  });

  it('goes back to its agent with what the reviewer said, when one refuses it', async () => {
    const project = await world.project();
    world.neighbours.review = { approvals: 1 };
    const submission = await world.submit(project, { 'new.js': 'new\n' });
    await accepted(submission.id);
    await world.review(submission.id, world.person('ben', 'developer'), {
      verdict: 'reject',
      comment: 'Use the other API.',
    });
    expect(await world.row(submission.id)).toMatchObject({ state: 'rejected', pending: false });
    expect(world.neighbours.settled.at(-1)?.outcome).toMatchObject({
      kind: 'rework',
      rework: { summary: expect.stringContaining('Use the other API.') },
    });
    await expect(world.review(submission.id, world.person('ada', 'maintainer'))).rejects.toMatchObject({
      code: 'integration.not_reviewable',
    });
  });

  it('is asked again when the rules change while it stands in line, and takes its old place once it has what they want', async () => {
    const project = await world.project();
    const [front, owner] = await (async (p: ProjectRecord) => {
      const base = await world.head(p);
      return [await world.submit(p, { 'a.js': 'a\n' }, base), await world.submit(p, { 'deploy/x.js': 'x\n' }, base)];
    })(project);
    await world.submissions.run(owner.id);
    world.finish((await world.row(owner.id)).verification_id, 'accepted');
    await world.submissions.run(front.id);
    world.finish((await world.row(front.id)).verification_id, 'accepted');
    world.neighbours.landing = { quietHours: [{ from: '00:00', to: '23:59', timeZone: 'UTC' }, { from: '12:00', to: '11:59', timeZone: 'UTC' }] }; // prettier-ignore
    await world.submissions.run(owner.id);
    const { turn } = await world.row(owner.id);
    expect(turn).not.toBeNull();
    world.neighbours.landing = {};
    world.neighbours.review = { owners: [{ paths: ['deploy/**'], people: ['@maintainer'], approvals: 1 }] };
    await world.submissions.run(owner.id);
    expect(await world.row(owner.id)).toMatchObject({ held: 'review', turn, state: 'queued' });
    // Nobody waits behind it.
    await world.submissions.run(front.id);
    await world.settled();
    expect(await world.row(front.id)).toMatchObject({ state: 'landed' });
    await world.review(owner.id, world.person('ada', 'maintainer'));
    await world.submissions.idle();
    expect(await world.row(owner.id)).toMatchObject({ held: null, turn, state: 'verifying' });
    expect(await world.judge(owner.id, 'accepted')).toMatchObject({ state: 'landed' });
  });
});

describe('an agent’s change to rules', () => {
  const rulesOnly = {
    score: 84,
    lost: [{ category: 'integrity' as const, points: 16, rule: 'tampering.protected', path: 'deploy/x', line: null, remedy: null }],
    facts: {
      checks: [
        {
          check: 'tampering', status: 'failed',
          findings: [{ check: 'tampering', rule: 'tampering.protected', veto: true, level: 'error', path: 'deploy/x.js', line: null, message: '', remedy: null, fingerprint: 'f' }],
        },
        { check: 'tests', status: 'passed', findings: [] },
        { check: 'secrets', status: 'passed', findings: [] },
      ],
    },
  } as unknown as Parameters<World['judge']>[2]; // prettier-ignore

  it('is shown to a maintainer where nothing else is wrong with it, and then verified once more in their name', async () => {
    const project = await world.project();
    world.neighbours.review = { rules: 'ask' };
    const submission = await world.submit(project, { 'deploy/x.js': 'x\n' });
    await world.submissions.run(submission.id);
    expect(await world.judge(submission.id, 'rejected', rulesOnly)).toMatchObject({
      state: 'received',
      held: 'review',
      review_needs: [{ because: 'rules', paths: ['deploy/x.js'], people: ['@maintainer'], missing: 1 }],
    });
    await world.review(submission.id, world.person('dev', 'developer'));
    expect(await world.row(submission.id)).toMatchObject({ held: 'review' });
    const ada = world.person('ada', 'maintainer');
    await world.review(submission.id, ada);
    expect(await world.row(submission.id)).toMatchObject({ state: 'verifying', held: null, approved_by: ada });
    expect(world.neighbours.requests.at(-1)?.approvedBy).toBe(`ada (${ada.id})`);
    expect(await world.judge(submission.id, 'accepted')).toMatchObject({ state: 'landed' });
    expect(await world.landingOf(submission.id)).toMatchObject({ approved_by: ada });
    expect(await world.audit(project)).toMatchObject({ ok: true });
  });

  it('is refused, and bothers nobody, where the project did not ask to be asked', async () => {
    const project = await world.project();
    const submission = await world.submit(project, { 'deploy/x.js': 'x\n' });
    await world.submissions.run(submission.id);
    expect(await world.judge(submission.id, 'rejected', rulesOnly)).toMatchObject({ state: 'rejected' });
  });
});
