import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TaskHistory, TaskView } from '@muster/contracts';
import { Database } from '#platform/database';
import { runtimeRoom, type RuntimeRoom } from '#test/runtime-room';
import { TaskRetention } from './retention/task-retention.ts';
import { RuntimeModule } from './runtime.module.ts';

let room: RuntimeRoom;
beforeAll(async () => {
  room = await runtimeRoom(RuntimeModule, { MUSTER_TASKS_ARCHIVE_AFTER: '30m', MUSTER_TASKS_RETENTION: '30d' });
}, 60_000);
afterAll(() => room.close());

const retain = () => room.app.get(TaskRetention).once(new AbortController().signal);
/** As if what has ended had ended so long before. */
const age = (by: string) =>
  room.test.sql(`update tasks set finished_at = finished_at - $1::interval where finished_at is not null`, [by]);
const hot = async (ids: readonly string[]) =>
  (await room.test.sql<{ id: string }>(`select id from tasks where id = any ($1)`, [ids])).map(({ id }) => id);
async function done(more: Parameters<RuntimeRoom['create']>[0] = {}): Promise<string> {
  const worker = await room.connect();
  const task = await room.create(more);
  for (const given of await room.claim(worker, 10))
    await room.verb(worker, given, given.taskId === task.id ? 'complete' : 'release', {});
  await room.call(worker.actor, 'POST', `/runtime/instances/${worker.instanceId}/bye`, {});
  return task.id;
}
const get = async (path: string) => (await room.call(room.person, 'GET', path)).body;
const create = (body: object, key?: string) =>
  room.call<{ id: string; state: string }>(
    room.person,
    'POST',
    '/tasks',
    { projectId: room.project, capability: 'code.change', input: { file: 'a.ts' }, ...body },
    key === undefined ? {} : { 'idempotency-key': key },
  );

describe('a task that ended long ago', () => {
  it('is answered about as before when it is in the archive, and everything that must be so still is', async () => {
    const worker = await room.connect();
    const task = await room.create();
    const [given] = await room.claim(worker, 1);
    if (given === undefined) throw new Error('nothing was handed out');
    await room.verb(worker, given, 'log', { lines: ['one', 'two'] });
    await room.verb(worker, given, 'cost', { key: 'a', usd: 0.25 });
    await room.verb(worker, given, 'complete', { output: { ok: true } });
    const cancelled = await room.create();
    await room.call(room.person, 'POST', `/tasks/${cancelled.id}/cancel`, {});
    const queued = await room.create();
    await age('3 hours');
    const paths = [
      `/tasks/${task.id}`,
      `/tasks/${task.id}/history`,
      `/tasks/${task.id}/logs`,
      `/tasks/${task.id}/explain`,
      `/tasks?projectId=${room.project}`,
      `/tasks?state=succeeded`,
      `/tasks?state=cancelled,queued`,
      `/tasks?state=succeeded&agent=coder&capability=code.change`,
      `/projects/${room.project}/operations`,
    ];
    const before = await Promise.all(paths.map(get));
    expect(await room.broken()).toEqual([]);

    expect(await retain()).toEqual({ archived: 2, dropped: [] });
    expect(await hot([task.id, cancelled.id, queued.id])).toEqual([queued.id]);
    expect(await room.test.sql(`select from attempts where task_id = $1`, [task.id])).toEqual([]);
    expect(await Promise.all(paths.map(get))).toEqual(before);
    expect((before[1] as unknown as TaskHistory).attempts[0]).toMatchObject({
      log: { lines: 2, last: 'two' },
      costs: { usd: 0.25 },
    });
    expect(await room.broken()).toEqual([]);
    expect(await retain()).toEqual({ archived: 0, dropped: [] });
  });

  it('is there for as long as something below it, or something that waits for it, is not done', async () => {
    const root = await room.create();
    const child = await room.create({ parentId: root.id });
    const grandchild = await room.create({ parentId: child.id });
    for (const { id } of [root, child]) await room.call(room.person, 'POST', `/tasks/${id}/cancel`, {});
    const needed = await room.create();
    const waiting = await room.create({ dependsOn: [needed.id], onDependencyFailure: 'person' });
    await room.call(room.person, 'POST', `/tasks/${needed.id}/cancel`, {});
    await age('3 hours');
    await retain();
    expect(await hot([root.id, child.id, grandchild.id, needed.id, waiting.id])).toHaveLength(5);
    for (const { id } of [grandchild, waiting]) await room.call(room.person, 'POST', `/tasks/${id}/cancel`, {});
    await room.test.sql(`delete from task_due where kind = 'dependants'`);
    await room.test.sql(`update task_dependencies set met = true`);
    await age('3 hours');
    for (let round = 0; round < 3; round += 1) await retain();
    expect(await hot([root.id, child.id, grandchild.id, needed.id, waiting.id])).toEqual([]);
    const children = await get(`/tasks?parentId=${root.id}`);
    expect((children['items'] as TaskView[]).map(({ id }) => id)).toEqual([child.id]);
    expect(await room.broken()).toEqual([]);
  });

  it('keeps its idempotency key, ends no cancel, and is no parent any more; to depend on it is to depend on what it became', async () => {
    const first = await create({}, 'once');
    await room.call(room.person, 'POST', `/tasks/${first.body.id}/cancel`, {});
    const good = await done();
    await age('3 hours');
    await retain();
    expect(await hot([first.body.id, good])).toEqual([]);
    await room.test.sql(`delete from idempotency_keys`);
    expect(await create({}, 'once')).toMatchObject({ status: 201, body: { id: first.body.id, state: 'cancelled' } });
    expect(await room.call(room.person, 'POST', `/tasks/${good}/cancel`, {})).toMatchObject({
      status: 409,
      body: { code: 'runtime.task_finished' },
    });
    expect(await create({ parentId: good })).toMatchObject({ status: 409, body: { code: 'runtime.parent_archived' } });
    expect(await create({ dependsOn: [good] })).toMatchObject({ status: 201, body: { state: 'queued' } });
    expect((await create({ dependsOn: [first.body.id] })).status).toBe(422);
    expect((await room.call(room.actor({ teamId: 'team_elsewhere' }), 'GET', `/tasks/${good}`)).status).toBe(404);
    expect(await room.broken()).toEqual([]);
  });

  it('is gone with its month when nothing of that is to be kept; then its key makes a new task', async () => {
    const old = await create({}, 'twice');
    await room.call(room.person, 'POST', `/tasks/${old.body.id}/cancel`, {});
    // Created in a month before, so that nothing else is of it.
    const id = `task_01hzzz${old.body.id.slice(11)}`;
    await room.test.sql(`update tasks set id = $2, created_at = '2024-06-01' where id = $1`, [old.body.id, id]);
    await room.test.sql(`update events set subject = $2 where subject = $1`, [old.body.id, id]);
    await age('3 hours');
    await retain();
    expect((await room.call(room.person, 'GET', `/tasks/${id}`)).status).toBe(200);
    const [month] = await room.test.sql<{ month: string }>(
      `update task_archive_partitions set newest_end = newest_end - interval '40 days' where $1 >= first and $1 < last returning month`,
      [id],
    );

    let letGo = (): void => undefined;
    const reading = new Promise<void>((resolve) => (letGo = resolve));
    let isReading = (): void => undefined;
    const begun = new Promise<void>((resolve) => (isReading = resolve));
    const reader = room.app.get(Database).transaction(async (tx) => {
      await tx.sql(`select count(*) from task_archive`);
      isReading();
      await reading;
    });
    await begun;
    const dropping = retain();
    // A reader of the archive keeps the month for as long as it reads, and nobody else waits for either.
    const meanwhile = await done();
    expect((await get(`/tasks/${meanwhile}`))['state']).toBe('succeeded');
    expect((await room.call(room.person, 'GET', `/tasks?projectId=${room.project}`)).status).toBe(200);
    letGo();
    await reader;
    expect((await dropping).dropped).toEqual([month?.month]);
    expect((await room.call(room.person, 'GET', `/tasks/${id}`)).status).toBe(404);
    await room.test.sql(`delete from idempotency_keys`);
    const again = await create({}, 'twice');
    expect(again.status).toBe(201);
    expect([id, old.body.id]).not.toContain(again.body.id);
    expect(await room.broken()).toEqual([]);
  });
});

describe('the archive', () => {
  it('has the columns of the tables whose rows it takes, in their order', async () => {
    const columnsOf = async (table: string) =>
      room.test.sql(
        `select column_name, data_type from information_schema.columns where table_name = $1 order by ordinal_position`,
        [table],
      );
    for (const [table, kept] of [
      ['tasks', 'task_archive'],
      ['attempts', 'attempt_archive'],
      ['task_costs', 'task_cost_archive'],
      ['task_log_lines', 'task_log_archive'],
      ['task_reworks', 'task_rework_archive'],
    ] as const)
      expect(await columnsOf(kept)).toEqual(await columnsOf(table));
    expect(await columnsOf('tasks_ended')).toEqual(await columnsOf('tasks_now'));
  });
});
