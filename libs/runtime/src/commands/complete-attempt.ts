import type { completeBody } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Database } from '#platform/database';
import { Completions } from '../batches/completions.ts';
import { JsonSchemas } from '../domain/json-schema.ts';
import type { Ended } from '../domain/verb-answers.ts';
import { OutputInvalid, StaleLease } from '../runtime.errors.ts';
import { attemptOf, type Holder } from '../sql/leases.ts';

/** What a socket's session knows about an attempt that it was given. */
export interface KnownAttempt {
  readonly capability: string;
  /** Undefined: anything may be answered. */
  readonly outputSchema: unknown;
}

/** At most one completion of a task is ever accepted; the same one again is answered as the first time. */
export class CompleteAttempt extends Command<Ended> {
  constructor(
    readonly by: Holder,
    readonly body: z.infer<typeof completeBody>,
    readonly known: KnownAttempt | null = null,
  ) {
    super();
  }
}

@CommandHandler(CompleteAttempt)
export class CompleteAttemptHandler implements ICommandHandler<CompleteAttempt> {
  constructor(
    private readonly database: Database,
    private readonly schemas: JsonSchemas,
    private readonly completions: Completions,
  ) {}

  async execute({ by, body, known }: CompleteAttempt): Promise<Ended> {
    const ended: Ended = { taskId: by.taskId, fence: by.fence, state: 'succeeded', retryAt: null };
    let attempt = known;
    if (attempt === null) {
      const found = await attemptOf(this.database, by);
      if (found?.outcome === 'completed') return ended;
      if (found === null || found.outcome !== null) throw new StaleLease(by.taskId, by.fence);
      attempt = { capability: found.capability, outputSchema: found.output_schema ?? undefined };
    }
    if (attempt.outputSchema !== undefined) {
      const errors = this.schemas.check(attempt.outputSchema, body.output, 'output');
      if (errors.length > 0) throw new OutputInvalid(attempt.capability, errors);
    }
    if (await this.completions.add(by, attempt.capability, JSON.stringify(body.output))) return ended;
    // Told again, or two of the same at once: the second one gets the first one's answer.
    const now = await attemptOf(this.database, by);
    if (now?.outcome === 'completed') return ended;
    throw new StaleLease(by.taskId, by.fence);
  }
}
