import type { ApiKeyCreated, createApiKey } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Clock, Ids } from '#kernel';
import type { Actor } from '#messages/auth';
import { Database } from '#platform/database';
import { AlreadyExpired, MoreThanYouHave, NotOfThisRole } from '../auth.errors.ts';
import { insertApiKey } from '../access/new-api-key.ts';
import { apiKeyViewOf } from '../domain/api-key.ts';
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
      const made = await insertApiKey(tx, {
        id,
        teamId: by.teamId,
        projectId,
        name: key.name,
        role: key.role,
        permissions: wanted,
        secretHash: hashOf(secret),
        makerId: by.id,
        now,
        expiresAt,
      });
      if (made === null) throw new MoreThanYouHave(['key.manage']);
      return made;
    });
    return { ...apiKeyViewOf(row), secret: credentialOfKey(id, secret) };
  }
}
