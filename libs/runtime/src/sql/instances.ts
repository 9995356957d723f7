import type { Tx } from '#kernel';
import type { InstanceRow } from '../domain/task-row.ts';

type Sql = Pick<Tx, 'sql'>;

export interface Hello {
  readonly id: string;
  readonly teamId: string;
  readonly onlyProjectId: string | null;
  readonly actorId: string;
  readonly agent: string;
  readonly agentVersion: string;
  readonly name: string | null;
  readonly system: boolean;
  readonly transport: 'socket' | 'poll';
  readonly connection: string;
  readonly capabilities: readonly string[];
  readonly labels: Record<string, string>;
  readonly capacity: number;
  readonly limits: InstanceRow['limits'];
  readonly outputSchemas: Record<string, unknown>;
}

/** Takes an instance up again that is the same key's and the same agent's; null when it is not, and a new one begins. */
export async function resumeInstance(tx: Sql, hello: Hello): Promise<InstanceRow | null> {
  const [row] = await tx.sql<InstanceRow>(
    `update instances set agent_version = $5, name = $6, transport = $7, connection = $8, capabilities = $9::text[], labels = $10::jsonb, capacity = $11,
       limits = $12::jsonb, output_schemas = $13::jsonb, connected_at = muster_now(), last_seen_at = muster_now(),
       state = 'idle'
     where id = $1 and team_id = $2 and actor_id = $3 and agent = $4 returning *`,
    [
      hello.id,
      hello.teamId,
      hello.actorId,
      hello.agent,
      hello.agentVersion,
      hello.name,
      hello.transport,
      hello.connection,
      hello.capabilities,
      JSON.stringify(hello.labels),
      hello.capacity,
      JSON.stringify(hello.limits),
      JSON.stringify(hello.outputSchemas),
    ],
  );
  return row ?? null;
}

export async function insertInstance(tx: Sql, hello: Hello): Promise<InstanceRow> {
  const [row] = await tx.sql<InstanceRow>(
    `insert into instances (id, team_id, only_project_id, actor_id, agent, agent_version, name, system, transport, connection, state, capabilities, labels,
       capacity, limits, output_schemas, connected_at, last_seen_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'idle', $11::text[], $12::jsonb, $13, $14::jsonb, $15::jsonb, muster_now(), muster_now()) returning *`,
    [
      hello.id,
      hello.teamId,
      hello.onlyProjectId,
      hello.actorId,
      hello.agent,
      hello.agentVersion,
      hello.name,
      hello.system,
      hello.transport,
      hello.connection,
      hello.capabilities,
      JSON.stringify(hello.labels),
      hello.capacity,
      JSON.stringify(hello.limits),
      JSON.stringify(hello.outputSchemas),
    ],
  );
  if (row === undefined) throw new Error('An insert without a conflict clause returned no row.');
  return row;
}

/** A sign of life. Null when the instance is not this actor's, or another connection has taken it over. */
export async function touchInstance(
  tx: Sql,
  q: { instanceId: string; actorId: string; connection: string | null },
): Promise<InstanceRow | null> {
  const [row] = await tx.sql<InstanceRow>(
    `update instances set last_seen_at = muster_now(), state = case when state = 'offline' then 'idle' else state end
     where id = $1 and actor_id = $2 and ($3::text is null or connection = $3) and connection <> 'gone' returning *`,
    [q.instanceId, q.actorId, q.connection],
  );
  return row ?? null;
}

/**
 * @param gone the instance said goodbye: what it holds goes back and it must say hello again; otherwise it may come back as it was, on
 * another connection: a sign of life that was on its way when this one closed does not bring it back
 */
export async function markOffline(
  tx: Sql,
  q: { instanceId: string; connection: string | null; gone: boolean },
): Promise<InstanceRow | null> {
  const [row] = await tx.sql<InstanceRow>(
    `update instances set state = 'offline', connection = case when $3 then 'gone' else 'lost' end
     where id = $1 and ($2::text is null or connection = $2) and (state <> 'offline' or $3) and connection <> 'gone' returning *`,
    [q.instanceId, q.connection, q.gone],
  );
  return row ?? null;
}

/** What an instance holds, the newest first; locked in the order in which everybody locks attempts. */
export async function lockHeldBy(tx: Sql, instanceId: string): Promise<{ id: string; fence: number }[]> {
  const held = await tx.sql<{ id: string; fence: number }>(
    `select task_id as id, fence from task_running where instance_id = $1 order by task_id for update`,
    [instanceId],
  );
  return held.reverse();
}

/** Running is an idle instance that holds something: it is not written anywhere, so that claims need not write it. */
export async function findInstance(db: Sql, id: string): Promise<(InstanceRow & { running: number }) | null> {
  const [row] = await db.sql<InstanceRow & { running: number }>(
    `select i.*, case when i.state = 'idle' and h.running > 0 then 'running' else i.state end as state, h.running
     from instances i cross join lateral (select count(*)::int as running from task_running r where r.instance_id = i.id) h
     where i.id = $1`,
    [id],
  );
  return row ?? null;
}

export const listInstances = (
  db: Sql,
  q: { teamId: string; states: readonly string[] | null; agent: string | null; beforeId: string | null; limit: number },
): Promise<(InstanceRow & { running: number })[]> =>
  db.sql(
    `with held as (select instance_id, count(*)::int as running from task_running group by instance_id)
     select * from (
       select i.id, i.team_id, i.only_project_id, i.actor_id, i.agent, i.agent_version, i.name, i.system, i.transport, i.connection,
         case when i.state = 'idle' and h.running > 0 then 'running' else i.state end as state, i.wanted, i.wanted_reason, i.capabilities, i.labels, i.capacity,
         i.limits, i.output_schemas, i.connected_at, i.last_seen_at, coalesce(h.running, 0) as running
       from instances i left join held h on h.instance_id = i.id
       where i.team_id = $1
     ) i
     where ($2::text[] is null or i.state = any ($2)) and ($3::text is null or i.agent = $3) and ($4::text is null or i.id < $4 collate "C")
     order by i.id desc limit $5`,
    [q.teamId, q.states, q.agent, q.beforeId, q.limit],
  );
