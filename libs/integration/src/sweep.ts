import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Clock } from '#kernel';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { NOTHING, Repositories } from '#platform/git';
import { Rounds } from '#platform/rounds';
import { AdvanceIncident } from './commands/advance-incident.ts';
import { AdvanceLanding } from './commands/advance-landing.ts';
import { AdvanceSet } from './commands/advance-set.ts';
import { AdvanceSubmission } from './commands/advance-submission.ts';
import { setRef } from './domain/set.ts';
import { queueRef, submissionRef } from './domain/submission.ts';
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
    private readonly sets: AdvanceSet,
    private readonly incidents: AdvanceIncident,
    private readonly provenance: Provenance,
    private readonly clock: Clock,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    if (this.config.role !== 'all' && this.config.role !== 'worker') return;
    await this.provenance.key();
    await this.repositories.clearLeftovers();
    await this.database.sql(`update submissions set next_action_at = muster_now() where state = 'landing'`);
    this.rounds.begin('landing', EVERY_MS, (signal) => this.sweep(signal), 0);
    // Where nobody but us writes into these repositories, what was made before we were there and has no row will never have one.
    const alone = this.config.sharedDir === this.config.dataDir;
    const startedAt = alone ? this.clock.now().getTime() : 0;
    this.rounds.begin(
      'orphaned refs',
      TIDY_EVERY_MS,
      (signal) => this.tidy(Math.max(startedAt, this.clock.now().getTime() - ORPHAN_AGE_MS), signal),
      0,
    );
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
    const sets = await this.database.sql<{ id: string }>(
      `select id from landing_sets where next_action_at <= muster_now() order by next_action_at, id limit $1`,
      [BATCH],
    );
    for (const { id } of sets) if (!signal?.aborted) await this.sets.run(id);
    const incidents = await this.database.sql<{ id: string }>(
      `select id from incidents where next_action_at <= muster_now() order by next_action_at, id limit $1`,
      [BATCH],
    );
    for (const { id } of incidents) if (!signal?.aborted) await this.incidents.run(id);
  }

  /** Takes the refs that a crash or a lost fence left: of submissions that never came to be, and of places in a queue that were left. */
  async tidy(madeBefore: number, signal?: AbortSignal): Promise<number> {
    let taken = 0;
    for (const projectId of await this.repositories.all()) {
      if (signal?.aborted) break;
      taken += await this.take(
        projectId,
        submissionRef(''),
        `select id from submissions where id = any($1::text[])`,
        madeBefore,
      );
      taken += await this.take(
        projectId,
        setRef(''),
        `select id from landings where id = any($1::text[]) and state = 'intended'`,
        madeBefore,
      );
      taken += await this.take(
        projectId,
        queueRef(''),
        `select id from submissions where id = any($1::text[]) and turn is not null and state in ('verifying', 'queued', 'landing')`,
        madeBefore,
      );
    }
    return taken;
  }

  private async take(projectId: string, prefix: string, wanted: string, madeBefore: number): Promise<number> {
    const found = await this.repositories.refs(projectId, prefix.slice(0, -1));
    const refs = new Map(found.map(({ ref, object }) => [ref.slice(prefix.length), object]));
    if (refs.size === 0) return 0;
    for (const { id } of await this.database.sql<{ id: string }>(wanted, [[...refs.keys()]])) refs.delete(id);
    let taken = 0;
    for (const [id, object] of refs) {
      if (madeAt(id) < madeBefore && (await this.repositories.updateRef(projectId, prefix + id, NOTHING, object)))
        taken += 1;
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
