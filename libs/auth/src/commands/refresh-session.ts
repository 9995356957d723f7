import type { Tokens } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Clock } from '#kernel';
import { Database } from '#platform/database';
import { RoomAuthenticator } from '../access/room-authenticator.ts';
import { Sessions } from '../access/sessions.ts';
import { RefreshRefused } from '../auth.errors.ts';
import { hashOf } from '../domain/secrets.ts';

/** One refresh token buys the next. One that comes a second time was stolen, from us or from its owner: the session ends. */
export class RefreshSession extends Command<Tokens> {
  constructor(readonly refreshToken: string) {
    super();
  }
}

@CommandHandler(RefreshSession)
export class RefreshSessionHandler implements ICommandHandler<RefreshSession> {
  constructor(
    private readonly database: Database,
    private readonly sessions: Sessions,
    private readonly authenticator: RoomAuthenticator,
    private readonly clock: Clock,
  ) {}

  async execute({ refreshToken }: RefreshSession): Promise<Tokens> {
    const hash = hashOf(refreshToken);
    const now = this.clock.now();
    const tokens = await this.database.transaction(async (tx) => {
      const [spent] = await tx.sql<{ session_id: string }>(
        `update refresh_tokens set rotated_at = $2 where token_hash = $1 and rotated_at is null returning session_id`,
        [hash, now],
      );
      if (spent === undefined) {
        await tx.sql(
          `update sessions set revoked_at = $2, revoked_reason = 'a refresh token was used twice'
           where revoked_at is null and id = (select session_id from refresh_tokens where token_hash = $1)`,
          [hash, now],
        );
        return null;
      }
      const [session] = await tx.sql<{ id: string; userId: string; teamId: string }>(
        `select id, user_id as "userId", team_id as "teamId" from sessions
         where id = $1 and revoked_at is null and expires_at > $2 for update`,
        [spent.session_id, now],
      );
      return session === undefined ? null : this.sessions.issue(tx, session);
    });
    if (tokens === null) {
      this.authenticator.forget();
      throw new RefreshRefused();
    }
    return tokens;
  }
}
