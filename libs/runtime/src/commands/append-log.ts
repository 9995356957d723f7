import type { logBody } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Reports } from '../batches/reports.ts';
import type { Renewed } from '../domain/verb-answers.ts';
import { StaleLease } from '../runtime.errors.ts';
import type { Holder } from '../sql/leases.ts';

export class AppendLog extends Command<Renewed> {
  constructor(
    readonly by: Holder,
    readonly body: z.infer<typeof logBody>,
  ) {
    super();
  }
}

@CommandHandler(AppendLog)
export class AppendLogHandler implements ICommandHandler<AppendLog> {
  constructor(private readonly reports: Reports) {}

  async execute({ by, body }: AppendLog): Promise<Renewed> {
    const reported = await this.reports.add(by, { kind: 'log', stream: body.stream, lines: body.lines });
    if (reported === null) throw new StaleLease(by.taskId, by.fence);
    return reported.renewed;
  }
}
