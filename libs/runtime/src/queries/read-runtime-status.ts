import { instanceStates, type RuntimeStatus } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { countInstances, dispatchStops, everyTeam } from '../sql/instance-control.ts';

/** Whether a team's tasks are given out, who stopped it if not, and its instances by state. */
export class ReadRuntimeStatus extends Query<RuntimeStatus> {
  constructor(readonly teamId: string) {
    super();
  }
}

@QueryHandler(ReadRuntimeStatus)
export class ReadRuntimeStatusHandler implements IQueryHandler<ReadRuntimeStatus> {
  constructor(private readonly database: Database) {}

  async execute({ teamId }: ReadRuntimeStatus): Promise<RuntimeStatus> {
    const stops = (await dispatchStops(this.database)).filter(
      ({ team_id }) => team_id === teamId || team_id === everyTeam,
    );
    const counts = new Map((await countInstances(this.database, teamId)).map(({ state, count }) => [state, count]));
    return {
      state: stops.length === 0 ? 'running' : 'stopped',
      stops: stops.map((stop) => ({
        scope: stop.team_id === everyTeam ? 'server' : 'team',
        reason: stop.reason,
        stoppedAt: stop.stopped_at.toISOString(),
        stoppedBy: stop.stopped_by,
      })),
      instances: Object.fromEntries(
        instanceStates.map((state) => [state, counts.get(state) ?? 0]),
      ) as RuntimeStatus['instances'],
    };
  }
}
