import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { FindLandingUnderWay } from '#messages/integration';
import { Database } from '#platform/database';

@QueryHandler(FindLandingUnderWay)
export class FindLandingUnderWayHandler implements IQueryHandler<FindLandingUnderWay> {
  constructor(private readonly database: Database) {}

  async execute({ projectId }: FindLandingUnderWay): Promise<boolean> {
    const [open] = await this.database.sql(
      `select from landings where project_id = $1 and state = 'intended' limit 1`,
      [projectId],
    );
    return open !== undefined;
  }
}
