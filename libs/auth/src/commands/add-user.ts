import type { addUser, UserView } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Clock, Ids } from '#kernel';
import type { Actor } from '#messages/auth';
import { Database, violatedConstraint } from '#platform/database';
import { EmailTaken, OwnersOfProjects } from '../auth.errors.ts';
import { assertMayGrantRole } from '../domain/grants.ts';
import { hashPassword } from '../domain/passwords.ts';
import { User } from '../domain/user.ts';

export class AddUser extends Command<UserView> {
  constructor(
    readonly by: Actor,
    readonly user: z.output<typeof addUser>,
  ) {
    super();
  }
}

@CommandHandler(AddUser)
export class AddUserHandler implements ICommandHandler<AddUser> {
  constructor(
    private readonly database: Database,
    private readonly ids: Ids,
    private readonly clock: Clock,
  ) {}

  async execute({ by, user }: AddUser): Promise<UserView> {
    const projectId = user.projectId ?? by.onlyProjectId;
    if (projectId !== null && user.role === 'owner') throw new OwnersOfProjects();
    assertMayGrantRole(by, user.role, projectId);
    const passwordHash = await hashPassword(user.password);
    const id = this.ids.next('user');
    const now = this.clock.now();
    const name = user.name ?? user.email;
    try {
      await this.database.transaction(async (tx) => {
        const { email } = user;
        tx.em.create(User, { id, teamId: by.teamId, email, name, passwordHash, createdAt: now });
        await tx.em.flush();
        await tx.sql(
          `insert into memberships (team_id, user_id, project_id, role, created_at) values ($1, $2, $3, $4, $5)`,
          [by.teamId, id, projectId, user.role, now],
        );
        tx.append({
          type: 'member.added',
          teamId: by.teamId,
          projectId,
          subject: id,
          data: { userId: id, role: user.role, by: by.id },
        });
      });
    } catch (error) {
      if (violatedConstraint(error) === 'users_email') throw new EmailTaken();
      throw error;
    }
    return {
      id,
      teamId: by.teamId,
      email: user.email,
      name,
      role: projectId === null ? user.role : null,
      projects: projectId === null ? [] : [{ projectId, role: user.role }],
      createdAt: now.toISOString(),
    };
  }
}
