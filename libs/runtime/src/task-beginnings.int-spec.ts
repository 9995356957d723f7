import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { ServerMessage } from '@muster/contracts';
import { WebSocket } from 'ws';
import { SystemIds } from '#kernel';
import { Database } from '#platform/database';
import { runtimeRoom, type RuntimeRoom, type Worker } from '#test/runtime-room';
import { until } from '#test/until';
import { Creations } from './batches/creations.ts';
import { Dispatcher } from './dispatch/dispatcher.ts';
import { Lanes } from './dispatch/lanes.ts';
import { RuntimeModule } from './runtime.module.ts';
import { create, type NewTaskRow } from './sql/create.ts';

let room: RuntimeRoom;
let worker: Worker;
const ids = new SystemIds();
beforeAll(async () => {
  room = await runtimeRoom(RuntimeModule);
}, 60_000);
afterAll(() => room.close());
beforeEach(async () => {
  for (const { id } of await room.test.sql<{ id: string }>(`select id from tasks where finished_at is null`))
    await room.call(room.person, 'POST', `/tasks/${id}/cancel`, {});
  await room.test.sql(`update instances set state = 'offline'`);
  worker = await room.connect({ capacity: 10 });
});

const database = () => room.app.get(Database);
const laneOf = async (taskId: string): Promise<number> =>
  (await room.test.sql<{ lane: number }>(`select lane from tasks where id = $1`, [taskId]))[0]?.lane ?? 0;
/** Some lane's number, in which nothing waits. */
const emptyLane = async (): Promise<number> => {
  const { id } = await room.create();
  await room.call(room.person, 'POST', `/tasks/${id}/cancel`, {});
  return laneOf(id);
};
const stateOf = async (taskId: string): Promise<string> => (await room.show(taskId)).state;

describe('a new task', () => {
  it('begins with the commit that makes it, where an agent has asked for work and nothing waits', async () => {
    await room.test.sql(`update instances set state = 'offline'`);
    const got: ServerMessage[] = [];
    const address = (await room.app.getUrl()).replace('http', 'ws');
    const socket = new WebSocket(`${address}/api/runtime/connect`, {
      headers: { authorization: `Bearer ${room.actor().id}` },
    });
    socket.on('message', (raw) => got.push(...(JSON.parse((raw as Buffer).toString()) as ServerMessage[])));
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    socket.send(
      JSON.stringify([{ type: 'hello', seq: 1, protocol: 1, agent: 'coder', capabilities: ['code.change'] }]),
    );
    await until(() => got.find(({ type }) => type === 'welcome'));
    socket.send(JSON.stringify([{ type: 'credit', seq: 2, count: 1 }]));
    await until(() => got.find((message) => message.type === 'ok' && message.re === 2));

    const [first, second] = [await room.create(), await room.create()];
    const message = await until(() => got.find(({ type }) => type === 'task'));
    expect(message).toMatchObject({ task: { taskId: first.id, attempt: 1, input: { file: 'a.ts' } } });
    const told = await room.test.sql<{ type: string; position: number; together: boolean }>(
      `select e.type, e.position, r.started_at = t.created_at as together
       from events e join tasks t on t.id = e.subject join task_running r on r.task_id = t.id where e.subject = $1 order by e.position`,
      [first.id],
    );
    expect(told.map(({ type, together }) => [type, together])).toEqual([
      ['task.created', true],
      ['task.started', true],
    ]);
    // It asked for one.
    expect(await stateOf(second.id)).toBe('queued');
    expect(await room.broken()).toEqual([]);
    socket.close();
  });

  it('that began is in no queue, and is completed like any other', async () => {
    const lane = await emptyLane();
    const rows = [room.newRow(lane), room.newRow(lane)];
    const { started, first } = await create(database(), rows, await room.startsAt(worker, lane, [0, -1]));
    expect(started.map(({ task_id, instance_id, number }) => [task_id, instance_id, number])).toEqual([
      [rows[0]?.id, worker.instanceId, 1],
    ]);
    expect(first).not.toBeNull();
    expect(await Promise.all(rows.map(({ id }) => stateOf(id)))).toEqual(['running', 'queued']);
    const fence = started[0]?.fence ?? 0;
    const ended = await room.verb(worker, { taskId: rows[0]?.id ?? '', fence }, 'complete', { output: { ok: true } });
    expect(ended.status).toBe(200);
    expect((await room.claim(worker, 5)).map(({ taskId }) => taskId)).toEqual([rows[1]?.id]);
    expect(await room.broken()).toEqual([]);
  });

  it("begins under a key as well, once: who asks again with that key makes none and takes nobody's place", async () => {
    const lane = await emptyLane();
    const idempotencyKey = `once ${lane}`;
    const rows = [
      { ...room.newRow(lane), idempotencyKey },
      { ...room.newRow(lane), idempotencyKey },
      room.newRow(lane),
    ];
    const { made, started } = await create(database(), rows, await room.startsAt(worker, lane, [0, 0, 0]));
    expect(made?.size).toBe(2);
    expect(made?.has(rows[2]?.id ?? '')).toBe(true);
    expect(new Set(started.map(({ task_id }) => task_id))).toEqual(made);
    const later = { ...room.newRow(lane), idempotencyKey };
    const again = await create(database(), [later], await room.startsAt(worker, lane, [0]));
    expect(again).toMatchObject({ made: new Set(), started: [], unheard: [] });
    expect(await room.test.sql(`select 1 from events where subject = $1`, [later.id])).toEqual([]);
    expect(await room.broken()).toEqual([]);
  });

  it('of several under one key in a batch is the first, and all others keep their order', async () => {
    const lane = await emptyLane();
    for (const isFree of [false, true]) {
      const key = ids.next('task');
      // As many as a sort would mix up.
      const rows = Array.from({ length: 60 }, (_, n) => room.newRow(lane, n % 3 === 0 ? key : `${key} ${60 - n}`));
      const places = rows.map((_, n) => (n < 5 ? 0 : -1));
      const { made } = await create(database(), rows, isFree ? await room.startsAt(worker, lane, places) : null);
      const expected = rows.filter((_, n) => n % 3 !== 0 || n === 0).map(({ id }) => id);
      expect(made).toEqual(new Set(expected));
      const told = await room.test.sql<{ subject: string }>(
        `select subject from events where type = 'task.created' and subject = any ($1) order by position`,
        [expected],
      );
      expect(told.map(({ subject }) => subject)).toEqual(expected);
      const waiting = await room.test.sql<{ task_id: string }>(
        `select task_id from task_ready where task_id = any ($1) order by seq`,
        [expected],
      );
      expect(waiting.map((row) => row.task_id)).toEqual(isFree ? expected.slice(-waiting.length) : expected);
    }
  });

  it('under a key that began while the answer was lost goes back at once', async () => {
    const lane = await emptyLane();
    const made = { ...room.newRow(lane), idempotencyKey: `lost ${lane}` };
    const starts = await room.startsAt(worker, lane, [0]);
    expect((await create(database(), [made], starts)).started).toHaveLength(1);
    const again = await create(database(), [made, room.newRow(lane)], { ...starts, places: [0, 0] });
    expect(again.made?.has(made.id)).toBe(true);
    expect(again.started).toHaveLength(1);
    expect(again.unheard).toMatchObject([{ taskId: made.id, actorId: worker.actor.id }]);
  });

  it('stands behind what waits in its lane already', async () => {
    const { id } = await room.create();
    const lane = await laneOf(id);
    const made = room.newRow(lane);
    expect((await create(database(), [made], await room.startsAt(worker, lane, [0]))).started).toEqual([]);
    expect((await room.claim(worker, 5)).map(({ taskId }) => taskId)).toEqual([id, made.id]);
  });

  it('stands behind what had begun and came back', async () => {
    const { id } = await room.create();
    const lane = await laneOf(id);
    await room.test.sql(`update task_ready set lane = -lane where task_id = $1`, [id]);
    const made = room.newRow(lane);
    expect((await create(database(), [made], await room.startsAt(worker, lane, [0]))).started).toEqual([]);
    expect(await stateOf(made.id)).toBe('queued');
  });

  it('is queued when its instance may not have it, or the limits have changed', async () => {
    const lane = await emptyLane();
    const good = await room.startsAt(worker, lane, [0]);
    const rows = [room.newRow(lane), room.newRow(lane), room.newRow(lane)];
    const started = [];
    for (const [n, starts] of [
      { ...good, limitVersion: good.limitVersion - 1 },
      { ...good, instances: [{ id: worker.instanceId, connection: 'an older one' }] },
    ].entries()) {
      started.push(...(await create(database(), [rows[n] ?? room.newRow(lane)], starts)).started);
      await room.claim(worker);
    }
    await room.test.sql(`update instances set state = 'paused' where id = $1`, [worker.instanceId]);
    started.push(...(await create(database(), [rows[2] ?? room.newRow(lane)], good)).started);
    expect(started).toEqual([]);
    expect(await Promise.all(rows.map(({ id }) => stateOf(id)))).toEqual(['running', 'running', 'queued']);
  });

  it('that began while the answer was lost goes back at once, and costs no attempt', async () => {
    const lane = await emptyLane();
    const made = room.newRow(lane);
    const starts = await room.startsAt(worker, lane, [0]);
    expect((await create(database(), [made], starts)).started).toHaveLength(1);
    const again = await create(database(), [made], starts);
    expect(again.made).toEqual(new Set([made.id]));
    expect(again.unheard).toMatchObject([{ taskId: made.id, actorId: worker.actor.id }]);
    room.app.get(Dispatcher).giveBack(again.unheard);
    for (let tries = 0; (await stateOf(made.id)) !== 'queued'; tries += 1) {
      if (tries > 400) throw new Error('It was not given back.');
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    expect(await room.show(made.id)).toMatchObject({ attempts: [{ outcome: 'released' }] });
    expect((await room.claim(await room.connect())).map(({ taskId }) => taskId)).toEqual([made.id]);
    expect(await room.broken()).toEqual([]);
  });

  it('of one team does not wait for the batch in which those of another are made', async () => {
    const { id } = await room.create();
    const own = await laneOf(id);
    const theirs = await room.app.get(Lanes).of({
      teamId: ids.next('team'),
      projectId: ids.next('project'),
      capability: 'code.change',
      priority: 2,
      agentWish: null,
      agentRange: null,
      labels: {},
      unfitAgents: [],
      sticky: false,
    });
    const creations = room.app.get(Creations);
    const held = Promise.withResolvers<void>();
    const given = Promise.withResolvers<void>();
    // Somebody is about to use the key that the first creation asks for, and takes their time.
    const slow = database().transaction(async (tx) => {
      await tx.sql(
        `insert into tasks
         select (jsonb_populate_record(t, jsonb_build_object('id', $1::text, 'idempotency_key', 'wanted by two'))).* from tasks t where id = $2`,
        [ids.next('task'), id],
      );
      held.resolve();
      await given.promise;
      throw new Error('and leaves it');
    });
    await held.promise;
    let answered = false;
    const first = creations
      .add({ ...room.newRow(own), teamId: room.team, idempotencyKey: 'wanted by two', keeping: null })
      .finally(() => (answered = true));
    for (let waiting = 0; waiting === 0;)
      waiting = (
        await room.test.sql(
          `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'transactionid'`,
        )
      ).length;
    const other = await creations.add({ ...room.newRow(theirs.id), teamId: theirs.teamId, keeping: null });
    expect(other).toMatchObject({ id: expect.any(String) });
    expect(answered).toBe(false);
    given.resolve();
    await expect(slow).rejects.toThrow('and leaves it');
    expect(await first).toMatchObject({ id: expect.any(String) });
  });

  it.each([false, true])(
    'waits for others that take the same keys in another order, and none of them is ended for it; with a free agent: %s',
    async (isFree) => {
      const lane = await emptyLane();
      const starts = isFree ? await room.startsAt(worker, lane, [0, 0, 0]) : null;
      const name = ids.next('task');
      const keep = (n: number): string =>
        `{"route":"POST /tasks","key":"${name} ${n}","hash":"","answer":{"title":null}}`;
      const keyed = (n: number): NewTaskRow => room.newRow(lane, `${name} ${n}`);
      const answered = (n: number): NewTaskRow => ({
        ...room.newRow(lane, `${name} ${ids.next('task')}`),
        keep: keep(n),
      });
      const took: (readonly [string, readonly unknown[]])[] = [
        [
          `insert into tasks select (jsonb_populate_record(t, jsonb_build_object('id', $1::text, 'idempotency_key', $2::text))).*
           from tasks t where lane = $3 limit 1`,
          [ids.next('task'), `${name} 2`, lane],
        ],
        [
          `insert into idempotency_keys (team_id, actor_id, route, key, request_hash) values ($1, $2, 'POST /tasks', $3, '')`,
          [room.team, room.person.id, `${name} 2`],
        ],
      ];
      const waitsForKey = `select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'transactionid' and query like '%given as materialized%'`;
      for (const [n, rowOf] of [keyed, answered].entries()) {
        const [insert, values] = took[n] ?? ['', []];
        const [there, back] = [[1, 2, 3].map(rowOf), [3, 2, 1].map(rowOf)];
        // Both are under way, with what each has taken, before either goes on: the key in the middle is somebody's.
        const creating: ReturnType<typeof create>[] = [];
        await database()
          .transaction(async (tx) => {
            await tx.sql('set local idle_in_transaction_session_timeout = 0');
            await tx.sql(insert, values);
            for (const [before, rows] of [there, back].entries()) {
              const one = create(database(), rows, starts);
              one.catch(() => {});
              creating.push(one);
              for (let waiting = 0, tries = 0; waiting <= before; tries += 1) {
                if (tries > 400) throw new Error('It does not wait for the key.');
                await new Promise((resolve) => setTimeout(resolve, 25));
                waiting = (await room.test.sql(waitsForKey)).length;
              }
            }
            throw new Error('and leaves it');
          })
          .catch((error: unknown) => expect(error).toMatchObject({ message: 'and leaves it' }));
        const all = await Promise.all(creating);
        const made = all.map((one, at) => one.made?.size ?? (at === 0 ? there : back).length);
        expect(made.toSorted()).toEqual([0, 3]);
      }
      expect(await room.broken()).toEqual([]);
    },
  );

  it('of a lane that is not there any more is not made, and not said to be', async () => {
    for (const rows of [[room.newRow(2_000_000)], [room.newRow(2_000_000), room.newRow(await emptyLane())]]) {
      const starts = await room.startsAt(
        worker,
        2_000_000,
        rows.map(() => 0),
      );
      for (const { made } of [
        await create(database(), rows, null),
        await create(
          database(),
          rows.map((row) => ({ ...row, id: ids.next('task') })),
          starts,
        ),
      ])
        expect(made?.size).toBe(rows.length - 1);
    }
    expect(await room.broken()).toEqual([]);
  });
});
