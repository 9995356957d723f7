import { Injectable, Logger } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { FindTask } from '#messages/runtime';
import type { NewEvent } from '#kernel';
import { Database } from '#platform/database';
import { type MemberRow, memberSubmission, setColumns, type SetRow } from './domain/set.ts';
import { isFinal, submissionColumns, type SubmissionRow } from './domain/submission.ts';

class SomebodyMoved extends Error {}

/** Which submissions belong together, and their common way into and out of the lines of their branches. */
@Injectable()
export class LandingSets {
  private readonly logger = new Logger(LandingSets.name);

  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
  ) {}

  /** The set of a submission; null: it lands by itself. A set that failed keeps its members: none of them lands. */
  async of(row: Pick<SubmissionRow, 'id' | 'task_id' | 'reverts_landing_id'>): Promise<SetRow | null> {
    const [found] = await this.database.sql<SetRow>(
      `select ${setColumns} from landing_sets where id = (
         select m.set_id from landing_set_members m join landing_sets s on s.id = m.set_id
         where (m.submission_id = $1 or m.task_id = $2 or m.reverts_landing_id = $3)
           and s.state not in ('landed', 'rolled_back')
         order by m.set_id desc limit 1)`,
      [row.id, row.task_id, row.reverts_landing_id],
    );
    return found ?? null;
  }

  async find(setId: string): Promise<SetRow | null> {
    const [row] = await this.database.sql<SetRow>(`select ${setColumns} from landing_sets where id = $1`, [setId]);
    return row ?? null;
  }

  async members(setId: string): Promise<MemberRow[]> {
    return await this.database.sql<MemberRow>(
      `select m.project_id, m.task_id, m.reverts_landing_id, ${memberSubmission} as submission_id
       from landing_set_members m where m.set_id = $1 order by m.project_id`,
      [setId],
    );
  }

  /** What was handed in for it so far. */
  async submissions(setId: string): Promise<SubmissionRow[]> {
    return await this.database.sql<SubmissionRow>(
      `select ${submissionColumns} from submissions
       where id in (select ${memberSubmission} from landing_set_members m where m.set_id = $1) order by project_id`,
      [setId],
    );
  }

  /**
   * When all are accepted they take their places in all lines, with one turn, one urgency and one moment of acceptance: which of two sets
   * is ahead is the same in every line, so no two wait for each other.
   */
  async gather(set: SetRow): Promise<'entered' | 'waiting' | 'failed'> {
    if (set.state === 'failed') return 'failed';
    const members = await this.members(set.id);
    const rows = await this.submissions(set.id);
    const lost = await this.lostMember(members, rows);
    if (lost !== null) {
      await this.fail(set, [`${set.title} cannot land any more: ${lost}`]);
      return 'failed';
    }
    const ready = rows.filter(({ state, held }) => state === 'queued' && held === 'set');
    if (set.state !== 'gathering' || ready.length < members.length) return 'waiting';
    try {
      await this.database.transaction(async (tx) => {
        const [still] = await tx.sql<{ id: string }>(
          `update landing_sets set state = 'queued', next_action_at = muster_now() + interval '1 minute', failures = 0
           where id = $1 and state = 'gathering' returning id`,
          [set.id],
        );
        const entered = await tx.sql<{ id: string }>(
          `update submissions set step = step + 1, held = null, turn = (select nextval('submission_turns')),
             accepted_at = muster_now(), urgency = $2, next_action_at = muster_now(), updated_at = muster_now()
           where id = any($1::text[]) and state = 'queued' and held = 'set' returning id`,
          [ready.map(({ id }) => id), Math.min(...ready.map(({ urgency }) => urgency))],
        );
        if (still === undefined || entered.length < members.length) throw new SomebodyMoved();
        for (const row of ready) tx.append(memberEvent(set, row, 'queue.entered', { branch: row.branch }));
        tx.append(setEvent(set, 'set.queued', { submissions: ready.map(({ id }) => id) }));
      });
      return 'entered';
    } catch (error) {
      if (!(error instanceof SomebodyMoved)) throw error;
      return 'waiting';
    }
  }

  /** One of them has left its line: the others leave theirs, where everybody waits behind them for nothing. */
  async stepBack(set: SetRow, why: string): Promise<string[]> {
    const members = await this.submissions(set.id);
    return await this.database.transaction(async (tx) => {
      const [still] = await tx.sql<{ id: string }>(
        `update landing_sets set state = 'gathering', next_action_at = muster_now() + interval '1 minute'
         where id = $1 and state = 'queued' returning id`,
        [set.id],
      );
      if (still === undefined) return [];
      const left = await tx.sql<{ id: string }>(
        `update submissions set step = step + 1, held = case when held is null or held = 'quiet_hours' then 'set' else held end, turn = null,
           state = 'queued', suspect = false, candidate_head = null, next_action_at = muster_now() + interval '1 second', updated_at = muster_now()
         where id = any($1::text[]) and state in ('queued', 'verifying') and turn is not null returning id`,
        [members.map(({ id }) => id)],
      );
      for (const row of members.filter(({ id }) => left.some((one) => one.id === id)))
        tx.append(memberEvent(set, row, 'queue.held', { branch: row.branch, for: 'set' }));
      tx.append(setEvent(set, 'set.stepped_back', { why }));
      return left.map(({ id }) => id);
    });
  }

  async fail(set: SetRow, reasons: readonly string[]): Promise<void> {
    this.logger.warn(`${set.id} failed: ${reasons.join(' ')}`);
    await this.database.transaction(async (tx) => {
      const [first] = await tx.sql<{ id: string }>(
        `update landing_sets set state = 'failed', reasons = $2::jsonb, settled_at = muster_now(), next_action_at = null
         where id = $1 and state in ('gathering', 'queued') returning id`,
        [set.id, JSON.stringify(reasons)],
      );
      if (first !== undefined) tx.append({ ...setEvent(set, 'set.failed', { reasons }), priority: 'high' });
    });
    await this.wake(set.id);
  }

  /** Everybody in the set looks at once where it stands. */
  async wake(setId: string): Promise<void> {
    await this.database.sql(
      `update submissions set next_action_at = muster_now()
       where id in (select ${memberSubmission} from landing_set_members m where m.set_id = $1)
         and state in ('received', 'verifying', 'queued')`,
      [setId],
    );
  }

  /** A member that can never be handed in again; null: all may still come. */
  private async lostMember(members: readonly MemberRow[], rows: readonly SubmissionRow[]): Promise<string | null> {
    for (const { task_id: taskId, submission_id: submissionId } of members) {
      const row = rows.find(({ id }) => id === submissionId);
      if (taskId === null) {
        if (row !== undefined && row.state !== 'landed' && isFinal(row.state)) return `${row.id} is ${row.state}.`;
        continue;
      }
      const task = await this.queries.execute(new FindTask(taskId));
      if (task === null || task.state === 'failed' || task.state === 'cancelled')
        return `the task ${taskId} ${task === null ? 'is gone' : `has ${task.state === 'failed' ? 'failed' : 'been cancelled'}`}.`;
      if (task.state === 'succeeded' && row?.state !== 'landed') return `the task ${taskId} ended without a change.`;
    }
    return null;
  }
}

export const setEvent = (
  set: Pick<SetRow, 'id' | 'team_id' | 'kind'>,
  type: string,
  data: Record<string, unknown> = {},
): NewEvent => ({
  type,
  teamId: set.team_id,
  projectId: null,
  subject: set.id,
  data: { setId: set.id, kind: set.kind, ...data },
});

const memberEvent = (set: SetRow, row: SubmissionRow, type: string, data: Record<string, unknown>): NewEvent => ({
  type,
  teamId: row.team_id,
  projectId: row.project_id,
  subject: row.id,
  data: { submissionId: row.id, taskId: row.task_id, setId: set.id, ...data },
});
