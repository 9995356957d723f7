import type { AgentDefinition } from '@muster/contracts';
import { Query } from '@nestjs/cqrs';

export interface PublishedVersion {
  readonly agentId: string;
  readonly agentVersionId: string;
  readonly name: string;
  readonly version: string;
  readonly definition: AgentDefinition;
}
/** The highest published version of a team's agent within a semver range; null when there is none. */
export class FindPublishedVersion extends Query<PublishedVersion | null> {
  constructor(
    readonly teamId: string,
    readonly agent: string,
    readonly range: string,
  ) {
    super();
  }
}
/** Published definitions whose triggers name this event type. */
export class FindTriggers extends Query<ReadonlyArray<PublishedVersion>> {
  constructor(
    readonly teamId: string,
    readonly eventType: string,
  ) {
    super();
  }
}
