import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Clock } from '#kernel';
import { Database } from '#platform/database';
import { RoomAuthenticator } from '../access/room-authenticator.ts';
import { hashOf } from '../domain/secrets.ts';

/** Ends the session of this refresh token, access tokens included. One that is not known is no error: it is out already. */
export class LogOut extends Command<void> {
  constructor(readonly refreshToken: string) {
    super();
  }
}

@CommandHandler(LogOut)
export class LogOutHandler implements ICommandHandler<LogOut> {
  constructor(
    private readonly database: Database,
    private readonly authenticator: RoomAuthenticator,
    private readonly clock: Clock,
  ) {}

  async execute({ refreshToken }: LogOut): Promise<void> {
    await this.database.sql(
      `update sessions set revoked_at = $2, revoked_reason = 'logged out'
       where revoked_at is null and id = (select session_id from refresh_tokens where token_hash = $1)`,
      [hashOf(refreshToken), this.clock.now()],
    );
    this.authenticator.forget();
  }
}
