import type { costBody } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Reports } from '../batches/reports.ts';
import type { Renewed } from '../domain/verb-answers.ts';
import { StaleLease } from '../runtime.errors.ts';
import type { Holder } from '../sql/leases.ts';

/** Counted once for each key, for the task and everything above it. A task that spends more than its agent may stops. */
export class ReportCost extends Command<Renewed & { readonly counted: boolean }> {
  constructor(
    readonly by: Holder,
    readonly body: z.infer<typeof costBody>,
  ) {
    super();
  }
}

@CommandHandler(ReportCost)
export class ReportCostHandler implements ICommandHandler<ReportCost> {
  constructor(private readonly reports: Reports) {}

  async execute({ by, body }: ReportCost): Promise<Renewed & { readonly counted: boolean }> {
    const reported = await this.reports.add(by, {
      kind: 'cost',
      key: body.key,
      usd: body.usd,
      model: body.model ?? null,
      inputTokens: body.inputTokens ?? null,
      outputTokens: body.outputTokens ?? null,
    });
    if (reported === null) throw new StaleLease(by.taskId, by.fence);
    return { ...reported.renewed, counted: reported.counted };
  }
}
