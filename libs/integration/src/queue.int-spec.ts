import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ReleaseSubmission } from '#messages/integration';
import { queueRef } from './domain/submission.ts';
import { LandingLine } from './landing-line.ts';
import { startWorld, type World } from '../test/world.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(async () => {
  await world.close();
});

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
/** Independent changes, all accepted on the same head: the first has landed, the others stand in line. */
async function lineOf(count: number) {
  const project = await world.project();
  const changes = names.slice(0, count).map((name) => ({ [`${name}.js`]: `${name}\n` }));
  return { project, ids: (await world.queue(project, changes)).map(({ id }) => id) };
}
const states = async (ids: readonly string[]) => Promise.all(ids.map(async (id) => (await world.row(id)).state));
const askedFor = (id: string) => world.neighbours.requests.filter(({ subjectId }) => subjectId === id);
const queueRefs = async (projectId: string) =>
  (await world.repositories.refs(projectId, 'refs/muster/queue')).map(({ ref }) => ref);

describe('a line of accepted changes', () => {
  it('is verified all at once, each on top of those ahead, under the rules of what has landed', async () => {
    const { project, ids } = await lineOf(4);
    const [a = '', b = '', c = '', d = ''] = ids;
    expect(await states(ids)).toEqual(['landed', 'verifying', 'verifying', 'verifying']);
    const landed = await world.head(project);
    const [rowB, rowC, rowD] = [await world.row(b), await world.row(c), await world.row(d)];
    expect(rowB).toMatchObject({ candidate_on: null, candidate_head: landed });
    expect(rowC).toMatchObject({ candidate_on: b, candidate_base: rowB.candidate_tree });
    expect(rowD).toMatchObject({ candidate_on: c, candidate_base: rowC.candidate_tree });
    for (const id of [b, c, d]) {
      expect(askedFor(id).at(-1)).toMatchObject({ purpose: 'landing', rulesCommit: landed });
    }
    const files = await world.repositories.diffFiles(project.id, landed, rowD.candidate_tree ?? '');
    expect(files.map(({ path }) => path)).toEqual(['b.js', 'c.js', 'd.js']);
    expect(await queueRefs(project.id)).toEqual([b, c].map(queueRef).sort());

    // The last answer comes first: it lands when its turn has come, on the evidence that it has.
    const asked = world.neighbours.requests.length;
    for (const id of [d, c]) await world.judge(id, 'accepted');
    expect(await states(ids)).toEqual(['landed', 'queued', 'queued', 'queued'].with(1, 'verifying'));
    await world.judge(b, 'accepted');
    expect(await states(ids)).toEqual(['landed', 'landed', 'landed', 'landed']);
    const answers = world.neighbours.requests
      .slice(asked)
      .map(({ candidateTree, baseTree }) => [candidateTree, baseTree]);
    for (const [tree, base] of answers)
      expect(
        [...world.neighbours.verifications.values()].filter((v) => v.candidateTree === tree && v.baseTree === base),
      ).toHaveLength(1);
    const log = await world.repositories.log(project.id, project.head, await world.head(project), 9);
    expect(log.toReversed().map(({ tree }) => tree)).toEqual(
      await Promise.all([a, b, c, d].map(async (id) => (await world.landingOf(id)).verified_tree)),
    );
    expect(await queueRefs(project.id)).toEqual([]);
    expect(await world.audit(project)).toMatchObject({ ok: true, checked: 5 });
  });

  it('goes on without the one that fails on what has landed; only those behind it start again', async () => {
    const { project, ids } = await lineOf(4);
    const [, b = '', c = '', d = ''] = ids;
    const before = await world.row(d);
    const asked = world.neighbours.verifications.get(before.verification_id ?? '') ?? { taskId: null };
    await world.judge(c, 'rejected');
    // What it fails on has not landed: nothing is held against it, and the one behind goes round it.
    expect(await world.row(c)).toMatchObject({ state: 'queued', suspect: true });
    expect(await world.row(d)).toMatchObject({ state: 'verifying', candidate_on: b });
    // Nobody waits for what d was asked on top of c.
    expect(world.neighbours.cancelled).toContain(asked.taskId);
    expect((await world.row(d)).verification_id).not.toBe(before.verification_id);

    await world.judge(b, 'accepted');
    // b landed as expected, so c's verdict was about the very tree that would land: it leaves.
    expect(await states([b, c])).toEqual(['landed', 'rejected']);
    expect(await world.events(c)).toEqual(
      expect.arrayContaining(['queue.set_aside', 'submission.rejected', 'queue.ejected']),
    );
    const told = world.neighbours.settled.find(
      ({ submissionId, outcome }) => submissionId === c && outcome.kind === 'rework',
    );
    expect(told?.outcome).toMatchObject({
      rework: {
        reason: 'ejected',
        summary: expect.stringContaining(`/api/verifications/${(await world.row(c)).verification_id}`),
      },
    });
    expect((await world.judge(d, 'accepted')).state).toBe('landed');
    expect(await world.audit(project)).toMatchObject({ ok: true, checked: 4 });
  });

  it('ejects nobody for what a neighbour did: who failed on top of one that left is verified without it, and lands', async () => {
    const { project, ids } = await lineOf(3);
    const [, b = '', c = ''] = ids;
    await world.judge(c, 'rejected');
    await world.judge(b, 'rejected');
    expect(await states([b, c])).toEqual(['rejected', 'verifying']);
    expect(await world.row(c)).toMatchObject({ candidate_head: await world.head(project), suspect: false });
    expect((await world.judge(c, 'accepted')).state).toBe('landed');
    const files = await world.repositories.diffFiles(project.id, project.head ?? '', await world.head(project));
    expect(files.map(({ path }) => path)).toEqual(['a.js', 'c.js']);
  });

  it('waits out a conflict with one that has not landed, and lands when that one left', async () => {
    const project = await world.project();
    const [, b, c] = await world.queue(project, [{ 'a.js': 'a\n' }, { 'greet.js': 'b\n' }, { 'greet.js': 'c\n' }]);
    expect(await world.row(c?.id ?? '')).toMatchObject({ state: 'queued', suspect: true, candidate_tree: null });
    await world.judge(b?.id ?? '', 'rejected');
    expect((await world.judge(c?.id ?? '', 'accepted')).state).toBe('landed');
  });

  it('of N changes to the same lines gives one at a time back, in the order of the line: N - 1 reworks in all', async () => {
    const project = await world.project();
    const texts = ['a', 'b', 'c', 'd'];
    const overlapping = texts.map((text) => ({ 'greet.js': `${text}\n` }));
    const handedIn = await world.queue(project, [...overlapping, { 'free.js': 'x\n' }]);
    const free = handedIn.pop();
    let reworks = 0;
    // Those that wait for it stand in nobody's way.
    expect((await world.judge(free?.id ?? '', 'accepted')).state).toBe('landed');
    expect(await states(handedIn.map(({ id }) => id))).toEqual(['landed', 'conflicted', 'queued', 'queued']);
    for (const [at, { taskId }] of handedIn.entries()) {
      if (at === 0) continue;
      const open = (await Promise.all(handedIn.map(({ id }) => world.row(id)))).filter(
        ({ state }) => state === 'conflicted',
      );
      expect(open).toHaveLength(at);
      expect(open.at(-1)).toMatchObject({
        task_id: taskId,
        conflicts: [{ path: 'greet.js', ours: `${texts.slice(0, at).join('\n')}\n` }],
      });
      reworks += 1;
      const content = `${texts.slice(0, at + 1).join('\n')}\n`;
      const again = await world.submit(
        project,
        { 'greet.js': content },
        undefined,
        await world.heldAgain(taskId ?? ''),
      );
      await world.submissions.run(again.id);
      expect((await world.judge(again.id, 'accepted')).state).toBe('landed');
      await world.settled();
    }
    expect(reworks).toBe(3);
    expect(await world.audit(project)).toMatchObject({ ok: true, checked: 6 });
  });

  it('is as long as it goes well: one more after each landing, half after an ejection', async () => {
    const { ids } = await lineOf(8);
    const project = await world.row(ids[0] ?? '');
    const window = () => world.get(LandingLine).window(project.project_id, 'main');
    // Four at first, and one has landed.
    expect(await window()).toBe(5);
    expect((await states(ids)).filter((state) => state === 'verifying')).toHaveLength(5);
    expect(await states(ids.slice(6))).toEqual(['queued', 'queued']);
    await world.judge(ids[1] ?? '', 'rejected');
    expect(await window()).toBe(2);
    await world.judge(ids[2] ?? '', 'accepted');
    expect(await window()).toBe(3);
  });

  it('lets the urgent overtake, but not what is landing already, and not for ever', async () => {
    const { project, ids } = await lineOf(3);
    const urgent = await world.submit(project, { 'urgent.js': 'urgent\n' });
    const task = world.neighbours.task(urgent.taskId ?? '');
    world.neighbours.tasks.set(task.id, { ...task, priority: 'critical' });
    await world.submissions.run(urgent.id);
    await world.judge(urgent.id, 'accepted');
    // It was admitted on the head as it is, and nobody stands ahead of it: it lands at once, and the others start again on it.
    expect((await world.row(urgent.id)).state).toBe('landed');
    expect(await world.row(ids[1] ?? '')).toMatchObject({
      state: 'verifying',
      candidate_head: await world.head(project),
    });

    await world.opened.sql(`update submissions set accepted_at = accepted_at - interval '2 hours' where id = $1`, [
      ids[2],
    ]);
    const line = await world.get(LandingLine).of(project.id, 'main');
    expect(line.map(({ id }) => id)).toEqual([ids[2], ids[1]]);
  });

  it('lands nothing on rules that came in ahead of it: they are asked for again', async () => {
    const { project, ids } = await lineOf(3);
    const [, b = '', c = ''] = ids;
    await world.judge(c, 'accepted');
    world.neighbours.rules = 'other rules';
    await world.judge(b, 'accepted');
    expect(await world.row(c)).toMatchObject({ state: 'verifying' });
    expect(askedFor(c).at(-1)?.rulesCommit).toBe(await world.head(project));
    expect((await world.judge(c, 'accepted')).state).toBe('landed');
  });
});

describe('how it lands', () => {
  afterEach(() => {
    world.neighbours.landing = {};
  });

  const twoSteps: Record<string, string>[] = [{ 'one.js': 'one\n' }, { 'two.js': 'two\n' }];
  const accepted = async (id: string) => {
    await world.submissions.run(id);
    return await world.judge(id, 'accepted');
  };

  it.each(['squash', 'merge', 'rebase'] as const)(
    '%s: the tree that was verified, on the head, audited',
    async (strategy) => {
      const project = await world.project();
      const pushed = await world.push(project, twoSteps);
      await world.land(project, { 'other.js': 'export const other = 2;\n' });
      const before = await world.head(project);
      world.neighbours.landing = { strategy };
      expect(await accepted(pushed.id)).toMatchObject({ state: 'landed', strategy });
      const landing = await world.landingOf(pushed.id);
      const head = await world.head(project);
      expect(landing).toMatchObject({ strategy, commit: head, before });
      expect(await world.repositories.treeOf(project.id, head)).toBe(landing.verified_tree);
      const log = await world.repositories.log(project.id, before, head, 9);
      const expected = {
        squash: [{ parents: [before] }],
        merge: [{ parents: [before, pushed.commit] }],
        rebase: [{ parents: landing.commits }, { parents: [before], subject: 'Step 1', commit: landing.commits[0] }],
      };
      expect(log).toHaveLength(expected[strategy].length);
      expect(log).toMatchObject(expected[strategy]);
      expect(await world.audit(project)).toMatchObject({ ok: true, checked: strategy === 'rebase' ? 4 : 3 });

      await world.rollBack(landing.id).then(({ id }) => accepted(id));
      expect(await world.repositories.diffFiles(project.id, before, await world.head(project))).toEqual([]);
      expect(await world.audit(project)).toMatchObject({ ok: true });
    },
  );

  it.each(['merge', 'rebase'] as const)(
    '%s lands no history whose content nobody has verified: it is squashed',
    async (strategy) => {
      const project = await world.project();
      world.neighbours.landing = { strategy };
      const pushed = await world.push(project, [
        { 'key.js': 'a secret\n', 'one.js': 'one\n' },
        { 'key.js': 'no secret\n' },
      ]);
      expect(await accepted(pushed.id)).toMatchObject({ state: 'landed', strategy: 'squash' });
      expect(await world.repositories.log(project.id, project.head, await world.head(project), 9)).toMatchObject([
        { parents: [project.head] },
      ]);
    },
  );

  it('waits for a person where the project says so, in nobody’s way, and says who let it', async () => {
    const project = await world.project();
    world.neighbours.landing = { mode: 'person' };
    const waiting = await world.submit(project, { 'new.js': 'new\n' });
    expect(await accepted(waiting.id)).toMatchObject({ state: 'queued', held: 'person', turn: null });
    const person = { id: world.ids.next('user'), name: 'Ada' };
    const other = await world.submit(project, { 'other.js': 'other\n' });
    await world.commands.execute(new ReleaseSubmission(other.id, person));
    expect(await accepted(other.id)).toMatchObject({ state: 'landed' });

    await world.commands.execute(new ReleaseSubmission(waiting.id, person));
    await world.submissions.idle();
    // Others have landed meanwhile: what a person released is verified on what there is now, all the same.
    expect(await world.row(waiting.id)).toMatchObject({ state: 'verifying', held: null });
    expect((await world.judge(waiting.id, 'accepted')).state).toBe('landed');
    expect(await world.landingOf(waiting.id)).toMatchObject({ released_by: person });
    await expect(world.commands.execute(new ReleaseSubmission(waiting.id, person))).resolves.toMatchObject({
      releasedBy: person,
    });
  });

  it('lands nothing in quiet hours but reverts, and what is due after them by itself', async () => {
    const project = await world.project();
    const landed = await world.land(project, { 'bad.js': 'bad\n' });
    world.neighbours.landing = {
      quietHours: [
        { from: '00:00', to: '23:59', timeZone: 'UTC' },
        { from: '12:00', to: '11:59', timeZone: 'UTC' },
      ],
    };
    const quiet = await world.submit(project, { 'new.js': 'new\n' });
    expect(await accepted(quiet.id)).toMatchObject({ state: 'queued', held: 'quiet_hours' });
    const revert = await world.rollBack(landed.id);
    expect(await accepted(revert.id)).toMatchObject({ state: 'landed' });
    world.neighbours.landing = {};
    await world.settled();
    expect((await world.judge(quiet.id, 'accepted')).state).toBe('landed');
  });
});
