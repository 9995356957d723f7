import { Injectable } from '@nestjs/common';
import type { Permission, Role } from '@muster/contracts';
import { Clock } from '#kernel';
import type { Actor } from '#messages/auth';
import { Database } from '#platform/database';
import { rolePermissions } from '../domain/role-permissions.ts';
import { parseKeyCredential, hashOf, sameHash } from '../domain/secrets.ts';
import type { AccessClaims } from './access-tokens.ts';

interface UserRow {
  readonly id: string;
  readonly name: string;
  readonly team_id: string;
  readonly memberships: ReadonlyArray<{ projectId: string | null; role: Role }>;
}
interface KeyRow {
  readonly id: string;
  readonly name: string;
  readonly team_id: string;
  readonly project_id: string | null;
  readonly permissions: readonly Permission[];
  readonly secret_hash: string;
  readonly user_id: string;
}
const nothing: ReadonlySet<Permission> = new Set();

/** Reads who a credential stands for and what they may do at this moment. */
@Injectable()
export class Actors {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  async ofSession(claims: AccessClaims): Promise<Actor | null> {
    const [session] = await this.database.sql(
      `select id from sessions where id = $1 and user_id = $2 and team_id = $3 and revoked_at is null and expires_at > $4`,
      [claims.sid, claims.sub, claims.team, this.clock.now()],
    );
    return session === undefined ? null : this.ofUser(claims.sub);
  }

  /** Null when there is no such person or they are in nothing any more. */
  async ofUser(userId: string): Promise<Actor | null> {
    const [user] = await this.database.sql<UserRow>(
      `select u.id, u.name, u.team_id, coalesce((
         select jsonb_agg(jsonb_build_object('projectId', m.project_id, 'role', m.role)) from memberships m where m.user_id = u.id
       ), '[]') as memberships
       from users u where u.id = $1`,
      [userId],
    );
    if (user === undefined || user.memberships.length === 0) return null;
    const team = user.memberships.find(({ projectId }) => projectId === null);
    return {
      kind: 'user',
      id: user.id,
      name: user.name,
      teamId: user.team_id,
      permissions: team === undefined ? nothing : rolePermissions[team.role],
      projects: new Map(
        user.memberships.flatMap(({ projectId, role }) =>
          projectId === null ? [] : [[projectId, rolePermissions[role]] as const],
        ),
      ),
      onlyProjectId: null,
    };
  }

  async ofKey(credential: string): Promise<Actor | null> {
    const parsed = parseKeyCredential(credential);
    if (parsed === null) return null;
    const key = await this.#key(parsed.keyId);
    if (!sameHash(key?.secret_hash ?? hashOf(''), hashOf(parsed.secret)) || key === undefined) return null;
    return this.#ofKeyRow(key);
  }

  /** A person or a key by its id, for what the server does on their behalf. */
  async ofId(id: string): Promise<Actor | null> {
    const key = await this.#key(id);
    return key === undefined ? this.ofUser(id) : this.#ofKeyRow(key);
  }

  async #key(id: string): Promise<KeyRow | undefined> {
    const [key] = await this.database.sql<KeyRow>(
      `select id, name, team_id, project_id, permissions, secret_hash, user_id from api_keys
       where id = $1 and revoked_at is null and (expires_at is null or expires_at > $2)`,
      [id, this.clock.now()],
    );
    return key;
  }

  /** A key never outgrows the person behind it: what they lose, it loses, too. */
  async #ofKeyRow(key: KeyRow): Promise<Actor | null> {
    const person = await this.ofUser(key.user_id);
    if (person === null || person.teamId !== key.team_id) return null;
    const projectId = key.project_id;
    const inProject = projectId === null ? nothing : (person.projects.get(projectId) ?? nothing);
    const held = new Set(key.permissions.filter((one) => person.permissions.has(one) || inProject.has(one)));
    return {
      kind: 'key',
      id: key.id,
      name: key.name,
      teamId: key.team_id,
      permissions: projectId === null ? held : nothing,
      projects: projectId === null ? new Map() : new Map([[projectId, held]]),
      onlyProjectId: projectId,
    };
  }
}
