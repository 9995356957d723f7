import type { Tx } from '#kernel';
import type { Database } from '#platform/database';
import type { InstanceRow } from '../domain/task-row.ts';
import { limitVersion } from './limits.ts';

type Sql = Pick<Tx, 'sql'>;

export interface ClaimGroup {
  readonly lanes: readonly {
    readonly id: number;
    /** Rows up to here were taken by earlier claims: they are not looked at again, dead or alive. */
    readonly after: number;
    /** Seconds by which its tasks stand behind those of the most urgent lane that became ready at the same moment. */
    readonly handicap: number;
    readonly teamId: string;
  }[];
  /** Whom each task goes to, by its place in the instances of the claim, from 0. */
  readonly slots: readonly number[];
}
export interface Claimed {
  readonly task_id: string;
  readonly lane: number;
  readonly fence: number;
  readonly number: number;
  readonly attempt_id: string;
  readonly instance_id: string;
  readonly lease_until: Date;
}

/** Where each group takes from one lane: what it locks is what it gets, past what others have locked. */
const fromOneLane = `
  locked as materialized (
    select l.first + row_number() over (partition by l.grp order by r.seq) as slot, r.at, r.lane, r.seq, r.task_id, r.attempts
    from lanes l cross join lateral (
      select r.ctid as at, r.lane, r.seq, r.task_id, r.attempts from task_ready r where r.lane = l.lane and r.seq > l.after
      order by r.seq limit l.size for update skip locked
    ) r
  ),`;

/** Where a group takes from several: first the order over all of them, in turns between teams, then locks for those that are chosen. */
const fromManyLanes = `
  candidates as (
    select l.grp, l.first, l.size, l.team, r.lane, r.seq, extract(epoch from r.ready_at) + l.handicap as rank
    from lanes l
    cross join lateral (select r.lane, r.seq, r.ready_at from task_ready r where r.lane = l.lane and r.seq > l.after order by r.seq limit l.size) r
  ),
  turns as (select c.*, row_number() over (partition by grp, team order by rank, seq) as turn from candidates c),
  ordered as (select t.*, row_number() over (partition by grp order by turn, rank, seq) as place from turns t),
  locked as materialized (
    select o.first + o.place as slot, r.at, r.lane, r.seq, r.task_id, r.attempts
    from ordered o cross join lateral (
      select r.ctid as at, r.lane, r.seq, r.task_id, r.attempts from task_ready r where r.lane = o.lane and r.seq = o.seq for update skip locked
    ) r
    where o.place <= o.size
  ),`;

/**
 * The claim, one statement for many instances: rows leave `task_ready` and become open attempts. Nobody else sees them
 * meanwhile (`skip locked`), each draws a new fence, and neither `tasks` nor its indexes are touched. Instances that were taken over
 * by another connection, paused or silent for too long get nothing; what was meant for them stays where it is. Nobody gets anything
 * from a server that does not know the latest limits.
 */
const claimText = (taking: string, { tells }: { tells: boolean }): string => `
  with clock as materialized (select muster_now() as now),
  lanes as (
    select * from unnest($1::int[], $2::bigint[], $3::int[], $4::float8[], $5::text[], $6::int[], $7::int[]) as l(lane, after, grp, handicap, team, first, size)
    where ${limitVersion} = $15::bigint
  ),
  ${taking}
  given as materialized (
    select p.at, p.lane, p.seq, p.task_id, p.attempts + 1 as number, ($9::text[])[p.slot] as attempt_id, i.id as instance_id, i.actor_id, i.agent,
      i.agent_version, (i.limits ->> 'attempts')::int as max_attempts, (i.limits ->> 'timeoutSeconds')::float8 as timeout
    -- one look into the index for each task, however many instances there are
    from locked p cross join lateral (
      select i.* from instances i
      where i.id = ($10::text[])[($8::int[])[p.slot]] and i.connection = ($11::text[])[($8::int[])[p.slot]] and i.state = 'idle'
        and i.last_seen_at > (select now from clock) - make_interval(secs => $12)
      limit 1
    ) i
  ),
  gone as (
    -- By where they are: rows of this table are never updated, and these are locked. A join would be planned by what a table whose rows move
    -- was last seen to hold.
    delete from task_ready r where r.ctid = any (array(select at from given)) returning 1
  ),
  opened as (
    insert into task_running (task_id, fence, lane, number, attempt_id, instance_id, holder_id, agent, agent_version, max_attempts, started_at,
      lease_until, deadline_at)
    select g.task_id, nextval('task_fences'), g.lane, g.number, g.attempt_id, g.instance_id, g.actor_id, g.agent, g.agent_version, g.max_attempts, c.now,
      c.now + make_interval(secs => $13), c.now + make_interval(secs => g.timeout)
    from given g, clock c
    returning task_id, fence, lane, number, attempt_id, instance_id, agent
  ),
  told as (
    select o.task_id, o.fence, o.lane, o.number, o.attempt_id, o.instance_id,
      row('evt' || substr(o.attempt_id, 4), 'task.started', l.team_id, l.project_id, o.task_id, 'normal',
        jsonb_build_object('taskId', o.task_id, 'attempt', o.number, 'fence', o.fence, 'agent', o.agent, 'instanceId', o.instance_id),
        $14)::event_draft as event
    from opened o cross join lateral (select l.* from task_lanes l where l.id = o.lane offset 0) l
  )
  select t.claimed, t.places, t.locked, t.gone, t.current, t."leaseUntil", ${tells ? 'a.head, a.owed' : 'null::bigint as head, false as owed'}
  from (
    select string_agg(concat_ws(' ', task_id, fence, lane, number, attempt_id, instance_id), ',') as claimed,
      (select string_agg(lane || ' ' || last, ',') from (select lane, max(seq) as last from given group by lane) g) as places,
      (select count(*)::int from locked) as locked, (select count(*) from gone) as gone, ${limitVersion} = $15::bigint as current,
      (select now from clock) + make_interval(secs => $13) as "leaseUntil", array_agg(event) as events
    from told
  ) t${tells ? `, append_events_of(t.events, '{task.started}') a` : ''}`;
const telling = { one: claimText(fromOneLane, { tells: true }), many: claimText(fromManyLanes, { tells: true }) };
/** Within a transaction, which tells of it in the message that commits: nothing may follow behind the log's lock. */
const silent = { one: claimText(fromOneLane, { tells: false }), many: claimText(fromManyLanes, { tells: false }) };

interface ClaimAnswer {
  /** Words with spaces between them, commas between the tasks: one value is read faster than arrays. */
  readonly claimed: string | null;
  readonly places: string | null;
  readonly locked: number;
  readonly current: boolean;
  readonly leaseUntil: Date;
  readonly head: number | null;
  readonly owed: boolean;
}

export type HotSql = Pick<Database, 'hot' | 'appended'>;

export interface ClaimResult {
  readonly claimed: Claimed[];
  /** The furthest place that was taken, by lane. */
  readonly last: ReadonlyMap<number, number>;
  /** Some were there and stayed: the instances that they were meant for may not have them now. */
  readonly refused: boolean;
  /** Limits have changed: nothing was given, and they are to be looked at first. */
  readonly outdated: boolean;
}

/** An array of words that need no quotes: numbers, ids. */
export const plain = (words: readonly (string | number)[]): string => `{${words.join(',')}}`;

export async function claim(
  db: HotSql,
  q: {
    groups: readonly ClaimGroup[];
    instances: readonly { readonly id: string; readonly connection: string }[];
    attemptIds: readonly string[];
    leaseSeconds: number;
    silentAfterSeconds: number;
    traceparent: string | null;
    limitVersion: number;
    /** False within a transaction, which is to tell of what was claimed itself. */
    tells: boolean;
  },
): Promise<ClaimResult> {
  let first = 0;
  const lanes = q.groups.flatMap((group, grp) => {
    const own = group.lanes.map((lane) => ({ ...lane, grp, first, size: group.slots.length }));
    first += group.slots.length;
    return own;
  });
  const many = lanes.length > q.groups.length;
  const name = many ? 'claim from many lanes' : 'claim from one lane';
  const text = (q.tells ? telling : silent)[many ? 'many' : 'one'];
  const [answer] = await db.hot<ClaimAnswer>(name, text, [
    plain(lanes.map((lane) => lane.id)),
    plain(lanes.map((lane) => lane.after)),
    plain(lanes.map((lane) => lane.grp)),
    plain(lanes.map((lane) => lane.handicap)),
    plain(lanes.map((lane) => lane.teamId)),
    plain(lanes.map((lane) => lane.first)),
    plain(lanes.map((lane) => lane.size)),
    plain(q.groups.flatMap((group) => group.slots.map((place) => place + 1))),
    plain(q.attemptIds),
    plain(q.instances.map((instance) => instance.id)),
    plain(q.instances.map((instance) => instance.connection)),
    q.silentAfterSeconds,
    q.leaseSeconds,
    q.traceparent,
    q.limitVersion,
  ]);
  db.appended(answer?.head ?? null, answer?.owed);
  if (answer === undefined) return { claimed: [], last: new Map(), refused: false, outdated: false };
  const claimed = claimedIn(answer);
  const last = new Map(split(answer.places).map((words) => words.split(' ').map(Number) as [number, number]));
  return { claimed, last, refused: claimed.length < answer.locked, outdated: !answer.current };
}

const claimedIn = ({ claimed, leaseUntil }: Pick<ClaimAnswer, 'claimed' | 'leaseUntil'>): Claimed[] =>
  split(claimed).map((words) => {
    const [task_id = '', fence, lane, number, attempt_id = '', instance_id = ''] = words.split(' ');
    return {
      task_id,
      fence: Number(fence),
      lane: Number(lane),
      number: Number(number),
      attempt_id,
      instance_id,
      lease_until: leaseUntil,
    };
  });

const split = (words: string | null): string[] => (words === null ? [] : words.split(','));

export interface ParticularRow {
  readonly lane: number;
  readonly seq: number;
  readonly task_id: string;
  readonly attempts: number;
  /** Set when the task is still an open attempt, whose lease has run out. */
  readonly expired_fence: number | null;
  /** Who holds that attempt. */
  readonly expired_agent: string | null;
}

/** A task with conditions of its own, as it stood when it was looked at. */
export interface ParticularCandidate {
  readonly lane: number;
  readonly seq: number;
  /** Not these, for now. */
  readonly avoids: readonly string[];
  /** This one alone, for now. */
  readonly keptFor: string | null;
  /** Instances of this agent alone, for now. */
  readonly keptForAgent: string | null;
  /** Whose expired attempt of it is still open. */
  readonly expiredAgent: string | null;
  /** Seconds since the epoch. */
  readonly readyAt: number;
}

const avoided = `(r.avoid_until is not null and (r.avoid_until > muster_now() or r.avoid_then_person))`;
const expiredAgent = `(select a.agent from task_running a where a.task_id = r.task_id and a.fence = r.expired_fence)`;
const kept = `(r.preferred_until > muster_now() and exists (select 1 from instances p where p.id = r.preferred_instance_id and p.state = 'idle' offset 0))`;

/** Who did what a sticky task sticks to, in its last attempt, and whether that is there to be waited for. */
export const sticky = `
  left join lateral (
    select s.sticky_to, w.instance_id, w.agent, r.ready_at + make_interval(secs => s.sticky_seconds) as until
    from task_terms s cross join lateral (
      select a.instance_id, a.agent from attempts_now a
      where a.task_id = coalesce(s.sticky_task, (
        select p.task_id from task_terms p
        where p.sticky_key = s.sticky_key and p.task_id <> s.task_id and exists (select from attempts_now e where e.task_id = p.task_id)
        order by p.task_id desc limit 1))
      order by a.fence desc limit 1
    ) w
    where s.task_id = r.task_id and s.sticky_to is not null and r.ready_at + make_interval(secs => s.sticky_seconds) > muster_now()
      and exists (
        select from instances w2 cross join lateral (
          select from instances p where p.team_id = w2.team_id and p.state = 'idle'
            and case s.sticky_to when 'instance' then p.id = w.instance_id else p.agent = w.agent end
          limit 1
        ) p where w2.id = w.instance_id)
  ) s on true`;

/** The oldest of each of these lanes, without locking them. Prepared: to plan it takes longer than to do it. */
export const lookAtParticular = (
  db: Pick<HotSql, 'hot'>,
  lanes: readonly number[],
  limit: number,
): Promise<ParticularCandidate[]> =>
  db.hot(
    'look at tasks with conditions',
    `select r.* from unnest($1::int[]) with ordinality as l(lane, no)
     cross join lateral (
       select r.lane, r.seq, case when ${avoided} then r.avoid_instances else '{}' end as avoids,
         case when ${kept} then r.preferred_instance_id when s.sticky_to = 'instance' then s.instance_id end as "keptFor",
         case when s.sticky_to = 'agent' then s.agent end as "keptForAgent", ${expiredAgent} as "expiredAgent",
         extract(epoch from r.ready_at)::float8 as "readyAt"
       from (select * from task_ready r where r.lane = l.lane order by r.seq limit $2) r ${sticky}
     ) r
     order by l.no, r.seq`,
    [lanes, limit],
  );

/** When the first tasks of these lanes became ready, behind the given places and without locking them. */
export const lookAtPlain = (
  db: Pick<HotSql, 'hot'>,
  lanes: readonly { readonly id: number; readonly after: number }[],
  limit: number,
): Promise<{ lane: number; seq: number; readyAt: number }[]> =>
  db.hot(
    'look at plain tasks',
    `select r.lane, r.seq, extract(epoch from r.ready_at)::float8 as "readyAt"
     from unnest($1::int[], $2::bigint[]) as l(lane, after)
     cross join lateral (
       select r.lane, r.seq, r.ready_at from task_ready r where r.lane = l.lane and r.seq > l.after order by r.seq limit $3
     ) r`,
    [lanes.map(({ id }) => id), lanes.map(({ after }) => after), limit],
  );

/** What a taker may not have at this moment; `r` is the place in `task_ready`, `s` what it sticks to. */
const mayHave = (instanceId: string, agent: string): string => `
  not (${avoided} and ${instanceId} = any (r.avoid_instances)) and not (${kept} and r.preferred_instance_id <> ${instanceId})
  and (s.sticky_to is null or ${kept} or case s.sticky_to when 'instance' then s.instance_id = ${instanceId} else s.agent = ${agent} end)`;

/**
 * Tasks with conditions of their own, each for the instance that it was picked for, in one statement that commits by itself: what lost
 * its holder waits for one commit, however many take it on, and a server that is stopped meanwhile holds nothing. Expired attempts are
 * closed where nobody writes under them at this very moment; an offer whose attempt has ended or was renewed is taken away: whoever
 * ended or renewed it could not see an offer that was written while they waited for the attempt's row.
 */
const claimPicked = `
  with clock as materialized (select muster_now() as now),
  picked as (
    select * from unnest($1::int[], $2::bigint[], $3::int[], $4::text[]) as p(lane, seq, taker, attempt_id) where ${limitVersion} = $10::bigint
  ),
  takers as materialized (
    select t.no, i.id, i.actor_id, i.agent, i.agent_version, (i.limits ->> 'attempts')::int as max_attempts,
      (i.limits ->> 'timeoutSeconds')::float8 as timeout
    from unnest($5::text[], $6::text[]) with ordinality as t(id, connection, no)
    cross join lateral (
      select i.* from instances i
      where i.id = t.id and i.connection = t.connection and i.state = 'idle' and i.last_seen_at > (select now from clock) - make_interval(secs => $7)
      limit 1
    ) i
  ),
  locked as materialized (
    select r.*, p.attempt_id, i.id as instance_id, i.actor_id, i.agent, i.agent_version, i.max_attempts, i.timeout
    from picked p
    join takers i on i.no = p.taker
    cross join lateral (
      select r.lane, r.seq, r.task_id, r.attempts, r.expired_fence from task_ready r ${sticky}
      where r.lane = p.lane and r.seq = p.seq and ${mayHave('i.id', 'i.agent')}
      for update of r skip locked
    ) r
  ),
  late as materialized (
    select r.* from locked l cross join lateral (
      select r.* from task_running r
      where r.task_id = l.task_id and r.fence = l.expired_fence and r.lease_until < (select now from clock) for update skip locked
    ) r
    where l.expired_fence is not null
  ),
  closed as (
    delete from task_running r using late l where r.task_id = l.task_id and r.task_id = any (array(select task_id from late)) returning r.task_id
  ),
  kept as (
    insert into attempts (id, task_id, number, fence, instance_id, holder_id, agent, agent_version, outcome, error, progress, progress_message, checkpoint,
      cost_usd, log_lines, started_at, ended_at)
    select attempt_id, task_id, number, fence, instance_id, holder_id, agent, agent_version, 'expired', 'the lease expired', progress, progress_message,
      checkpoint, cost_usd, log_lines, started_at, (select now from clock) from late returning 1
  ),
  blamed as (
    update tasks t set failures = t.failures + 1, max_attempts = least(t.max_attempts, l.max_attempts), attempt = l.number, instance_id = l.instance_id,
      agent = l.agent, checkpoint = coalesce(l.checkpoint, t.checkpoint), updated_at = (select now from clock)
    from late l where t.id = l.task_id and t.id = any (array(select task_id from late)) returning 1
  ),
  outlived as (
    delete from task_ready r using locked l
    where r.lane = any (array(select lane from locked)) and r.seq = any (array(select seq from locked)) and r.lane = l.lane and r.seq = l.seq
      and l.expired_fence is not null and l.task_id <> all (array(select task_id from late))
      and not exists (select from task_running a where a.task_id = l.task_id and a.fence = l.expired_fence and a.ready_seq = l.seq offset 0)
    returning 1
  ),
  -- only behind the end of the expired attempt: its row has the same key as the one that is opened
  gone as (
    delete from task_ready r using locked l left join closed c on c.task_id = l.task_id
    where r.lane = any (array(select lane from locked)) and r.seq = any (array(select seq from locked)) and r.lane = l.lane and r.seq = l.seq
      and (l.expired_fence is null or c.task_id is not null)
    returning l.*
  ),
  opened as (
    insert into task_running (task_id, fence, lane, number, attempt_id, instance_id, holder_id, agent, agent_version, max_attempts, started_at,
      lease_until, deadline_at)
    select g.task_id, nextval('task_fences'), abs(g.lane), g.attempts + 1, g.attempt_id, g.instance_id, g.actor_id, g.agent, g.agent_version,
      g.max_attempts, c.now, c.now + make_interval(secs => $8), c.now + make_interval(secs => g.timeout)
    from gone g, clock c
    returning task_id, fence, lane, number, attempt_id, instance_id, agent
  ),
  told as (
    select o.task_id, o.fence, o.lane, o.number, o.attempt_id, o.instance_id,
      row('evt' || substr(o.attempt_id, 4), 'task.started', l.team_id, l.project_id, o.task_id, 'normal',
        jsonb_build_object('taskId', o.task_id, 'attempt', o.number, 'fence', o.fence, 'agent', o.agent, 'instanceId', o.instance_id),
        $9)::event_draft as event
    from opened o cross join lateral (select l.* from task_lanes l where l.id = o.lane offset 0) l
  )
  select t.claimed, t.written, (select string_agg(id, ',') from takers) as awake, ${limitVersion} = $10::bigint as current,
    (select now from clock) + make_interval(secs => $8) as "leaseUntil", a.head, a.owed
  from (
    -- counted so that they are written before the log's lock is taken
    select (select count(*) from kept) + (select count(*) from blamed) + (select count(*) from outlived) as written,
      string_agg(concat_ws(' ', task_id, fence, lane, number, attempt_id, instance_id), ',') as claimed, array_agg(event) as events
    from told
  ) t, append_events_of(t.events, '{task.started}') a`;

export interface ClaimedEach {
  readonly claimed: Claimed[];
  /** Instances that may be given something: who of them got nothing came too late. */
  readonly awake: ReadonlySet<string>;
  /** Limits have changed: nothing was given, and they are to be looked at first. */
  readonly outdated: boolean;
}

export async function claimEach(
  db: HotSql,
  q: {
    /** `taker` is an index into the instances. */
    picks: readonly {
      readonly lane: number;
      readonly seq: number;
      readonly taker: number;
      readonly attemptId: string;
    }[];
    instances: readonly { readonly id: string; readonly connection: string }[];
    leaseSeconds: number;
    silentAfterSeconds: number;
    traceparent: string | null;
    limitVersion: number;
  },
): Promise<ClaimedEach> {
  const [answer] = await db.hot<Omit<ClaimAnswer, 'places' | 'locked'> & { awake: string | null }>(
    'claim each for its instance',
    claimPicked,
    [
      plain(q.picks.map(({ lane }) => lane)),
      plain(q.picks.map(({ seq }) => seq)),
      plain(q.picks.map(({ taker }) => taker + 1)),
      plain(q.picks.map(({ attemptId }) => attemptId)),
      plain(q.instances.map(({ id }) => id)),
      plain(q.instances.map(({ connection }) => connection)),
      q.silentAfterSeconds,
      q.leaseSeconds,
      q.traceparent,
      q.limitVersion,
    ],
  );
  db.appended(answer?.head ?? null, answer?.owed);
  return {
    claimed: answer === undefined ? [] : claimedIn(answer),
    awake: new Set(split(answer?.awake ?? null)),
    outdated: answer?.current === false,
  };
}

/** Of these, what this instance may have now. Locked. Nothing where limits have changed since `limitVersion`. */
export const lockParticular = (
  tx: Sql,
  q: { places: readonly { lane: number; seq: number }[]; instanceId: string; agent: string; limitVersion: number },
): Promise<ParticularRow[]> =>
  tx.sql<ParticularRow>(
    `select r.lane, r.seq, r.task_id, r.attempts, r.expired_fence, ${expiredAgent} as expired_agent
     from unnest($1::int[], $2::bigint[]) as c(lane, seq) join task_ready r on r.lane = c.lane and r.seq = c.seq ${sticky}
     where ${mayHave('$3', '$5')} and ${limitVersion} = $4::bigint
     for update of r skip locked`,
    [q.places.map((place) => place.lane), q.places.map((place) => place.seq), q.instanceId, q.limitVersion, q.agent],
  );

/**
 * Ends the expired attempts of these rows, so that new ones can begin. A row whose holder is writing at this very moment is
 * left out, and so is one whose attempt has ended meanwhile.
 */
export const closeExpired = (
  tx: Sql,
  rows: readonly { task_id: string; expired_fence: number | null }[],
): Promise<{ task_id: string }[]> =>
  tx.sql(
    `with late as materialized (
       select r.* from unnest($1::text[], $2::bigint[]) as e(task_id, fence) join task_running r on r.task_id = e.task_id and r.fence = e.fence
       where r.lease_until < muster_now() for update of r skip locked
     ), gone as (
       delete from task_running r using late l where r.task_id = l.task_id
     ), kept as (
       insert into attempts (id, task_id, number, fence, instance_id, holder_id, agent, agent_version, outcome, error, progress, progress_message, checkpoint,
         cost_usd, log_lines, started_at, ended_at)
       select attempt_id, task_id, number, fence, instance_id, holder_id, agent, agent_version, 'expired', 'the lease expired', progress, progress_message,
         checkpoint, cost_usd, log_lines, started_at, muster_now() from late
     )
     update tasks t set failures = t.failures + 1, max_attempts = least(t.max_attempts, l.max_attempts), attempt = l.number, instance_id = l.instance_id,
       agent = l.agent, checkpoint = coalesce(l.checkpoint, t.checkpoint), updated_at = muster_now()
     from late l where t.id = l.task_id returning t.id as task_id`,
    [rows.map((row) => row.task_id), rows.map((row) => row.expired_fence)],
  );

/**
 * Takes away, of these locked rows, the offers whose attempt has ended or was renewed. Whoever ends or renews an attempt takes its
 * offer away in the same statement, and cannot see one that was written while that statement waited for the attempt's row.
 */
export const dropEndedOffers = (tx: Sql, rows: readonly { lane: number; seq: number }[]): Promise<unknown> =>
  tx.sql(
    `delete from task_ready r using unnest($1::int[], $2::bigint[]) as o(lane, seq)
     where r.lane = o.lane and r.seq = o.seq and r.expired_fence is not null
       and not exists (select from task_running a where a.task_id = r.task_id and a.fence = r.expired_fence and a.ready_seq = r.seq)`,
    [rows.map((row) => row.lane), rows.map((row) => row.seq)],
  );

/** Opens attempts of one instance for rows that are locked. */
export const openAttempts = (
  tx: Sql,
  q: {
    rows: readonly ParticularRow[];
    attemptIds: readonly string[];
    instance: InstanceRow;
    leaseSeconds: number;
  },
): Promise<Claimed[]> =>
  tx.sql<Claimed>(
    `with given as (
       select * from unnest($1::int[], $2::bigint[], $3::text[], $4::int[], $5::text[]) as g(lane, seq, task_id, number, attempt_id)
     ), gone as (
       delete from task_ready r using given g where r.lane = g.lane and r.seq = g.seq
       returning g.task_id, abs(g.lane) as lane, g.seq, g.number, g.attempt_id
     )
     insert into task_running (task_id, fence, lane, number, attempt_id, instance_id, holder_id, agent, agent_version, max_attempts, started_at,
       lease_until, deadline_at)
     select task_id, nextval('task_fences'), lane, number, attempt_id, $6, $7, $8, $9, $10::int, muster_now(),
       muster_now() + make_interval(secs => $11), muster_now() + make_interval(secs => $12)
     from gone
     returning task_id, lane, fence, number, attempt_id, instance_id, lease_until`,
    [
      q.rows.map((row) => row.lane),
      q.rows.map((row) => row.seq),
      q.rows.map((row) => row.task_id),
      q.rows.map((row) => row.attempts + 1),
      q.attemptIds,
      q.instance.id,
      q.instance.actor_id,
      q.instance.agent,
      q.instance.agent_version,
      q.instance.limits.attempts,
      q.leaseSeconds,
      q.instance.limits.timeoutSeconds,
    ],
  );

/**
 * The instance, locked: its claims go one after another, so that it never gets more than it has room for. Null when this
 * connection is not its latest any more, or when it has been silent for so long that work would only wait for its lease.
 */
export async function lockInstanceForClaim(
  tx: Sql,
  q: { instanceId: string; connection: string; silentAfterSeconds: number },
): Promise<(InstanceRow & { readonly held: number }) | null> {
  const [row] = await tx.sql<InstanceRow>(
    `select * from instances
     where id = $1 and connection = $2 and state = 'idle' and last_seen_at > muster_now() - make_interval(secs => $3)
     for update`,
    [q.instanceId, q.connection, q.silentAfterSeconds],
  );
  if (row === undefined) return null;
  const [count] = await tx.sql<{ held: number }>(
    `select count(*)::int as held from task_running where instance_id = $1`,
    [q.instanceId],
  );
  return { ...row, held: count?.held ?? 0 };
}

export interface Payload {
  readonly title: string | null;
  /** JSON as it is stored: it goes into the frame without being read. */
  readonly input: string;
  readonly checkpoint: string | null;
  readonly rework: string | null;
}

/** What the agents need to know about tasks that were claimed for them. */
export const payloadsOf = (db: HotSql, taskIds: readonly string[]): Promise<(Payload & { id: string })[]> =>
  db.hot(
    'payloads of tasks',
    `select id, title, input::text as input, checkpoint::text as checkpoint, rework::text as rework from tasks where id = any ($1::text[])`,
    [taskIds],
  );

/** What earlier tries of a task taught, newest last. */
export const lessonsOf = (db: Sql, taskIds: readonly string[]) =>
  db.sql<{ task_id: string; number: number; outcome: 'failed' | 'expired'; error: string | null; checkpoint: unknown }>(
    `select l.* from unnest($1::text[]) as t(id)
     cross join lateral (
       select task_id, number, outcome, error, checkpoint from attempts
       where task_id = t.id and outcome <> 'completed' order by fence desc limit 10
     ) l
     order by l.task_id, l.number`,
    [taskIds],
  );
