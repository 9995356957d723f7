import type { Tx } from '#kernel';
import { sticky } from './claim.ts';

type Sql = Pick<Tx, 'sql'>;

export interface PlaceRow {
  /** Where it is claimable; null: nowhere. */
  readonly ready: boolean;
  readonly ready_at: Date | null;
  readonly avoid_instances: readonly string[] | null;
  readonly avoid_until: Date | null;
  readonly avoid_then_person: boolean | null;
  readonly preferred_instance_id: string | null;
  readonly preferred_until: Date | null;
  /** For whom it is kept because of what that did before. */
  readonly sticky_to: 'instance' | 'agent' | null;
  readonly sticky_instance: string | null;
  readonly sticky_agent: string | null;
  readonly sticky_until: Date | null;
  readonly delayed_until: Date | null;
  readonly stopped_reason: string | null;
  readonly stopped: boolean;
  readonly expired: boolean;
  /** Whose attempt that was. */
  readonly expired_agent: string | null;
  /** Claimable tasks of its lane that stand before it, as far as they are counted. */
  readonly ahead: number;
  readonly now: Date;
}

export async function placeOf(db: Sql, taskId: string): Promise<PlaceRow | null> {
  const [row] = await db.sql<PlaceRow>(
    `select r.task_id is not null as ready, r.ready_at, r.avoid_instances, r.avoid_until, r.avoid_then_person, r.preferred_instance_id, r.preferred_until,
       k.sticky_to, k.instance_id as sticky_instance, k.agent as sticky_agent, k.until as sticky_until,
       (select at from task_due d where d.task_id = t.id and d.kind = 'delay') as delayed_until,
       s.team_id is not null as stopped, s.reason as stopped_reason, r.expired_fence is not null as expired,
       (select a.agent from task_running a where a.task_id = r.task_id and a.fence = r.expired_fence) as expired_agent,
       (select count(*)::int from (select 1 from task_ready q where q.lane = r.lane and q.seq < r.seq limit 1000) q) as ahead, muster_now() as now
     from tasks t left join task_ready r on r.lane in (t.lane, -t.lane) and r.seq = t.ready_seq
     left join lateral (select s.* from (select 1) as one ${sticky}) k on true
     left join lateral (select * from dispatch_stops s where s.team_id in ('*', t.team_id) limit 1) s on true
     where t.id = $1`,
    [taskId],
  );
  return row ?? null;
}

export interface InstanceStanding {
  readonly id: string;
  readonly team_id: string;
  readonly agent: string;
  readonly agent_version: string;
  readonly state: string;
  readonly wanted: string;
  readonly wanted_reason: string | null;
  readonly system: boolean;
  readonly only_project_id: string | null;
  readonly labels: Record<string, string>;
  readonly room: number;
  readonly held: number;
  readonly silent: boolean;
}

/** Connected instances that offer a capability, those with the most room first. */
export const standingOf = (
  db: Sql,
  q: { teamId: string; capability: string; system: boolean; silentAfterSeconds: number; limit: number },
): Promise<InstanceStanding[]> =>
  db.sql(
    `select i.id, i.team_id, i.agent, i.agent_version, i.state, i.wanted, i.wanted_reason, i.system, i.only_project_id, i.labels,
       least(i.capacity, (i.limits ->> 'concurrency')::int) as room, h.held, i.last_seen_at < muster_now() - make_interval(secs => $4) as silent
     from instances i cross join lateral (select count(*)::int as held from task_running r where r.instance_id = i.id) h
     where i.state <> 'offline' and i.system = $3 and (i.system or i.team_id = $1) and i.capabilities @> array[$2]
     order by least(i.capacity, (i.limits ->> 'concurrency')::int) - h.held desc, i.id limit $5`,
    [q.teamId, q.capability, q.system, q.silentAfterSeconds, q.limit],
  );
