import { Injectable, Logger } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { RollBackLanding } from '#messages/integration';
import { MusterError, type NewEvent } from '#kernel';
import { Database } from '#platform/database';
import { CrashPoints } from '../crash-points.ts';
import { incidentColumns, type IncidentRow } from '../domain/incident.ts';
import { type LandingRow, landingColumns } from '../domain/landing.ts';
import { isFinal, submissionColumns, type SubmissionRow } from '../domain/submission.ts';
import { incidentEvent } from '../incidents.ts';
import { NothingToRevert } from '../integration.errors.ts';

/** An event wakes it; this is for the event that was missed. */
const LOOK_AGAIN_SECONDS = 10;

/**
 * Takes what an incident names out of the branch, the newest first and one after another: each revert is made on the branch without
 * those behind it. Safe to call at any time, any number of times.
 */
@Injectable()
export class AdvanceIncident {
  private readonly logger = new Logger(AdvanceIncident.name);

  constructor(
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly crash: CrashPoints,
  ) {}

  /** The incidents that these landings belong to and that are not over. */
  async runAbout(landingId: string): Promise<void> {
    const rows = await this.database.sql<{ id: string }>(
      `select id from incidents where landings @> array[$1]::text[] and state <> 'resolved' order by id`,
      [landingId],
    );
    for (const { id } of rows) await this.run(id);
  }

  async run(incidentId: string): Promise<void> {
    // Every landing is skipped, handed in or waited for once.
    for (let steps = 0; steps < 100; steps += 1) {
      const [row] = await this.database.sql<IncidentRow>(`select ${incidentColumns} from incidents where id = $1`, [
        incidentId,
      ]);
      if (row === undefined || row.state === 'resolved') return;
      try {
        if ((await this.step(row)) === 'wait') return;
      } catch (error) {
        this.logger.error(
          `${row.id} could not go on: ${String(error)}`,
          error instanceof Error ? error.stack : undefined,
        );
        await this.database.sql(
          `update incidents set next_action_at = muster_now() + make_interval(secs => 60) where id = $1 and state <> 'resolved'`,
          [row.id],
        );
        return;
      }
    }
  }

  private async step(row: IncidentRow): Promise<'again' | 'wait'> {
    const rows = await this.database.sql<LandingRow>(
      `select ${landingColumns} from landings where id = any($1::text[])`,
      [row.landings],
    );
    const landings = row.landings.map((id) => rows.find((landing) => landing.id === id));
    for (const landing of landings) {
      if (landing === undefined || row.skipped.includes(landing.id)) continue;
      const revert = await this.lastRevert(landing.id);
      if (landing.state === 'rolled_back') {
        // Out, but its work was not asked for again yet.
        if (revert?.pending === true) return await this.wait(row);
        continue;
      }
      if (revert === null || revert.incident_id !== row.id) return await this.handIn(row, landing);
      if (revert.state !== 'landed' && isFinal(revert.state)) return await this.stuck(row, landing, revert);
      return await this.wait(row);
    }
    const followUps = landings.flatMap((landing) => landing?.follow_up_task_id ?? []);
    await this.change(row, `state = 'resolved', resolved_at = muster_now(), next_action_at = null`, [], () =>
      incidentEvent(row, 'rollback.completed', { landings: row.landings, skipped: row.skipped, followUps }),
    );
    this.crash.reach('rollback.incident_resolved');
    return 'wait';
  }

  private async handIn(row: IncidentRow, landing: LandingRow): Promise<'again' | 'wait'> {
    try {
      await this.commands.execute(new RollBackLanding(landing.id, row.reason, row.requested_by, row.id));
    } catch (error) {
      if (error instanceof NothingToRevert) {
        await this.change(row, `skipped = array_append(skipped, $3)`, [landing.id], () => null);
        return 'again';
      }
      // Somebody else took it out meanwhile: it is looked at again.
      if (!(error instanceof MusterError) || error.status >= 500) throw error;
      this.logger.warn(`${row.id}: ${error.message}`);
      return await this.wait(row);
    }
    return await this.wait(row);
  }

  private async stuck(row: IncidentRow, landing: LandingRow, revert: SubmissionRow): Promise<'wait'> {
    if (row.state === 'waiting_person') return await this.wait(row);
    await this.change(
      row,
      `state = 'waiting_person', next_action_at = muster_now() + make_interval(secs => 60)`,
      [],
      () =>
        incidentEvent(row, 'rollback.waiting', {
          landingId: landing.id,
          submissionId: revert.id,
          state: revert.state,
          paths: [...new Set(revert.conflicts.map(({ path }) => path))],
          reasons: revert.reasons,
        }),
    );
    return 'wait';
  }

  private async wait(row: IncidentRow): Promise<'wait'> {
    await this.database.sql(
      `update incidents set next_action_at = muster_now() + make_interval(secs => $2::float8) where id = $1 and state <> 'resolved'`,
      [row.id, LOOK_AGAIN_SECONDS],
    );
    return 'wait';
  }

  private async lastRevert(landingId: string): Promise<(SubmissionRow & { incident_id: string | null }) | null> {
    const [row] = await this.database.sql<SubmissionRow & { incident_id: string | null }>(
      `select ${submissionColumns}, incident_id from submissions where reverts_landing_id = $1 order by id desc limit 1`,
      [landingId],
    );
    return row ?? null;
  }

  private async change(
    row: IncidentRow,
    assignments: string,
    values: readonly unknown[],
    event: () => NewEvent | null,
  ): Promise<void> {
    await this.database.transaction(async (tx) => {
      const [written] = await tx.sql<{ id: string }>(
        `update incidents set ${assignments}, step = step + 1 where id = $1 and step = $2 returning id`,
        [row.id, row.step, ...values],
      );
      const told = written === undefined ? null : event();
      if (told !== null) tx.append(told);
    });
  }
}
