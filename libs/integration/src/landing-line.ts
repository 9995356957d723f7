import { Injectable } from '@nestjs/common';
import type { Tx } from '#kernel';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { FIRST_WINDOW, type LineRow, narrowed, widened } from './domain/line.ts';
import { submissionColumns, type SubmissionRow } from './domain/submission.ts';

export type InLine = SubmissionRow & LineRow;

/** Whoever has waited this long is treated as one step more urgent: nobody is overtaken for ever. */
const AGEING_SECONDS = 1800;
/** In one line at once; what is behind that waits without being looked at. */
const MOST_IN_LINE = 500;

/** Reverts first: what is broken on the branch is everybody's. Then by urgency, then by the order of acceptance. */
export const lineOrder = `(state = 'landing') desc, (kind = 'change'),
  greatest(urgency - floor(extract(epoch from muster_now() - accepted_at) / ${AGEING_SECONDS}), 0), turn`;
/** Who waits for somebody else's rework or for approvals has its turn, but stands in nobody's way meanwhile. */
export const inLine = `turn is not null and state in ('verifying', 'queued', 'landing') and (held is null or held not in ('conflict', 'review', 'set'))`;

/** The landing queue of a branch: who stands where, and how many are verified on top of one another at once. */
@Injectable()
export class LandingLine {
  constructor(
    private readonly database: Database,
    private readonly config: Config,
  ) {}

  async of(projectId: string, branch: string): Promise<InLine[]> {
    return this.database.sql<InLine>(
      `select ${submissionColumns} from submissions where project_id = $1 and branch = $2 and ${inLine} order by ${lineOrder} limit ${MOST_IN_LINE}`,
      [projectId, branch],
    );
  }

  /** @param bound the project's own, if it has one */
  async window(projectId: string, branch: string, bound?: number): Promise<number> {
    const [row] = await this.database.sql<{ speculation: number }>(
      `select speculation from landing_lines where project_id = $1 and branch = $2`,
      [projectId, branch],
    );
    return Math.max(1, Math.min(row?.speculation ?? FIRST_WINDOW, this.config.landingWindow, bound ?? Infinity));
  }

  /** In the transaction of the landing or the ejection that is the reason. */
  async resize(
    tx: Tx,
    line: { readonly team_id: string; readonly project_id: string; readonly branch: string },
    because: 'landed' | 'ejected',
  ): Promise<void> {
    const [row] = await tx.sql<{ speculation: number }>(
      `insert into landing_lines (project_id, branch, speculation) values ($1, $2, $3)
       on conflict (project_id, branch) do update set updated_at = muster_now() returning speculation`,
      [line.project_id, line.branch, FIRST_WINDOW],
    );
    const before = row?.speculation ?? FIRST_WINDOW;
    const after = because === 'landed' ? widened(before, this.config.landingWindow) : narrowed(before);
    if (after === before) return;
    await tx.sql(`update landing_lines set speculation = $3 where project_id = $1 and branch = $2`, [
      line.project_id,
      line.branch,
      after,
    ]);
    tx.append({
      type: 'queue.window_changed',
      teamId: line.team_id,
      projectId: line.project_id,
      subject: null,
      priority: 'low',
      data: { branch: line.branch, before, after, because },
    });
  }

  /** Those who stand behind somebody that has changed are looked at now; who pauses for want of evidence keeps its pause. */
  async stir(projectId: string, branch: string, except: string): Promise<string[]> {
    const line = await this.of(projectId, branch);
    const window = await this.window(projectId, branch);
    let expected = 0;
    const near = line.filter(({ suspect }) => {
      const within = expected <= window;
      if (!suspect) expected += 1;
      return within;
    });
    const waiting = await this.database.sql<{ id: string }>(
      `select id from submissions where project_id = $1 and branch = $2 and held in ('conflict', 'review') and id <> $3 and state in ('received', 'queued')
       order by turn nulls last, id limit 100`,
      [projectId, branch, except],
    );
    const ids = near
      .filter(({ id, state, unverified }) => id !== except && state !== 'landing' && unverified === 0)
      .map(({ id }) => id);
    ids.push(...waiting.map(({ id }) => id));
    if (ids.length > 0) {
      await this.database.sql(
        `update submissions set next_action_at = muster_now() where id = any($1::text[]) and state in ('received', 'verifying', 'queued')`,
        [ids],
      );
    }
    return ids;
  }
}
