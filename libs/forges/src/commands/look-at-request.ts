import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { ForgeRequest } from '@muster/contracts';
import { Database } from '#platform/database';
import { Rounds } from '#platform/rounds';
import { requestViewColumns } from '../domain/request-row.ts';
import { NoSuchRequest } from '../forges.errors.ts';
import { FORGE_REQUESTS } from './look-at-requests.ts';

/** Calls it due; what the look brings is seen in the list. */
export class LookAtRequest extends Command<ForgeRequest> {
  constructor(
    readonly projectId: string,
    readonly requestId: string,
  ) {
    super();
  }
}

@CommandHandler(LookAtRequest)
export class LookAtRequestHandler implements ICommandHandler<LookAtRequest> {
  constructor(
    private readonly database: Database,
    private readonly rounds: Rounds,
  ) {}

  async execute({ projectId, requestId }: LookAtRequest): Promise<ForgeRequest> {
    const [row] = await this.database.sql<ForgeRequest>(
      `update forge_requests r set wanted = wanted + 1, failures = 0, next_action_at = muster_now()
       where r.id = $1 and r.project_id = $2 returning ${requestViewColumns}`,
      [requestId, projectId],
    );
    if (row === undefined) throw new NoSuchRequest(requestId);
    this.rounds.soon(FORGE_REQUESTS);
    return row;
  }
}
