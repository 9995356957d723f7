import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import type { RemoteView } from '@muster/contracts';
import { ListRemotes } from '#messages/projects';
import { Database } from '#platform/database';
import { remoteColumns } from '../domain/remote.ts';

@QueryHandler(ListRemotes)
export class ListRemotesHandler implements IQueryHandler<ListRemotes> {
  constructor(private readonly database: Database) {}

  execute({ projectId }: ListRemotes): Promise<RemoteView[]> {
    return this.database.sql<RemoteView>(
      `select ${remoteColumns} from project_remotes where project_id = $1 order by direction`,
      [projectId],
    );
  }
}
