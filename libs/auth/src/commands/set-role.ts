import type { Role } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Clock } from '#kernel';
import type { Actor } from '#messages/auth';
import { Database } from '#platform/database';
import { NotFound } from '#platform/http';
import { Revocations } from '../access/revocations.ts';
import { LastOwner, OwnersOfProjects } from '../auth.errors.ts';
import { assertMayGrantRole } from '../domain/grants.ts';

/** Null takes the role away. Without a project it is the role in the whole team. */
export class SetRole extends Command<void> {
  constructor(
    readonly by: Actor,
    readonly userId: string,
    readonly projectId: string | null,
    readonly role: Role | null,
  ) {
    super();
  }
}

@CommandHandler(SetRole)
export class SetRoleHandler implements ICommandHandler<SetRole> {
  constructor(
    private readonly database: Database,
    private readonly revocations: Revocations,
    private readonly clock: Clock,
  ) {}

  async execute({ by, userId, projectId, role }: SetRole): Promise<void> {
    if (projectId !== null && role === 'owner') throw new OwnersOfProjects();
    if (role !== null) assertMayGrantRole(by, role, projectId);
    const touched = await this.database.transaction(async (tx) => {
      // One after the other in a team, so that two owners cannot take each other's role away at once.
      await tx.sql(`select id from teams where id = $1 for update`, [by.teamId]);
      const [user] = await tx.sql(`select id from users where id = $1 and team_id = $2`, [userId, by.teamId]);
      if (user === undefined) throw new NotFound();
      const [before] = await tx.sql<{ role: Role }>(
        `select role from memberships where user_id = $1 and project_id is not distinct from $2`,
        [userId, projectId],
      );
      if (before !== undefined) assertMayGrantRole(by, before.role, projectId);
      if (role === null) {
        await tx.sql(`delete from memberships where user_id = $1 and project_id is not distinct from $2`, [
          userId,
          projectId,
        ]);
      } else {
        await tx.sql(
          `insert into memberships (team_id, user_id, project_id, role, created_at) values ($1, $2, $3, $4, $5)
           on conflict on constraint memberships_one_role do update set role = excluded.role`,
          [by.teamId, userId, projectId, role, this.clock.now()],
        );
      }
      if (before?.role === 'owner' && role !== 'owner') {
        const owners = await tx.sql(
          `select user_id from memberships where team_id = $1 and project_id is null and role = 'owner'`,
          [by.teamId],
        );
        if (owners.length === 0) throw new LastOwner();
      }
      const keys = await tx.sql<{ id: string }>(`select id from api_keys where user_id = $1 and revoked_at is null`, [
        userId,
      ]);
      // Sockets are opened with what somebody may do at that moment: they open again with what they may do now.
      const actors = [userId, ...keys.map(({ id }) => id)];
      await this.revocations.write(tx, actors);
      tx.append({
        type: 'member.role_changed',
        teamId: by.teamId,
        projectId,
        subject: userId,
        data: { userId, role, before: before?.role ?? null, by: by.id },
      });
      return actors;
    });
    this.revocations.tell(touched);
  }
}
