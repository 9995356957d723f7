import { defineEntity, p } from '@mikro-orm/postgresql';
import { type AgentVersion, latestOf } from './agent-version.ts';

const agentSchema = defineEntity({
  name: 'Agent',
  tableName: 'agents',
  properties: {
    id: p.text().primary(),
    teamId: p.text(),
    name: p.text(),
    description: p.text().nullable(),
    latestVersion: p.text().nullable(),
    capabilities: p.array<string>(),
    createdAt: p.datetime(),
  },
});

/** A name under which a team keeps versions. */
export class Agent extends agentSchema.class {
  /** Lists show the highest published version, or, before there is one, the newest draft's words. @param versions all, the newest first */
  show(versions: readonly AgentVersion[]): void {
    const latest = latestOf(versions.filter(({ state }) => state === 'published').map(({ version }) => version));
    const shown = versions.find(({ version }) => version === latest) ?? versions[0];
    if (shown === undefined) return;
    const { metadata, skills } = shown.content();
    this.description = metadata.description ?? metadata.title ?? null;
    this.latestVersion = latest;
    this.capabilities = latest === null ? [] : skills.map(({ name }) => name);
  }

  view() {
    return {
      id: this.id,
      teamId: this.teamId,
      name: this.name,
      description: this.description ?? null,
      latestVersion: this.latestVersion ?? null,
      capabilities: this.capabilities,
      createdAt: this.createdAt.toISOString(),
    };
  }
}
agentSchema.setClass(Agent);
