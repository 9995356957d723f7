import type { Permission, Role } from '@muster/contracts';
import type { Tx } from '#kernel';
import { apiKeyColumns, type ApiKeyRow } from '../domain/api-key.ts';

/**
 * A key made by a key belongs to the same person, dies with its maker and lives no longer. Null when whoever makes it is
 * neither a person nor a key that is any good.
 */
export async function insertApiKey(
  tx: Tx,
  key: {
    readonly id: string;
    readonly teamId: string;
    readonly projectId: string | null;
    readonly name: string;
    readonly role: Role;
    readonly permissions: readonly Permission[];
    readonly secretHash: string;
    readonly makerId: string;
    readonly now: Date;
    readonly expiresAt: Date | null;
  },
): Promise<ApiKeyRow | null> {
  const [made] = await tx.sql<ApiKeyRow>(
    `insert into api_keys (id, team_id, project_id, name, role, permissions, secret_hash, user_id, parent_key_id, created_at, expires_at)
     select $1::text, $2::text, $3::text, $4::text, $5::text, $6::jsonb, $7::text, maker.user_id, maker.key_id, $8::timestamptz,
       least($9::timestamptz, maker.expires_at)
     from (
       select id as user_id, null as key_id, null::timestamptz as expires_at from users where id = $10
       union all
       select user_id, id, expires_at from api_keys where id = $10 and revoked_at is null and (expires_at is null or expires_at > $8)
     ) maker
     returning ${apiKeyColumns}`,
    [
      key.id,
      key.teamId,
      key.projectId,
      key.name,
      key.role,
      JSON.stringify(key.permissions),
      key.secretHash,
      key.now,
      key.expiresAt,
      key.makerId,
    ],
  );
  if (made === undefined) return null;
  tx.append({
    type: 'key.created',
    teamId: key.teamId,
    projectId: key.projectId,
    subject: key.id,
    data: { keyId: key.id, name: key.name, role: key.role, by: key.makerId },
  });
  return made;
}
