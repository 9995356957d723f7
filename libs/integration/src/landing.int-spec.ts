import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { LandingRow } from './domain/landing.ts';
import { startWorld, type World } from '../test/world.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(async () => {
  await world.close();
});

describe('landing', () => {
  it('lands exactly the tree that was verified, as one commit of its agent on the head, and tells the task', async () => {
    const project = await world.project();
    const submission = await world.submit(project, { 'greet.js': 'export const greet = () => "hello, world";\n' });
    expect(submission.state).toBe('received');

    await world.submissions.run(submission.id);
    expect((await world.row(submission.id)).state).toBe('verifying');
    expect(world.neighbours.requests.at(-1)).toMatchObject({
      purpose: 'admission',
      rulesCommit: project.head,
      restoresTree: null,
    });

    const row = await world.judge(submission.id, 'accepted');
    expect(row).toMatchObject({ state: 'landed', pending: false });
    const landing = await world.landingOf(submission.id);
    const head = await world.head(project);
    expect(landing).toMatchObject({ state: 'landed', commit: head, before: project.head, post_landing: 'none' });
    expect(await world.repositories.treeOf(project.id, head)).toBe(row.candidate_tree);
    const [commit] = await world.repositories.log(project.id, project.head, head, 5);
    expect(commit).toMatchObject({ parents: [project.head], author: { name: 'author', email: 'author@muster' } });
    expect(commit?.trailers).toMatchObject({
      'Muster-Submission': [submission.id],
      'Muster-Task': [submission.taskId],
      'Muster-Verification': [row.verification_id],
      'Muster-Landing': [landing.id],
    });
    const told = world.neighbours.settled.filter(({ submissionId }) => submissionId === submission.id);
    expect(told.map(({ outcome }) => outcome)).toEqual([
      { kind: 'waiting_landing', ref: submission.id },
      { kind: 'landed', output: { submissionId: submission.id, landingId: landing.id, commit: head } },
    ]);
    expect(await world.events(submission.id)).toEqual(['submission.received', 'submission.accepted', 'queue.entered']);
    expect(await world.events(landing.id)).toEqual(['landing.landed']);
    expect(await world.audit(project)).toMatchObject({ ok: true, checked: 2 });
  });

  it('refuses what was rejected, moves nothing and hands the findings that count back', async () => {
    const project = await world.project();
    const submission = await world.submit(project, { 'greet.js': 'broken\n' });
    await world.submissions.run(submission.id);
    const row = await world.judge(submission.id, 'rejected');
    expect(row).toMatchObject({ state: 'rejected', reasons: ['A test fails.'], pending: false });
    expect(await world.head(project)).toBe(project.head);
    expect(world.neighbours.settled.at(-1)?.outcome).toMatchObject({
      kind: 'rework',
      rework: { reason: 'rejected', summary: 'A test fails.', commit: submission.commit },
    });
    expect(await world.events(submission.id)).toEqual(['submission.received', 'submission.rejected']);
  });

  it('verifies again, on top of what has landed, before the second of two lands', async () => {
    const project = await world.project();
    const one = await world.submit(project, { 'greet.js': 'export const greet = () => "one";\n' });
    const two = await world.submit(project, { 'new.js': 'export {};\n' });
    await world.submissions.run(one.id);
    await world.submissions.run(two.id);
    const admission = (await world.row(two.id)).verification_id;
    world.finish((await world.row(one.id)).verification_id, 'accepted');
    world.finish(admission, 'accepted');
    // Both at once, as two events would do it.
    await Promise.all([world.submissions.run(one.id), world.submissions.run(two.id)]);
    for (let round = 0; round < 20; round += 1) {
      await world.due();
      await world.sweep.sweep();
    }
    const rows = [await world.row(one.id), await world.row(two.id)];
    expect(rows.map(({ state }) => state).sort()).toEqual(['landed', 'verifying']);
    const behind = rows.find(({ state }) => state === 'verifying');
    expect(world.neighbours.requests.filter(({ subjectId }) => subjectId === behind?.id).at(-1)).toMatchObject({
      purpose: 'landing',
    });
    expect((await world.judge(behind?.id ?? '', 'accepted')).state).toBe('landed');
    expect(await world.repositories.log(project.id, project.head, await world.head(project), 9)).toHaveLength(2);
    expect(await world.audit(project)).toMatchObject({ ok: true, checked: 3 });
  });

  it('gives a conflict back with what each side has, whether it shows at admission or in the queue', async () => {
    const project = await world.project();
    const one = await world.submit(project, {
      'greet.js': 'export const greet = () => "one";\n',
      'other.js': 'export const other = "one";\n',
    });
    const late = await world.submit(project, { 'greet.js': 'export const greet = () => "late";\n' });
    const queued = await world.submit(project, { 'other.js': 'export const other = "queued";\n' });
    await world.submissions.run(one.id);
    await world.submissions.run(queued.id);
    world.finish((await world.row(queued.id)).verification_id, 'accepted');
    await world.judge(one.id, 'accepted');
    await world.submissions.run(late.id);
    await world.submissions.run(queued.id);
    for (const [id, path, before] of [
      [late.id, 'greet.js', 'hello'],
      [queued.id, 'other.js', 'other = 1'],
    ] as const) {
      const row = await world.row(id);
      expect(row).toMatchObject({ state: 'conflicted', pending: false });
      expect(row.conflicts[0]).toMatchObject({
        path,
        base: expect.stringContaining(before),
        ours: expect.stringContaining('one'),
      });
      const [told] = world.neighbours.settled.filter(
        ({ submissionId, outcome }) => submissionId === id && outcome.kind === 'rework',
      );
      expect(told?.outcome).toMatchObject({ rework: { reason: 'conflicted', conflicts: row.conflicts } });
    }
  });

  it('does not land when the branch was moved behind its back: it is verified anew', async () => {
    const project = await world.project();
    const submission = await world.submit(project, { 'greet.js': 'export const greet = () => "mine";\n' });
    await world.submissions.run(submission.id);
    const tree = await world.repositories.applyFiles(project.id, project.head ?? '', [
      { path: 'x.js', content: 'x\n' },
    ]);
    const someone = { name: 'x', email: 'x@x' };
    const forced = await world.repositories.commitTree(project.id, {
      tree, parents: [project.head ?? ''], message: 'Forced', author: someone, committer: someone, date: new Date(0),
    }); // prettier-ignore
    await world.repositories.updateRef(project.id, 'refs/heads/main', forced, project.head ?? '');
    const row = await world.judge(submission.id, 'accepted');
    expect(row).toMatchObject({ state: 'verifying', candidate_head: forced });
    expect((await world.judge(submission.id, 'accepted')).state).toBe('landed');
  });

  it('does not land what its task does not want any more', async () => {
    const project = await world.project();
    const submission = await world.submit(project, { 'greet.js': 'export const greet = () => "late";\n' });
    await world.submissions.run(submission.id);
    const task = world.neighbours.task(submission.taskId ?? '');
    world.neighbours.tasks.set(task.id, { ...task, state: 'cancelled' });
    expect((await world.judge(submission.id, 'accepted')).state).toBe('failed');
    expect(await world.head(project)).toBe(project.head);
  });

  it('does not land on evidence about another tree', async () => {
    const project = await world.project();
    const submission = await world.submit(project, { 'greet.js': 'export const greet = () => "swapped";\n' });
    await world.submissions.run(submission.id);
    const row = await world.row(submission.id);
    world.finish(row.verification_id, 'accepted', { baseTree: await world.repositories.emptyTree(project.id) });
    await world.submissions.run(submission.id);
    expect(await world.row(submission.id)).toMatchObject({ state: 'queued', failures: 1, candidate_head: null });
    expect(await world.head(project)).toBe(project.head);
  });
});

describe('a verification that did not come about', () => {
  const nothing = { evidence: false, reasons: ['could not be verified: no sandbox'] };

  it('at admission ends the submission as failed and leaves its task to a person, without a rework', async () => {
    const project = await world.project();
    const submission = await world.submit(project, { 'greet.js': 'export const greet = () => "unseen";\n' });
    await world.submissions.run(submission.id);
    const row = await world.judge(submission.id, 'rejected', nothing);
    expect(row).toMatchObject({ state: 'failed', reasons: nothing.reasons, pending: false });
    const told = world.neighbours.settled.filter(({ submissionId }) => submissionId === submission.id);
    expect(told.map(({ outcome }) => outcome)).toEqual([{ kind: 'waiting_person', why: nothing.reasons[0] }]);
  });

  it('in line is tried again after pauses, keeps its place, and lands once it comes about', async () => {
    const project = await world.project();
    const one = await world.submit(project, { 'one.js': 'one\n' });
    const two = await world.submit(project, { 'two.js': 'two\n' });
    for (const { id } of [one, two]) {
      await world.submissions.run(id);
      world.finish((await world.row(id)).verification_id, 'accepted');
    }
    await world.submissions.run(one.id);
    await world.submissions.run(two.id);
    expect(await world.row(two.id)).toMatchObject({ state: 'verifying', accepted: true });
    const first = await world.row(two.id);
    const again = await world.judge(two.id, 'rejected', nothing);
    expect(again).toMatchObject({ state: 'queued', unverified: 1, turn: first.turn, pending: true });
    // The sweep leaves it alone until the pause is over.
    await world.sweep.sweep();
    expect((await world.row(two.id)).state).toBe('queued');
    world.neighbours.verifications.delete(first.verification_id ?? '');
    await world.due();
    await world.sweep.sweep();
    expect((await world.row(two.id)).state).toBe('verifying');
    expect((await world.row(two.id)).verification_id).not.toBe(first.verification_id);
    expect(await world.judge(two.id, 'accepted')).toMatchObject({ state: 'landed', unverified: 0 });
  });

  it('in line, again and again, is told to a person in the end', async () => {
    const project = await world.project();
    const one = await world.submit(project, { 'one.js': 'one\n' });
    const two = await world.submit(project, { 'two.js': 'two\n' });
    for (const { id } of [one, two]) {
      await world.submissions.run(id);
      world.finish((await world.row(id)).verification_id, 'accepted');
    }
    await world.submissions.run(one.id);
    await world.submissions.run(two.id);
    let tries = 0;
    for (; tries < 10 && (await world.row(two.id)).pending; tries += 1) {
      const { verification_id: asked } = await world.row(two.id);
      await world.judge(two.id, 'rejected', nothing);
      world.neighbours.verifications.delete(asked ?? '');
      if ((await world.row(two.id)).pending) await world.submissions.run(two.id);
    }
    expect(tries).toBe(5);
    expect(await world.row(two.id)).toMatchObject({ state: 'failed', reasons: nothing.reasons });
    expect(world.neighbours.settled.at(-1)).toMatchObject({
      submissionId: two.id,
      outcome: { kind: 'waiting_person', why: nothing.reasons[0] },
    });
  });
});

describe('a crash in the middle of a landing', () => {
  /** What had been done when the power failed: everything up to, and with, this step. */
  const stops: Record<string, (landing: LandingRow) => Promise<void>> = {
    'after the intent': () => Promise.resolve(),
    'after the branch moved': async (landing) => {
      expect(await world.steps.move(landing)).toBe('moved');
    },
    'after the note': async (landing) => {
      await world.steps.move(landing);
      await world.steps.attest(landing);
    },
    'after the end, before the task was told': async (landing) => {
      await world.steps.move(landing);
      await world.steps.complete(landing, await world.steps.attest(landing));
    },
  };
  it.each(Object.keys(stops))('%s: whoever comes next finishes it, once, with the same commit', async (stop) => {
    const project = await world.project();
    const submission = await world.submit(project, { 'greet.js': `export const greet = () => "${stop}";\n` });
    await world.submissions.run(submission.id);
    world.finish((await world.row(submission.id)).verification_id, 'accepted');
    await world.opened.sql(
      `update submissions set state = 'queued', turn = nextval('submission_turns') where id = $1`,
      [submission.id],
    );
    const landing = await world.steps.intend(await world.row(submission.id));
    if (landing === null) throw new Error('no intent');
    await stops[stop]?.(landing);

    await world.due();
    await Promise.all([world.sweep.sweep(), world.submissions.run(submission.id)]);
    expect(await world.row(submission.id)).toMatchObject({ state: 'landed', pending: false, landing_id: landing.id });
    expect(await world.head(project)).toBe(landing.commit);
    expect(await world.events(landing.id)).toEqual(['landing.landed']);
    expect(await world.audit(project)).toMatchObject({ ok: true, checked: 2 });
  });

  it('an intent whose branch went elsewhere is abandoned and its submission takes its turn again', async () => {
    const project = await world.project();
    const submission = await world.submit(project, { 'greet.js': 'export const greet = () => "x";\n' });
    await world.submissions.run(submission.id);
    world.finish((await world.row(submission.id)).verification_id, 'accepted');
    await world.opened.sql(
      `update submissions set state = 'queued', turn = nextval('submission_turns') where id = $1`,
      [submission.id],
    );
    const landing = await world.steps.intend(await world.row(submission.id));
    const someone = { name: 'x', email: 'x@x' };
    const tree = await world.repositories.applyFiles(project.id, project.head ?? '', [
      { path: 'x.js', content: 'x\n' },
    ]);
    const forced = await world.repositories.commitTree(project.id, {
      tree, parents: [project.head ?? ''], message: 'Forced', author: someone, committer: someone, date: new Date(0),
    }); // prettier-ignore
    await world.repositories.updateRef(project.id, 'refs/heads/main', forced, project.head ?? '');
    await world.due();
    await world.sweep.sweep();
    expect((await world.landing(landing?.id ?? '')).state).toBe('abandoned');
    expect(await world.row(submission.id)).toMatchObject({
      state: 'verifying',
      candidate_head: forced,
      landing_id: null,
    });
  });

  it('two open intents on one branch are refused by the database', async () => {
    const project = await world.project();
    const rows = [];
    for (const name of ['a', 'b']) {
      const submission = await world.submit(project, { [`${name}.js`]: `${name}\n` });
      await world.submissions.run(submission.id);
      world.finish((await world.row(submission.id)).verification_id, 'accepted');
      await world.opened.sql(
        `update submissions set state = 'queued', turn = nextval('submission_turns') where id = $1`,
        [submission.id],
      );
      rows.push(await world.row(submission.id));
    }
    const intents = await Promise.all(rows.map((row) => world.steps.intend(row)));
    expect(intents.filter((intent) => intent !== null)).toHaveLength(1);
  });
});
