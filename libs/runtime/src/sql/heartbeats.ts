import type { HotSql } from './claim.ts';

export interface Beat {
  readonly actorId: string;
  readonly instanceId: string;
  /** Null: whatever its connection is, for instances without a socket. */
  readonly connection: string | null;
  readonly held: readonly { readonly taskId: string; readonly fence: number }[];
}
export interface BeatAnswer {
  /** False when the instance is not this actor's, or another connection has taken it over. */
  readonly known: boolean;
  /** What of `held` is an open attempt of the instance's no more. */
  readonly lost: readonly { readonly taskId: string; readonly fence: number }[];
}

/**
 * Signs of life of many instances, and the leases that they hold. A lease that has most of its time left is not written: with
 * several beats in a lease, most beats only read. Rows that are being written are left out and not waited for: who writes an attempt
 * renews or ends it, and whoever is stopped while it claims for one instance must not keep the others from being heard.
 */
const beatText = `
  with clock as materialized (select muster_now() as now),
  beats as materialized (
    select * from unnest($1::text[], $2::text[], $3::text[]) with ordinality as b(id, actor, connection, no)
  ),
  latest as (select distinct on (id) * from beats order by id, no desc),
  awake as materialized (
    select i.id, i.actor_id from latest b join instances i
      on i.id = b.id and i.actor_id = b.actor and (b.connection is null or i.connection = b.connection) and i.connection <> 'gone'
  ),
  free as materialized (
    select i.id from latest b join instances i
      on i.id = b.id and i.actor_id = b.actor and (b.connection is null or i.connection = b.connection) and i.connection <> 'gone'
    order by i.id for update of i skip locked
  ),
  alive as (
    update instances i set last_seen_at = c.now, state = case when i.state = 'offline' then 'idle' else i.state end
    from free f, clock c where i.id = f.id
  ),
  held as materialized (
    select h.beat, h.task_id, h.fence, r.lane, r.ready_seq, r.lease_until, r.expiry_told, r.task_id is not null as current
    from unnest($4::int[], $5::text[], $6::bigint[]) as h(beat, task_id, fence)
    join beats b on b.no = h.beat
    left join task_running r on r.task_id = h.task_id and r.fence = h.fence and r.holder_id = b.actor and r.instance_id = b.id
  ),
  due as materialized (
    select r.task_id, r.lane, r.ready_seq from task_running r
    where r.task_id = any (array(
      select h.task_id from held h, clock c where h.current and (h.expiry_told or h.lease_until < c.now + make_interval(secs => $7::float8 * 0.8))))
    order by r.task_id for update skip locked
  ),
  unoffered as (
    delete from task_ready q
    where q.lane = any (array(select -lane from due where ready_seq is not null))
      and q.seq = any (array(select ready_seq from due where ready_seq is not null))
  ),
  renewed as (
    update task_running r set lease_until = c.now + make_interval(secs => $7::float8), expiry_told = false, ready_seq = null
    from clock c where r.task_id = any (array(select task_id from due))
  )
  select b.no::int as beat, exists (select 1 from awake a where a.id = b.id and a.actor_id = b.actor) as known,
    (select coalesce(array_agg(h.task_id), '{}') from held h where h.beat = b.no and not h.current) as lost,
    (select coalesce(array_agg(h.fence), '{}') from held h where h.beat = b.no and not h.current) as fences
  from beats b order by b.no`;

export async function beat(db: HotSql, beats: readonly Beat[], leaseSeconds: number): Promise<BeatAnswer[]> {
  const held = beats.flatMap((one, n) => one.held.map((lease) => ({ ...lease, beat: n + 1 })));
  const rows = await db.hot<{ known: boolean; lost: string[]; fences: number[] }>('beats of instances', beatText, [
    beats.map((one) => one.instanceId),
    beats.map((one) => one.actorId),
    beats.map((one) => one.connection),
    held.map((lease) => lease.beat),
    held.map((lease) => lease.taskId),
    held.map((lease) => lease.fence),
    leaseSeconds,
  ]);
  return rows.map(({ known, lost, fences }) => ({
    known,
    lost: lost.map((taskId, n) => ({ taskId, fence: Number(fences[n]) })),
  }));
}
