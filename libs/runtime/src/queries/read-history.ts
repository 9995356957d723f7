import type { TaskChange, TaskHistory } from '@muster/contracts';
import { type IQueryHandler, Query, QueryBus, QueryHandler } from '@nestjs/cqrs';
import { decodeCursor, encodeCursor } from '#kernel';
import { FindTaskChanges } from '#messages/integration';
import { FindVerdicts } from '#messages/quality';
import { Database } from '#platform/database';
import { EventLog } from '#platform/eventlog';
import { attemptViewOf, taskViewOf } from '../domain/task-row.ts';
import { TaskUnknown } from '../runtime.errors.ts';
import { attemptsWithTraces, type AttemptHistoryRow, reworksOf, toldBetween } from '../sql/task-history.ts';
import { termsOf } from '../sql/task-terms.ts';
import { taskById } from '../sql/tasks.ts';

/** Everything that is known of a task; of its events a page. */
export class ReadHistory extends Query<TaskHistory> {
  constructor(
    readonly taskId: string,
    readonly q: { readonly limit: number; readonly cursor?: string | undefined },
  ) {
    super();
  }
}

@QueryHandler(ReadHistory)
export class ReadHistoryHandler implements IQueryHandler<ReadHistory> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly events: EventLog,
  ) {}

  async execute({ taskId, q }: ReadHistory): Promise<TaskHistory> {
    const [row, attempts, terms, reworks, changes] = await Promise.all([
      taskById(this.database, taskId),
      attemptsWithTraces(this.database, taskId),
      termsOf(this.database, taskId),
      reworksOf(this.database, taskId),
      this.changesOf(taskId),
    ]);
    if (row === null) throw new TaskUnknown(taskId);
    const subjects = changes.flatMap(({ submissionId, verification, landing }) =>
      [submissionId, verification?.id, landing?.id].filter((id) => id !== undefined),
    );
    return {
      task: { ...taskViewOf(row), deadline: terms.deadlineAt?.toISOString() ?? null, dependsOn: terms.dependsOn },
      attempts: attempts.map(attemptHistoryOf),
      reworks,
      changes,
      events: await this.eventsOf(
        {
          teamId: row.team_id,
          subjects: [taskId, ...subjects],
          created: row.created_at,
          // Afterwards there is nothing to tell of it; what becomes of a landing stands with the landing.
          last: row.finished_at === null ? null : latest(row.updated_at, changes),
        },
        q,
      ),
    };
  }

  /** Asked of the rooms that know them; they are linked to where those rooms show them whole. */
  private async changesOf(taskId: string): Promise<TaskChange[]> {
    const found = await this.queries.execute(new FindTaskChanges(taskId));
    const verdicts = await this.queries.execute(
      new FindVerdicts(found.map(({ submission }) => submission.verificationId).filter((id) => id !== null)),
    );
    return found.map(({ submission, landing }) => ({
      submissionId: submission.id,
      state: submission.state,
      branch: submission.branch,
      commit: submission.commit,
      reasons: submission.reasons,
      verification: verdicts.find(({ id }) => id === submission.verificationId) ?? null,
      landing:
        landing === null
          ? null
          : {
              id: landing.id,
              state: landing.state,
              commit: landing.commit,
              landedAt: landing.landedAt,
              followUpTaskId: landing.followUpTaskId,
            },
      links: {
        submission: `/api/submissions/${submission.id}`,
        verification: submission.verificationId === null ? null : `/api/verifications/${submission.verificationId}`,
        landing: landing === null ? null : `/api/landings/${landing.id}`,
      },
      createdAt: submission.createdAt,
      updatedAt: submission.updatedAt,
    }));
  }

  private async eventsOf(
    about: { teamId: string; subjects: readonly string[]; created: Date; last: Date | null },
    q: ReadHistory['q'],
  ): Promise<TaskHistory['events']> {
    const { from, to } = await toldBetween(this.database, about);
    const [after, upTo] = await Promise.all([
      q.cursor === undefined ? this.events.positionBefore(from) : positionOf(q.cursor),
      to === null ? this.events.head() : this.events.positionBefore(to),
    ]);
    const { events, next } = await this.events.readAbout({ ...about, after, upTo, limit: q.limit });
    return { items: events, nextCursor: next === null ? null : encodeCursor([next]) };
  }
}

function positionOf(cursor: string): number {
  const [position] = decodeCursor(cursor, 1);
  // One of another list says a word here: refused as if it said nothing.
  return Number.isSafeInteger(position) ? Number(position) : Number(decodeCursor('', 1)[0]);
}

const attemptHistoryOf = (row: AttemptHistoryRow): TaskHistory['attempts'][number] => ({
  ...attemptViewOf(row),
  agentVersion: row.agent_version,
  progressMessage: row.progress_message,
  log: { lines: row.log_lines, last: row.last_line },
  checkpointBytes: row.checkpoint_bytes,
  costs: {
    reports: row.reports,
    usd: row.reported_usd,
    inputTokens: row.input_tokens,
    outputTokens: row.output_tokens,
    models: row.models,
  },
});

const latest = (updated: Date, changes: readonly TaskChange[]): Date =>
  new Date(
    Math.max(
      updated.getTime(),
      ...changes.flatMap(({ updatedAt, landing }) => [
        Date.parse(updatedAt),
        landing?.landedAt == null ? 0 : Date.parse(landing.landedAt),
      ]),
    ),
  );
