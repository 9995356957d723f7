import type { createTeam, TeamView } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Clock, Ids } from '#kernel';
import type { Actor } from '#messages/auth';
import { Database, violatedConstraint } from '#platform/database';
import { EmailTaken, OperatorsOnly, SlugTaken } from '../auth.errors.ts';
import { hashPassword } from '../domain/passwords.ts';

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
    const [operators] = await this.database.sql(`select id from teams where id = $1 and slug = 'default'`, [by.teamId]);
    if (operators === undefined) throw new OperatorsOnly();
    const passwordHash = await hashPassword(team.owner.password);
    const id = this.ids.next('team');
    const userId = this.ids.next('user');
    const now = this.clock.now();
    try {
      await this.database.transaction(async (tx) => {
        await tx.sql(`insert into teams (id, name, slug, created_at) values ($1, $2, $3, $4)`, [
          id,
          team.name,
          team.slug,
          now,
        ]);
        await tx.sql(
          `insert into users (id, team_id, email, name, password_hash, created_at) values ($1, $2, $3, $3, $4, $5)`,
          [userId, id, team.owner.email, passwordHash, now],
        );
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
