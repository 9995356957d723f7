import { Injectable } from '@nestjs/common';
import type { Permission } from '@muster/contracts';
import { Ids } from '#kernel';
import { type Actor, Authenticator } from '#messages/auth';
import { KeptAnswers } from '#platform/caching';
import { holds } from '../domain/grants.ts';
import { systemPermissions, systemTeamId } from '../domain/role-permissions.ts';
import { credentialOfKey, hashOf, newSecret, parseKeyCredential } from '../domain/secrets.ts';
import { AccessTokens } from './access-tokens.ts';
import { Actors } from './actors.ts';
import { KeyUsage } from './key-usage.ts';
import { Revocations } from './revocations.ts';

/** How old an answer may be: what another server took away bites here after this long at the latest. */
const rememberMs = 2_000;
const rememberAtMost = 10_000;

/** The one place where a credential becomes an actor. */
@Injectable()
export class RoomAuthenticator extends Authenticator {
  private readonly remembered = new KeptAnswers<Actor | null>({ keptMs: rememberMs, atMost: rememberAtMost });
  private readonly system = new Map<string, Actor>();

  constructor(
    private readonly tokens: AccessTokens,
    private readonly actors: Actors,
    private readonly revocations: Revocations,
    private readonly usage: KeyUsage,
    private readonly ids: Ids,
  ) {
    super();
    revocations.listen(() => this.remembered.clear());
  }

  async authenticate(credential: string): Promise<Actor | null> {
    if (credential.length > 4096) return null;
    const hash = hashOf(credential);
    const system = this.system.get(hash);
    if (system !== undefined) return system;
    // What is revoked while it is being read takes it out, and the next request reads again.
    const actor = await this.remembered.get(hash, () => this.read(credential));
    if (actor?.kind === 'key') this.usage.note(actor.id);
    return actor;
  }

  allows(actor: Actor, permission: Permission, projectId: string | null): boolean {
    return holds(actor, permission, projectId);
  }

  onRevoked(listener: (actorId: string) => void): () => void {
    return this.revocations.listen(listener);
  }

  /** A newer key of the same purpose takes the place of the one before: the process that held that one has ended. */
  issueSystemKey(purpose: string): Promise<string> {
    for (const [hash, actor] of this.system) {
      if (actor.name !== purpose) continue;
      this.system.delete(hash);
      this.revocations.tell([actor.id]);
    }
    const id = this.ids.next('apiKey');
    const credential = credentialOfKey(id, newSecret());
    this.system.set(hashOf(credential), {
      kind: 'system',
      id,
      name: purpose,
      teamId: systemTeamId,
      permissions: systemPermissions,
      projects: new Map(),
      onlyProjectId: null,
    });
    return Promise.resolve(credential);
  }

  /** After roles changed: the next request of anybody reads again. */
  forget(): void {
    this.remembered.clear();
  }

  private async read(credential: string): Promise<Actor | null> {
    if (parseKeyCredential(credential) !== null) return this.actors.ofKey(credential);
    const claims = await this.tokens.verify(credential);
    return claims === null ? null : this.actors.ofSession(claims);
  }
}
