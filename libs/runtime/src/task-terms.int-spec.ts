import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Problem, TaskAssignment, TaskView } from '@muster/contracts';
import { runtimeRoom, type RuntimeRoom, type Worker } from '#test/runtime-room';
import { LeaseSweep } from './dispatch/sweep.ts';
import { TermsSweep } from './dispatch/terms-sweep.ts';
import { RuntimeModule } from './runtime.module.ts';

let room: RuntimeRoom;
beforeAll(async () => {
  room = await runtimeRoom(RuntimeModule);
}, 60_000);
afterAll(() => room.close());

const sweep = async () => {
  await room.app.get(LeaseSweep).once();
  await room.app.get(TermsSweep).once();
};
const refused = async (more: object) => {
  const answer = await room.call(room.person, 'POST', '/tasks', {
    projectId: room.project,
    capability: 'code.change',
    input: { file: 'a.ts' },
    ...more,
  });
  return { status: answer.status, code: answer.body.code };
};
const bulk = async (tasks: object[]) =>
  (
    await room.call<{ items: { taskId: string | null; created: boolean; problem?: Problem }[] }>(
      room.person,
      'POST',
      '/tasks/bulk',
      { projectId: room.project, capability: 'code.change', tasks },
    )
  ).body.items;
const one = (tasks: TaskAssignment[], taskId: string): TaskAssignment => {
  const found = tasks.find((task) => task.taskId === taskId);
  if (found === undefined) throw new Error(`${taskId} was not handed out`);
  return found;
};
const finish = async (worker: Worker, task: TaskAssignment) =>
  expect((await room.verb(worker, task, 'complete', { output: null })).status).toBe(200);
const soon = (ms: number) => new Date(Date.now() + ms).toISOString();
/** As if the moment had come. */
const comes = (taskId: string, kind: string) =>
  room.test.sql(`update task_due set at = muster_now() - interval '1 second' where task_id = $1 and kind = $2`, [
    taskId,
    kind,
  ]);

describe('a task that depends on others', () => {
  it('waits by name, and is queued by the completion of the last of them, with no sweep in between', async () => {
    const worker = await room.connect();
    const [a, b] = [await room.create(), await room.create()];
    const last = await room.create({ dependsOn: [a.id, b.id] });
    expect(last).toMatchObject({ state: 'waiting', wait: { reason: 'dependency', ref: [a.id, b.id].sort()[0] } });
    const claimed = await room.claim(worker);
    expect(claimed.map(({ taskId }) => taskId).sort()).toEqual([a.id, b.id].sort());
    await finish(worker, one(claimed, a.id));
    expect(await room.show(last.id)).toMatchObject({
      state: 'waiting',
      wait: { reason: 'dependency', ref: b.id },
      dependsOn: expect.arrayContaining([
        { taskId: a.id, state: 'succeeded' },
        { taskId: b.id, state: 'running' },
      ]),
    });
    await finish(worker, one(claimed, b.id));
    expect((await room.show(last.id)).state).toBe('queued');
    expect(await room.eventsOf(last.id)).toEqual(['task.created', 'task.waiting', 'task.requeued']);
    await finish(worker, one(await room.claim(worker), last.id));
    expect(await room.broken()).toEqual([]);
  });

  it('is queued at once when all of them have succeeded already, and refused when one cannot any more', async () => {
    const worker = await room.connect();
    const done = await room.create();
    await finish(worker, one(await room.claim(worker), done.id));
    const next = await room.create({ dependsOn: [done.id] });
    expect(next.state).toBe('queued');
    await room.call(room.person, 'POST', `/tasks/${next.id}/cancel`, {});
    expect(await refused({ dependsOn: [next.id] })).toEqual({ status: 422, code: 'runtime.dependency_failed' });
    expect((await refused({ dependsOn: ['task_01jd9x0m4ve2tbk6x3h2v4q8zr'] })).status).toBe(404);
  });

  it('is queued once when the last ones succeed at the same moment, fifty times', async () => {
    const worker = await room.connect({ capacity: 100 });
    const items = await bulk([
      ...Array.from({ length: 50 }, () => ({ input: { file: 'a.ts' } })),
      ...Array.from({ length: 50 }, (_, n) => ({
        input: { file: 'b.ts' },
        dependsOn: [n, (n + 1) % 50, (n + 2) % 50],
      })),
    ]);
    expect(items.every(({ created }) => created)).toBe(true);
    const first = await room.claim(worker, 100);
    expect(first).toHaveLength(50);
    await Promise.all(first.map((task) => finish(worker, task)));
    await sweep();
    const second = await room.claim(worker, 100);
    expect(second.map(({ taskId }) => taskId).sort()).toEqual(
      items
        .slice(50)
        .map(({ taskId }) => taskId)
        .sort(),
    );
    for (const { taskId } of second)
      expect((await room.eventsOf(taskId)).filter((type) => type === 'task.requeued')).toHaveLength(1);
    await Promise.all(second.map((task) => finish(worker, task)));
    expect(await room.broken()).toEqual([]);
  });

  it('in hundreds on one task are all queued when it succeeds', async () => {
    const worker = await room.connect({ capacity: 100 });
    const root = await room.create();
    const items = await bulk(Array.from({ length: 250 }, () => ({ input: { file: 'a.ts' }, dependsOn: [root.id] })));
    await finish(worker, one(await room.claim(worker), root.id));
    await sweep();
    const states = await room.test.sql<{ state: string; count: number }>(
      `select state, count(*)::int as count from tasks_now where id = any ($1) group by state`,
      [items.map(({ taskId }) => taskId)],
    );
    expect(states).toEqual([{ state: 'queued', count: 250 }]);
    for (const { taskId } of items) await room.call(room.person, 'POST', `/tasks/${taskId ?? ''}/cancel`, {});
  }, 60_000);

  it('is cancelled with the reason when one of them fails, and so are its own dependants; or waits for a person', async () => {
    const worker = await room.connect();
    const root = await room.create();
    const child = await room.create({ dependsOn: [root.id] });
    const grandchild = await room.create({ dependsOn: [child.id] });
    const asking = await room.create({ dependsOn: [root.id], onDependencyFailure: 'person' });
    const task = one(await room.claim(worker), root.id);
    await room.verb(worker, task, 'fail', { error: 'cannot be done', retryable: false });
    await sweep();
    expect(await room.show(child.id)).toMatchObject({
      state: 'cancelled',
      error: `dependency_failed: it was to wait for ${root.id}, which is failed`,
    });
    expect(await room.show(grandchild.id)).toMatchObject({
      state: 'cancelled',
      error: `dependency_cancelled: it was to wait for ${child.id}, which is cancelled`,
    });
    expect(await room.show(asking.id)).toMatchObject({ state: 'waiting', wait: { reason: 'person', ref: root.id } });
    expect(await room.broken()).toEqual([]);
    expect((await room.call<TaskView>(room.person, 'POST', `/tasks/${asking.id}/retry`, {})).body.state).toBe('queued');
    await finish(worker, one(await room.claim(worker), asking.id));
  });

  it('may name earlier items of its request; a circle and a refused item are refused by name', async () => {
    const items = await bulk([
      { input: { file: 'a.ts' } },
      { input: { file: 'a.ts' }, dependsOn: [0] },
      { input: { file: 'a.ts' }, dependsOn: [3] },
      { input: { file: 'a.ts' }, dependsOn: [3] },
      { input: { wrong: true } },
      { input: { file: 'a.ts' }, dependsOn: [4] },
    ]);
    expect(items.map(({ problem }) => problem?.code ?? null)).toEqual([
      null,
      null,
      'runtime.dependency_cycle',
      'runtime.dependency_cycle',
      'runtime.input_invalid',
      'runtime.dependency_refused',
    ]);
    expect(await room.show(items[1]?.taskId ?? '')).toMatchObject({
      wait: { reason: 'dependency', ref: items[0]?.taskId },
    });
    await room.call(room.person, 'POST', `/tasks/${items[0]?.taskId ?? ''}/cancel`, {});
    await sweep();
  });

  it('keeps its delay when what it waits for is done early', async () => {
    const worker = await room.connect();
    const root = await room.create();
    const later = await room.create({ dependsOn: [root.id], notBefore: soon(3_600_000) });
    await finish(worker, one(await room.claim(worker), root.id));
    expect(await room.claim(worker)).toEqual([]);
    await comes(later.id, 'delay');
    await sweep();
    await finish(worker, one(await room.claim(worker), later.id));
    expect(await room.broken()).toEqual([]);
  });
});

describe('a deadline', () => {
  it('in the past is refused, and so is one before the task may begin', async () => {
    expect(await refused({ deadline: soon(-1_000) })).toEqual({ status: 400, code: 'runtime.deadline_passed' });
    expect(await refused({ deadline: soon(60_000), notBefore: soon(120_000) })).toEqual({
      status: 400,
      code: 'runtime.deadline_before_start',
    });
    expect((await refused({ deadline: 'tomorrow' })).status).toBe(400);
  });

  it('fails what has not been started, and leaves nothing to claim', async () => {
    const worker = await room.connect();
    const { id } = await room.create({ deadline: soon(3_600_000) });
    await comes(id, 'deadline');
    await sweep();
    expect(await room.show(id)).toMatchObject({ state: 'failed', error: 'deadline_passed: it had not been started' });
    expect(await room.claim(worker)).toEqual([]);
    expect(await room.eventsOf(id)).toEqual(['task.created', 'task.failed']);
  });

  it('ends the attempt of what is running: later writes are refused', async () => {
    const worker = await room.connect();
    const { id } = await room.create({ deadline: soon(3_600_000) });
    const task = one(await room.claim(worker), id);
    await comes(id, 'deadline');
    await sweep();
    expect(await room.show(id)).toMatchObject({
      state: 'failed',
      error: 'deadline_passed: it was still being worked on',
      attempts: [{ outcome: 'cancelled' }],
    });
    expect((await room.verb(worker, task, 'complete', { output: null })).body).toMatchObject({
      code: 'runtime.stale_lease',
    });
    expect(await room.broken()).toEqual([]);
  });

  it('changes nothing for what was done in time', async () => {
    const worker = await room.connect();
    const { id } = await room.create({ deadline: soon(3_600_000) });
    await finish(worker, one(await room.claim(worker), id));
    await comes(id, 'deadline');
    await sweep();
    expect((await room.show(id)).state).toBe('succeeded');
  });

  it('and a delay: not handed out before its time', async () => {
    const worker = await room.connect();
    const { id } = await room.create({ notBefore: soon(1_800_000), deadline: soon(3_600_000) });
    expect(await room.claim(worker)).toEqual([]);
    await comes(id, 'delay');
    await sweep();
    await finish(worker, one(await room.claim(worker), id));
  });
});
