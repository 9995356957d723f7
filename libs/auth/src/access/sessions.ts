import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Tokens } from '@muster/contracts';
import { Clock, type Tx } from '#kernel';
import { hashOf, newSecret } from '../domain/secrets.ts';
import { accessTokenSeconds, AccessTokens } from './access-tokens.ts';

const sessionDays = 30;
const dayMs = 86_400_000;

/** A login and its line of refresh tokens, each of which is good once. */
@Injectable()
export class Sessions {
  constructor(
    private readonly tokens: AccessTokens,
    private readonly clock: Clock,
  ) {}

  async open(tx: Tx, user: { readonly id: string; readonly teamId: string }): Promise<Tokens> {
    const id = randomUUID();
    const now = this.clock.now();
    await tx.sql(`delete from sessions where user_id = $1 and expires_at < $2`, [user.id, now]);
    await tx.sql(`insert into sessions (id, team_id, user_id, created_at, expires_at) values ($1, $2, $3, $4, $5)`, [
      id,
      user.teamId,
      user.id,
      now,
      new Date(now.getTime() + sessionDays * dayMs),
    ]);
    return this.issue(tx, { id, userId: user.id, teamId: user.teamId });
  }

  async issue(
    tx: Tx,
    session: { readonly id: string; readonly userId: string; readonly teamId: string },
  ): Promise<Tokens> {
    const refreshToken = newSecret();
    await tx.sql(`insert into refresh_tokens (token_hash, session_id, issued_at) values ($1, $2, $3)`, [
      hashOf(refreshToken),
      session.id,
      this.clock.now(),
    ]);
    const accessToken = await this.tokens.sign({ sub: session.userId, sid: session.id, team: session.teamId });
    return { accessToken, expiresInSeconds: accessTokenSeconds, refreshToken, tokenType: 'Bearer' };
  }
}
