import type { Tx } from '#kernel';
import type { AgentVersionRow } from '../domain/agent-version.ts';
import { AgentUnknown, VersionUnknown } from '../registry.errors.ts';

/** Locks an agent, then one of its versions, until the transaction ends. @param agent its name or id */
export async function lockVersion(tx: Tx, teamId: string, agent: string, version: string): Promise<AgentVersionRow> {
  const locked = await lockAgent(tx, teamId, agent);
  const [row] = await tx.sql<AgentVersionRow>(
    `select * from agent_versions where agent_id = $1 and version = $2 for update`,
    [locked.id, version],
  );
  if (row === undefined) throw new VersionUnknown(locked.name, version);
  return row;
}

export async function lockAgent(tx: Tx, teamId: string, agent: string): Promise<{ id: string; name: string }> {
  const [row] = await tx.sql<{ id: string; name: string }>(
    `select id, name from agents where team_id = $1 and (name = $2 or id = $2) for update`,
    [teamId, agent],
  );
  if (row === undefined) throw new AgentUnknown(agent);
  return row;
}
