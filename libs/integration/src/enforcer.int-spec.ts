import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { SubmissionView } from '@muster/contracts';
import type { ProjectRecord } from '#messages/projects';
import { startWorld, type World } from '../test/world.ts';
import { ShowEnforcer } from './queries/show-enforcer.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterEach(() => {
  world.neighbours.enforcer = {};
});
afterAll(async () => {
  await world.close();
});

let files = 0;
const submit = (project: ProjectRecord): Promise<SubmissionView> =>
  world.submit(project, { [`new-${++files}.js`]: 'new\n' });
const accept = async (project: ProjectRecord) => {
  const submission = await submit(project);
  await world.submissions.run(submission.id);
  return await world.judge(submission.id, 'accepted');
};
const lose = async (project: ProjectRecord): Promise<void> => {
  const submission = await submit(project);
  await world.submissions.run(submission.id);
  await world.judge(submission.id, 'rejected');
  const task = world.neighbours.task(submission.taskId ?? '');
  world.neighbours.tasks.set(task.id, { ...task, state: 'failed' });
};
const shown = (project: ProjectRecord) => world.queries.execute(new ShowEnforcer(project.id));

describe('work that stays below what the project insists on', () => {
  it('lands when a maintainer has approved it, where the policy asks for that', async () => {
    const project = await world.project();
    world.neighbours.enforcer = { onBreach: 'review' };
    const submission = await submit(project);
    await world.submissions.run(submission.id);
    const breaches = [{ rule: 'critical_paths' as const, message: 'untested', paths: ['new.js'] }];
    expect(await world.judge(submission.id, 'accepted', { breaches })).toMatchObject({
      state: 'queued',
      held: 'review',
      review_needs: [{ because: 'enforcer', people: ['@maintainer'], paths: ['new.js'], missing: 1 }],
    });
    expect((await shown(project)).held).toEqual([submission.id]);
    await world.review(submission.id, world.person('dev', 'developer'));
    expect((await world.row(submission.id)).held).toBe('review');
    await world.review(submission.id, world.person('ada', 'maintainer'));
    if ((await world.row(submission.id)).state === 'verifying')
      await world.judge(submission.id, 'accepted', { breaches });
    expect(await world.row(submission.id)).toMatchObject({ state: 'landed' });
  });

  it('waits for nobody where nothing is held against it', async () => {
    const project = await world.project();
    world.neighbours.enforcer = { onBreach: 'review' };
    expect(await accept(project)).toMatchObject({ state: 'landed', agent_version: '1.2.0' });
  });
});

describe('an agent', () => {
  const asked = { agentSuccess: { percent: 90, window: 5, least: 3 } };

  it('whose work succeeds too seldom needs a maintainer, until it succeeds again', async () => {
    const project = await world.project();
    world.neighbours.enforcer = asked;
    const ada = world.person('ada', 'maintainer');
    expect(await accept(project)).toMatchObject({ state: 'landed' });
    await lose(project);
    // Two pieces of work are no record yet.
    expect(await accept(project)).toMatchObject({ state: 'landed' });
    expect((await shown(project)).agents).toEqual([
      { agent: 'author', finished: 3, succeeded: 2, percent: 66.7, breached: true },
    ]);
    for (let round = 0; round < 4; round++) {
      const { id, held, review_needs } = await accept(project);
      if (held === null) continue;
      expect(review_needs).toMatchObject([{ because: 'enforcer', paths: [] }]);
      await world.review(id, ada);
      if ((await world.row(id)).state === 'verifying') await world.judge(id, 'accepted');
      expect(await world.row(id)).toMatchObject({ state: 'landed' });
    }
    expect((await shown(project)).agents).toMatchObject([{ finished: 5, succeeded: 5, breached: false }]);
    expect(await accept(project)).toMatchObject({ state: 'landed' });
  });

  it('is not blamed for what is being redone, nor twice for what was redone and landed', async () => {
    const project = await world.project();
    world.neighbours.enforcer = asked;
    const first = await submit(project);
    await world.submissions.run(first.id);
    await world.judge(first.id, 'rejected');
    expect((await shown(project)).agents).toMatchObject([{ finished: 0, percent: null, breached: false }]);
    const again = await world.submit(project, { 'redone.js': 'better\n' }, undefined, await world.heldAgain(first.taskId ?? ''));
    await world.submissions.run(again.id);
    await world.judge(again.id, 'accepted');
    expect((await shown(project)).agents).toMatchObject([{ finished: 1, succeeded: 1, percent: 100 }]);
  }); // prettier-ignore

  it('answers for what had to be taken out again', async () => {
    const project = await world.project();
    world.neighbours.enforcer = asked;
    const landing = await world.land(project, { 'bad.js': 'bad\n' });
    const revert = await world.rollBack(landing.id);
    await world.submissions.run(revert.id);
    await world.judge(revert.id, 'accepted');
    expect((await shown(project)).agents).toMatchObject([{ finished: 1, succeeded: 0, percent: 0, breached: false }]);
  });
});
