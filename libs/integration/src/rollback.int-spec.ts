import type { Incident } from '@muster/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { OpenIncident } from './commands/open-incident.ts';
import type { LandingRow } from './domain/landing.ts';
import { ForecastRollback } from './queries/forecast-rollback.ts';
import { FindIncident } from './queries/show-incidents.ts';
import { FILES, startWorld, type World } from '../test/world.ts';

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

  it('makes one revert, and keeps one ref, when it is asked for at the same time', async () => {
    const project = await world.project();
    const landing = await world.land(project, { 'greet.js': 'bad\n' });
    const asked = await Promise.all([1, 2, 3, 4].map(() => world.rollBack(landing.id)));
    const [revert] = asked;
    if (revert === undefined) throw new Error('no revert');
    expect(new Set(asked.map(({ id }) => id))).toEqual(new Set([revert.id]));
    const refs = (await world.repositories.refs(project.id, 'refs/muster/submissions')).map(({ ref }) => ref);
    expect(refs.toSorted()).toEqual(
      [landing.submission_id, revert.id].map((id) => `refs/muster/submissions/${id}`).toSorted(),
    );
    await world.submissions.run(revert.id);
    expect((await world.judge(revert.id, 'accepted')).state).toBe('landed');
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

describe('an incident', () => {
  const incidentOf = async (landingId: string): Promise<Incident> => {
    const [row] = await world.opened.sql<{ id: string }>(
      `select id from incidents where landings @> array[$1]::text[] order by id desc limit 1`,
      [landingId],
    );
    return await world.queries.execute(new FindIncident(row?.id ?? ''));
  };
  /** The revert of this landing goes through the gate, and what follows from it happens. */
  const out = async (incidentId: string, landingId: string): Promise<void> => {
    const { landings } = await world.queries.execute(new FindIncident(incidentId));
    const id = landings.find((each) => each.landingId === landingId)?.revert?.submissionId ?? '';
    await world.submissions.run(id);
    expect((await world.judge(id, 'accepted')).state).toBe('landed');
    await world.submissions.run(id);
    await world.incidents.runAbout(landingId);
  };

  it('ties the failed check, the landing, its revert and the reopened work together, by rule', async () => {
    world.neighbours.postLanding = 'npm run smoke';
    const project = await world.project();
    const landing = await world.land(project, { 'greet.js': 'fails in use\n' });
    await world.landings.run(landing.id);
    world.finish((await world.landing(landing.id)).post_verification_id, 'rejected');
    await world.landings.run(landing.id);
    const opened = await incidentOf(landing.id);
    expect(opened).toMatchObject({
      state: 'open', cause: 'post_landing_check', requestedBy: 'post-landing check', branch: 'main', resolvedAt: null,
      reason: expect.stringContaining('A test fails.'),
      forecast: { paths: ['greet.js'], conflicts: [], dependents: [], openWork: [] },
      landings: [{ landingId: landing.id, state: 'landed', postLanding: 'failed', subject: 'Say hello better', revert: { state: 'received' } }],
    }); // prettier-ignore
    await out(opened.id, landing.id);
    const over = await world.queries.execute(new FindIncident(opened.id));
    expect(over).toMatchObject({
      state: 'resolved',
      landings: [{ state: 'rolled_back', revert: { state: 'landed' } }],
    });
    const followUp = over.landings[0]?.followUpTaskId ?? '';
    expect(world.neighbours.task(followUp).reopens).toBe(landing.task_id);
    expect(over.resolvedAt).not.toBeNull();
    expect(await world.events(opened.id)).toEqual([
      'rollback.opened',
      'rollback.revert_handed_in',
      'rollback.completed',
    ]);
  });

  it('takes a set out, the newest first, around what landed in between, and tells what stands on it', async () => {
    const project = await world.project();
    const first = await world.land(project, { 'greet.js': 'one\n' });
    const kept = await world.land(project, { 'other.js': 'kept\n' });
    const second = await world.land(project, { 'greet.js': 'two\n', 'fresh.js': 'fresh\n' });
    const dependent = await world.land(project, { 'fresh.js': 'fresher\n' });
    const wish = { landings: [first.id, second.id, dependent.id], reason: 'It broke the night build.' };
    const id = await world.commands.execute(new OpenIncident(project.id, wish, 'user_someone'));
    const opened = await world.queries.execute(new FindIncident(id));
    expect(opened.landings.map(({ landingId }) => landingId)).toEqual([dependent.id, second.id, first.id]);
    expect(opened.forecast).toMatchObject({ conflicts: [], dependents: [], paths: ['fresh.js', 'greet.js'] });
    // One after another: the next is made on the branch without those behind it.
    expect(opened.landings.map(({ revert }) => revert?.state ?? null)).toEqual(['received', null, null]);
    for (const { id: out_ } of [dependent, second, first]) await out(id, out_);
    expect(await world.queries.execute(new FindIncident(id))).toMatchObject({ state: 'resolved', cause: 'person' });
    const head = await world.head(project);
    const read = async (path: string): Promise<string | undefined> =>
      (await world.repositories.readFile(project.id, head, path, 100))?.toString();
    expect([await read('greet.js'), await read('other.js'), await read('fresh.js')]).toEqual([
      FILES['greet.js'],
      'kept\n',
      undefined,
    ]);
    expect(await world.landing(kept.id)).toMatchObject({ state: 'landed' });
    expect(await world.audit(project)).toMatchObject({ ok: true });
    expect((await world.events(id)).filter((type) => type === 'rollback.revert_handed_in')).toHaveLength(3);
  });

  it('takes a range out, and leaves alone what is out already and what took it out', async () => {
    const project = await world.project();
    const landings = [];
    for (const path of ['a.js', 'b.js', 'c.js', 'd.js']) landings.push(await world.land(project, { [path]: '1\n' }));
    const [a, b, c, d] = landings as [LandingRow, LandingRow, LandingRow, LandingRow];
    const revert = await world.rollBack(b.id);
    await out((await incidentOf(b.id)).id, b.id);
    const range = { from: a.id, to: d.id };
    const id = await world.commands.execute(
      new OpenIncident(project.id, { range, reason: 'All of it.' }, 'user_someone'),
    );
    const { landings: named } = await world.queries.execute(new FindIncident(id));
    expect(named.map(({ landingId }) => landingId)).toEqual([d.id, c.id, a.id]);
    expect(await world.row(revert.id)).toMatchObject({ state: 'landed' });
    await expect(
      world.commands.execute(
        new OpenIncident(project.id, { range: { from: d.id, to: a.id }, reason: 'Backwards.' }, 'u'),
      ),
    ).rejects.toMatchObject({ code: 'integration.nothing_in_range', status: 409 });
  });

  it('waits for a person where later work stands in the way, and goes on when a revert is asked for again', async () => {
    const project = await world.project();
    const first = await world.land(project, { 'greet.js': 'first\n' });
    const later = await world.land(project, { 'greet.js': 'second\n' });
    const revert = await world.rollBack(first.id);
    await world.incidents.runAbout(first.id);
    const stuck = await incidentOf(first.id);
    expect(stuck).toMatchObject({
      state: 'waiting_person',
      forecast: { conflicts: ['greet.js'], dependents: [{ landingId: later.id, paths: ['greet.js'] }] },
      landings: [{ revert: { submissionId: revert.id, state: 'conflicted' } }],
    });
    expect(await world.events(stuck.id)).toEqual(['rollback.opened', 'rollback.revert_handed_in', 'rollback.waiting']);
    // What stood in the way comes out first; then the same incident goes on.
    await world.rollBack(later.id);
    await out((await incidentOf(later.id)).id, later.id);
    await world.rollBack(first.id);
    expect((await incidentOf(first.id)).id).toBe(stuck.id);
    await out(stuck.id, first.id);
    expect(await incidentOf(first.id)).toMatchObject({ id: stuck.id, state: 'resolved' });
  });

  it('leaves out what later landings have undone, and is over when a crash came between any two of its steps', async () => {
    const project = await world.project();
    const undone = await world.land(project, { 'greet.js': 'bad\n' });
    await world.land(project, { 'greet.js': FILES['greet.js'] });
    const bad = await world.land(project, { 'other.js': 'bad\n' });
    const wish = { landings: [undone.id, bad.id], reason: 'Both.' };
    const id = await world.commands.execute(new OpenIncident(project.id, wish, 'user_someone'));
    const reverts = (await world.queries.execute(new FindIncident(id))).landings.map(
      ({ revert }) => revert?.submissionId,
    );
    await world.due();
    await world.sweep.sweep();
    // Asked again: the same revert, not a second one.
    expect(
      (await world.queries.execute(new FindIncident(id))).landings.map(({ revert }) => revert?.submissionId),
    ).toEqual(reverts);
    await out(id, bad.id);
    expect(await world.queries.execute(new FindIncident(id))).toMatchObject({
      state: 'resolved',
      landings: [
        { landingId: bad.id, skipped: false },
        { landingId: undone.id, skipped: true, state: 'landed' },
      ],
    });
  });

  it('refuses landings of other projects and what is not on the branch', async () => {
    const [one, other] = [await world.project(), await world.project()];
    const landing = await world.land(other, { 'greet.js': 'x\n' });
    const open = (landings: string[]) =>
      world.commands.execute(new OpenIncident(one.id, { landings, reason: 'Mine?' }, 'user_someone'));
    await expect(open([landing.id])).rejects.toMatchObject({ code: 'integration.landing_not_found', status: 404 });
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
