import { DiscoveryService } from '@nestjs/core';
import type { CloudEvent } from '@muster/contracts';

/**
 * What a room does when something happened elsewhere. At least once: idempotent by `event.id`. One event at a time for
 * each reaction, the critical ones first; what throws is tried again later while the others go on.
 */
export interface Reacts {
  react(event: CloudEvent): Promise<void>;
}

export interface ReactionOptions {
  /** Stable: deliveries are kept under it. A sentence, like the file: `verify-when-submission-received`. */
  readonly name: string;
  /** Exact types, a room's `task.*`, or `*`; `!task.*` takes some out again, except those named exactly. */
  readonly types: readonly string[];
  /**
   * Only events whose data has one of these values in these fields: what does not match is never written down as owed. An
   * event that lacks the field is delivered, since it rules nothing out.
   */
  readonly where?: Readonly<Record<string, readonly (string | number | boolean)[]>>;
}

/** Marks a provider that implements `Reacts`. Found wherever it is provided; runs in role `all` and `worker`. */
export const Reaction = DiscoveryService.createDecorator<ReactionOptions>();
