import type { ApiKeyCreated, createApiKey } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Clock, Ids } from '#kernel';
import type { Actor } from '#messages/auth';
import { Database } from '#platform/database';
import { AlreadyExpired, MoreThanYouHave, NotOfThisRole } from '../auth.errors.ts';
import { apiKeyColumns, type ApiKeyRow, apiKeyViewOf } from '../domain/api-key.ts';
import { assertMayGrant } from '../domain/grants.ts';
import { rolePermissions } from '../domain/role-permissions.ts';
import { credentialOfKey, hashOf, newSecret } from '../domain/secrets.ts';

/** The only moment at which the secret is shown. */
export class CreateApiKey extends Command<ApiKeyCreated> {
  constructor(
    readonly by: Actor,
    readonly key: z.output<typeof createApiKey>,
  ) {
    super();
  }
}

@CommandHandler(CreateApiKey)
export class CreateApiKeyHandler implements ICommandHandler<CreateApiKey> {
  constructor(
    private readonly database: Database,
    private readonly ids: Ids,
    private readonly clock: Clock,
  ) {}

  async execute({ by, key }: CreateApiKey): Promise<ApiKeyCreated> {
    const ofRole = rolePermissions[key.role];
    const wanted = [...new Set(key.permissions ?? ofRole)].sort();
    const projectId = key.projectId ?? by.onlyProjectId;
    assertMayGrant(by, wanted, projectId);
    const extra = wanted.filter((permission) => !ofRole.has(permission));
    if (extra.length > 0) throw new NotOfThisRole(key.role, extra);
    const now = this.clock.now();
    const expiresAt = key.expiresAt === undefined ? null : new Date(key.expiresAt);
    if (expiresAt !== null && expiresAt <= now) throw new AlreadyExpired();

    const id = this.ids.next('apiKey');
    const secret = newSecret();
    const row = await this.database.transaction(async (tx) => {
      // A key made by a key belongs to the same person, dies with its maker and lives no longer.
      const [made] = await tx.sql<ApiKeyRow>(
        `insert into api_keys (id, team_id, project_id, name, role, permissions, secret_hash, user_id, parent_key_id, created_at, expires_at)
         select $1::text, $2::text, $3::text, $4::text, $5::text, $6::jsonb, $7::text, maker.user_id, maker.key_id, $8::timestamptz,
           least($9::timestamptz, maker.expires_at)
         from (
           select id as user_id, null as key_id, null::timestamptz as expires_at from users where id = $10
           union all
           select user_id, id, expires_at from api_keys where id = $10 and revoked_at is null
         ) maker
         returning ${apiKeyColumns}`,
        [id, by.teamId, projectId, key.name, key.role, JSON.stringify(wanted), hashOf(secret), now, expiresAt, by.id],
      );
      if (made === undefined) throw new MoreThanYouHave(['key.manage']);
      tx.append({
        type: 'key.created',
        teamId: by.teamId,
        projectId,
        subject: id,
        data: { keyId: id, name: key.name, role: key.role, by: by.id },
      });
      return made;
    });
    return { ...apiKeyViewOf(row), secret: credentialOfKey(id, secret) };
  }
}
