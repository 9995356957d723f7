import type { Permission } from '@muster/contracts';
import type { Actor } from '#messages/auth';

/** The projects in which the actor holds the permission; `all` of its team, or a list. Lists filter by it. */
export function visibleProjects(actor: Actor, permission: Permission): string[] | 'all' {
  const inTeam = actor.permissions.has(permission);
  if (actor.onlyProjectId !== null) {
    const inProject = inTeam || actor.projects.get(actor.onlyProjectId)?.has(permission) === true;
    return inProject ? [actor.onlyProjectId] : [];
  }
  if (inTeam) return 'all';
  return [...actor.projects].filter(([, held]) => held.has(permission)).map(([projectId]) => projectId);
}
