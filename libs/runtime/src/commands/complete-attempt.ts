import type { completeBody } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Database } from '#platform/database';
import { JsonSchemas } from '../domain/json-schema.ts';
import { endedOf, type Ended } from '../domain/verb-answers.ts';
import { OutputInvalid, StaleLease } from '../runtime.errors.ts';
import { attemptOf, lock, type Holder } from '../sql/leases.ts';
import { closeAttempt, succeed } from '../sql/outcomes.ts';

/** At most one completion of a task is ever accepted; the same one again is answered as the first time. */
export class CompleteAttempt extends Command<Ended> {
  constructor(
    readonly by: Holder,
    readonly body: z.infer<typeof completeBody>,
  ) {
    super();
  }
}

@CommandHandler(CompleteAttempt)
export class CompleteAttemptHandler implements ICommandHandler<CompleteAttempt> {
  constructor(
    private readonly database: Database,
    private readonly schemas: JsonSchemas,
  ) {}

  async execute({ by, body }: CompleteAttempt): Promise<Ended> {
    const attempt = await attemptOf(this.database, by);
    if (attempt?.outcome === 'completed') return attempt.answer as Ended;
    if (attempt === null || attempt.outcome !== null) throw new StaleLease(by.taskId, by.fence);
    if (attempt.output_schema !== null) {
      const errors = this.schemas.check(attempt.output_schema, body.output, 'output');
      if (errors.length > 0) throw new OutputInvalid(attempt.capability, errors);
    }
    return this.database.transaction(async (tx) => {
      const task = await lock(tx, by);
      if (task === null) {
        // Two of the same at once: the second one finds the first one's answer.
        const now = await attemptOf(tx, by);
        if (now?.outcome === 'completed') return now.answer as Ended;
        throw new StaleLease(by.taskId, by.fence);
      }
      const after = await succeed(tx, by.taskId, body.output);
      const answer = endedOf(after, by.fence);
      await closeAttempt(tx, { fence: by.fence, outcome: 'completed', answer });
      tx.append({
        type: 'task.succeeded',
        teamId: task.team_id,
        projectId: task.project_id,
        subject: task.id,
        data: { taskId: task.id, capability: task.capability, output: body.output },
      });
      return answer;
    });
  }
}
