import type { ApiKeyView, Permission, Role } from '@muster/contracts';

export interface ApiKeyRow {
  readonly id: string;
  readonly team_id: string;
  readonly project_id: string | null;
  readonly name: string;
  readonly role: Role;
  readonly permissions: Permission[];
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly revoked_at: Date | null;
  readonly last_used_at: Date | null;
}
export const apiKeyColumns =
  'id, team_id, project_id, name, role, permissions, created_at, expires_at, revoked_at, last_used_at';

export const apiKeyViewOf = (row: ApiKeyRow): ApiKeyView => ({
  id: row.id,
  teamId: row.team_id,
  name: row.name,
  role: row.role,
  permissions: row.permissions,
  projectId: row.project_id,
  createdAt: row.created_at.toISOString(),
  expiresAt: row.expires_at?.toISOString() ?? null,
  revokedAt: row.revoked_at?.toISOString() ?? null,
  lastUsedAt: row.last_used_at?.toISOString() ?? null,
});
