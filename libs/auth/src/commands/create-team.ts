import type { createTeam, TeamView } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Clock, Ids } from '#kernel';
import type { Actor } from '#messages/auth';
import { Database, violatedConstraint } from '#platform/database';
import { EmailTaken, OperatorsOnly, SlugTaken } from '../auth.errors.ts';
import { hashPassword } from '../domain/passwords.ts';
import { Team } from '../domain/team.ts';
import { User } from '../domain/user.ts';

/** A tenant beside ours with an owner of its own: whoever opens it has no part in it. */
export class CreateTeam extends Command<TeamView> {
  constructor(
    readonly by: Actor,
    readonly team: z.output<typeof createTeam>,
  ) {
    super();
  }
}

@CommandHandler(CreateTeam)
export class CreateTeamHandler implements ICommandHandler<CreateTeam> {
  constructor(
    private readonly database: Database,
    private readonly ids: Ids,
    private readonly clock: Clock,
  ) {}

  async execute({ by, team }: CreateTeam): Promise<TeamView> {
    const ours = await this.database.em().findOne(Team, by.teamId);
    if (ours?.operates() !== true) throw new OperatorsOnly();
    const passwordHash = await hashPassword(team.owner.password);
    const id = this.ids.next('team');
    const userId = this.ids.next('user');
    const now = this.clock.now();
    try {
      await this.database.transaction(async (tx) => {
        tx.em.create(Team, { id, name: team.name, slug: team.slug, createdAt: now });
        await tx.em.flush();
        const { email } = team.owner;
        tx.em.create(User, { id: userId, teamId: id, email, name: email, passwordHash, createdAt: now });
        await tx.em.flush();
        await tx.sql(`insert into memberships (team_id, user_id, role, created_at) values ($1, $2, 'owner', $3)`, [
          id,
          userId,
          now,
        ]);
        tx.append({ type: 'team.created', teamId: id, projectId: null, subject: id, data: { teamId: id } });
      });
    } catch (error) {
      if (violatedConstraint(error) === 'users_email') throw new EmailTaken();
      if (violatedConstraint(error) === 'teams_slug') throw new SlugTaken();
      throw error;
    }
    return { id, name: team.name, slug: team.slug, createdAt: now.toISOString() };
  }
}
