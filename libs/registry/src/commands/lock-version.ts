import { LockMode } from '@mikro-orm/postgresql';
import type { Transaction } from '#platform/database';
import { Agent } from '../domain/agent.ts';
import { AgentVersion } from '../domain/agent-version.ts';
import { AgentUnknown, VersionUnknown } from '../registry.errors.ts';

const lock = { lockMode: LockMode.PESSIMISTIC_WRITE };

/** Locks an agent, then one of its versions, until the transaction ends. @param agent its name or id */
export async function lockVersion(
  tx: Transaction,
  teamId: string,
  agent: string,
  version: string,
): Promise<{ agent: Agent; version: AgentVersion }> {
  const locked = await lockAgent(tx, teamId, agent);
  const found = await tx.em.findOne(AgentVersion, { agentId: locked.id, version }, lock);
  if (found === null) throw new VersionUnknown(locked.name, version);
  return { agent: locked, version: found };
}

export async function lockAgent(tx: Transaction, teamId: string, agent: string): Promise<Agent> {
  const found = await tx.em.findOne(Agent, { teamId, $or: [{ name: agent }, { id: agent }] }, lock);
  if (found === null) throw new AgentUnknown(agent);
  return found;
}

/** The newest first. */
export const versionsOf = (tx: Transaction, agent: Agent): Promise<AgentVersion[]> =>
  tx.em.find(AgentVersion, { agentId: agent.id }, { orderBy: { id: 'desc' } });
