import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { RemoteView } from '@muster/contracts';
import type { Actor } from '#messages/auth';
import { Database } from '#platform/database';
import { NoSuchRemote } from '../projects.errors.ts';

export class RemoveRemote extends Command<void> {
  constructor(
    readonly projectId: string,
    readonly direction: RemoteView['direction'],
    readonly actor: Actor,
  ) {
    super();
  }
}

@CommandHandler(RemoveRemote)
export class RemoveRemoteHandler implements ICommandHandler<RemoveRemote> {
  constructor(private readonly database: Database) {}

  async execute({ projectId, direction, actor }: RemoveRemote): Promise<void> {
    await this.database.transaction(async (tx) => {
      const [row] = await tx.sql<{ team_id: string; url: string }>(
        `delete from project_remotes where project_id = $1 and direction = $2 returning team_id, url`,
        [projectId, direction],
      );
      if (row === undefined) throw new NoSuchRemote(direction);
      tx.append({
        type: 'project.remote_removed',
        teamId: row.team_id,
        projectId,
        subject: projectId,
        data: { direction, url: row.url, by: actor.id },
      });
    });
  }
}
