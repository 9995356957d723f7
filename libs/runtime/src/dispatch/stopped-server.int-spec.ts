import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { SystemIds } from '#kernel';
import { Database, hotConnections, openOrm } from '#platform/database';
import { Rounds } from '#platform/rounds';
import { runtimeRoom, type RuntimeRoom, type Worker } from '#test/runtime-room';
import { RuntimeModule } from '../runtime.module.ts';
import { claimEach } from '../sql/claim.ts';
import { limitVersion } from '../sql/limits.ts';
import { firstExpired, offerExpired, sweepLimit } from '../sql/sweep.ts';

const ids = new SystemIds();
let room: RuntimeRoom;
const ends: (() => Promise<void>)[] = [];
beforeAll(async () => {
  room = await runtimeRoom(RuntimeModule);
  // What is offered here, a test offers.
  await room.app.get(Rounds).beforeApplicationShutdown();
}, 60_000);
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});
afterAll(() => room.close());

/** A server's way to the database. Once it is stopped it hears no answer, says nothing more, and keeps its connection. */
async function server(): Promise<{ database: Database; stop: () => void }> {
  const { hostname, port } = new URL(room.test.url);
  let stopped = false;
  const sockets = new Set<Socket>();
  const way = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) sockets.add(socket.on('error', () => undefined));
    client.on('data', (chunk) => upstream.write(chunk)).on('close', () => upstream.destroy());
    upstream.on('data', (chunk) => stopped || client.write(chunk)).on('close', () => client.destroy());
  });
  await once(way.listen(0, '127.0.0.1'), 'listening');
  const url = new URL(room.test.url);
  url.hostname = '127.0.0.1';
  url.port = String((way.address() as AddressInfo).port);
  const orm = await openOrm({ url: url.href, entities: [], poolSize: 1 });
  const database = new Database(orm, await orm.em.getConnection().getNativeClient(), ids);
  ends.push(async () => {
    for (const socket of sockets) socket.destroy();
    await database.close();
    await orm.close(true);
    await new Promise((done) => way.close(done));
  });
  // On each of its connections: it can begin no other once it is stopped.
  const hello = (): Promise<object[]> => database.hot('hello', 'select $1::int as n, pg_sleep(0.2)', [1]);
  await Promise.all(Array.from({ length: hotConnections }, hello));
  return { database, stop: () => void (stopped = true) };
}

async function expired(): Promise<{ taskId: string; fence: number; late: Worker }> {
  const late = await room.connect();
  await room.create();
  const [task] = await room.claim(late);
  if (task === undefined) throw new Error('Nothing was claimed.');
  await room.test.sql(`update task_running set lease_until = muster_now() - interval '1 second' where task_id = $1`, [
    task.taskId,
  ]);
  return { ...task, late };
}

async function offer(database: Database): Promise<number[]> {
  const { now } = await firstExpired(room.app.get(Database), null);
  const eventIds = Array.from({ length: sweepLimit }, () => ids.next('event'));
  return offerExpired(database, { after: null, now, leaseSeconds: 30, eventIds, traceparent: null });
}

/** Bounded: what never comes fails the test. */
async function untilThere<Row extends object>(text: string, params: readonly unknown[]): Promise<Row> {
  for (let tries = 0; tries < 400; tries += 1) {
    const [row] = await room.test.sql<Row>(text, params);
    if (row !== undefined) return row;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('It was not there in 10 s.');
}

describe('a server that is stopped in the middle of a word with the database', () => {
  it('has offered what ran out, so that others claim it while that server still stands', async () => {
    const { taskId } = await expired();
    const { database, stop } = await server();
    stop();
    const unheard = offer(database).catch(() => undefined);
    await untilThere(`select from task_ready where task_id = $1`, [taskId]);
    expect(await room.claim(await room.connect())).toMatchObject([{ taskId, attempt: 2 }]);
    await ends.pop()?.();
    await unheard;
    expect(await room.broken()).toEqual([]);
  });

  it.each(['complete', 'release'] as const)(
    'keeps nobody waiting to %s but who holds the attempt that it has locked',
    async (verb) => {
      const worker = await room.connect({ capacity: 2 });
      for (let n = 0; n < 2; n++) await room.create();
      const [one, other] = await room.claim(worker, 2);
      if (one === undefined || other === undefined) throw new Error('Fewer were claimed than there are.');
      const { database } = await server();
      const [begun, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const standing = database.transaction(async (tx) => {
        await tx.sql(`select from task_running where task_id = $1 for update`, [one.taskId]);
        begun.resolve();
        await end.promise;
      });
      await begun.promise;
      const body = verb === 'complete' ? { output: { ok: true } } : { reason: 'not now' };
      const waiting = room.verb(worker, one, verb, body);
      expect(await room.verb(worker, other, verb, body)).toMatchObject({ status: 200 });
      end.resolve();
      await standing;
      expect(await waiting).toMatchObject({ status: 200 });
      expect(await room.broken()).toEqual([]);
    },
  );

  it('has claimed what it was about to claim, and keeps no row from anybody', async () => {
    const { taskId, fence, late } = await expired();
    await offer(room.app.get(Database));
    const { instanceId } = await room.connect();
    const [{ lane, seq }, { connection }, { version }] = await Promise.all([
      untilThere<{ lane: number; seq: number }>(`select lane, seq from task_ready where task_id = $1`, [taskId]),
      untilThere<{ connection: string }>(`select connection from instances where id = $1`, [instanceId]),
      untilThere<{ version: number }>(`select ${limitVersion} as version`, []),
    ]);
    const { database, stop } = await server();
    stop();
    const unheard = claimEach(database, {
      picks: [{ lane, seq, taker: 0, attemptId: ids.next('attempt') }],
      instances: [{ id: instanceId, connection }],
      leaseSeconds: 30,
      silentAfterSeconds: 60,
      traceparent: null,
      limitVersion: version,
    }).catch(() => undefined);
    const taken = await untilThere<{ fence: number }>(
      `select fence from task_running where task_id = $1 and instance_id = $2`,
      [taskId, instanceId],
    );
    expect(taken.fence).toBeGreaterThan(fence);
    await room.test.sql(`select from task_running where task_id = $1 for update nowait`, [taskId]);
    expect(await room.verb(late, { taskId, fence }, 'complete', { output: null })).toMatchObject({
      status: 409,
      body: { code: 'runtime.stale_lease' },
    });
    await ends.pop()?.();
    await unheard;
    expect(await room.broken()).toEqual([]);
  });
});

it('a claim says who may be given something: what was meant for a silent instance stays, and goes to another', async () => {
  const { taskId } = await expired();
  const database = room.app.get(Database);
  await offer(database);
  const [silent, awake] = [await room.connect(), await room.connect()];
  await room.test.sql(`update instances set last_seen_at = muster_now() - interval '1 hour' where id = $1`, [silent.instanceId]);
  const [{ lane, seq }, { version }] = await Promise.all([
    untilThere<{ lane: number; seq: number }>(`select lane, seq from task_ready where task_id = $1`, [taskId]),
    untilThere<{ version: number }>(`select ${limitVersion} as version`, []),
  ]);
  const instances = await room.test.sql<{ id: string; connection: string }>(
    `select id, connection from instances where id = any ($1) order by id = $2`,
    [[silent.instanceId, awake.instanceId], awake.instanceId],
  );
  const give = (taker: number) =>
    claimEach(database, {
      picks: [{ lane, seq, taker, attemptId: ids.next('attempt') }],
      instances,
      leaseSeconds: 30,
      silentAfterSeconds: 60,
      traceparent: null,
      limitVersion: version,
    });
  expect(await give(0)).toEqual({ claimed: [], awake: new Set([awake.instanceId]), outdated: false });
  expect((await give(1)).claimed).toMatchObject([{ task_id: taskId, instance_id: awake.instanceId }]);
  expect(await room.broken()).toEqual([]);
}); // prettier-ignore
