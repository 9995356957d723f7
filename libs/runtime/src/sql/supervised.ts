import type { Tx } from '#kernel';
import type { SupervisedRow } from '../supervised/supervised-row.ts';

type Sql = Pick<Tx, 'sql'>;

/** An instance that nobody has connected yet; what it can do, its hello says. */
export const insertOffline = (
  tx: Sql,
  row: {
    id: string;
    teamId: string;
    onlyProjectId: string | null;
    agent: string;
    agentVersion: string;
    name: string | null;
  },
) =>
  tx.sql(
    `insert into instances (id, team_id, only_project_id, actor_id, agent, agent_version, name, transport, connection, state, capabilities, capacity, limits,
       connected_at, last_seen_at)
     values ($1, $2, $3, '', $4, $5, $6, 'socket', 'gone', 'offline', '{}', 1, '{}', muster_now(), muster_now())`,
    [row.id, row.teamId, row.onlyProjectId, row.agent, row.agentVersion, row.name],
  );

/** Null when this server has as many as it may. */
export async function insertSupervised(
  tx: Sql,
  row: Pick<
    SupervisedRow,
    | 'id'
    | 'team_id'
    | 'project_id'
    | 'server_id'
    | 'agent'
    | 'agent_version'
    | 'name'
    | 'command'
    | 'env'
    | 'restarts'
    | 'started_by'
  >,
  atMost: number,
): Promise<SupervisedRow | null> {
  await tx.sql(`select pg_advisory_xact_lock(hashtext('supervised ' || $1))`, [row.server_id]);
  const [made] = await tx.sql<SupervisedRow>(
    `insert into supervised_instances (id, team_id, project_id, server_id, agent, agent_version, name, command, env, restarts, started_by, created_at)
     select $1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9::jsonb, $10, $11, muster_now()
     where (select count(*) from supervised_instances where server_id = $4 and desired = 'running') < $12
     returning *`,
    [
      row.id,
      row.team_id,
      row.project_id,
      row.server_id,
      row.agent,
      row.agent_version,
      row.name,
      JSON.stringify(row.command),
      JSON.stringify(row.env),
      row.restarts,
      row.started_by,
      atMost,
    ],
  );
  return made ?? null;
}

export async function findSupervised(db: Sql, id: string): Promise<SupervisedRow | null> {
  const [row] = await db.sql<SupervisedRow>(`select * from supervised_instances where id = $1`, [id]);
  return row ?? null;
}

/** Those of one server that want something done: to run, or to be ended. */
export const supervisedToTend = (db: Sql, serverId: string): Promise<SupervisedRow[]> =>
  db.sql(
    `select * from supervised_instances
     where server_id = $1 and ((desired = 'running' and state <> 'error') or mark is not null or (desired = 'stopped' and state <> 'stopped'))`,
    [serverId],
  );

/** Wanted from now on; what went wrong before is forgotten. */
export async function wantRunning(tx: Sql, id: string, startedBy: string): Promise<SupervisedRow | null> {
  const [row] = await tx.sql<SupervisedRow>(
    `update supervised_instances set desired = 'running', started_by = $2, failures = 0, next_start_at = null,
       state = case when state in ('stopped', 'error') then 'starting' else state end,
       reason = case when state in ('stopped', 'error') then null else reason end
     where id = $1 returning *`,
    [id, startedBy],
  );
  return row ?? null;
}

export async function wantStopped(tx: Sql, id: string, graceSeconds: number | null): Promise<SupervisedRow | null> {
  const [row] = await tx.sql<SupervisedRow>(
    `update supervised_instances set desired = 'stopped', stop_grace_seconds = $2, next_start_at = null,
       state = case when mark is null then 'stopped' else 'stopping' end, reason = null
     where id = $1 returning *`,
    [id, graceSeconds],
  );
  return row ?? null;
}

/** Before the process exists: its mark and its key; the instance is the new key's, and no earlier connection's. */
export async function noteStarting(tx: Sql, q: { id: string; mark: string; keyId: string }): Promise<void> {
  await tx.sql(
    `update supervised_instances set state = 'starting', reason = null, starts = starts + 1, next_start_at = null, mark = $2, key_id = $3,
       pid = null, pid_started_ticks = null, boot_id = null, process_started_at = muster_now()
     where id = $1`,
    [q.id, q.mark, q.keyId],
  );
  await tx.sql(`update instances set actor_id = $2, connection = 'gone', state = 'offline' where id = $1`, [
    q.id,
    q.keyId,
  ]);
}

/** @returns false when it is wanted to stop by now */
export async function noteStarted(
  db: Sql,
  q: { id: string; pid: number; startedTicks: number | null; bootId: string },
): Promise<boolean> {
  const [row] = await db.sql<{ desired: string }>(
    `update supervised_instances set state = case desired when 'running' then 'running' else state end,
       pid = $2, pid_started_ticks = $3, boot_id = $4
     where id = $1 returning desired`,
    [q.id, q.pid, q.startedTicks, q.bootId],
  );
  return row?.desired === 'running';
}

/**
 * Nothing of it runs any more. The state is the one given, unless it is wanted to stop. An instance that was to drain has done so and is
 * not started again.
 */
export const noteEnded = (
  tx: Sql,
  q: {
    id: string;
    state: SupervisedRow['state'];
    reason: string | null;
    failures: number;
    nextStartInMs: number | null;
  },
): Promise<SupervisedRow[]> =>
  tx.sql(
    `with wish as (
       select case when i.wanted in ('drain', 'stop') then 'stopped' else s.desired end as desired
       from supervised_instances s join instances i on i.id = s.id where s.id = $1
     )
     update supervised_instances s set mark = null, pid = null, pid_started_ticks = null, boot_id = null, key_id = null, process_started_at = null,
       desired = wish.desired,
       state = case wish.desired when 'running' then $2 else 'stopped' end,
       reason = case wish.desired when 'running' then $3 end,
       failures = $4, next_start_at = case wish.desired when 'running' then muster_now() + make_interval(secs => $5::double precision / 1000) end
     from wish where s.id = $1 returning s.*`,
    [q.id, q.state, q.reason, q.failures, q.nextStartInMs],
  );

/** It is not started, or cannot be ended, and says why. */
export async function noteError(tx: Sql, id: string, reason: string): Promise<void> {
  await tx.sql(`update supervised_instances set state = 'error', reason = $2, next_start_at = null where id = $1`, [
    id,
    reason,
  ]);
}

/** What it held while its process is known to be gone is claimable now; that costs the attempt, as an expiry does. */
export async function endLeases(tx: Sql, instanceId: string): Promise<number> {
  const ended = await tx.sql(
    `update task_running set lease_until = muster_now() where instance_id = $1 and lease_until > muster_now() returning task_id`,
    [instanceId],
  );
  return ended.length;
}

/** Which instance a hello with this key is, when the key was given to a supervised process that has none connected. */
export async function supervisedByKey(db: Sql, keyId: string): Promise<string | null> {
  const [row] = await db.sql<{ id: string }>(
    `select s.id from supervised_instances s join instances i on i.id = s.id where s.key_id = $1 and i.state = 'offline'`,
    [keyId],
  );
  return row?.id ?? null;
}
