import type { Role } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Clock } from '#kernel';
import type { Actor } from '#messages/auth';
import { Database } from '#platform/database';
import { NotFound } from '#platform/http';
import { Revocations } from '../access/revocations.ts';
import { LastOwner } from '../auth.errors.ts';
import { assertMayGrantRole } from '../domain/grants.ts';

/** With their sessions and their keys. */
export class RemoveUser extends Command<void> {
  constructor(
    readonly by: Actor,
    readonly userId: string,
  ) {
    super();
  }
}

@CommandHandler(RemoveUser)
export class RemoveUserHandler implements ICommandHandler<RemoveUser> {
  constructor(
    private readonly database: Database,
    private readonly revocations: Revocations,
    private readonly clock: Clock,
  ) {}

  async execute({ by, userId }: RemoveUser): Promise<void> {
    const touched = await this.database.transaction(async (tx) => {
      await tx.sql(`select id from teams where id = $1 for update`, [by.teamId]);
      const roles = await tx.sql<{ role: Role | null; project_id: string | null }>(
        `select m.role, m.project_id from users u left join memberships m on m.user_id = u.id where u.id = $1 and u.team_id = $2`,
        [userId, by.teamId],
      );
      if (roles.length === 0) throw new NotFound();
      for (const { role, project_id: projectId } of roles) if (role !== null) assertMayGrantRole(by, role, projectId);
      await tx.sql(`delete from users where id = $1`, [userId]);
      const owners = await tx.sql(
        `select user_id from memberships where team_id = $1 and project_id is null and role = 'owner'`,
        [by.teamId],
      );
      if (owners.length === 0) throw new LastOwner();
      const keys = await tx.sql<{ id: string }>(
        `update api_keys set revoked_at = $2 where user_id = $1 and revoked_at is null returning id`,
        [userId, this.clock.now()],
      );
      const actors = [userId, ...keys.map(({ id }) => id)];
      await this.revocations.write(tx, actors);
      tx.append({
        type: 'member.removed',
        teamId: by.teamId,
        projectId: null,
        subject: userId,
        data: { userId, by: by.id },
      });
      return actors;
    });
    this.revocations.tell(touched);
  }
}
