import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  permissions,
  type LimitView,
  type SetLimit,
  type TaskAssignment,
  type TaskExplanation,
} from '@muster/contracts';
import { runtimeRoom, type RuntimeRoom, type Worker } from '#test/runtime-room';
import { LeaseSweep } from './dispatch/sweep.ts';
import { RuntimeModule } from './runtime.module.ts';

let room: RuntimeRoom;
let worker: Worker;
let project: string;
beforeAll(async () => {
  room = await runtimeRoom(RuntimeModule);
}, 60_000);
afterAll(() => room.close());
beforeEach(async () => {
  for (const { id } of await list()) await room.call(room.person, 'DELETE', `/limits/${id}`);
  project = await room.addProject();
  for (const { id } of await room.test.sql<{ id: string }>(`select id from tasks where finished_at is null`))
    await room.call(room.person, 'POST', `/tasks/${id}/cancel`, {});
  worker = await room.connect({ capacity: 100 });
});

const list = async (): Promise<LimitView[]> =>
  (await room.call<{ items: LimitView[] }>(room.person, 'GET', '/limits')).body.items;
const limit = async (wish: Partial<SetLimit>): Promise<LimitView> => {
  const answer = await room.call<LimitView>(room.person, 'PUT', '/limits', { projectId: project, ...wish });
  expect(answer).toMatchObject({ status: 200 });
  return answer.body;
};
const create = (count: number, more: object = {}) =>
  Promise.all(Array.from({ length: count }, () => room.create({ projectId: project, ...more })));
const explain = async (taskId: string): Promise<TaskExplanation> =>
  (await room.call<TaskExplanation>(room.person, 'GET', `/tasks/${taskId}/explain`)).body;
const finish = async (task: TaskAssignment, by = worker) =>
  expect((await room.verb(by, task, 'complete', { output: null })).status).toBe(200);
const passes = (seconds: number) =>
  room.test.sql(`update dispatch_limit_starts set at = at - make_interval(secs => $1)`, [seconds]);

describe('a limit', () => {
  it('is set, shown with what is used of it, replaced and removed, each told', async () => {
    const made = await limit({ capability: 'code.change', maxRunning: 2 });
    await create(3);
    await room.claim(worker);
    expect(await list()).toMatchObject([{ id: made.id, projectId: project, maxRunning: 2, running: 2, started: 0 }]);
    const again = await limit({ capability: 'code.change', maxStarts: 5, perSeconds: 60 });
    expect(again).toMatchObject({ id: made.id, maxRunning: null, maxStarts: 5, perSeconds: 60 });
    expect((await room.call(room.person, 'DELETE', `/limits/${made.id}`)).status).toBe(204);
    expect(await list()).toEqual([]);
    expect(await room.call(room.person, 'DELETE', `/limits/${made.id}`)).toMatchObject({
      status: 404,
      body: { code: 'runtime.limit_unknown' },
    });
    expect(await room.eventsOf(made.id)).toEqual(['runtime.limit_set', 'runtime.limit_set', 'runtime.limit_removed']);
  });

  it.each([
    [{}, 'maxRunning'],
    [{ maxRunning: -1 }, 'maxRunning'],
    [{ maxRunning: 1e9 }, 'maxRunning'],
    [{ maxStarts: 3 }, 'perSeconds'],
    [{ maxStarts: 0, perSeconds: 1 }, 'maxStarts'],
    [{ maxRunning: 1, capability: 'No Such' }, 'capability'],
  ])('of %j is refused by name', async (wish, path) => {
    expect(await room.call(room.person, 'PUT', '/limits', wish)).toMatchObject({
      status: 400,
      body: { code: 'request.invalid', errors: [{ path }] },
    });
  });

  it('is set by those who may, for their projects, and never on what the system does', async () => {
    const reader = room.actor({ permissions: new Set(permissions.filter((one) => one !== 'limit.manage')) });
    expect((await room.call(reader, 'PUT', '/limits', { maxRunning: 1 })).status).toBe(403);
    expect((await room.call(reader, 'GET', '/limits')).status).toBe(200);
    const elsewhere = { projectId: 'proj_01jd9x0m4ve2tbk6x3h2v4q8zr', maxRunning: 1 };
    expect((await room.call(room.person, 'PUT', '/limits', elsewhere)).status).toBe(404);
    expect(
      (await room.call(room.person, 'PUT', '/limits', { capability: 'muster.verify', maxRunning: 1 })).body.code,
    ).toBe('runtime.reserved_capability');
  });
});

describe('how many run at once', () => {
  it('is never more than allowed; a place is free when an attempt ends in whatever way', async () => {
    await limit({ maxRunning: 2 });
    await create(5);
    const [first, second, ...more] = await room.claim(worker);
    expect(more).toEqual([]);
    expect(await room.claim(worker)).toEqual([]);
    await finish(first as TaskAssignment);
    await room.verb(worker, second as TaskAssignment, 'fail', { error: 'no', retryable: false });
    const next = await room.claim(worker);
    expect(next).toHaveLength(2);
    await room.call(room.person, 'POST', `/tasks/${(next[0] as TaskAssignment).taskId}/cancel`, {});
    expect(await room.claim(worker)).toHaveLength(1);
    expect(await room.broken()).toEqual([]);
  });

  it('counts only what it names: other projects, capabilities and agents go on', async () => {
    await limit({ capability: 'code.review', maxRunning: 0 });
    await limit({ agent: 'coder', maxRunning: 3 });
    await create(1, { capability: 'code.review' });
    await create(5);
    expect((await room.claim(worker)).map(({ capability }) => capability)).toEqual(Array(3).fill('code.change'));
    await room.create();
    expect((await room.claim(worker)).map((task) => task.project.id)).toEqual([room.project]);
  });

  it('holds for work with conditions as well, and hands on what an expired lease held', async () => {
    await limit({ maxRunning: 1 });
    const [task] = await create(1);
    const [lost] = await room.claim(worker);
    await create(1);
    await room.test.sql(`update task_running set lease_until = muster_now() - interval '1 second' where task_id = $1`, [
      task?.id,
    ]);
    await room.app.get(LeaseSweep).once();
    const other = await room.connect();
    const [taken, ...more] = await room.claim(other);
    expect(more).toEqual([]);
    expect(taken).toMatchObject({ taskId: task?.id, attempt: 2 });
    expect((await room.verb(worker, lost as TaskAssignment, 'complete', { output: null })).status).toBe(409);
    await room.verb(other, taken as TaskAssignment, 'release', { reason: 'not now' });
    // The one that waited, or the one that was given back: one of them, and no second.
    expect(await room.claim(worker)).toHaveLength(1);
    expect(await room.claim(other)).toEqual([]);
  });

  it('is asked again where a server does not know the latest limits', async () => {
    await create(3);
    // As another server would, with nobody told.
    await room.test.sql(
      `insert into dispatch_limits (id, team_id, project_id, max_running, created_at, updated_at, updated_by)
       values ('lim_01jd9x0m4ve2tbk6x3h2v4q8zr', $1, $2, 1, now(), now(), 'somebody')`,
      [room.team, project],
    );
    expect(await room.claim(worker)).toHaveLength(1);
  });

  it('is the reason that explain gives, with what would change it', async () => {
    const { id } = await limit({ maxRunning: 1 });
    const tasks = await create(2);
    const [held] = await room.claim(worker);
    const waits = tasks.find((task) => task.id !== held?.taskId);
    const told = await explain(waits?.id ?? '');
    expect(told).toMatchObject({ blocker: 'limit', ref: id, until: null });
    expect(told.summary).toMatch(/allows 1 at once .*: 1 run/);
    expect(told.change).toMatch(/one of those that run ends; or raise the limit/);
    await limit({ maxRunning: 2 });
    expect((await explain(waits?.id ?? '')).blocker).toBe('none');
    expect(await room.claim(worker)).toHaveLength(1);
  });
});

describe('how many begin in a while', () => {
  it('is never more than allowed in any stretch of it, however they end', async () => {
    await limit({ maxStarts: 3, perSeconds: 60 });
    await create(9);
    const first = await room.claim(worker, 2);
    for (const task of first) await finish(task);
    await passes(30);
    expect(await room.claim(worker)).toHaveLength(1);
    await passes(29);
    expect(await room.claim(worker)).toEqual([]);
    // The two of the beginning count no more.
    await passes(2);
    expect(await room.claim(worker)).toHaveLength(2);
    expect(await room.claim(worker)).toEqual([]);
    await passes(3600);
    expect(await room.claim(worker, 1)).toHaveLength(1);
    expect(await room.test.sql(`select starts from dispatch_limit_starts`)).toEqual([{ starts: 1 }]);
  });

  it('says when the next one may begin', async () => {
    const { id } = await limit({ maxStarts: 2, perSeconds: 60 });
    await create(1);
    await room.claim(worker);
    await passes(10);
    const tasks = await create(2);
    const [begun] = await room.claim(worker);
    const waits = tasks.find((task) => task.id !== begun?.taskId);
    await passes(10);
    const [now] = await list();
    // When the first of the two that count is a minute old.
    const [first] = await room.test.sql<{ over: Date }>(
      `select min(at) + interval '60 seconds' as over from dispatch_limit_starts where limit_id = $1`,
      [id],
    );
    expect(now).toMatchObject({ id, started: 2, nextStartAt: first?.over.toISOString() });
    const told = await explain(waits?.id ?? '');
    expect(told).toMatchObject({ blocker: 'limit', ref: id, until: now?.nextStartAt });
  });
});
