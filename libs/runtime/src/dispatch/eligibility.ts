import { Injectable } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import semver from 'semver';
import { Authenticator, type Actor } from '#messages/auth';
import { FindAssignedAgents } from '#messages/projects';
import { isReserved } from '../domain/lease-rules.ts';
import type { InstanceRow } from '../domain/task-row.ts';
import type { Lane } from '../sql/lanes.ts';
import { DispatchStops } from './dispatch-stops.ts';

export interface Candidate {
  readonly instance: InstanceRow;
  readonly actor: Actor;
}
type Assigned = readonly { readonly agent: string; readonly versionRange: string }[];

/**
 * Who may do what, decided once for a lane and a kind of instance, not for each task. Asked anew for every round, so that an
 * assignment that was taken away bites at the next claim.
 */
@Injectable()
export class Eligibility {
  private readonly kinds = new WeakMap<InstanceRow, string>();

  constructor(
    private readonly queries: QueryBus,
    private readonly authenticator: Authenticator,
    private readonly stops: DispatchStops,
  ) {}

  /** The numbers of the lanes that each may take from, by instance id; instances for which there is nothing are left out. */
  async lanesFor(candidates: readonly Candidate[], all: readonly Lane[]): Promise<Map<string, readonly number[]>> {
    const lanes = all.filter(({ teamId }) => !this.stops.isStopped(teamId));
    const assigned = await this.assignedOf(lanes);
    const byKind = new Map<string, readonly number[]>();
    const result = new Map<string, readonly number[]>();
    for (const candidate of candidates) {
      const kind = this.kindOf(candidate);
      let own = byKind.get(kind);
      if (own === undefined) {
        own = lanes
          .filter((lane) => this.may(candidate, lane, assigned.get(`${lane.projectId} ${lane.capability}`) ?? []))
          .map((lane) => lane.id);
        byKind.set(kind, own);
      }
      if (own.length > 0) result.set(candidate.instance.id, own);
    }
    return result;
  }

  private async assignedOf(lanes: readonly Lane[]): Promise<Map<string, Assigned>> {
    const found = new Map<string, Assigned>();
    for (const { projectId, capability } of lanes) {
      const key = `${projectId} ${capability}`;
      if (isReserved(capability) || found.has(key)) continue;
      found.set(key, await this.queries.execute(new FindAssignedAgents(projectId, capability)));
    }
    return found;
  }

  private may({ instance, actor }: Candidate, lane: Lane, assigned: Assigned): boolean {
    if (!instance.capabilities.includes(lane.capability)) return false;
    if (lane.agentWish !== null && lane.agentWish !== instance.agent) return false;
    if (lane.agentRange !== null && !semver.satisfies(instance.agent_version, lane.agentRange)) return false;
    if (lane.unfitAgents.includes(instance.agent)) return false;
    for (const [name, value] of Object.entries(lane.labels)) if (instance.labels[name] !== value) return false;
    if (isReserved(lane.capability)) return instance.system && this.authenticator.allows(actor, 'system.verify', null);
    if (instance.system || instance.team_id !== lane.teamId) return false;
    if (instance.only_project_id !== null && instance.only_project_id !== lane.projectId) return false;
    return (
      this.authenticator.allows(actor, 'instance.connect', lane.projectId) &&
      assigned.some(
        ({ agent, versionRange }) => agent === instance.agent && semver.satisfies(instance.agent_version, versionRange),
      )
    );
  }

  /** Instances of one kind are told apart by nothing that decides what they may do. */
  private kindOf({ instance, actor }: Candidate): string {
    const known = this.kinds.get(instance);
    if (known !== undefined) return known;
    const kind = JSON.stringify([
      actor.id,
      instance.team_id,
      instance.only_project_id,
      instance.system,
      instance.agent,
      instance.agent_version,
      [...instance.capabilities].sort(),
      Object.entries(instance.labels).sort(),
    ]);
    this.kinds.set(instance, kind);
    return kind;
  }
}
