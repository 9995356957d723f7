import { type AgentDefinition, agentDefinition, type AgentVersionView } from '@muster/contracts';
import { defineEntity, p } from '@mikro-orm/postgresql';
import semver from 'semver';
import { stringify } from 'yaml';
import { VersionImmutable, WrongState } from '../registry.errors.ts';

export type AgentVersionState = AgentVersionView['state'];

const versionSchema = defineEntity({
  name: 'AgentVersion',
  tableName: 'agent_versions',
  properties: {
    id: p.text().primary(),
    teamId: p.text(),
    agentId: p.text(),
    name: p.text(),
    version: p.text(),
    state: p.text().$type<AgentVersionState>(),
    contentHash: p.text(),
    definition: p.json().$type<unknown>(),
    createdAt: p.datetime(),
    publishedAt: p.datetime().nullable(),
    deprecatedAt: p.datetime().nullable(),
  },
});

/** What was registered under a name and a number. Only its state ever changes, and that in one direction. */
export class AgentVersion extends versionSchema.class {
  /** False when it was published before. */
  publish(now: Date): boolean {
    switch (this.state) {
      case 'published':
        return false;
      case 'deprecated':
        throw new WrongState(this.name, this.version, this.state, 'publish');
      case 'draft':
        this.state = 'published';
        this.publishedAt = now;
        return true;
    }
  }

  /** False when it was deprecated before. */
  deprecate(now: Date): boolean {
    switch (this.state) {
      case 'deprecated':
        return false;
      case 'draft':
        throw new WrongState(this.name, this.version, this.state, 'deprecate');
      case 'published':
        this.state = 'deprecated';
        this.deprecatedAt = now;
        return true;
    }
  }

  assertDeletable(): void {
    if (this.state !== 'draft') throw new VersionImmutable(this.name, this.version, this.state);
  }

  /** Parsed, so that the fields come in the order of the contract: jsonb keeps another. */
  content(): AgentDefinition {
    return agentDefinition.parse(this.definition);
  }

  view(): AgentVersionView {
    return {
      id: this.id,
      agentId: this.agentId,
      name: this.name,
      version: this.version,
      state: this.state,
      contentHash: this.contentHash,
      definition: this.content(),
      createdAt: this.createdAt.toISOString(),
      publishedAt: this.publishedAt?.toISOString() ?? null,
      deprecatedAt: this.deprecatedAt?.toISOString() ?? null,
    };
  }
}
versionSchema.setClass(AgentVersion);

/** The version that a range means: the highest in it; pre-releases count only where the range names one. */
export const highestWithin = (versions: readonly string[], range: string): string | null =>
  semver.validRange(range) === null ? null : semver.maxSatisfying([...versions], range);

/** The version that stands for the agent: the highest release, or, before the first, the highest pre-release. */
export const latestOf = (versions: readonly string[]): string | null =>
  semver.maxSatisfying([...versions], '*') ?? [...versions].sort(semver.rcompare)[0] ?? null;

export const toYaml = (definition: AgentDefinition): string => stringify(definition, { lineWidth: 120 });
