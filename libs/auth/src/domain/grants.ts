import type { Permission, Role } from '@muster/contracts';
import type { Actor } from '#messages/auth';
import { MoreThanYouHave } from '../auth.errors.ts';
import { rolePermissions } from './role-permissions.ts';

/** What the actor holds in the team (projectId null) or in one project. */
export function holds(actor: Actor, permission: Permission, projectId: string | null): boolean {
  if (actor.onlyProjectId !== null && projectId !== null && projectId !== actor.onlyProjectId) return false;
  if (actor.permissions.has(permission)) return true;
  return projectId !== null && actor.projects.get(projectId)?.has(permission) === true;
}

/** Nobody gives what they do not have, and nobody takes a role away that is more than theirs. */
export function assertMayGrant(actor: Actor, wanted: Iterable<Permission>, projectId: string | null): void {
  const missing = [...wanted].filter(
    (permission) => permission.startsWith('system.') || !holds(actor, permission, projectId),
  );
  if (missing.length > 0) throw new MoreThanYouHave(missing);
}

export const assertMayGrantRole = (actor: Actor, role: Role, projectId: string | null): void =>
  assertMayGrant(actor, rolePermissions[role], projectId);
