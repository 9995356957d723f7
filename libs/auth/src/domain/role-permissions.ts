import { type Permission, permissions, type Role } from '@muster/contracts';

const viewer: Permission[] = [
  'team.read',
  'project.read',
  'repository.read',
  'agent.read',
  'assignment.read',
  'task.read',
  'instance.read',
  'limit.read',
  'submission.read',
  'verification.read',
  'landing.read',
  'audit.read',
  'event.read',
];
/** Connects, works on what it is given and hands in. Without a task it can push nothing, and it takes nothing back. */
const agent: Permission[] = [
  'team.read',
  'project.read',
  'repository.read',
  'repository.submit',
  'agent.read',
  'task.read',
  'instance.connect',
  'submission.create',
  'submission.read',
  'verification.read',
  'landing.read',
  'event.read',
];
const developer: Permission[] = [
  ...viewer,
  'repository.submit',
  'repository.import',
  'agent.write',
  'task.create',
  'task.cancel',
  'submission.create',
  'submission.review',
  'verification.request',
  'event.publish',
];
const maintainer: Permission[] = [
  ...developer,
  ...agent,
  'member.manage',
  'key.read',
  'key.manage',
  'project.create',
  'project.manage',
  'agent.publish',
  'agent.delete',
  'assignment.manage',
  'instance.manage',
  'limit.manage',
  'landing.release',
  'landing.rollback',
  'health.read',
];
const owner = permissions.filter((permission) => !permission.startsWith('system.'));

/** What a role may do. Nobody's role holds a `system.*` permission. */
export const rolePermissions: Readonly<Record<Role, ReadonlySet<Permission>>> = {
  owner: new Set(owner),
  maintainer: new Set(maintainer),
  developer: new Set(developer),
  viewer: new Set(viewer),
  agent: new Set(agent),
};

/** What the server's own verifier may do, in every team. */
export const systemPermissions: ReadonlySet<Permission> = new Set<Permission>([
  'instance.connect',
  'system.verify',
  'verification.read',
  'task.read',
]);

/** The team of the server's own principals; made by the first migration of this room. */
export const systemTeamId = 'team_00000000000000000000000000';
