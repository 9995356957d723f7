import type { RuntimeStatus } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import { type Actor, OperatesServer } from '#messages/auth';
import { Database } from '#platform/database';
import { Signals } from '#platform/redis';
import { DispatchStops, stopsTopic } from '../dispatch/dispatch-stops.ts';
import { WakeUps } from '../dispatch/wake-ups.ts';
import { ReadRuntimeStatus } from '../queries/read-runtime-status.ts';
import { OperatorsOnly } from '../runtime.errors.ts';
import { everyTeam, startDispatch } from '../sql/instance-control.ts';

/** Tasks are given out again, of a team or of all. */
export class StartDispatch extends Command<RuntimeStatus> {
  constructor(
    readonly by: Actor,
    readonly q: { readonly scope: 'team' | 'server' },
  ) {
    super();
  }
}

@CommandHandler(StartDispatch)
export class StartDispatchHandler implements ICommandHandler<StartDispatch> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly signals: Signals,
    private readonly stops: DispatchStops,
    private readonly wakeUps: WakeUps,
  ) {}

  async execute({ by, q }: StartDispatch): Promise<RuntimeStatus> {
    if (q.scope === 'server' && !(await this.queries.execute(new OperatesServer(by.teamId)))) throw new OperatorsOnly();
    const team = q.scope === 'server' ? everyTeam : by.teamId;
    await this.database.transaction(async (tx) => {
      const changed = await startDispatch(tx, team);
      if (!changed) return;
      tx.append({
        type: 'runtime.started',
        teamId: by.teamId,
        projectId: null,
        subject: null,
        data: { scope: q.scope, by: by.id },
      });
    });
    await this.stops.look();
    this.signals.publishElsewhere(stopsTopic);
    this.wakeUps.somethingToClaim();
    return this.queries.execute(new ReadRuntimeStatus(by.teamId));
  }
}
