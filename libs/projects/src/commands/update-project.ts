import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Clock } from '#kernel';
import { Database } from '#platform/database';
import { assertIfMatch, etagOf } from '#platform/http';
import { type ProjectRow, versionOf } from '../domain/project.ts';
import { ProjectUnknown } from '../projects.errors.ts';

/** Renames a project. */
export class UpdateProject extends Command<void> {
  constructor(
    readonly projectId: string,
    readonly change: { readonly name: string },
    readonly ifMatch: string | undefined,
    readonly by: string,
  ) {
    super();
  }
}

@CommandHandler(UpdateProject)
export class UpdateProjectHandler implements ICommandHandler<UpdateProject> {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  async execute({ projectId, change, ifMatch, by }: UpdateProject): Promise<void> {
    await this.database.transaction(async (tx) => {
      const [row] = await tx.sql<ProjectRow>('select * from projects where id = $1 for update', [projectId]);
      if (row === undefined) throw new ProjectUnknown();
      assertIfMatch(ifMatch, etagOf(versionOf(row)));
      if (row.name === change.name) return;
      await tx.sql('update projects set name = $2, updated_at = $3 where id = $1', [
        projectId,
        change.name,
        this.clock.now(),
      ]);
      tx.append({
        type: 'project.renamed',
        teamId: row.team_id,
        projectId,
        subject: projectId,
        data: { projectId, name: change.name, by },
      });
    });
  }
}
