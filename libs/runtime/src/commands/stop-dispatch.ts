import type { RuntimeStatus } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import { type Actor, OperatesServer } from '#messages/auth';
import { Database } from '#platform/database';
import { Signals } from '#platform/redis';
import { DispatchStops, stopsTopic } from '../dispatch/dispatch-stops.ts';

import { ReadRuntimeStatus } from '../queries/read-runtime-status.ts';
import { OperatorsOnly } from '../runtime.errors.ts';
import { everyTeam, stopDispatch } from '../sql/instance-control.ts';

/** Nobody is given a task of this team, or of any; what is being worked on goes on. */
export class StopDispatch extends Command<RuntimeStatus> {
  constructor(
    readonly by: Actor,
    readonly q: { readonly scope: 'team' | 'server'; readonly reason: string | null },
  ) {
    super();
  }
}

@CommandHandler(StopDispatch)
export class StopDispatchHandler implements ICommandHandler<StopDispatch> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly signals: Signals,
    private readonly stops: DispatchStops,
  ) {}

  async execute({ by, q }: StopDispatch): Promise<RuntimeStatus> {
    if (q.scope === 'server' && !(await this.queries.execute(new OperatesServer(by.teamId)))) throw new OperatorsOnly();
    const team = q.scope === 'server' ? everyTeam : by.teamId;
    await this.database.transaction(async (tx) => {
      const changed = await stopDispatch(tx, { team, by: by.id, reason: q.reason });
      if (!changed) return;
      tx.append({
        type: 'runtime.stopped',
        teamId: by.teamId,
        projectId: null,
        subject: null,
        data: { scope: q.scope, by: by.id, reason: q.reason },
      });
    });
    await this.stops.look();
    this.signals.publishElsewhere(stopsTopic);

    return this.queries.execute(new ReadRuntimeStatus(by.teamId));
  }
}
