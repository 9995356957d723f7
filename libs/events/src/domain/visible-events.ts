import type { CloudEvent } from '@muster/contracts';
import type { Actor } from '#messages/auth';
import type { EventLog } from '#platform/eventlog';
import { visibleProjects } from '#platform/http';
import { PositionGone } from '../events.errors.ts';

/** How much of the log one question looks through: a reader of little in a log of much gets on in bounded steps. */
const WINDOW = 20_000;

/** What one reader may see and wants to see of the log. */
export interface Scope {
  readonly teamId: string;
  /** The projects that the reader sees; `all` includes what belongs to no project. */
  readonly projects: readonly string[] | 'all';
  readonly types: readonly string[];
}

/** @param projectId only this one; the caller has checked that it is the actor's to see */
export function scopeOf(actor: Actor, types: readonly string[], projectId: string | undefined): Scope {
  const visible = visibleProjects(actor, 'event.read');
  const projects =
    projectId === undefined ? visible : visible === 'all' || visible.includes(projectId) ? [projectId] : [];
  return { teamId: actor.teamId, projects, types };
}

/**
 * The next events of a scope after a position, and the position up to which the log has been looked through: reading on
 * from there misses nothing and repeats nothing. `more`: there may be further ones already.
 */
export async function readVisible(
  log: EventLog,
  scope: Scope,
  after: number,
  limit: number,
): Promise<{ events: CloudEvent[]; position: number; more: boolean }> {
  if (scope.projects !== 'all' && scope.projects.length === 0) return { events: [], position: after, more: false };
  const only = scope.projects !== 'all' && scope.projects.length === 1 ? scope.projects[0] : undefined;
  const {
    events: read,
    head,
    oldest,
  } = await log.read({
    teamId: scope.teamId,
    ...(only === undefined ? {} : { projectId: only }),
    types: scope.types,
    after,
    window: WINDOW,
    limit,
  });
  const from = Math.max(after, oldest - 1);
  // Whoever begins at the beginning takes what there is; who read on from somewhere has to know that something is missing.
  if (after > 0 && from > after) throw new PositionGone(after, oldest);
  const upTo = Math.min(head, from + WINDOW);
  const full = read.length === limit;
  const last = read.at(-1)?.position ?? from;
  const { projects } = scope;
  const events =
    projects === 'all' ? read : read.filter(({ projectid }) => projectid !== null && projects.includes(projectid));
  return { events, position: full ? last : Math.max(upTo, from), more: full || upTo < head };
}
