import type { Role, UserView } from '@muster/contracts';
import { defineEntity, p } from '@mikro-orm/postgresql';

const userSchema = defineEntity({
  name: 'User',
  tableName: 'users',
  properties: {
    id: p.text().primary(),
    teamId: p.text(),
    email: p.text(),
    name: p.text(),
    passwordHash: p.text(),
    passwordGenerated: p.boolean().default(false),
    createdAt: p.datetime(),
  },
});

/** A person, in one team. What they may do is in their memberships. */
export class User extends userSchema.class {}
userSchema.setClass(User);

export interface UserRow {
  readonly id: string;
  readonly team_id: string;
  readonly email: string;
  readonly name: string;
  readonly created_at: Date;
  readonly memberships: ReadonlyArray<{ projectId: string | null; role: Role }>;
}
/** Of `users u`. */
export const userColumns = `u.id, u.team_id, u.email, u.name, u.created_at, coalesce((
  select jsonb_agg(jsonb_build_object('projectId', m.project_id, 'role', m.role) order by m.project_id)
  from memberships m where m.user_id = u.id), '[]') as memberships`;

export const userViewOf = (row: UserRow): UserView => ({
  id: row.id,
  teamId: row.team_id,
  email: row.email,
  name: row.name,
  role: row.memberships.find(({ projectId }) => projectId === null)?.role ?? null,
  projects: row.memberships.flatMap(({ projectId, role }) => (projectId === null ? [] : [{ projectId, role }])),
  createdAt: row.created_at.toISOString(),
});
