import type { SupervisedView } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { NotSupervised } from '../runtime.errors.ts';
import { findSupervised } from '../sql/supervised.ts';
import { supervisedViewOf } from '../supervised/supervised-row.ts';

/** The process behind an instance. */
export class ReadSupervised extends Query<SupervisedView> {
  constructor(readonly instanceId: string) {
    super();
  }
}

@QueryHandler(ReadSupervised)
export class ReadSupervisedHandler implements IQueryHandler<ReadSupervised> {
  constructor(private readonly database: Database) {}

  async execute({ instanceId }: ReadSupervised): Promise<SupervisedView> {
    const row = await findSupervised(this.database, instanceId);
    if (row === null) throw new NotSupervised(instanceId);
    return supervisedViewOf(row);
  }
}
