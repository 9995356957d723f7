import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { decodeCursor, encodeCursor, type Page } from '#kernel';
import { Database } from '#platform/database';
import { listLog } from '../sql/tasks.ts';

export interface LogLine {
  readonly fence: number;
  readonly number: number;
  readonly stream: 'stdout' | 'stderr';
  readonly line: string;
  readonly at: string;
}

/** What the attempts of a task wrote, oldest first. */
export class ReadLog extends Query<Page<LogLine>> {
  constructor(
    readonly taskId: string,
    readonly q: { readonly fence?: number | undefined; readonly limit: number; readonly cursor?: string | undefined },
  ) {
    super();
  }
}

@QueryHandler(ReadLog)
export class ReadLogHandler implements IQueryHandler<ReadLog> {
  constructor(private readonly database: Database) {}

  async execute({ taskId, q }: ReadLog): Promise<Page<LogLine>> {
    const [afterFence, afterNumber] = q.cursor === undefined ? [0, 0] : decodeCursor(q.cursor, 2).map(Number);
    const rows = await listLog(this.database, {
      taskId,
      fence: q.fence ?? null,
      afterFence: afterFence ?? 0,
      afterNumber: afterNumber ?? 0,
      limit: q.limit + 1,
    });
    const items = rows.slice(0, q.limit).map((row) => ({
      fence: row.fence,
      number: row.number,
      stream: row.stream,
      line: row.line,
      at: row.logged_at.toISOString(),
    }));
    const last = items.at(-1);
    return {
      items,
      nextCursor: rows.length > q.limit && last !== undefined ? encodeCursor([last.fence, last.number]) : null,
    };
  }
}
