import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { FindOfferedCapabilities } from '#messages/runtime';
import { Database } from '#platform/database';

@QueryHandler(FindOfferedCapabilities)
export class FindOfferedCapabilitiesHandler implements IQueryHandler<FindOfferedCapabilities> {
  constructor(private readonly database: Database) {}

  async execute(): Promise<ReadonlySet<string>> {
    const rows = await this.database.sql<{ capability: string }>(
      `select distinct unnest(capabilities) as capability from instances where state <> 'offline' and system`,
    );
    return new Set(rows.map(({ capability }) => capability));
  }
}
