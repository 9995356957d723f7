import type { InvariantReport } from '@muster/contracts';
import { Injectable } from '@nestjs/common';
import type { Tx } from '#kernel';
import { Database } from '#platform/database';

/** A promise about what is stored, with the question that finds where it is broken. */
export interface Invariant {
  /** `runtime.one_open_attempt` */
  readonly name: string;
  /** One sentence, as an operator reads it. */
  readonly promise: string;
  /** Selects `team_id` (null: nobody's), `subject` and `detail`, a row for each violation. */
  readonly violations: string;
}

const registered = new Map<string, Invariant>();
const examplesEach = 5;

/** Every room's invariants, checked together. A broken one is a bug of Muster's, never an operator's mistake. */
@Injectable()
export class Invariants {
  constructor(private readonly database: Database) {}

  /** Called in a room's module constructor. */
  static register(...invariants: readonly Invariant[]): void {
    for (const invariant of invariants) registered.set(invariant.name, invariant);
  }

  /** All against one snapshot, so that what is written meanwhile breaks nothing. */
  check(teamId: string): Promise<InvariantReport> {
    return this.database.transaction(async (tx) => {
      await tx.sql('set transaction isolation level repeatable read, read only');
      return this.checkIn(tx, teamId);
    });
  }

  /** In a transaction of the caller's. Violations are counted over all teams; examples are of this one only. */
  async checkIn(tx: Pick<Tx, 'sql'>, teamId: string): Promise<InvariantReport> {
    const invariants: InvariantReport['invariants'] = [];
    for (const { name, promise, violations } of [...registered.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const start = performance.now();
      const rows = await tx.sql<{ subject: string | null; detail: string | null; total: number }>(
        `with broken as materialized (${violations}), shown as (
           select subject, detail from broken where team_id = $1 order by subject, detail limit ${examplesEach}
         )
         select shown.subject, shown.detail, total.count as total
         from (select count(*) from broken) as total left join shown on true order by shown.subject, shown.detail`,
        [teamId],
      );
      const total = Number(rows[0]?.total ?? 0);
      invariants.push({
        name,
        promise,
        ok: total === 0,
        violations: total,
        examples: rows.flatMap(({ subject, detail }) => (subject === null ? [] : [{ subject, detail: detail ?? '' }])),
        tookMs: Math.round(performance.now() - start),
      });
    }
    const [now] = await tx.sql<{ at: Date }>('select clock_timestamp() as at');
    const checkedAt = (now?.at ?? new Date(0)).toISOString();
    return { ok: invariants.every(({ ok }) => ok), checkedAt, invariants };
  }
}
