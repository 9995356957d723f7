import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Clock } from '#kernel';
import type { Actor } from '#messages/auth';
import { Database } from '#platform/database';
import { Revocations } from '../access/revocations.ts';

/** With the keys that were made by it. Again is no error. */
export class RevokeApiKey extends Command<void> {
  constructor(
    readonly by: Pick<Actor, 'id' | 'teamId'>,
    readonly keyId: string,
  ) {
    super();
  }
}

@CommandHandler(RevokeApiKey)
export class RevokeApiKeyHandler implements ICommandHandler<RevokeApiKey> {
  constructor(
    private readonly database: Database,
    private readonly revocations: Revocations,
    private readonly clock: Clock,
  ) {}

  async execute({ by, keyId }: RevokeApiKey): Promise<void> {
    const revoked = await this.database.transaction(async (tx) => {
      const rows = await tx.sql<{ id: string; project_id: string | null }>(
        `with recursive line (id) as (
           select id from api_keys where id = $1 and team_id = $2
           union select k.id from api_keys k join line on k.parent_key_id = line.id
         )
         update api_keys set revoked_at = $3 where id in (select id from line) and revoked_at is null returning id, project_id`,
        [keyId, by.teamId, this.clock.now()],
      );
      if (rows.length === 0) return [];
      const ids = rows.map(({ id }) => id);
      await this.revocations.write(tx, ids);
      for (const { id, project_id: projectId } of rows) {
        tx.append({ type: 'key.revoked', teamId: by.teamId, projectId, subject: id, data: { keyId: id, by: by.id } });
      }
      return ids;
    });
    this.revocations.tell(revoked);
  }
}
