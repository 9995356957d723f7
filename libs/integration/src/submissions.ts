import { Injectable } from '@nestjs/common';
import { Database, type Transaction } from '#platform/database';
import { submissionColumns, type SubmissionRow } from './domain/submission.ts';

/** An event wakes whoever waits for a verification; this is for the event that was missed. */
export const LOOK_AGAIN_SECONDS = 5;

/** What its driver does after a step: the next one, or nothing until it is called again. */
export type Next = 'again' | 'wait';

export interface Changes {
  readonly state?: SubmissionRow['state'];
  readonly verification_id?: string;
  readonly candidate_tree?: string | null;
  readonly candidate_head?: string | null;
  readonly candidate_base?: string | null;
  readonly candidate_on?: string | null;
  readonly strategy?: SubmissionRow['strategy'];
  readonly suspect?: boolean;
  readonly urgency?: number;
  readonly held?: SubmissionRow['held'];
  readonly approved_by?: SubmissionRow['approved_by'];
  readonly rules_paths?: readonly string[];
  readonly review_needs?: SubmissionRow['review_needs'];
  readonly conflicts?: SubmissionRow['conflicts'];
  readonly resolution?: SubmissionRow['resolution'];
  readonly reasons?: readonly string[];
  readonly accepted?: true;
  /** It takes its place in the queue, if it has none. */
  readonly inLine?: boolean;
  readonly unverified?: number;
  /** Seconds until the server looks again by itself; null when nothing is owed any more. */
  readonly wait: number | null;
}

/** The rows of submissions. Whoever takes one further writes only if nobody else has written since it was read. */
@Injectable()
export class Submissions {
  constructor(private readonly database: Database) {}

  async find(submissionId: string): Promise<SubmissionRow | null> {
    const [row] = await this.database.sql<SubmissionRow>(`select ${submissionColumns} from submissions where id = $1`, [
      submissionId,
    ]);
    return row ?? null;
  }

  /** Writes if the row is still as it was read. False: somebody else has taken it further. */
  async change(
    row: SubmissionRow,
    changes: Changes,
    also: (tx: Transaction) => void | Promise<void> = () => undefined,
  ): Promise<boolean> {
    const next = { ...row, ...changes };
    const moved = next.candidate_head !== row.candidate_head;
    return await this.database.transaction(async (tx) => {
      const [written] = await tx.sql<{ id: string }>(
        `update submissions set step = step + 1, state = $3, verification_id = $4, candidate_tree = $5, candidate_head = $6,
           conflicts = $7::jsonb, reasons = $8::jsonb,
           accepted_at = case when $9::boolean then coalesce(accepted_at, muster_now()) else accepted_at end,
           turn = case when $10::boolean then coalesce(turn, nextval('submission_turns')) else turn end,
           next_action_at = muster_now() + make_interval(secs => $11::float8), unverified = $12,
           candidate_base = $13, candidate_on = $14, strategy = $15, suspect = $16, urgency = $17, held = $18,
           candidate_since = case when $19::boolean then muster_now() else candidate_since end,
           approved_by = $20::jsonb, rules_paths = $21::jsonb, review_needs = $22::jsonb, resolution = $23::jsonb,
           last_error = null, updated_at = muster_now()
         where id = $1 and step = $2 returning id`,
        [
          row.id, row.step, next.state, next.verification_id, next.candidate_tree, next.candidate_head,
          JSON.stringify(next.conflicts), JSON.stringify(next.reasons), changes.accepted ?? false, changes.inLine ?? false, changes.wait,
          next.unverified, next.candidate_base, next.candidate_on, next.strategy, next.suspect, next.urgency, next.held, moved,
          next.approved_by && JSON.stringify(next.approved_by), JSON.stringify(next.rules_paths), JSON.stringify(next.review_needs),
          next.resolution && JSON.stringify(next.resolution),
        ], // prettier-ignore
      );
      if (written !== undefined) await also(tx);
      return written !== undefined;
    });
  }

  /** Not a transition: only the moment of the next look. */
  async lookAgain(row: SubmissionRow, seconds: number): Promise<void> {
    await this.database.sql(
      `update submissions set next_action_at = muster_now() + make_interval(secs => $3::float8)
       where id = $1 and step = $2 and next_action_at is not null`,
      [row.id, row.step, seconds],
    );
  }

  /** Without a head its candidate is made and verified anew. Not a transition. */
  async forgetHead(row: SubmissionRow): Promise<void> {
    await this.database.sql(`update submissions set candidate_head = null where id = $1 and step = $2`, [
      row.id,
      row.step,
    ]);
  }

  /** Seconds double with each failure, up to a minute. Not a transition. */
  async putOff(row: SubmissionRow, why: string): Promise<void> {
    await this.database.sql(
      `update submissions set failures = failures + 1, last_error = $3,
         next_action_at = muster_now() + make_interval(secs => least(60, power(2, least(failures, 6))))
       where id = $1 and step = $2 and next_action_at is not null`,
      [row.id, row.step, why.slice(0, 2000)],
    );
  }
}
