import { Injectable } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { z } from 'zod';
import { Clock } from '#kernel';
import type { ForgeAccount, ForgeApp } from '#platform/config';
import { ForgeApi } from './domain/forge-api.ts';

/** What GitHub takes is ten minutes; its clock may be ahead of ours, or behind it. */
const JWT_SECONDS = 540;
const SKEW_SECONDS = 60;
/** A token is not begun with when it ends within this: a call and its pages take time. */
const LEFT_MS = 5 * 60_000;

const installation = z.object({ id: z.int() });
const made = z.object({ token: z.string().min(1), expires_at: z.iso.datetime({ offset: true }) });

interface Made {
  readonly token: string;
  readonly until: number;
}

/** How accounts get in at their forges: with their token, or as a GitHub App with one that lasts an hour and is for one repository. */
@Injectable()
export class ForgeAccess {
  /** In memory only. One promise for all who ask at once. */
  readonly #made = new Map<string, Promise<Made>>();
  readonly #jwts = new JwtService({});

  constructor(private readonly clock: Clock) {}

  api(account: ForgeAccount, repository: string): ForgeApi {
    const now = (): Date => this.clock.now();
    const { app, token } = account;
    if (app === null) {
      if (token === null) throw new Error(`The account ${account.name} has neither a token nor an app.`);
      return new ForgeApi(account, { token: () => Promise.resolve(token), refused: () => false }, now);
    }
    const key = `${account.name} ${repository.toLowerCase()}`;
    const credentials = {
      token: () => this.#installationToken(key, account, app, repository),
      refused: () => this.#made.delete(key),
    };
    return new ForgeApi(account, credentials, now);
  }

  async #installationToken(key: string, account: ForgeAccount, app: ForgeApp, repository: string): Promise<string> {
    const kept = this.#made.get(key);
    if (kept !== undefined) {
      const { token, until } = await kept;
      if (until - this.clock.now().getTime() > LEFT_MS) return token;
      // Of those who found it old, the first makes the next.
      if (this.#made.get(key) === kept) this.#made.delete(key);
    }
    let making = this.#made.get(key);
    if (making === undefined) {
      making = this.#make(account, app, repository);
      this.#made.set(key, making);
      making.catch(() => this.#made.delete(key));
    }
    return (await making).token;
  }

  async #make(account: ForgeAccount, app: ForgeApp, repository: string): Promise<Made> {
    const asApp = { token: () => this.#jwt(app), refused: () => false };
    const api = new ForgeApi(account, asApp, () => this.clock.now());
    const id =
      app.installation ?? installation.parse((await api.call('GET', `/repos/${repository}/installation`)).json).id;
    const { json } = await api.call('POST', `/app/installations/${id}/access_tokens`, {
      repositories: [repository.slice(repository.lastIndexOf('/') + 1)],
    });
    const { token, expires_at: until } = made.parse(json);
    return { token, until: Date.parse(until) };
  }

  /** https://docs.github.com/apps: signed with the app's key, good for some minutes. */
  #jwt({ id, key }: ForgeApp): Promise<string> {
    const seconds = Math.floor(this.clock.now().getTime() / 1000);
    const claims = { iat: seconds - SKEW_SECONDS, exp: seconds + JWT_SECONDS, iss: id };
    return this.#jwts.signAsync(claims, { algorithm: 'RS256', privateKey: key });
  }
}
