import type { Permission, Role } from '@muster/contracts';
import { Command, Query } from '@nestjs/cqrs';

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

/**
 * A key with the role of an agent, for a process that the server runs on somebody's behalf. It belongs to whoever asked,
 * dies with them, and is refused once they do not hold `instance.supervise` in the team any more.
 */
export class IssueAgentKey extends Command<{ readonly keyId: string; readonly credential: string }> {
  constructor(
    readonly key: {
      readonly teamId: string;
      /** Id of the user or the key that asked for the process. */
      readonly onBehalfOf: string;
      readonly name: string;
      readonly projectId: string | null;
    },
  ) {
    super();
  }
}

/** Again, or for a key that is gone, is no error. */
export class RevokeAgentKey extends Command<void> {
  constructor(
    readonly teamId: string,
    readonly keyId: string,
  ) {
    super();
  }
}

export interface PersonBehind {
  readonly userId: string;
  readonly name: string;
  readonly email: string;
  /** The highest that they have in the project or the team; null: none any more. */
  readonly role: Role | null;
}
/** The people whom these ids of users and keys stand for, revoked keys included; who is of another team is not in the answer. */
export class FindPeopleBehind extends Query<ReadonlyMap<string, PersonBehind>> {
  constructor(
    readonly teamId: string,
    readonly projectId: string,
    readonly actorIds: readonly string[],
  ) {
    super();
  }
}

/** Whether it is this team that runs the server, not a tenant. */
export class OperatesServer extends Query<boolean> {
  constructor(readonly teamId: string) {
    super();
  }
}
