import type { Tokens } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Clock } from '#kernel';
import type { Actor } from '#messages/auth';
import { Database } from '#platform/database';
import { LoginThrottle } from '../access/login-throttle.ts';
import { RoomAuthenticator } from '../access/room-authenticator.ts';
import { Sessions } from '../access/sessions.ts';
import { PeopleOnly, WrongPassword } from '../auth.errors.ts';
import { hashPassword, passwordFits } from '../domain/passwords.ts';

/** Ends every session of this person and answers with a new one. */
export class ChangePassword extends Command<Tokens> {
  constructor(
    readonly by: Actor,
    readonly currentPassword: string,
    readonly newPassword: string,
    readonly address: string,
  ) {
    super();
  }
}

@CommandHandler(ChangePassword)
export class ChangePasswordHandler implements ICommandHandler<ChangePassword> {
  constructor(
    private readonly database: Database,
    private readonly throttle: LoginThrottle,
    private readonly sessions: Sessions,
    private readonly authenticator: RoomAuthenticator,
    private readonly clock: Clock,
  ) {}

  async execute({ by, currentPassword, newPassword, address }: ChangePassword): Promise<Tokens> {
    if (by.kind !== 'user') throw new PeopleOnly();
    const right = this.throttle.enter(by.id, address);
    const [user] = await this.database.sql<{ hash: string }>(`select password_hash as hash from users where id = $1`, [
      by.id,
    ]);
    if (!(await passwordFits(user?.hash ?? null, currentPassword))) throw new WrongPassword();
    right();
    const passwordHash = await hashPassword(newPassword);
    const tokens = await this.database.transaction(async (tx) => {
      // Only from the password that was checked: of two changes at once one wins.
      const changed = await tx.sql(
        `update users set password_hash = $2, password_generated = false where id = $1 and password_hash = $3 returning id`,
        [by.id, passwordHash, user?.hash],
      );
      if (changed.length === 0) throw new WrongPassword();
      await tx.sql(
        `update sessions set revoked_at = $2, revoked_reason = 'password changed' where user_id = $1 and revoked_at is null`,
        [by.id, this.clock.now()],
      );
      return this.sessions.open(tx, by);
    });
    this.authenticator.forget();
    return tokens;
  }
}
