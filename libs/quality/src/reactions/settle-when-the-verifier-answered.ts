import type { CloudEvent } from '@muster/contracts';
import { QueryBus } from '@nestjs/cqrs';
import { FindTask, VERIFY_CAPABILITY } from '#messages/runtime';
import { Reaction, type Reacts } from '#platform/eventlog';
import { SettleVerification } from '../commands/settle-verification.ts';

/** The task's input says which verification it was for, whether or not the row knows its task yet. */
@Reaction({
  name: 'settle-when-the-verifier-answered',
  types: ['task.succeeded', 'task.failed', 'task.cancelled'],
  where: { capability: [VERIFY_CAPABILITY] },
})
export class SettleWhenTheVerifierAnswered implements Reacts {
  constructor(
    private readonly queries: QueryBus,
    private readonly settle: SettleVerification,
  ) {}

  async react(event: CloudEvent): Promise<void> {
    const { taskId } = event.data;
    if (typeof taskId !== 'string') return;
    const task = await this.queries.execute(new FindTask(taskId));
    const verificationId = task?.capability === VERIFY_CAPABILITY ? task.input['verificationId'] : null;
    if (typeof verificationId === 'string') await this.settle.run(verificationId);
  }
}
