import { Injectable } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import semver from 'semver';
import { Authenticator, type Actor } from '#messages/auth';
import { FindAssignedAgents } from '#messages/projects';
import { Database } from '#platform/database';
import { isReserved } from '../domain/lease-rules.ts';
import type { InstanceRow } from '../domain/task-row.ts';
import { claimableGroups, type ClaimGroup } from '../sql/claim.ts';

export interface Candidate {
  readonly instance: InstanceRow;
  readonly actor: Actor;
}

/**
 * Who may be given what: the capabilities of which projects an instance may claim from now. Asked anew for every round, so
 * that an assignment that was taken away bites at the next claim.
 */
@Injectable()
export class Eligibility {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly authenticator: Authenticator,
  ) {}

  /** By instance id; instances for which there is nothing are left out. */
  async groupsFor(candidates: readonly Candidate[]): Promise<Map<string, ClaimGroup[]>> {
    const capabilities = [...new Set(candidates.flatMap(({ instance }) => [...instance.capabilities]))];
    const groups = capabilities.length === 0 ? [] : await claimableGroups(this.database, capabilities);
    const result = new Map<string, ClaimGroup[]>();
    for (const group of groups) {
      const able = candidates.filter(({ instance }) => this.mayEver(instance, group));
      if (able.length === 0) continue;
      const assigned = isReserved(group.capability)
        ? null
        : await this.queries.execute(new FindAssignedAgents(group.project_id, group.capability));
      for (const { instance, actor } of able) {
        const may =
          assigned === null
            ? this.authenticator.allows(actor, 'system.verify', null)
            : this.authenticator.allows(actor, 'instance.connect', group.project_id) &&
              assigned.some(
                ({ agent, versionRange }) =>
                  agent === instance.agent && semver.satisfies(instance.agent_version, versionRange),
              );
        if (!may) continue;
        const own = result.get(instance.id);
        if (own === undefined) result.set(instance.id, [group]);
        else own.push(group);
      }
    }
    return result;
  }

  private mayEver(instance: InstanceRow, group: ClaimGroup): boolean {
    if (!instance.capabilities.includes(group.capability)) return false;
    if (isReserved(group.capability)) return instance.system;
    if (instance.system || instance.team_id !== group.team_id) return false;
    return instance.only_project_id === null || instance.only_project_id === group.project_id;
  }
}
