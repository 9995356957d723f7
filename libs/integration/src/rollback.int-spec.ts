import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ForecastRollback } from './queries/forecast-rollback.ts';
import { startWorld, type World } from '../test/world.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterEach(() => {
  world.neighbours.postLanding = undefined;
});
afterAll(async () => {
  await world.close();
});

describe('rolling back', () => {
  it('lands a verified revert, marks the landing and opens its task again, once', async () => {
    const project = await world.project();
    const landing = await world.land(project, { 'greet.js': 'bad\n' });
    await world.land(project, { 'new.js': 'unrelated\n' });
    const revert = await world.rollBack(landing.id);
    expect((await world.rollBack(landing.id)).id).toBe(revert.id);
    await world.submissions.run(revert.id);
    expect(world.neighbours.requests.at(-1)).toMatchObject({
      purpose: 'revert',
      restoresTree: await world.repositories.treeOf(project.id, project.head ?? ''),
    });
    expect((await world.judge(revert.id, 'accepted')).state).toBe('landed');
    await world.submissions.run(revert.id);

    const after = await world.landing(landing.id);
    const by = await world.landingOf(revert.id);
    expect(after).toMatchObject({ state: 'rolled_back', rolled_back_by: by.id });
    const head = await world.head(project);
    expect((await world.repositories.readFile(project.id, head, 'greet.js', 100))?.toString()).toContain('hello');
    expect(await world.repositories.readFile(project.id, head, 'new.js', 100)).not.toBeNull();
    const followUps = world.neighbours.started.filter(({ task }) => task.idempotencyKey === landing.id);
    expect(followUps).toHaveLength(1);
    expect(followUps[0]?.task).toMatchObject({
      reopens: landing.task_id,
      capability: 'code.change',
      input: { greet: 'world' },
      title: 'Reopens "Say hello"',
    });
    expect(after.follow_up_task_id).not.toBeNull();
    expect(await world.events(landing.id)).toEqual(['landing.landed', 'landing.rolled_back']);
    expect(await world.audit(project)).toMatchObject({ ok: true, checked: 4 });
    await expect(world.rollBack(landing.id)).rejects.toMatchObject({ code: 'integration.not_landed', status: 409 });
  });

  it('follows by rule from a failed post-landing check; the check of the revert itself only reports', async () => {
    world.neighbours.postLanding = 'npm run smoke';
    const project = await world.project();
    const landing = await world.land(project, { 'greet.js': 'passes the gate, fails in use\n' });
    expect(landing.post_landing).toBe('pending');
    await world.landings.run(landing.id);
    const asked = (await world.landing(landing.id)).post_verification_id;
    expect(world.neighbours.requests.at(-1)).toMatchObject({ purpose: 'post_landing', rulesCommit: landing.commit });
    world.finish(asked, 'rejected', { reasons: ['smoke failed'] });
    await world.landings.run(landing.id);
    expect(await world.landing(landing.id)).toMatchObject({ post_landing: 'failed', pending: false });

    const [revert] = await world.opened.sql<{ id: string }>(
      'select id from submissions where reverts_landing_id = $1',
      [landing.id],
    );
    if (revert === undefined) throw new Error('no revert');
    await world.submissions.run(revert.id);
    expect((await world.judge(revert.id, 'accepted')).state).toBe('landed');
    expect((await world.landing(landing.id)).state).toBe('rolled_back');
    expect(await world.events(landing.id)).toEqual([
      'landing.landed',
      'landing.post_landing_failed',
      'landing.rolled_back',
    ]);

    const by = await world.landingOf(revert.id);
    await world.landings.run(by.id);
    world.finish((await world.landing(by.id)).post_verification_id, 'rejected');
    await world.landings.run(by.id);
    expect(await world.landing(by.id)).toMatchObject({ state: 'landed', post_landing: 'failed', pending: false });
    expect(await world.opened.sql('select id from submissions where reverts_landing_id = $1', [by.id])).toEqual([]);
  });

  it('never follows from a post-landing check that did not run: that is tried again, then told', async () => {
    world.neighbours.postLanding = 'npm run smoke';
    const project = await world.project();
    const landing = await world.land(project, { 'greet.js': 'nobody can look\n' });
    const asked: Array<string | null> = [];
    for (let tries = 0; tries < 10 && (await world.landing(landing.id)).pending; tries += 1) {
      await world.landings.run(landing.id);
      const { post_verification_id: id } = await world.landing(landing.id);
      asked.push(id);
      world.finish(id, 'rejected', { evidence: false, reasons: ['could not be verified: no sandbox'] });
      await world.landings.run(landing.id);
      if (tries === 0) {
        expect(await world.landing(landing.id)).toMatchObject({ post_landing: 'pending', post_verification_id: null });
        const { length } = world.neighbours.requests;
        await world.sweep.sweep();
        expect(world.neighbours.requests).toHaveLength(length);
      }
      world.neighbours.verifications.delete(id ?? '');
    }
    expect(new Set(asked).size).toBe(5);
    expect(await world.landing(landing.id)).toMatchObject({ state: 'landed', post_landing: 'not_run', pending: false });
    expect(await world.events(landing.id)).toEqual(['landing.landed', 'landing.post_landing_not_run']);
    expect(await world.opened.sql('select id from submissions where reverts_landing_id = $1', [landing.id])).toEqual(
      [],
    );
  });

  it('says so when later landings stand in the way', async () => {
    const project = await world.project();
    const first = await world.land(project, { 'greet.js': 'first\n' });
    await world.land(project, { 'greet.js': 'second\n' });
    const revert = await world.rollBack(first.id);
    expect(revert).toMatchObject({ state: 'conflicted', kind: 'revert' });
    expect(revert.conflicts[0]?.path).toBe('greet.js');
    expect(await world.events(first.id)).toEqual(['landing.landed', 'landing.rollback_conflicted']);
    await world.due();
    await world.sweep.sweep();
    expect((await world.row(revert.id)).pending).toBe(false);
  });

  it('goes before the changes that wait in line', async () => {
    const project = await world.project();
    const bad = await world.land(project, { 'greet.js': 'bad\n' });
    const change = await world.submit(project, { 'new.js': 'new\n' });
    await world.submissions.run(change.id);
    const revert = await world.rollBack(bad.id);
    await world.submissions.run(revert.id);
    world.finish((await world.row(change.id)).verification_id, 'accepted');
    await world.opened.sql(
      `update submissions set state = 'queued', turn = nextval('submission_turns') where id = $1`,
      [change.id],
    );
    expect((await world.judge(revert.id, 'accepted')).state).toBe('landed');
    await world.submissions.run(change.id);
    expect((await world.row(change.id)).state).toBe('verifying');
  });
});

describe('what a rollback would mean', () => {
  it('is told beforehand: what stands in the way, what landed on top of it, and who is at it', async () => {
    const project = await world.project();
    const landed = await world.land(project, { 'greet.js': 'one\n', 'fresh.js': 'fresh\n' });
    const free = await world.queries.execute(new ForecastRollback(landed.id));
    expect(free).toMatchObject({
      clean: true,
      nothingLeft: false,
      paths: ['fresh.js', 'greet.js'],
      dependents: [],
      openWork: [],
    });
    const elsewhere = await world.land(project, { 'other.js': 'elsewhere\n' });
    const later = await world.land(project, { 'greet.js': 'two\n' });
    const open = await world.submit(project, { 'fresh.js': 'fresher\n' });
    const forecast = await world.queries.execute(new ForecastRollback(landed.id));
    expect(forecast).toMatchObject({
      clean: false,
      conflicts: [{ path: 'greet.js', base: 'one\n', ours: 'two\n' }],
      dependents: [{ landingId: later.id, taskId: later.task_id, paths: ['greet.js'] }],
      openWork: [{ submissionId: open.id, paths: ['fresh.js'] }],
    });
    expect(forecast.dependents.map(({ landingId }) => landingId)).not.toContain(elsewhere.id);
    // Nothing was changed by asking.
    expect(await world.landing(landed.id)).toMatchObject({ state: 'landed' });
  });
});
