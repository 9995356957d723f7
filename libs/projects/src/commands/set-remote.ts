import { Command, CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import type { RemoteView } from '@muster/contracts';
import type { Actor } from '#messages/auth';
import { FindProject } from '#messages/projects';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { remoteColumns } from '../domain/remote.ts';
import { reach } from '../domain/remote-transport.ts';
import { ProjectUnknown } from '../projects.errors.ts';

/** An address that the operator's rules refuse is refused at once; one that does not answer is tried again later. Set again, it begins anew. */
export class SetRemote extends Command<RemoteView> {
  constructor(
    readonly projectId: string,
    readonly direction: RemoteView['direction'],
    readonly wish: { readonly url: string; readonly branch?: string | undefined },
    readonly actor: Actor,
  ) {
    super();
  }
}

@CommandHandler(SetRemote)
export class SetRemoteHandler implements ICommandHandler<SetRemote> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly config: Config,
  ) {}

  async execute({ projectId, direction, wish, actor }: SetRemote): Promise<RemoteView> {
    const project = await this.queries.execute(new FindProject(projectId));
    if (project === null) throw new ProjectUnknown();
    await reach(wish.url, this.config);
    return await this.database.transaction(async (tx) => {
      const [row] = await tx.sql<RemoteView>(
        `insert into project_remotes (project_id, direction, team_id, url, branch, requested_by) values ($1, $2, $3, $4, $5, $6)
         on conflict (project_id, direction) do update set url = excluded.url, branch = excluded.branch, requested_by = excluded.requested_by,
           state = 'new', commit = null, submission_id = null, problem = null, failures = 0, next_action_at = muster_now()
         returning ${remoteColumns}`,
        [projectId, direction, project.teamId, wish.url, wish.branch ?? project.branch, actor.id],
      );
      if (row === undefined) throw new Error('An inserted row did not come back.');
      tx.append({
        type: 'project.remote_set',
        teamId: project.teamId,
        projectId,
        subject: projectId,
        data: { direction, url: row.url, branch: row.branch, by: actor.id },
      });
      return row;
    });
  }
}
