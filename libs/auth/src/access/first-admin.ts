import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Clock, Ids } from '#kernel';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { hashPassword } from '../domain/passwords.ts';
import { newSecret } from '../domain/secrets.ts';
import { SigningKeys } from './signing-keys.ts';

/**
 * At the first start: the team `default` and its first owner. With MUSTER_ADMIN_PASSWORD that is the password; otherwise
 * one is made up and told once. Whoever lost that one sets MUSTER_ADMIN_PASSWORD and starts again: it replaces a made-up
 * password, never one that a person chose.
 */
@Injectable()
export class FirstAdmin implements OnApplicationBootstrap {
  private notice: { email: string; password: string } | null = null;
  private prepared: Promise<void> | null = null;

  constructor(
    private readonly config: Config,
    private readonly database: Database,
    private readonly ids: Ids,
    private readonly clock: Clock,
    private readonly keys: SigningKeys,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    await this.prepare();
  }

  /** The made-up password, once, for the terminal; null when there is none to tell. */
  takeNotice(): { email: string; password: string } | null {
    const notice = this.notice;
    this.notice = null;
    return notice;
  }

  prepare(): Promise<void> {
    this.prepared ??= Promise.all([this.make(), this.keys.current()]).then(() => undefined);
    return this.prepared;
  }

  /** Again is no harm: what is there stays. */
  async make(): Promise<void> {
    const { adminEmail: email, adminPassword: configured } = this.config;
    const [team] = await this.database.sql(`select id from teams where slug = 'default'`);
    if (team !== undefined) {
      if (configured === null) return;
      await this.database.sql(
        `update users set password_hash = $2, password_generated = false where lower(email) = lower($1) and password_generated`,
        [email, await hashPassword(configured)],
      );
      return;
    }
    const password = configured ?? newSecret().slice(0, 24);
    const passwordHash = await hashPassword(password);
    const made = await this.database.transaction(async (tx) => {
      const now = this.clock.now();
      const teamId = this.ids.next('team');
      const userId = this.ids.next('user');
      // Of two servers that start at once one waits here for the other's commit and then has nothing to do.
      const mine = await tx.sql(
        `insert into teams (id, name, slug, created_at) values ($1, 'Default', 'default', $2)
         on conflict on constraint teams_slug do nothing returning id`,
        [teamId, now],
      );
      if (mine.length === 0) return false;
      await tx.sql(
        `insert into users (id, team_id, email, name, password_hash, password_generated, created_at)
         values ($1, $2, $3, 'Administrator', $4, $5, $6)`,
        [userId, teamId, email, passwordHash, configured === null, now],
      );
      await tx.sql(`insert into memberships (team_id, user_id, role, created_at) values ($1, $2, 'owner', $3)`, [
        teamId,
        userId,
        now,
      ]);
      return true;
    });
    if (made && configured === null) this.notice = { email, password };
  }
}
