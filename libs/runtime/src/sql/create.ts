import { sqlState } from '#platform/database';
import { plain, type Claimed, type HotSql } from './claim.ts';
import type { Holder } from './leases.ts';
import { limitVersion } from './limits.ts';

export interface NewTaskRow {
  readonly id: string;
  /** Of its first attempt, should it begin with the commit that makes it. */
  readonly attemptId: string;
  readonly lane: number;
  readonly title: string | null;
  /** JSON. */
  readonly input: string;
  readonly maxAttempts: number;
  readonly notBefore: string | null;
  readonly parentId: string | null;
  readonly depth: number;
  readonly reopens: string | null;
  readonly requestedBy: string;
  readonly idempotencyKey: string | null;
  /** A request's answer that is kept with the commit that makes the task, as JSON: `{ route, key, hash, answer }`, the answer without its moments. */
  readonly keep: string | null;
  /** Its event has the same id behind the prefix of events. */
  readonly traceparent: string | null;
}

/** Null: all of them were made. What was made under the same id before, when the answer was lost, counts as made. */
const allButMade = `case when count(*) < (select count(*) from given) then coalesce(array_agg(id), '{}') || array(
        select t.id from (select i.id from given i left join made m on m.id = i.id where m.id is null offset 0) i
        cross join lateral (select t.id from tasks t where t.id = i.id offset 0) t
      ) end as made`;

/** The same where nobody has a key: only a task of a lane that is not there is not made. */
const allBut = `case when count(*) < jsonb_array_length($1::jsonb) then coalesce(array_agg(id), '{}') end as made`;

/** The moment as it is answered: to the millisecond, which is what callers can read. */
const momentOf = (at: string): string => `to_char(${at} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
const moment = momentOf('(select now from clock)');

/** A key that stands for a task which has left for the archive, or for an earlier request: there is none to make. */
const keyIsFree = (team: string): string => `(i."idempotencyKey" is null
        or not exists (select from task_archive_keys k where k.team_id = ${team} and k.idempotency_key = i."idempotencyKey" offset 0))
      and (i.keep is null or not exists (select from idempotency_keys k
        where (k.team_id, k.actor_id, k.route, k.key) = (${team}, i."requestedBy", i.keep ->> 'route', i.keep ->> 'key') offset 0))`;
/**
 * Whoever takes the same keys at the same time takes them in the same order: one waits for the other, and not each for the other until PostgreSQL
 * ends one of them. Of the same key twice the first has it: ids grow. @param keys the columns of the constraint that decides
 */
export const inOneOrder = (keys: string): string => `order by ${keys}, i.id`;
/**
 * Answers are kept in the commit of what they tell. Where somebody else begins with the same key for something else at this very moment,
 * the constraint refuses the statement; the next time it finds that key taken.
 */
const answered = (rows: string): string => `
  answered as (
    insert into idempotency_keys (team_id, actor_id, route, key, request_hash, status, body)
    select i.team_id, i."requestedBy", i.keep ->> 'route', i.keep ->> 'key', i.keep ->> 'hash', 201,
      (i.keep -> 'answer') || jsonb_build_object('createdAt', ${moment}, 'updatedAt', ${moment})
    from ${rows} i where i.keep is not null
    ${inOneOrder(`i.team_id, i."requestedBy", i.keep ->> 'route', i.keep ->> 'key'`)} returning 1
  ),`;

const taskColumns = `id, team_id, project_id, capability, title, input, priority, state, lane, ready_seq, max_attempts, parent_id, depth, reopens,
      requested_by, idempotency_key, not_before, traceparent, created_at, updated_at`;
/** Of a row with what was asked for and what its lane says. */
const createdEvent = `row('evt' || substr(id, 5), 'task.created', team_id, project_id, id, (array['critical', 'high', 'normal', 'low'])[priority + 1],
        jsonb_build_object('taskId', id, 'capability', capability, 'title', title, 'requestedBy', "requestedBy", 'reopens', reopens),
        traceparent)::event_draft`;

/**
 * Many new tasks, one statement. What their lane says about them is read from there. A key that the team has used before makes
 * no task: the constraint decides, also among many at once and within the batch. What was made under the same id before, when
 * the answer was lost, counts as made.
 */
const createText = (keyed: boolean): string => `
  with clock as materialized (select muster_now() as now),
  given as materialized (
    select i.*, case when i."notBefore" is null or i."notBefore" <= c.now then nextval('task_ready_seq') end as seq
    from jsonb_to_recordset($1::jsonb) as i(id text, lane int, title text, input jsonb, "maxAttempts" int, "notBefore" timestamptz, "parentId" text,
      depth int, reopens text, "requestedBy" text, "idempotencyKey" text, traceparent text${keyed ? ', keep jsonb' : ''}), clock c
  ),
  made as (
    insert into tasks (${taskColumns})
    select i.id, l.team_id, l.project_id, l.capability, i.title, i.input, l.priority, 'open', i.lane, i.seq, i."maxAttempts", i."parentId", i.depth, i.reopens,
      i."requestedBy", i."idempotencyKey", i."notBefore", i.traceparent, c.now, c.now
    from given i cross join lateral (select l.* from task_lanes l where l.id = i.lane offset 0) l, clock c
    ${
      keyed
        ? `where ${keyIsFree('l.team_id')}
    ${inOneOrder('l.team_id, i."idempotencyKey"')}
    on conflict do nothing`
        : ''
    }
    returning id, lane, ready_seq, team_id, project_id, priority, capability, title, requested_by as "requestedBy", reopens, not_before, traceparent
  ),
  ${keyed ? answered('(select i.*, m.team_id from made m join given i on i.id = m.id)') : ''}
  queued as (
    insert into task_ready (lane, seq, task_id, ready_at, attempts)
    select m.lane, m.ready_seq, m.id, c.now, 0 from made m, clock c where m.ready_seq is not null returning seq
  ),
  delayed as (
    insert into task_due (task_id, kind, at)
    select m.id, 'delay', m.not_before from made m where m.ready_seq is null
    returning 1
  ),
  told as (
    select m.id, m.ready_seq, ${createdEvent} as event
    from made m
  )
  select t.made, t.first, t.now, t.queued, a.head, a.owed
  from (
    -- counted so that they are written before the log's lock is taken
    select (select count(*) from queued) + (select count(*) from delayed) ${keyed ? '+ (select count(*) from answered)' : ''} as queued, ${keyed ? allButMade : allBut}, min(ready_seq) as first,
      ${moment} as now, array_agg(event${keyed ? ' order by id' : ''}) as events
    from told
  ) t, append_events_of(t.events, '{task.created}') a`;
const createCarefully = createText(true);
/** Half the work for a row: nothing is looked up before, and nothing is confirmed after. For tasks that have no key. */
const createPlainly = createText(false);
const allCanBegin = `(select count(*) from given) = $9::int`;
/** What is written and told of those in `given` that begin. */
const intoTasks = `insert into tasks (${taskColumns})
    select i.id, i.team_id, i.project_id, i.capability, i.title, i.input, i.priority, 'open', i.lane, i.seq, i."maxAttempts", i."parentId", i.depth,
      i.reopens, i."requestedBy", i."idempotencyKey", i."notBefore", i.traceparent, i.now, i.now
    from given i`;
const intoRunning = (
  of: 'given' | 'fresh',
  leaseSeconds: string,
): string => `insert into task_running (task_id, fence, lane, number, attempt_id,
      instance_id, holder_id, agent, agent_version, max_attempts, started_at, lease_until, deadline_at)
    select i.id, i.fence, i.lane, 1, i."attemptId", i.instance_id, i.actor_id, i.agent, i.agent_version, i.attempts, i.now,
      i.now + make_interval(secs => ${leaseSeconds}), i.now + make_interval(secs => i.timeout)
    from ${of} i`;
const limitsOf = `n.actor_id, n.agent, n.agent_version, (n.limits ->> 'attempts')::int as attempts, (n.limits ->> 'timeoutSeconds')::float8 as timeout`;
const startedEvent = `row('evt' || substr("attemptId", 4), 'task.started', team_id, project_id, id, 'normal',
        jsonb_build_object('taskId', id, 'attempt', 1, 'fence', fence, 'agent', agent, 'instanceId', instance_id),
        traceparent)::event_draft`;
const startedWords = `concat_ws(' ', id, fence, lane, "attemptId", instance_id)`;
/** Where those go that do not begin. */
const elsewhere = (of: 'given' | 'fresh'): string => `
  queued as (
    insert into task_ready (lane, seq, task_id, ready_at, attempts)
    select i.lane, i.seq, i.id, c.now, 0 from ${of} i, clock c where i.seq is not null and i.fence is null
    returning lane
  ),
  delayed as (
    insert into task_due (task_id, kind, at) select i.id, 'delay', i."notBefore" from ${of} i where i.seq is null
    returning 1
  ),`;
/**
 * The same, and those for whom a place was kept begin at once: creation and claim in one statement and one commit. As with any claim, an
 * instance has to be connected and idle, the limits known, and nothing may stand before them in their lane; who cannot begin is queued.
 * @param of where those are that were made: `given` where nobody has a key
 * @param all a place was kept for each of them. Then they begin together or none is made, and the statement has nothing to do with queues:
 *   for a single task most of what it costs is to set up and take down every part of it
 */
const startingText = (of: 'given' | 'fresh', all: boolean): string => {
  const inTheirOrder = of === 'fresh' ? ' order by id' : '';
  return `
  with clock as materialized (select muster_now() as now),
  free as materialized (
    select l.lane from unnest($2::int[], $3::bigint[]) as l(lane, after)
    where ${limitVersion} = $8::bigint and not exists (select from task_ready r where r.lane = l.lane and r.seq > l.after offset 0)
      and not exists (select from task_ready r where r.lane = -l.lane offset 0)
  ),
  given as materialized (
    select i.*, l.team_id, l.project_id, l.capability, l.priority, c.now,
      case when i."notBefore" is null or i."notBefore" <= c.now then nextval('task_ready_seq') end as seq,
      case when n.id is not null then nextval('task_fences') end as fence, n.id as instance_id, ${limitsOf}
    from jsonb_to_recordset($1::jsonb) as i(id text, lane int, title text, input jsonb, "maxAttempts" int, "notBefore" timestamptz, "parentId" text,
      depth int, reopens text, "requestedBy" text, "idempotencyKey" text, traceparent text${of === 'fresh' ? ', keep jsonb' : ''}, "attemptId" text, place int)
    cross join lateral (select l.* from task_lanes l where l.id = i.lane offset 0) l cross join clock c
    ${all ? 'join' : 'left join'} lateral (
      select n.* from instances n
      where i.lane = any (array(select lane from free)) and n.id = ($4::text[])[i.place] and n.connection = ($5::text[])[i.place]
        and n.state = 'idle' and n.last_seen_at > c.now - make_interval(secs => $6)
      limit 1
    ) n on true
  ),
  made as (
    ${intoTasks}
    where ${all ? allCanBegin : 'true'} ${
      of === 'fresh'
        ? `and ${keyIsFree('i.team_id')}
    ${inOneOrder('i.team_id, i."idempotencyKey"')}
    on conflict do nothing`
        : ''
    }
    returning id
  ),
  ${of === 'fresh' ? `fresh as materialized (select i.* from made m join given i on i.id = m.id),${answered('fresh')}` : ''}
  ${all ? '' : elsewhere(of)}
  opened as (
    ${intoRunning(of, '$7')} where ${all ? allCanBegin : 'i.fence is not null'}
    returning lane
  )
  select t.made, t.first, t.started, t.now, t."leaseUntil", t.written, t.possible, a.head, a.owed
  from (
    -- counted so that they are written before the log's lock is taken
    select (select count(*) from made) + (select count(*) from opened) ${all ? '' : '+ (select count(*) from queued) + (select count(*) from delayed)'}
        ${of === 'fresh' ? '+ (select count(*) from answered)' : ''} as written,
      ${all ? allCanBegin : 'true'} as possible, min(seq) filter (where fence is null) as first,
      string_agg(${startedWords}, ',') filter (where fence is not null) as started,
      ${moment} as now, (select now from clock) + make_interval(secs => $7) as "leaseUntil",
      array_agg(${createdEvent}${inTheirOrder}) || coalesce(array_agg(${startedEvent}${inTheirOrder}) filter (where fence is not null), '{}') as events, ${of === 'fresh' ? allButMade : allBut}
    from ${of} ${all ? `where ${allCanBegin}` : ''}
  ) t, append_events_of(t.events, '{task.created,task.started}') a`;
};
/**
 * The same for a single task that has no key, as most are on a server that is not busy: without lists it takes PostgreSQL a quarter less. No row comes
 * back where it cannot begin, and nothing was made then.
 */
const startingOne = `
  with given as materialized (
    select $1::text as id, $2::text as "attemptId", $3::int as lane, $4::text as title, $5::jsonb as input, $6::int as "maxAttempts", null::timestamptz as "notBefore",
      $7::text as "parentId", $8::int as depth, $9::text as reopens, $10::text as "requestedBy", null::text as "idempotencyKey", $11::text as traceparent,
      l.team_id, l.project_id, l.capability, l.priority, c.now, nextval('task_ready_seq') as seq, nextval('task_fences') as fence, n.id as instance_id, ${limitsOf}
    from (select muster_now() as now offset 0) c, task_lanes l, instances n
    where l.id = $3::int and n.id = $12::text and n.connection = $13::text and n.state = 'idle' and n.last_seen_at > c.now - make_interval(secs => $14)
      and ${limitVersion} = $15::bigint and not exists (select from task_ready r where r.lane = $3::int and r.seq > $16::bigint)
      and not exists (select from task_ready r where r.lane = -$3::int)
  ),
  made as (${intoTasks} returning 1),
  opened as (${intoRunning('given', '$17')} returning 1)
  select null::text[] as made, null::bigint as first, t.started, t.now, t."leaseUntil", t.written, true as possible, a.head, a.owed
  from (
    -- counted, and apart from what follows, so that they are written before the log's lock is taken
    select (select count(*) from made) + (select count(*) from opened) as written, ${startedWords} as started,
      ${momentOf('now')} as now, now + make_interval(secs => $17) as "leaseUntil",
      array[${createdEvent}, ${startedEvent}] as events
    from given offset 0
  ) t, append_events_of(t.events, '{task.created,task.started}') a`;
const starting = {
  one: { name: 'create a task that begins', text: startingOne },
  all: { name: 'create tasks that all begin', text: startingText('given', true) },
  some: { name: 'create tasks that begin', text: startingText('given', false) },
  allCarefully: { name: 'create tasks that all begin, some with keys', text: startingText('fresh', true) },
  someCarefully: { name: 'create tasks that begin, some with keys', text: startingText('fresh', false) },
};
const UNIQUE_VIOLATION = '23505';

export interface Created {
  /** Null: all of them. */
  readonly made: ReadonlySet<string> | null;
  /** The lowest place in any lane that one of them got. */
  readonly first: number | null;
  /** Those that have begun. */
  readonly started: readonly Claimed[];
  /** Those that began when the answer was lost. */
  readonly unheard: readonly Holder[];
  readonly now: Date;
}

/** Who is to begin at once, and where. */
export interface Starts {
  /** The lanes that they are of, and up to where nothing waits in them. */
  readonly lanes: readonly { readonly id: number; readonly after: number }[];
  readonly instances: readonly { readonly id: string; readonly connection: string }[];
  /** For each task its instance, an index; -1: none is free for it. */
  readonly places: readonly number[];
  readonly leaseSeconds: number;
  readonly silentAfterSeconds: number;
  readonly limitVersion: number;
}

interface CreateAnswer {
  readonly made: string[] | null;
  readonly first: number | null;
  readonly now: string;
  readonly head: number | null;
  readonly owed: boolean;
}
interface StartAnswer extends CreateAnswer {
  readonly started: string | null;
  readonly leaseUntil: Date;
  /** False: not all of them could begin, and none was made. */
  readonly possible: boolean;
}

export async function create(db: HotSql, tasks: readonly NewTaskRow[], starts: Starts | null): Promise<Created> {
  try {
    const careful = tasks.some((task) => task.idempotencyKey !== null);
    if (starts !== null) return await createAndStart(db, tasks, starts, careful);
    return await (careful
      ? createWith(db, 'create tasks', createCarefully, tasks)
      : createWith(db, 'create tasks without keys', createPlainly, tasks));
  } catch (error) {
    if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
    // Some of them were made before, when the answer was lost.
    const created = await createWith(db, 'create tasks', createCarefully, tasks);
    return { ...created, unheard: await startedBefore(db, tasks) };
  }
}

async function createWith(db: HotSql, name: string, text: string, tasks: readonly NewTaskRow[]): Promise<Created> {
  const [row] = await db.hot<CreateAnswer>(name, text, [`[${tasks.map((task) => `${textOf(task)}}`).join(',')}]`]);
  if (row === undefined) throw new Error('A statement that aggregates returned no row.');
  db.appended(row.head, row.owed);
  return {
    made: row.made === null ? null : new Set(row.made),
    first: row.first,
    started: [],
    unheard: [],
    now: new Date(row.now),
  };
}

async function createAndStart(
  db: HotSql,
  tasks: readonly NewTaskRow[],
  starts: Starts,
  careful: boolean,
): Promise<Created> {
  const alone = tasks.length === 1 && !careful;
  const row = (alone ? await startOne(db, tasks, starts) : undefined) ?? (await startMany(db, tasks, starts, careful));
  if (row === undefined) throw new Error('A statement that aggregates returned no row.');
  db.appended(row.head, row.owed);
  const started = (row.started?.split(',') ?? []).map((words): Claimed => {
    const [task_id = '', fence, lane, attempt_id = '', instance_id = ''] = words.split(' ');
    const lease_until = row.leaseUntil;
    return { task_id, fence: Number(fence), lane: Number(lane), number: 1, attempt_id, instance_id, lease_until };
  });
  const made = row.made === null ? null : new Set(row.made);
  const begun = new Set(started.map(({ task_id }) => task_id));
  const unheard = made === null ? [] : (await startedBefore(db, tasks)).filter(({ taskId }) => !begun.has(taskId));
  return { made, first: row.first, started, unheard, now: new Date(row.now) };
}

async function startMany(
  db: HotSql,
  tasks: readonly NewTaskRow[],
  starts: Starts,
  careful: boolean,
): Promise<StartAnswer | undefined> {
  const rows = tasks.map((task, n) => {
    const place = starts.places[n] ?? -1;
    return place < 0 ? `${textOf(task)}}` : `${textOf(task)},"attemptId":"${task.attemptId}","place":${place + 1}}`;
  });
  const given = [
    `[${rows.join(',')}]`,
    plain(starts.lanes.map(({ id }) => id)),
    plain(starts.lanes.map(({ after }) => after)),
    plain(starts.instances.map(({ id }) => id)),
    plain(starts.instances.map(({ connection }) => connection)),
    starts.silentAfterSeconds,
    starts.leaseSeconds,
    starts.limitVersion,
  ];
  const [all, some] = careful ? [starting.allCarefully, starting.someCarefully] : [starting.all, starting.some];
  let row: StartAnswer | undefined;
  // One that is alone and has no key was tried by itself.
  if (!starts.places.includes(-1) && (careful || tasks.length > 1))
    [row] = await db.hot<StartAnswer>(all.name, all.text, [...given, tasks.length]);
  if (row?.possible !== true) [row] = await db.hot<StartAnswer>(some.name, some.text, given);
  return row;
}

async function startOne(db: HotSql, [task]: readonly NewTaskRow[], starts: Starts): Promise<StartAnswer | undefined> {
  const [lane, instance] = [starts.lanes[0], starts.instances[starts.places[0] ?? -1]];
  if (task === undefined || task.notBefore !== null || lane?.id !== task.lane || instance === undefined)
    return undefined;
  const [row] = await db.hot<StartAnswer>(starting.one.name, starting.one.text, [
    task.id,
    task.attemptId,
    task.lane,
    task.title,
    task.input,
    task.maxAttempts,
    task.parentId,
    task.depth,
    task.reopens,
    task.requestedBy,
    task.traceparent,
    instance.id,
    instance.connection,
    starts.silentAfterSeconds,
    starts.limitVersion,
    lane.after,
    starts.leaseSeconds,
  ]);
  return row;
}

const startedBefore = (db: HotSql, tasks: readonly NewTaskRow[]): Promise<Holder[]> =>
  db.hot<Holder>(
    'tasks that began unheard',
    `select r.task_id as "taskId", r.fence, r.holder_id as "actorId"
     from unnest($1::text[], $2::text[]) as t(id, attempt_id) join task_running r on r.task_id = t.id and r.attempt_id = t.attempt_id`,
    [plain(tasks.map(({ id }) => id)), plain(tasks.map(({ attemptId }) => attemptId))],
  );

/** What is null is left out, and so is the brace that closes it. Ids need no escape, and the input is JSON as it is. */
function textOf(task: NewTaskRow): string {
  let text = `{"id":"${task.id}","lane":${task.lane},"input":${task.input},"maxAttempts":${task.maxAttempts},"depth":${task.depth},"requestedBy":${JSON.stringify(task.requestedBy)}`;
  for (const name of ['title', 'notBefore', 'parentId', 'reopens', 'idempotencyKey', 'traceparent'] as const)
    if (task[name] !== null) text += `,"${name}":${JSON.stringify(task[name])}`;
  return task.keep === null ? text : `${text},"keep":${task.keep}`;
}
