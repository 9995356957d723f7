import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { Actor } from '#messages/auth';
import { Database } from '#platform/database';
import { NoForge } from '../forges.errors.ts';

export class RemoveForge extends Command<void> {
  constructor(
    readonly projectId: string,
    readonly actor: Actor,
  ) {
    super();
  }
}

@CommandHandler(RemoveForge)
export class RemoveForgeHandler implements ICommandHandler<RemoveForge> {
  constructor(private readonly database: Database) {}

  async execute({ projectId, actor }: RemoveForge): Promise<void> {
    await this.database.transaction(async (tx) => {
      const [row] = await tx.sql<{ team_id: string; account: string; repository: string }>(
        `delete from forges where project_id = $1 returning team_id, account, repository`,
        [projectId],
      );
      if (row === undefined) throw new NoForge();
      const { team_id: teamId, account, repository } = row;
      tx.append({
        type: 'project.forge_removed',
        teamId,
        projectId,
        subject: projectId,
        data: { account, repository, by: actor.id },
      });
    });
  }
}
