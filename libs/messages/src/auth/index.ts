import type { Permission } from '@muster/contracts';

/** Who is acting. Put on every request and socket by the auth room; `system` is the server's own principal. */
export interface Actor {
  readonly kind: 'user' | 'key' | 'system';
  readonly id: string;
  readonly name: string;
  readonly teamId: string;
  /** What it may do in the whole team. */
  readonly permissions: ReadonlySet<Permission>;
  /** What it may do beyond that in single projects, by project id. */
  readonly projects: ReadonlyMap<string, ReadonlySet<Permission>>;
  /** A key that is limited to one project: everything else of the team is unknown to it. */
  readonly onlyProjectId: string | null;
}

/** Decides at once; implemented by the auth room, asked by the HTTP guard, the sockets and the git endpoint. */
export abstract class Authenticator {
  /** @param credential what follows `Bearer `, or the password of HTTP Basic (git). Null when it is no good any more. */
  abstract authenticate(credential: string): Promise<Actor | null>;
  /** May this actor do it, in the team (projectId null) or in one project? */
  abstract allows(actor: Actor, permission: Permission, projectId: string | null): boolean;
  /** Called when a key is revoked or a user locked; sockets close on it. Returns the unsubscriber. */
  abstract onRevoked(listener: (actorId: string) => void): () => void;
  /** A key for the server's own verifier, alive as long as this process; it alone carries `system.verify`. */
  abstract issueSystemKey(purpose: string): Promise<string>;
}
