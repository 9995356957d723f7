import type { Rework } from '@muster/contracts';
import type { Tx } from '#kernel';
import type { InstanceRow } from '../domain/task-row.ts';

export interface ClaimGroup {
  readonly team_id: string;
  readonly project_id: string;
  readonly capability: string;
}

type Sql = Pick<Tx, 'sql'>;

/** What there is to hand out, for anyone who can do one of these; the dispatcher then asks who may. */
export const claimableGroups = (db: Sql, capabilities: readonly string[]): Promise<ClaimGroup[]> =>
  db.sql<ClaimGroup>(
    `select distinct team_id, project_id, capability from tasks
     where capability = any($1::text[])
       and ((state = 'queued' and (not_before is null or not_before <= muster_now()))
         or (state = 'running' and lease_until < muster_now() and failures + 1 < max_attempts))
     limit 2000`,
    [capabilities],
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
     where id = $1 and connection = $2 and state in ('idle', 'running') and last_seen_at > muster_now() - make_interval(secs => $3)
     for update`,
    [q.instanceId, q.connection, q.silentAfterSeconds],
  );
  if (row === undefined) return null;
  const [count] = await tx.sql<{ held: number }>(
    `select count(*)::int as held from tasks where instance_id = $1 and state = 'running'`,
    [q.instanceId],
  );
  return { ...row, held: count?.held ?? 0 };
}

export interface ClaimedRow {
  readonly id: string;
  readonly team_id: string;
  readonly project_id: string;
  readonly capability: string;
  readonly title: string | null;
  readonly input: Record<string, never>;
  readonly fence: number;
  readonly attempt: number;
  readonly attempt_id: string;
  readonly lease_until: Date;
  readonly checkpoint: unknown;
  readonly rework: Rework | null;
  /** Set when the task was taken from an attempt whose lease had expired. */
  readonly lost_fence: number | null;
  readonly lost_attempt: number | null;
  readonly lost_instance_id: string | null;
  readonly lost_told: boolean;
}

/**
 * The claim: one statement over what is queued or expired. Two claimers never see the same row (`skip locked`), and each
 * claim draws a new fence, which is what refuses every later write of whoever held the task before.
 */
export const claim = (
  tx: Sql,
  q: {
    groups: readonly { projectId: string; capability: string }[];
    /** Null for the system's own instances, which serve all teams. */
    teamId: string | null;
    instance: InstanceRow;
    attemptIds: readonly string[];
    leaseSeconds: number;
  },
): Promise<ClaimedRow[]> =>
  tx.sql<ClaimedRow>(
    `with picked as materialized (
       select t.id, t.state as was, t.fence as old_fence, t.attempt as old_attempt, t.instance_id as old_instance, t.expiry_told as old_told,
              t.priority as rank
       from tasks t
       where (t.project_id, t.capability) in (select g."projectId", g.capability from jsonb_to_recordset($1::jsonb) as g("projectId" text, capability text))
         and ($2::text is null or t.team_id = $2)
         and ((t.state = 'queued' and (t.not_before is null or t.not_before <= muster_now()))
           or (t.state = 'running' and t.lease_until < muster_now() and t.failures + 1 < t.max_attempts
               -- who let it expire gets it back only when nobody else wanted it for one more lease
               and (t.instance_id <> $3 or t.lease_until < muster_now() - make_interval(secs => $8))))
         and (t.agent_wish is null or t.agent_wish = $4)
         and not ($4 = any (t.unfit_agents))
         and t.labels <@ $5::jsonb
         and (t.avoid_until is null or (t.avoid_until <= muster_now() and not t.avoid_then_person) or not ($3 = any (t.avoid_instances)))
         and (t.preferred_until is null or t.preferred_until <= muster_now() or t.preferred_instance_id = $3
           or not exists (select 1 from instances p where p.id = t.preferred_instance_id and p.state in ('idle', 'running')))
       order by t.priority, t.id
       limit jsonb_array_length($6::jsonb)
       for update of t skip locked
     ),
     numbered as (
       select picked.*, $6::jsonb ->> (row_number() over (order by rank, id) - 1)::int as attempt_id from picked
     ),
     lost as (
       update attempts a set outcome = 'expired', error = 'the lease expired', ended_at = muster_now()
       from picked p where p.was = 'running' and a.task_id = p.id and a.fence = p.old_fence and a.outcome is null
       returning a.task_id
     ),
     taken as (
       update tasks t set
         state = 'running', fence = nextval('task_fences'), attempt = t.attempt + 1, failures = t.failures + case when p.was = 'running' then 1 else 0 end,
         max_attempts = least(t.max_attempts, $9::int),
         lease_until = muster_now() + make_interval(secs => $8), deadline_at = muster_now() + make_interval(secs => $10),
         expiry_told = false, instance_id = $3, holder_id = $7, agent = $4,
         preferred_instance_id = null, preferred_until = null, avoid_until = null, avoid_then_person = false, not_before = null, updated_at = muster_now()
       from numbered p where t.id = p.id
       returning t.id, t.team_id, t.project_id, t.capability, t.title, t.input, t.fence, t.attempt, t.lease_until, t.checkpoint, t.rework, t.priority,
         p.attempt_id, p.was, p.old_fence, p.old_attempt, p.old_instance, p.old_told
     ),
     opened as (
       -- reading from lost first closes the lost attempt before the next one opens
       insert into attempts (id, task_id, team_id, project_id, number, fence, instance_id, holder_id, agent, agent_version, started_at)
       select k.attempt_id, k.id, k.team_id, k.project_id, k.attempt, k.fence, $3, $7, $4, $11, muster_now()
       from taken k where (select count(*) from lost) >= 0
       returning task_id
     )
     select k.*, case when k.was = 'running' then k.old_fence end as lost_fence, case when k.was = 'running' then k.old_attempt end as lost_attempt,
       case when k.was = 'running' then k.old_instance end as lost_instance_id, k.old_told as lost_told
     from taken k join opened o on o.task_id = k.id
     order by k.priority, k.id`,
    [
      JSON.stringify(q.groups),
      q.teamId,
      q.instance.id,
      q.instance.agent,
      JSON.stringify(q.instance.labels),
      JSON.stringify(q.attemptIds),
      q.instance.actor_id,
      q.leaseSeconds,
      q.instance.limits.attempts,
      q.instance.limits.timeoutSeconds,
      q.instance.agent_version,
    ],
  );

/** What earlier tries of a task taught, newest last. */
export const lessonsOf = (tx: Sql, taskIds: readonly string[]) =>
  tx.sql<{ task_id: string; number: number; outcome: 'failed' | 'expired'; error: string | null; checkpoint: unknown }>(
    `select l.* from unnest($1::text[]) as t(id)
     cross join lateral (
       select task_id, number, outcome, error, checkpoint from attempts
       where task_id = t.id and outcome is not null and outcome <> 'completed' order by number desc limit 10
     ) l
     order by l.task_id, l.number`,
    [taskIds],
  );
