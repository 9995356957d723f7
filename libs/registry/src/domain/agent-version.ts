import { agentDefinition, type AgentVersionView } from '@muster/contracts';
import semver from 'semver';
import { stringify } from 'yaml';
import type { z } from 'zod';

export type AgentVersionState = AgentVersionView['state'];

export interface AgentVersionRow {
  id: string;
  team_id: string;
  agent_id: string;
  name: string;
  version: string;
  state: AgentVersionState;
  content_hash: string;
  definition: unknown;
  created_at: Date | string;
  published_at: Date | string | null;
  deprecated_at: Date | string | null;
}

const iso = (time: Date | string): string => new Date(time).toISOString();

export const toVersionView = (row: AgentVersionRow): AgentVersionView => ({
  id: row.id,
  agentId: row.agent_id,
  name: row.name,
  version: row.version,
  state: row.state,
  contentHash: row.content_hash,
  // Parsed again so that the fields come in the order of the contract: jsonb keeps another.
  definition: agentDefinition.parse(row.definition),
  createdAt: iso(row.created_at),
  publishedAt: row.published_at === null ? null : iso(row.published_at),
  deprecatedAt: row.deprecated_at === null ? null : iso(row.deprecated_at),
});

export interface AgentRow {
  id: string;
  team_id: string;
  name: string;
  description: string | null;
  latest_version: string | null;
  capabilities: string[];
  created_at: Date | string;
}

export const toAgentView = (row: AgentRow) => ({
  id: row.id,
  teamId: row.team_id,
  name: row.name,
  description: row.description,
  latestVersion: row.latest_version,
  capabilities: row.capabilities,
  createdAt: iso(row.created_at),
});

/** The version that a range means: the highest in it; pre-releases count only where the range names one. */
export const highestWithin = (versions: readonly string[], range: string): string | null =>
  semver.validRange(range) === null ? null : semver.maxSatisfying([...versions], range);

/** The version that stands for the agent: the highest release, or, before the first, the highest pre-release. */
export const latestOf = (versions: readonly string[]): string | null =>
  semver.maxSatisfying([...versions], '*') ?? [...versions].sort(semver.rcompare)[0] ?? null;

export const toYaml = (definition: z.infer<typeof agentDefinition>): string =>
  stringify(definition, { lineWidth: 120 });
