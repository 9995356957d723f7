import type { Tx } from '#kernel';

type Sql = Pick<Tx, 'sql'>;

/** What makes tasks interchangeable: whoever may do one task of a lane may do all of them. */
export interface LaneKey {
  readonly teamId: string;
  readonly projectId: string;
  readonly capability: string;
  readonly priority: number;
  /** Only agents of this name. */
  readonly agentWish: string | null;
  /** Only instances with all of these. */
  readonly labels: Readonly<Record<string, string>>;
  /** Not these agents: the input does not fit their schema. */
  readonly unfitAgents: readonly string[];
  /** Only versions in this range, of the agent that was wished for. */
  readonly agentRange: string | null;
  /** Each of its tasks may be kept for somebody for a while. */
  readonly sticky: boolean;
}
export interface Lane extends LaneKey {
  readonly id: number;
}

const columns = `id, team_id as "teamId", project_id as "projectId", capability, priority, agent_wish as "agentWish", labels, unfit_agents as "unfitAgents",
  agent_range as "agentRange", sticky`;

/** The lane's number, made when there is none yet. Null when another transaction is making it: ask again. */
export async function laneId(db: Sql, key: LaneKey): Promise<number | null> {
  const [row] = await db.sql<{ id: number }>(
    `with wanted as (
       select $1::text as team_id, $2::text as project_id, $3::text as capability, $4::smallint as priority, $5::text as agent_wish,
         $6::jsonb as labels, $7::jsonb as unfit_agents, $8::text as agent_range, $9::boolean as sticky
     ), made as (
       insert into task_lanes (signature, team_id, project_id, capability, priority, agent_wish, labels, unfit_agents, agent_range, sticky)
       select lane_signature(team_id, project_id, capability, priority, agent_wish, labels, unfit_agents, agent_range, sticky), * from wanted
       on conflict (signature) do nothing returning id
     )
     select id from made
     union all
     select l.id from task_lanes l, wanted w
     where l.signature = lane_signature(w.team_id, w.project_id, w.capability, w.priority, w.agent_wish, w.labels, w.unfit_agents, w.agent_range,
       w.sticky)
     limit 1`,
    [
      key.teamId,
      key.projectId,
      key.capability,
      key.priority,
      key.agentWish,
      JSON.stringify(key.labels),
      JSON.stringify(key.unfitAgents),
      key.agentRange,
      key.sticky,
    ],
  );
  return row?.id ?? null;
}

export const lanesById = (db: Sql, laneIds: readonly number[]): Promise<Lane[]> =>
  db.sql<Lane>(`select ${columns} from task_lanes where id = any ($1::int[])`, [laneIds]);

/**
 * The lanes in which something waits, below zero those for tasks with conditions of their own. One step down the index for
 * each lane, however much is in it.
 */
export const lanesWithTasks = (db: Sql, limit: number): Promise<{ lane: number }[]> =>
  db.sql(
    `with recursive lanes as (
       (select lane from task_ready order by lane, seq limit 1)
       union all
       select (select r.lane from task_ready r where (r.lane, r.seq) > (l.lane, 9223372036854775807) order by r.lane, r.seq limit 1)
       from lanes l where l.lane is not null
     )
     select lane from lanes where lane is not null limit $1`,
    [limit],
  );
