import type { InstanceWish } from '@muster/contracts';
import type { Tx } from '#kernel';

type Sql = Pick<Tx, 'sql'>;

export interface WantedRow {
  readonly id: string;
  readonly team_id: string;
  readonly agent: string;
  readonly wanted: InstanceWish;
  readonly wanted_reason: string | null;
}

/**
 * The state follows: the table keeps who is not wanted to run out of the states that claims look for, and who is wanted again
 * is idle, if it is there.
 */
export async function want(
  tx: Sql,
  q: { instanceId: string; wanted: InstanceWish; by: string; reason: string | null },
): Promise<WantedRow | null> {
  const [row] = await tx.sql<WantedRow>(
    `update instances set wanted = $2, wanted_by = $3, wanted_reason = $4, state = case state when 'paused' then 'idle' else state end
     where id = $1 returning id, team_id, agent, wanted, wanted_reason`,
    [q.instanceId, q.wanted, q.by, q.reason],
  );
  return row ?? null;
}

/** Those that are there, or may be, and are not wanted to run. Few, and found by an index of their own. */
export const notWantedToRun = (db: Sql): Promise<WantedRow[]> =>
  db.sql(
    `select id, team_id, agent, wanted, wanted_reason from instances where wanted <> 'run' and state <> 'offline'`,
  );

export interface StopRow {
  readonly team_id: string;
  readonly stopped_at: Date;
  readonly stopped_by: string;
  readonly reason: string | null;
}
/** In place of a team's id: of all of them. */
export const everyTeam = '*';

export const dispatchStops = (db: Sql): Promise<StopRow[]> => db.sql(`select * from dispatch_stops`);

/** Stopping again changes nothing. @returns whether it was running */
export async function stopDispatch(tx: Sql, q: { team: string; by: string; reason: string | null }): Promise<boolean> {
  const stopped = await tx.sql(
    `insert into dispatch_stops (team_id, stopped_at, stopped_by, reason) values ($1, muster_now(), $2, $3) on conflict do nothing returning team_id`,
    [q.team, q.by, q.reason],
  );
  return stopped.length > 0;
}

/** @returns whether it was stopped */
export async function startDispatch(tx: Sql, team: string): Promise<boolean> {
  return (await tx.sql(`delete from dispatch_stops where team_id = $1 returning team_id`, [team])).length > 0;
}

export const countInstances = (db: Sql, teamId: string) =>
  db.sql<{ state: string; count: number }>(
    `select state, count(*)::int as count from (
       select case when i.state = 'idle' and exists (select from task_running r where r.instance_id = i.id) then 'running' else i.state end as state
       from instances i where i.team_id = $1
     ) i group by state`,
    [teamId],
  );
