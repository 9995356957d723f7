import type { progressBody } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Reports } from '../batches/reports.ts';
import type { Renewed } from '../domain/verb-answers.ts';
import { StaleLease } from '../runtime.errors.ts';
import type { Holder } from '../sql/leases.ts';

export class ReportProgress extends Command<Renewed> {
  constructor(
    readonly by: Holder,
    readonly body: z.infer<typeof progressBody>,
  ) {
    super();
  }
}

@CommandHandler(ReportProgress)
export class ReportProgressHandler implements ICommandHandler<ReportProgress> {
  constructor(private readonly reports: Reports) {}

  async execute({ by, body }: ReportProgress): Promise<Renewed> {
    const reported = await this.reports.add(by, { kind: 'progress', ratio: body.ratio ?? null, message: body.message });
    if (reported === null) throw new StaleLease(by.taskId, by.fence);
    return reported.renewed;
  }
}
