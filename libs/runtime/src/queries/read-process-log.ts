import { join } from 'node:path';
import type { ProcessLog } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { LogElsewhere, NotSupervised } from '../runtime.errors.ts';
import { findSupervised } from '../sql/supervised.ts';
import { readProcessLog } from '../supervised/process-log.ts';
import { ServerIdentity } from '../supervised/server-identity.ts';

/** What the process of a supervised instance printed last. */
export class ReadProcessLog extends Query<ProcessLog> {
  constructor(
    readonly instanceId: string,
    readonly lines: number,
  ) {
    super();
  }
}

@QueryHandler(ReadProcessLog)
export class ReadProcessLogHandler implements IQueryHandler<ReadProcessLog> {
  constructor(
    private readonly database: Database,
    private readonly identity: ServerIdentity,
  ) {}

  async execute({ instanceId, lines }: ReadProcessLog): Promise<ProcessLog> {
    const row = await findSupervised(this.database, instanceId);
    if (row === null) throw new NotSupervised(instanceId);
    if (row.server_id !== (await this.identity.read())) throw new LogElsewhere(instanceId);
    return readProcessLog(join(this.identity.folder, instanceId), lines);
  }
}
