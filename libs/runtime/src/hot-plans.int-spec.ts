import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { SystemIds } from '#kernel';
import { Database, hotConnections, hotPlanning } from '#platform/database';
import { runtimeRoom, type RuntimeRoom } from '#test/runtime-room';
import { LeaseSweep } from './dispatch/sweep.ts';
import { RuntimeModule } from './runtime.module.ts';
import { claim, claimEach } from './sql/claim.ts';
import { create } from './sql/create.ts';

let room: RuntimeRoom;
const ids = new SystemIds();
beforeAll(async () => {
  room = await runtimeRoom(RuntimeModule);
}, 60_000);
afterAll(() => room.close());

/** Those without which nothing is shown; others were prepared as well. */
const usual = [
  'create tasks',
  'create tasks without keys',
  'create a task that begins',
  'create tasks that all begin',
  'create tasks that begin',
  'create tasks that all begin, some with keys',
  'create tasks that begin, some with keys',
  'claim from one lane',
  'claim from many lanes',
  'claim each for its instance',
  'complete tasks',
  'return tasks',
  'report',
  'beats of instances',
  'payloads of tasks',
  'offer expired leases',
];

interface Node {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Function Name'?: string;
  readonly 'Index Cond'?: string;
  readonly 'TID Cond'?: string;
  readonly 'Subplan Name'?: string;
  readonly 'CTE Name'?: string;
  readonly Plans?: readonly Node[];
}

/** Tables that are read from one end to the other, whatever is asked; what a limit ends is none of them. */
function readWhole(node: Node): string[] {
  if (node['Node Type'] === 'Limit') return [];
  const within = node.Plans ?? [];
  const byKey = [node, ...(node['Node Type'] === 'Bitmap Heap Scan' ? within : [])].some(
    (one) => one['Index Cond'] !== undefined || one['TID Cond'] !== undefined,
  );
  const table = node['Relation Name'];
  const isScan = table !== undefined && node['Node Type'].endsWith('Scan');
  return [...(isScan && !byKey ? [`${node['Node Type']} of ${table}`] : []), ...within.flatMap(readWhole)];
}

/** The log's lock is taken by this function, and what it joins is written behind it: the lock is to be the last thing, and short. */
const isBehindTheLock = (node: Node): boolean => node['Function Name'] === 'append_events_of';

/**
 * What a statement writes and never asks for, or asks for where it answers: PostgreSQL does that last of all, when the lock of the log has been
 * taken.
 */
function writtenLast(root: Node): string[] {
  const parts = new Map<string, Node>();
  const reached = new Set<string>();
  const name = (node: Node): string | undefined => /^CTE (.*)$/.exec(node['Subplan Name'] ?? '')?.[1];
  const collect = (node: Node): void => {
    const part = name(node);
    if (part !== undefined) parts.set(part, node);
    for (const within of node.Plans ?? []) collect(within);
  };
  const follow = (node: Node): void => {
    const asked = node['CTE Name'];
    if (asked !== undefined && !reached.has(asked)) {
      reached.add(asked);
      const part = parts.get(asked);
      if (part !== undefined) follow(part);
    }
    for (const within of node.Plans ?? []) if (name(within) === undefined) follow(within);
  };
  collect(root);
  for (const within of root.Plans ?? []) if (!/^(CTE|InitPlan)/.test(within['Subplan Name'] ?? '')) follow(within);
  return [...parts].flatMap(([part, node]) => (node['Node Type'] === 'ModifyTable' && !reached.has(part) ? [part] : []));
} // prettier-ignore

/** Every verb once, on a database that was made a moment ago. */
async function doEverything(): Promise<void> {
  const database = room.app.get(Database);
  const worker = await room.connect({ capacity: 20 });
  for (const priority of ['high', 'normal', 'normal', 'low'] as const) await room.create({ priority });
  await room.create({ deadline: new Date(Date.now() + 3_600_000).toISOString() });
  const body = { projectId: room.project, capability: 'code.change', input: { file: 'a.ts' } };
  await room.call(room.person, 'POST', '/tasks', body, { 'idempotency-key': 'one' });
  const [first, second, third, fourth] = await room.claim(worker, 20);
  if (first === undefined || second === undefined || third === undefined || fourth === undefined)
    throw new Error('Fewer tasks were claimed than there are.');
  await room.verb(worker, first, 'progress', { message: 'half', ratio: 0.5 });
  await room.verb(worker, first, 'log', { lines: ['a line'] });
  await room.verb(worker, first, 'cost', { key: 'k', usd: 0.1 });
  await room.verb(worker, first, 'checkpoint', { state: { at: 1 } });
  await room.verb(worker, first, 'complete', { output: { ok: true } });
  await room.verb(worker, second, 'fail', { error: 'not yet' });
  await room.verb(worker, third, 'release', { reason: 'not now' });
  await room.call(worker.actor, 'POST', `/runtime/instances/${worker.instanceId}/heartbeat`, {
    held: [{ taskId: fourth.taskId, fence: fourth.fence }],
  });
  await room.test.sql(`update task_running set lease_until = muster_now() - interval '1 second' where task_id = $1`, [
    fourth.taskId,
  ]);
  await room.app.get(LeaseSweep).once();
  await room.claim(await room.connect({ capacity: 20 }), 20);
  const [lane] = await room.test.sql<{ lane: number }>(`select lane from tasks where id = $1`, [first.taskId]);
  for (const key of [null, 'a key'])
    for (const places of [[0], [0, 0], [0, -1]])
      await create(
        database,
        places.map((place, no) =>
          room.newRow(lane?.lane ?? 0, key === null ? null : `${key} ${places.length} ${place} ${no}`),
        ),
        await room.startsAt(worker, lane?.lane ?? 0, places),
      );
  const { instances, leaseSeconds, silentAfterSeconds, limitVersion } = await room.startsAt(
    worker,
    lane?.lane ?? 0,
    [],
  );
  const asked = { instances, leaseSeconds, silentAfterSeconds, limitVersion, traceparent: null };
  const attemptId = ids.next('attempt');
  const lanes = [{ id: lane?.lane ?? 0, after: 0, handicap: 0, teamId: room.team }];
  await claim(database, { ...asked, groups: [{ lanes, slots: [0] }], attemptIds: [attemptId], tells: true });
  const two = [...lanes, ...lanes.map((own) => ({ ...own, id: own.id + 1 }))];
  await claim(database, {
    ...asked,
    groups: [{ lanes: two, slots: [0] }],
    attemptIds: [ids.next('attempt')],
    tells: true,
  });
  await claimEach(database, { ...asked, picks: [{ lane: -lanes[0]!.id, seq: 0, taker: 0, attemptId }] });
}

/** What was prepared on the connections of hot verbs, by name. */
async function prepared(): Promise<Map<string, string>> {
  const database = room.app.get(Database);
  const asked = await Promise.all(
    Array.from({ length: hotConnections }, () =>
      database.hot<{ name: string; statement: string }>(
        'what is prepared',
        // Slow enough that each is asked on a connection of its own.
        `select name, statement from pg_prepared_statements, pg_sleep(0.2) where name <> 'what is prepared'`,
        [],
      ),
    ),
  );
  return new Map(asked.flat().map(({ name, statement }) => [name, statement]));
}

/** Rows like one that is there, so many, and what the planner knows of them. */
async function fill(table: string, rows: number, own: string): Promise<void> {
  await room.test.sql(
    `insert into ${table} select (jsonb_populate_record(t, ${own})).* from (select t from ${table} t limit 1) t cross join generate_series(1, $1) n`,
    [rows],
  );
  await room.test.sql(`analyze ${table}`);
}

async function plansOf(statements: ReadonlyMap<string, string>): Promise<Map<string, Node>> {
  const client = new pg.Client({ ...room.app.get(Database).connection, options: hotPlanning });
  await client.connect();
  try {
    const plans = new Map<string, Node>();
    for (const [name, text] of statements) {
      const { rows } = await client.query<{ 'QUERY PLAN': readonly [{ readonly Plan: Node }] }>(
        `explain (generic_plan, format json) ${text}`,
      );
      const [answer] = rows;
      if (answer === undefined) throw new Error(`PostgreSQL has no plan for ${name}.`);
      plans.set(name, answer['QUERY PLAN'][0].Plan);
    }
    return plans;
  } finally {
    await client.end();
  }
}

describe('a hot statement', () => {
  let statements: Map<string, string>;
  beforeAll(async () => {
    await doEverything();
    statements = await prepared();
  });
  const wholeIn = (plans: ReadonlyMap<string, Node>): string[] =>
    [...plans].flatMap(([name, plan]) => readWhole(plan).map((scan) => `${name}: ${scan}`));

  it('goes to every table by its keys, also in a plan that was made while there was nothing in it, and writes before it takes the lock of the log', async () => {
    expect(usual.filter((name) => !statements.has(name))).toEqual([]);
    const plans = await plansOf(statements);
    expect(wholeIn(plans)).toEqual([]);
    const early = [...plans].filter(([, plan]) => isBehindTheLock(plan)).map(([name]) => name);
    expect(early).toEqual([]);
    const appending = [...plans].filter(([name]) => statements.get(name)?.includes('append_events_of') === true);
    expect(appending.flatMap(([name, plan]) => writtenLast(plan).map((part) => `${name}: ${part}`))).toEqual([]);
  });

  it('goes to every table by its keys in a plan that was made while a hundred thousand tasks wait', async () => {
    const worker = await room.connect({ capacity: 20 });
    await room.create();
    await room.create();
    await room.claim(worker, 1);
    await fill('tasks', 20_000, `jsonb_build_object('id', 'task_' || n, 'idempotency_key', null)`);
    await fill('task_ready', 100_000, `jsonb_build_object('seq', 1000000 + n)`);
    await fill('task_running', 20_000, `jsonb_build_object('task_id', 'task_' || n)`);
    await fill('attempts', 20_000, `jsonb_build_object('task_id', 'task_' || n)`);
    await fill('instances', 2_000, `jsonb_build_object('id', 'inst_' || n)`);
    expect(wholeIn(await plansOf(statements))).toEqual([]);
  });
});
