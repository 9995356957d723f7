import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { SetView, SubmissionView } from '@muster/contracts';
import type { ProjectRecord } from '#messages/projects';
import { NOTHING } from '#platform/git';
import { startWorld, type World } from '../test/world.ts';
import { CreateSet } from './commands/create-set.ts';
import { RollBackSet } from './commands/roll-back-set.ts';
import { CrashPoints, type CrashPoint } from './crash-points.ts';
import { setRef } from './domain/set.ts';
import { FindSet, ListSets } from './queries/show-sets.ts';
import { ShowQueue } from './queries/show-queue.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterEach(() => {
  jest.restoreAllMocks();
});
afterAll(async () => {
  await world.close();
});

const teamId = (): string => world.ids.next('team');
const projectOf = async (team: string): Promise<ProjectRecord> => {
  const project = { ...(await world.project()), teamId: team };
  world.neighbours.projects.set(project.id, project);
  return project;
};
const someone = { name: 'x', email: 'x@x' };
/** The branch is moved past Muster. */
async function force(project: ProjectRecord, path: string): Promise<void> {
  const head = await world.head(project);
  const tree = await world.repositories.applyFiles(project.id, head, [{ path, content: 'forced\n' }]);
  const commit = await world.repositories.commitTree(project.id, {
    tree, parents: [head], message: 'Forced', author: someone, committer: someone, date: new Date(0),
  }); // prettier-ignore
  await world.repositories.updateRef(project.id, 'refs/heads/main', commit, head);
}
/** Whatever is asked for is accepted, until nothing moves any more. */
async function play(rounds = 12): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    for (const { id, state } of [...world.neighbours.verifications.values()])
      if (state !== 'finished') world.finish(id, 'accepted');
    await world.settled();
  }
}
const find = (setId: string): Promise<SetView> => world.queries.execute(new FindSet(setId));

/** Two projects of a team and a change to each, linked; nothing is verified yet. */
async function pair() {
  const team = teamId();
  const projects = [await projectOf(team), await projectOf(team)].sort((a, b) => (a.id < b.id ? -1 : 1));
  const changes: SubmissionView[] = [];
  for (const project of projects) changes.push(await world.submit(project, { 'both.js': 'together\n' }));
  const tasks = changes.map(({ taskId }) => taskId ?? '');
  const set = await world.commands.execute(new CreateSet(team, { title: 'Both', tasks }, 'user_ada'));
  const [first, second] = projects as [ProjectRecord, ProjectRecord];
  const [one, two] = changes as [SubmissionView, SubmissionView];
  return { team, first, second, one, two, set };
}
const refsLeft = async (...projects: ProjectRecord[]) =>
  (await Promise.all(projects.map(({ id }) => world.repositories.refs(id, 'refs/muster/sets')))).flat();
const accept = async (id: string) => {
  await world.submissions.run(id);
  return await world.judge(id, 'accepted');
};

describe('a set', () => {
  it('lands all of it, when the last one is accepted, and until then stands in nobody’s way', async () => {
    const { first, second, one, two, set } = await pair();
    expect(await accept(one.id)).toMatchObject({ state: 'queued', held: 'set', turn: null });
    expect((await world.queries.execute(new ShowQueue(first.id))).waiting).toMatchObject([
      { submissionId: one.id, for: 'set', why: 'waits for the other changes of its set' },
    ]);
    expect((await world.land(first, { 'other-work.js': 'lands\n' })).state).toBe('landed');
    expect(await accept(two.id)).toMatchObject({ held: null });
    await play();
    expect([(await world.row(one.id)).state, (await world.row(two.id)).state]).toEqual(['landed', 'landed']);
    expect(await find(set.id)).toMatchObject({ state: 'landed', members: [{ state: 'landed' }, { state: 'landed' }] });
    expect((await world.landingOf(one.id)).set_id).toBe(set.id);
    for (const project of [first, second]) expect(await world.audit(project)).toMatchObject({ ok: true });
    expect(await refsLeft(first, second)).toEqual([]);
    expect(await world.events(set.id)).toEqual(['set.created', 'set.queued', 'set.landed']);
  });

  it('lands nothing while one of it is refused, and all of it once that one’s rework is accepted', async () => {
    const { first, second, one, two, set } = await pair();
    await accept(one.id);
    await world.submissions.run(two.id);
    expect(await world.judge(two.id, 'rejected')).toMatchObject({ state: 'rejected' });
    await play(3);
    expect(await world.row(one.id)).toMatchObject({ state: 'queued', held: 'set' });
    expect(await world.head(first)).toBe(first.head);
    const again = await world.heldAgain(two.taskId ?? '');
    const rework = await world.submit(second, { 'both.js': 'better\n' }, undefined, again);
    await play();
    expect(await find(set.id)).toMatchObject({ state: 'landed' });
    expect((await world.row(rework.id)).state).toBe('landed');
  });

  it('leaves the lines when one of it is ejected there, and comes back with the rework', async () => {
    const { first, second, one, two, set } = await pair();
    await accept(one.id);
    // Its line moves on before it is accepted, so that it is verified once more in there.
    await world.submissions.run(two.id);
    await world.land(second, { 'meanwhile.js': 'x\n' });
    expect(await world.judge(two.id, 'accepted')).toMatchObject({ state: 'verifying', held: null });
    expect((await world.row(one.id)).turn).toBe((await world.row(two.id)).turn);
    expect(await world.judge(two.id, 'rejected')).toMatchObject({ state: 'rejected' });
    await world.settled();
    expect(await world.row(one.id)).toMatchObject({ state: 'queued', held: 'set', turn: null });
    expect(await world.head(first)).toBe(first.head);
    await world.submit(second, { 'both.js': 'better\n' }, undefined, await world.heldAgain(two.taskId ?? ''));
    await play();
    expect(await find(set.id)).toMatchObject({ state: 'landed' });
  });

  it('fails as a whole when one of it can never come, and nothing of it lands', async () => {
    const { first, one, two, set } = await pair();
    await accept(one.id);
    const task = world.neighbours.task(two.taskId ?? '');
    world.neighbours.tasks.set(task.id, { ...task, state: 'cancelled' });
    await play(4);
    expect(await find(set.id)).toMatchObject({ state: 'failed', reasons: [expect.stringContaining('been cancelled')] });
    expect(await world.row(one.id)).toMatchObject({ state: 'failed', pending: false });
    expect(await world.head(first)).toBe(first.head);
  });

  it('does not wait for ever for another that crosses it', async () => {
    const team = teamId();
    const [first, second] = [await projectOf(team), await projectOf(team)];
    const link = async (name: string, order: readonly ProjectRecord[]) => {
      const changes: SubmissionView[] = [];
      for (const project of order)
        changes.push(await world.submit(project, { [`${name}.js`]: `${name}\n` }, project.head!));
      const tasks = changes.map(({ taskId }) => taskId ?? '');
      return { changes, set: await world.commands.execute(new CreateSet(team, { title: name, tasks }, 'user_ada')) };
    };
    const [a, b] = [await link('a', [first, second]), await link('b', [second, first])];
    // Accepted crosswise.
    for (const row of [a.changes[0], b.changes[0], a.changes[1], b.changes[1]]) {
      await world.submissions.run(row?.id ?? '');
      world.finish((await world.row(row?.id ?? '')).verification_id, 'accepted');
    }
    await Promise.all([...a.changes, ...b.changes].map(({ id }) => world.submissions.run(id)));
    await play(20);
    expect([(await find(a.set.id)).state, (await find(b.set.id)).state]).toEqual(['landed', 'landed']);
  });

  it.each([
    ['two of one project', 'integration.one_of_each_project'],
    ['what has landed', 'integration.too_late_for_a_set'],
    ['what belongs to another set', 'integration.in_another_set'],
    ['what is not there', 'integration.task_not_found'],
  ] as const)('is not made of %s', async (what, code) => {
    const team = teamId();
    const [first, second] = [await projectOf(team), await projectOf(team)];
    const task = async (project: ProjectRecord) => (await world.submit(project, { 'a.js': 'a\n' })).taskId ?? '';
    const landed = async () => (await world.land(second, { 'b.js': 'b\n' })).submission_id;
    const [one, two] = [await task(first), what === 'two of one project' ? await task(first) : await task(second)];
    const make = (tasks: string[], submissions: string[] = []) =>
      world.commands.execute(new CreateSet(team, { title: 'No', tasks, submissions }, 'user_ada'));
    if (what === 'what belongs to another set') await make([one, two]);
    await expect(
      what === 'what has landed'
        ? make([one], [await landed()])
        : make([one, what === 'what is not there' ? world.ids.next('task') : two]),
    ).rejects.toMatchObject({ code });
  });
});

it('a list shows the sets of a team page by page, and to who may see some projects only those of these', async () => {
  const team = teamId();
  const [first, second, third] = [await projectOf(team), await projectOf(team), await projectOf(team)];
  const link = async (title: string, projects: readonly ProjectRecord[]): Promise<string> => {
    const tasks: string[] = [];
    for (const project of projects)
      tasks.push((await world.submit(project, { [`${title}.js`]: `${title}\n` })).taskId ?? '');
    return (await world.commands.execute(new CreateSet(team, { title, tasks }, 'user_ada'))).id;
  };
  const made = [await link('a', [first, second]), await link('b', [second, third]), await link('c', [first, third])];
  const list = (more: Partial<ListSets['filter']> = {}) =>
    world.queries.execute(new ListSets({ teamId: team, visible: 'all', limit: 2, ...more }));
  const page = await list();
  expect(page.items.map(({ title, members }) => [title, members.length])).toEqual([
    ['c', 2],
    ['b', 2],
  ]);
  expect(page.items[0]).toEqual(await find(made[2] ?? ''));
  const rest = await list({ cursor: page.nextCursor ?? '' });
  expect([rest.items.map(({ id }) => id), rest.nextCursor]).toEqual([[made[0]], null]);
  const titles = async (more: Partial<ListSets['filter']>) => (await list(more)).items.map(({ title }) => title);
  expect(await titles({ projectId: second.id })).toEqual(['b', 'a']);
  expect(await titles({ state: 'landed' })).toEqual([]);
  expect(await titles({ visible: [first.id, second.id] })).toEqual(['a']);
  expect(await titles({ visible: [first.id] })).toEqual([]);
  expect((await list({ teamId: teamId() })).items).toEqual([]);
});

describe('between two steps of a set', () => {
  /** The first time that this moment comes; everything after it is left to whoever comes next. */
  const powerFailsAt = (point: CrashPoint) => {
    let done = false;
    const crash = world.get(CrashPoints);
    jest.spyOn(crash, 'reach').mockImplementation((reached) => {
      if (reached !== point || done) return;
      done = true;
      throw new Error(`the power failed at ${reached}`);
    });
    return () => done;
  };

  it.each([
    'set.fenced',
    'set.intended',
    'set.member_moved',
    'set.moved',
    'set.member_completed',
    'set.landed',
  ] as const)('the power may fail at %s: the next start completes it, and leaves nothing behind', async (point) => {
    const { first, second, one, two, set } = await pair();
    await accept(one.id);
    const happened = powerFailsAt(point);
    await accept(two.id);
    await play();
    expect(happened()).toBe(true);
    // What was prepared and never recorded is taken at start.
    await world.sweep.tidy(Date.now() + 1000);
    expect(await find(set.id)).toMatchObject({ state: 'landed' });
    for (const project of [first, second]) {
      expect(await world.audit(project)).toMatchObject({ ok: true });
      expect(await world.repositories.log(project.id, project.head, await world.head(project), 9)).toHaveLength(1);
    }
    expect(await refsLeft(first, second)).toEqual([]);
    expect((await world.events(set.id)).filter((type) => type === 'set.landed')).toHaveLength(1);
  });

  it.each([null, 'set.undo_decided', 'set.member_undone'] as const)(
    'the other branch may move: what had moved goes back, also when the power fails at %s, and then all of it lands on what is there',
    async (point) => {
      const { first, second, one, two, set } = await pair();
      await accept(one.id);
      const landings = world.steps;
      const move = landings.move.bind(landings);
      let moved = '';
      let forced: Promise<void> | undefined;
      jest.spyOn(landings, 'move').mockImplementation(async (landing, fence) => {
        if (landing.project_id === second.id) {
          await (forced ??= (async () => {
            moved = await world.head(first);
            await force(second, 'forced.js');
          })());
        }
        return await move(landing, fence);
      });
      const happened = point === null ? () => true : powerFailsAt(point);
      await world.submissions.run(two.id);
      await world.judge(two.id, 'accepted');
      for (let round = 0; round < 4 && !(await world.events(set.id)).includes('set.undone'); round += 1)
        await world.settled();
      expect(happened()).toBe(true);
      // It had moved, and came back.
      expect(moved).not.toBe(first.head);
      expect(await world.events(set.id)).toContain('set.undone');
      const [attempt] = await world.opened.sql<{ id: string; commit: string }>(
        `select id, commit from landings where set_id = $1 and project_id = $2 and state = 'abandoned' order by id limit 1`,
        [set.id, first.id],
      );
      expect(attempt?.commit).toBe(moved);
      // Whoever slept through all of it moves nothing any more.
      const swap = { ref: 'refs/heads/main', next: moved, old: await world.head(first) };
      const late = [swap, { ref: setRef(attempt?.id ?? ''), same: moved }];
      if ((await world.head(first)) === first.head)
        expect(await world.repositories.updateRefs(first.id, late)).toBe(false);
      await play();
      expect(await find(set.id)).toMatchObject({ state: 'landed' });
      expect(await world.repositories.log(first.id, first.head, await world.head(first), 9)).toHaveLength(1);
      expect(await world.audit(first)).toMatchObject({ ok: true });
      expect(await refsLeft(first, second)).toEqual([]);
    },
  );

  it('somebody may build on what had moved: then it cannot go back, is reverted through the gate, and the set has failed', async () => {
    const { first, second, one, two, set } = await pair();
    await accept(one.id);
    const landings = world.steps;
    const move = landings.move.bind(landings);
    let forced: Promise<void> | undefined;
    jest.spyOn(landings, 'move').mockImplementation(async (landing, fence) => {
      if (landing.project_id === second.id) {
        await (forced ??= (async () => {
          await force(first, 'on-top.js');
          await force(second, 'forced.js');
        })());
      }
      return await move(landing, fence);
    });
    await accept(two.id);
    await play();
    expect(await find(set.id)).toMatchObject({ state: 'failed' });
    expect(await world.landingOf(one.id)).toMatchObject({ state: 'rolled_back' });
    const head = await world.head(first);
    expect(await world.repositories.readFile(first.id, head, 'both.js', 100)).toBeNull();
    expect(await world.repositories.readFile(first.id, head, 'on-top.js', 100)).not.toBeNull();
    expect(await world.repositories.readFile(second.id, await world.head(second), 'both.js', 100)).toBeNull();
  });

  it('nobody else lands in a branch of it', async () => {
    const { first, second, one, two, set } = await pair();
    await accept(one.id);
    const landings = world.steps;
    const move = landings.move.bind(landings);
    let stuck = true;
    jest.spyOn(landings, 'move').mockImplementation(async (landing, fence) => {
      if (stuck && landing.project_id === second.id) throw new Error('The disk is full.');
      return await move(landing, fence);
    });
    await accept(two.id);
    await world.settled();
    expect((await find(set.id)).state).toBe('landing');
    const other = await world.submit(first, { 'other.js': 'other\n' });
    await accept(other.id);
    expect((await world.row(other.id)).state).not.toBe('landed');
    expect(await world.head(first)).toBe((await world.landingOf(one.id)).commit);
    stuck = false;
    await play();
    expect((await world.row(other.id)).state).toBe('landed');
  });
});

describe('a set that has landed', () => {
  const landed = async () => {
    const made = await pair();
    await accept(made.one.id);
    await accept(made.two.id);
    await play();
    expect((await find(made.set.id)).state).toBe('landed');
    return made;
  };

  it('comes out as a whole, when it is asked for', async () => {
    const { first, second, set, one } = await landed();
    const revert = await world.commands.execute(new RollBackSet(set.id, 'It does not work together.', 'user_ada'));
    expect(revert).toMatchObject({ kind: 'revert', revertsSetId: set.id, members: [{}, {}] });
    expect((await world.commands.execute(new RollBackSet(set.id, 'Again.', 'user_ada'))).id).toBe(revert.id);
    await play();
    expect(await find(set.id)).toMatchObject({ state: 'rolled_back', rolledBackBySetId: revert.id });
    for (const project of [first, second]) {
      expect(await world.repositories.diffFiles(project.id, project.head!, await world.head(project))).toEqual([]);
      expect(await world.audit(project)).toMatchObject({ ok: true });
    }
    expect(await world.landingOf(one.id)).toMatchObject({ state: 'rolled_back' });
    expect(await world.events(set.id)).toContain('set.rolled_back');
    await expect(world.commands.execute(new RollBackSet(set.id, 'Again.', 'user_ada'))).resolves.toMatchObject({
      id: revert.id,
    });
  });

  it('comes out as a whole, when one of its landings is taken back', async () => {
    const { first, second, set, two } = await landed();
    const revert = await world.rollBack((await world.landingOf(two.id)).id);
    expect(revert).toMatchObject({ kind: 'revert', projectId: second.id });
    await play();
    expect(await find(set.id)).toMatchObject({ state: 'rolled_back' });
    expect(await world.repositories.diffFiles(first.id, first.head!, await world.head(first))).toEqual([]);
  });

  it('stays as a whole, when one of it cannot come out by itself', async () => {
    const { first, second, set, two } = await landed();
    await world.land(second, { 'both.js': 'built upon\n' });
    await world.commands.execute(new RollBackSet(set.id, 'It does not work.', 'user_ada'));
    await play();
    expect(await find(set.id)).toMatchObject({ state: 'landed' });
    expect(await world.landingOf(two.id)).toMatchObject({ state: 'landed' });
    expect(await world.repositories.readFile(first.id, await world.head(first), 'both.js', 100)).not.toBeNull();
  });
});

it('moves several refs of a repository, or none', async () => {
  const project = await world.project();
  const head = await world.head(project);
  const move = (old: string) => [
    { ref: 'refs/muster/sets/a', next: head, old: NOTHING },
    { ref: 'refs/muster/sets/b', next: head, old },
  ];
  expect(await world.repositories.updateRefs(project.id, move(head))).toBe(false);
  expect(await refsLeft(project)).toEqual([]);
  expect(await world.repositories.updateRefs(project.id, move(NOTHING))).toBe(true);
  expect(await refsLeft(project)).toHaveLength(2);
});
