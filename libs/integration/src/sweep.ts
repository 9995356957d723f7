import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { NOTHING, Repositories } from '#platform/git';
import { Rounds } from '#platform/rounds';
import { AdvanceLanding } from './commands/advance-landing.ts';
import { AdvanceSubmission } from './commands/advance-submission.ts';
import { submissionRef } from './domain/submission.ts';
import { Provenance } from './provenance.ts';

const EVERY_MS = 2_000;
/** Rows at once: the next round takes the rest. */
const BATCH = 50;
const TIDY_EVERY_MS = 600_000;
/** A submission whose ref is this old and whose row is not there will never have one. */
const ORPHAN_AGE_MS = 3_600_000;

/**
 * Looks at everything whose moment has come, so that a lost event or a killed process costs time and nothing else. What was
 * in the middle of landing when the server stopped is finished at start.
 */
@Injectable()
export class Sweep implements OnApplicationBootstrap, BeforeApplicationShutdown {
  constructor(
    private readonly config: Config,
    private readonly database: Database,
    private readonly repositories: Repositories,
    private readonly rounds: Rounds,
    private readonly submissions: AdvanceSubmission,
    private readonly landings: AdvanceLanding,
    private readonly provenance: Provenance,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    if (this.config.role !== 'all' && this.config.role !== 'worker') return;
    await this.provenance.key();
    await this.database.sql(`update submissions set next_action_at = muster_now() where state = 'landing'`);
    this.rounds.begin('landing', EVERY_MS, (signal) => this.sweep(signal), 0);
    this.rounds.begin('orphaned submissions', TIDY_EVERY_MS, (signal) => this.tidy(Date.now(), signal), 0);
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.rounds.beforeApplicationShutdown();
    await this.submissions.stop();
  }

  /** One round: whatever is due, oldest first. */
  async sweep(signal?: AbortSignal): Promise<void> {
    const due = await this.database.sql<{ id: string }>(
      `select id from submissions where next_action_at <= muster_now() order by next_action_at, id limit $1`,
      [BATCH],
    );
    for (const { id } of due) if (!signal?.aborted) await this.submissions.run(id);
    const landings = await this.database.sql<{ id: string }>(
      `select id from landings where next_action_at <= muster_now() order by next_action_at, id limit $1`,
      [BATCH],
    );
    for (const { id } of landings) if (!signal?.aborted) await this.landings.run(id);
  }

  /** Takes the refs that a crash or a lost fence left without a submission. */
  async tidy(now: number, signal?: AbortSignal): Promise<number> {
    const projects = await this.database.sql<{ project_id: string }>(
      `select distinct project_id from submissions order by project_id limit 1000`,
    );
    let taken = 0;
    for (const { project_id: projectId } of projects) {
      if (signal?.aborted || !(await this.repositories.exists(projectId))) continue;
      const refs = new Map(
        (await this.repositories.refs(projectId, 'refs/muster/submissions')).map(({ ref, object }) => [
          ref.slice(submissionRef('').length),
          object,
        ]),
      );
      const known = await this.database.sql<{ id: string }>(`select id from submissions where id = any($1::text[])`, [
        [...refs.keys()],
      ]);
      for (const { id } of known) refs.delete(id);
      for (const [id, object] of refs) {
        if (
          now - madeAt(id) > ORPHAN_AGE_MS &&
          (await this.repositories.updateRef(projectId, submissionRef(id), NOTHING, object))
        ) {
          taken += 1;
        }
      }
    }
    return taken;
  }
}

const digits = '0123456789abcdefghjkmnpqrstvwxyz';

/** When a TypeID was made, in milliseconds: the first 48 of its 128 bits. What is no TypeID counts as just made. */
export function madeAt(id: string): number {
  const suffix = id.slice(id.lastIndexOf('_') + 1);
  if (!/^[0-7][0-9a-hjkmnp-tv-z]{25}$/.test(suffix)) return Number.POSITIVE_INFINITY;
  let value = 0n;
  for (const digit of suffix) value = (value << 5n) | BigInt(digits.indexOf(digit));
  return Number(value >> 80n);
}
