import type { Tokens } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { LoginThrottle } from '../access/login-throttle.ts';
import { Sessions } from '../access/sessions.ts';
import { LoginFailed } from '../auth.errors.ts';
import { passwordFits } from '../domain/passwords.ts';

export class LogIn extends Command<Tokens> {
  constructor(
    readonly email: string,
    readonly password: string,
    readonly address: string,
  ) {
    super();
  }
}

@CommandHandler(LogIn)
export class LogInHandler implements ICommandHandler<LogIn> {
  constructor(
    private readonly database: Database,
    private readonly throttle: LoginThrottle,
    private readonly sessions: Sessions,
  ) {}

  async execute({ email, password, address }: LogIn): Promise<Tokens> {
    const right = this.throttle.enter(email, address);
    const [user] = await this.database.sql<{ id: string; teamId: string; hash: string }>(
      `select id, team_id as "teamId", password_hash as hash from users where lower(email) = lower($1)`,
      [email],
    );
    if (!(await passwordFits(user?.hash ?? null, password)) || user === undefined) throw new LoginFailed();
    right();
    return this.database.transaction((tx) => this.sessions.open(tx, user));
  }
}
