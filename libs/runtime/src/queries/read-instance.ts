import type { InstanceView } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { instanceViewOf } from '../domain/task-row.ts';
import { InstanceUnknown } from '../runtime.errors.ts';
import { findInstance } from '../sql/instances.ts';

export class ReadInstance extends Query<InstanceView> {
  constructor(readonly instanceId: string) {
    super();
  }
}

@QueryHandler(ReadInstance)
export class ReadInstanceHandler implements IQueryHandler<ReadInstance> {
  constructor(private readonly database: Database) {}

  async execute({ instanceId }: ReadInstance): Promise<InstanceView> {
    const row = await findInstance(this.database, instanceId);
    if (row === null) throw new InstanceUnknown(instanceId);
    return instanceViewOf(row);
  }
}
