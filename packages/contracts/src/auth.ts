import { z } from 'zod';
import { idOf, slug, timestamp } from './ids.ts';

export const roles = ['owner', 'maintainer', 'developer', 'viewer', 'agent'] as const;
export const role = z.enum(roles);
export type Role = z.infer<typeof role>;

/**
 * Every permission there is. A route, socket message or tool names the one that it needs; the words are `room.verb`.
 * `system.*` belongs to the server's own principals and can be given to nobody.
 */
export const permissions = [
  'team.read',
  'team.manage',
  'member.manage',
  'key.read',
  'key.manage',
  'project.read',
  'project.create',
  'project.manage',
  'project.delete',
  'repository.read',
  'repository.submit',
  'repository.import',
  'agent.read',
  'agent.write',
  'agent.publish',
  'agent.delete',
  'assignment.read',
  'assignment.manage',
  'task.read',
  'task.create',
  'task.cancel',
  'instance.connect',
  'instance.read',
  'instance.manage',
  'instance.supervise',
  'limit.read',
  'limit.manage',
  'submission.read',
  'submission.create',
  'submission.review',
  'verification.read',
  'verification.request',
  'landing.read',
  'landing.release',
  'landing.rollback',
  'audit.read',
  'provenance.rotate',
  'event.read',
  'event.publish',
  'health.read',
  'invariants.read',
  'system.verify',
] as const;
export const permission = z.enum(permissions);
export type Permission = z.infer<typeof permission>;

export const login = z
  .strictObject({ email: z.string().min(1).max(254), password: z.string().min(1).max(1000) })
  .meta({ id: 'Login' });
export const tokens = z
  .object({
    accessToken: z.string(),
    expiresInSeconds: z.number().int(),
    refreshToken: z.string(),
    tokenType: z.literal('Bearer'),
  })
  .meta({ id: 'Tokens' });
export const refresh = z.strictObject({ refreshToken: z.string().min(1).max(500) });

export const createApiKey = z
  .strictObject({
    name: z.string().min(1).max(100),
    /** Limits the key to what this role may; defaults to `agent`. */
    role: role.default('agent'),
    /** A further restriction: a subset of the role's permissions. */
    permissions: z.array(permission).min(1).optional(),
    /** Limits the key to one project of the team. */
    projectId: idOf('project').optional(),
    expiresAt: timestamp.optional(),
  })
  .meta({ id: 'CreateApiKey' });
export const apiKeyView = z
  .object({
    id: idOf('apiKey'),
    teamId: idOf('team'),
    name: z.string(),
    role,
    permissions: z.array(permission),
    projectId: idOf('project').nullable(),
    createdAt: timestamp,
    expiresAt: timestamp.nullable(),
    revokedAt: timestamp.nullable(),
    lastUsedAt: timestamp.nullable(),
  })
  .meta({ id: 'ApiKey' });
/** The only answer that ever holds the secret. */
export const apiKeyCreated = apiKeyView.extend({ secret: z.string() }).meta({ id: 'ApiKeyCreated' });
export const whoAmI = z
  .object({
    kind: z.enum(['user', 'key', 'system']),
    id: z.string(),
    name: z.string(),
    teamId: idOf('team'),
    permissions: z.array(permission),
  })
  .meta({ id: 'WhoAmI' });

export const newPassword = z.string().min(12, 'must have at least 12 characters').max(1000);
export const changePassword = z
  .strictObject({ currentPassword: z.string().min(1).max(1000), newPassword })
  .meta({ id: 'ChangePassword' });
/** A person of the team. With `projectId` the role counts in that project only. */
export const addUser = z
  .strictObject({
    email: z.email().max(254),
    name: z.string().min(1).max(200).optional(),
    password: newPassword,
    role,
    projectId: idOf('project').optional(),
  })
  .meta({ id: 'AddUser' });
export const setRole = z.strictObject({ role }).meta({ id: 'SetRole' });
export const userView = z
  .object({
    id: idOf('user'),
    teamId: idOf('team'),
    email: z.string(),
    name: z.string(),
    /** What they are in the whole team; null for people of single projects. */
    role: role.nullable(),
    projects: z.array(z.object({ projectId: idOf('project'), role })),
    createdAt: timestamp,
  })
  .meta({ id: 'User' });
export type UserView = z.infer<typeof userView>;
export const createTeam = z
  .strictObject({
    name: z.string().min(1).max(200),
    slug,
    owner: z.strictObject({ email: z.email().max(254), password: newPassword }),
  })
  .meta({ id: 'CreateTeam' });
export const teamView = z
  .object({ id: idOf('team'), name: z.string(), slug, createdAt: timestamp })
  .meta({ id: 'Team' });
export type TeamView = z.infer<typeof teamView>;
export type ApiKeyView = z.infer<typeof apiKeyView>;
export type ApiKeyCreated = z.infer<typeof apiKeyCreated>;
export type Tokens = z.infer<typeof tokens>;
export type WhoAmI = z.infer<typeof whoAmI>;
