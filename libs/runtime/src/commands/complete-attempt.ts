import { isBlobRef, referencedFromBytes, type completeBody } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Database } from '#platform/database';
import { Completions } from '../batches/completions.ts';
import { TaskBlobs } from '../blobs/task-blobs.ts';
import { JsonSchemas } from '../domain/json-schema.ts';
import type { Ended } from '../domain/verb-answers.ts';
import { OutputInvalid, StaleLease } from '../runtime.errors.ts';
import { attemptOf, type Holder } from '../sql/leases.ts';
import { projectOfAttempt } from '../sql/task-blobs.ts';

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
    private readonly blobs: TaskBlobs,
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
    const output = isBlobRef(body.output) ? await this.referred(by, body.output) : { value: body.output };
    if (output === null) return ended;
    if (attempt.outputSchema !== undefined) {
      const errors = this.schemas.check(attempt.outputSchema, output.value, 'output');
      if (errors.length > 0) throw new OutputInvalid(attempt.capability, errors);
    }
    const text = await this.storable(by, body.output);
    if (text === null) return ended;
    if (await this.completions.add(by, attempt.capability, text)) return ended;
    // Told again, or two of the same at once: the second one gets the first one's answer.
    const now = await attemptOf(this.database, by);
    if (now?.outcome === 'completed') return ended;
    throw new StaleLease(by.taskId, by.fence);
  }

  /** As it goes into the task: a large one as a reference to where it is kept. Null: the attempt has been completed before. */
  private async storable(by: Holder, output: unknown): Promise<string | null> {
    const text = JSON.stringify(output);
    // Its bytes are at most three times its characters.
    if (text.length * 3 < referencedFromBytes || Buffer.byteLength(text) < referencedFromBytes) return text;
    const of = await this.attemptIn(by);
    if (of === null) return null;
    const to = { teamId: of.team_id, projectId: of.project_id, by: by.actorId };
    const { ref, digest } = await this.blobs.keepValue(to, text);
    await this.blobs.noteUse(by.taskId, of.project_id, digest);
    return JSON.stringify(ref);
  }

  /** What it refers to, kept with the task from now on; null: the attempt has been completed before. */
  private async referred(by: Holder, ref: object): Promise<{ readonly value: unknown } | null> {
    const of = await this.attemptIn(by);
    if (of === null) return null;
    const { digest, value } = await this.blobs.valueOf(of.project_id, ref);
    await this.blobs.noteUse(by.taskId, of.project_id, digest);
    return { value };
  }

  /** Where the open attempt is; null: it has been completed before. */
  private async attemptIn(by: Holder): Promise<{ team_id: string; project_id: string } | null> {
    const of = await projectOfAttempt(this.database, by);
    if (of !== null) return of;
    if ((await attemptOf(this.database, by))?.outcome === 'completed') return null;
    throw new StaleLease(by.taskId, by.fence);
  }
}
