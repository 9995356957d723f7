import type { Tx } from '#kernel';
import type { Limit, LimitUse } from '../domain/limit-budget.ts';
import type { LimitRow } from '../domain/limit-view.ts';

type Sql = Pick<Tx, 'sql'>;

/** The version that a claim has to know, as an expression. */
export const limitVersion = `(select version from dispatch_limit_version where id = 1)`;

const columns = `d.id, d.team_id as "teamId", d.project_id as "projectId", d.capability, d.agent, d.max_running as "maxRunning",
  d.max_starts as "maxStarts", d.per_seconds as "perSeconds"`;

/**
 * How much of each limit of `d` is used. What runs is counted among the open attempts, so no crash can leave a place taken; the
 * system's own tasks do not count.
 */
const use = `
  cross join lateral (
    select count(*)::int as running from task_running r join task_lanes l on l.id = r.lane
    where l.team_id = d.team_id and l.project_id = coalesce(d.project_id, l.project_id) and l.capability = coalesce(d.capability, l.capability)
      and r.agent = coalesce(d.agent, r.agent) and l.capability <> 'muster' and not starts_with(l.capability, 'muster.')
  ) as r
  cross join lateral (
    select coalesce(sum(s.starts), 0)::int as started,
      min(s.at) filter (where s.before + s.starts > s.total - d.max_starts) + make_interval(secs => d.per_seconds) as next_start_at
    from (
      select s.at, s.starts, sum(s.starts) over (order by s.at, s.ctid) - s.starts as before, sum(s.starts) over () as total
      from dispatch_limit_starts s where s.limit_id = d.id and s.at > muster_now() - make_interval(secs => d.per_seconds)
    ) s
  ) as s`;
const nextStartAt = `case when s.started >= d.max_starts then s.next_start_at end`;

export async function allLimits(db: Sql): Promise<{ version: number; limits: Limit[] }> {
  // One statement, so that the version is that of these limits.
  const rows = await db.sql<Limit & { version: number; id: string | null }>(
    `select v.version, ${columns} from dispatch_limit_version v left join dispatch_limits d on true where v.id = 1`,
  );
  return {
    version: Number(rows[0]?.version ?? 0),
    limits: rows.flatMap(({ version: _version, ...limit }) => (limit.id === null ? [] : [limit])),
  };
}

/** Claims under the same limit go one after another from here on. */
export const lockLimits = (tx: Sql, limitIds: readonly string[]): Promise<unknown> =>
  tx.sql(`select 1 from dispatch_limits where id = any ($1::text[]) order by id for update`, [limitIds]);

export const usesOf = (db: Sql, limitIds: readonly string[]): Promise<LimitUse[]> =>
  db.sql(
    `select d.id, r.running, s.started, (extract(epoch from ${nextStartAt} - muster_now()) * 1000)::float8 as "nextStartInMs"
     from dispatch_limits d ${use} where d.id = any ($1::text[])`,
    [limitIds],
  );

/** Under their locks: these began now. Those that count no more go. */
export const countStarts = (tx: Sql, starts: ReadonlyMap<string, number>): Promise<unknown> =>
  tx.sql(
    `with old as (
       delete from dispatch_limit_starts s using dispatch_limits d
       where d.id = any ($1::text[]) and s.limit_id = d.id and s.at <= muster_now() - make_interval(secs => d.per_seconds)
     )
     insert into dispatch_limit_starts (limit_id, at, starts)
     select d.id, muster_now(), n.starts from unnest($1::text[], $2::int[]) as n(id, starts) join dispatch_limits d on d.id = n.id
     where d.max_starts is not null`,
    [[...starts.keys()], [...starts.values()]],
  );

const shown = `select ${columns}, r.running, s.started, ${nextStartAt} as "nextStartAt", d.created_at as "createdAt", d.updated_at as "updatedAt",
  d.updated_by as "updatedBy" from dispatch_limits d ${use}`;

/** @param projectIds null: of the whole team; what is limited for all of the team's projects is always among them */
export const listLimits = (db: Sql, teamId: string, projectIds: readonly string[] | null): Promise<LimitRow[]> =>
  db.sql(
    `${shown} where d.team_id = $1 and ($2::text[] is null or d.project_id is null or d.project_id = any ($2::text[]))
     order by d.project_id nulls first, d.capability nulls first, d.agent nulls first`,
    [teamId, projectIds],
  );

export async function limitById(db: Sql, limitId: string): Promise<LimitRow | null> {
  const [row] = await db.sql<LimitRow>(`${shown} where d.id = $1`, [limitId]);
  return row ?? null;
}

/** @returns the limit's id, and null when there were `most` of the team's already */
export async function putLimit(
  tx: Sql,
  q: Limit & { readonly by: string; readonly most: number },
): Promise<string | null> {
  const [row] = await tx.sql<{ id: string }>(
    `with before as (select count(*) as count from dispatch_limits where team_id = $2)
     insert into dispatch_limits (id, team_id, project_id, capability, agent, max_running, max_starts, per_seconds, created_at, updated_at, updated_by)
     select $1, $2, $3, $4, $5, $6::int, $7::int, $8::int, muster_now(), muster_now(), $9 from before
     where count < $10::int or exists (
       select from dispatch_limits d where d.team_id = $2 and d.project_id is not distinct from $3::text and d.capability is not distinct from $4::text
         and d.agent is not distinct from $5::text)
     on conflict on constraint dispatch_limits_one_for_a_scope do update
       set max_running = excluded.max_running, max_starts = excluded.max_starts, per_seconds = excluded.per_seconds, updated_at = excluded.updated_at,
         updated_by = excluded.updated_by
     returning id`,
    [q.id, q.teamId, q.projectId, q.capability, q.agent, q.maxRunning, q.maxStarts, q.perSeconds, q.by, q.most],
  );
  return row?.id ?? null;
}

export async function removeLimit(tx: Sql, limitId: string): Promise<Limit | null> {
  const [row] = await tx.sql<Limit>(`delete from dispatch_limits d where d.id = $1 returning ${columns}`, [limitId]);
  return row ?? null;
}
