import type { logBody } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { maxLogLines } from '../domain/lease-rules.ts';
import { renewedOf, type Renewed } from '../domain/verb-answers.ts';
import { StaleLease } from '../runtime.errors.ts';
import { renew, writeLog, type Holder } from '../sql/leases.ts';

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
  constructor(
    private readonly database: Database,
    private readonly config: Config,
  ) {}

  execute({ by, body }: AppendLog): Promise<Renewed> {
    return this.database.transaction(async (tx) => {
      const held = await renew(tx, by, this.config.leaseSeconds);
      if (held === null) throw new StaleLease(by.taskId, by.fence);
      await writeLog(tx, {
        taskId: by.taskId,
        fence: by.fence,
        stream: body.stream,
        lines: body.lines,
        limit: maxLogLines,
      });
      return renewedOf(held);
    });
  }
}
