import { type IQueryHandler, Query, QueryBus, QueryHandler } from '@nestjs/cqrs';
import type { triggeredAgent } from '@muster/contracts';
import type { z } from 'zod';
import { FindTriggers } from '#messages/registry';

export type TriggeredAgent = z.infer<typeof triggeredAgent>;

/** What an event type starts, seen from the highest published version of each agent that names it. */
export class ListTriggered extends Query<TriggeredAgent[]> {
  constructor(
    readonly teamId: string,
    readonly eventType: string,
  ) {
    super();
  }
}

@QueryHandler(ListTriggered)
export class ListTriggeredHandler implements IQueryHandler<ListTriggered> {
  constructor(private readonly queries: QueryBus) {}

  async execute({ teamId, eventType }: ListTriggered): Promise<TriggeredAgent[]> {
    const versions = await this.queries.execute(new FindTriggers(teamId, eventType));
    const highest = versions.filter((one, index) => versions[index - 1]?.name !== one.name);
    return highest.flatMap(({ name, version, definition }) =>
      definition.triggers
        .filter(({ event }) => event === eventType)
        .map(({ capability, where, priority }) => ({ agent: name, version, capability, where, priority })),
    );
  }
}
