import { Injectable, Logger } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import type { Approver } from '@muster/contracts';
import { RollBackLanding } from '#messages/integration';
import { FindProject, ReadPolicy } from '#messages/projects';
import { Clock, MusterError } from '#kernel';
import { Database, sqlState } from '#platform/database';
import { NOTHING, Repositories } from '#platform/git';
import { CrashPoints } from '../crash-points.ts';
import { landingColumns, type LandingRow } from '../domain/landing.ts';
import { quietSeconds } from '../domain/quiet-hours.ts';
import { setRef, type SetRow } from '../domain/set.ts';
import type { SubmissionRow } from '../domain/submission.ts';
import { LandingLine } from '../landing-line.ts';
import { LandingSets, setEvent } from '../landing-sets.ts';
import { Reviews } from '../reviews.ts';
import { EvidenceMismatch, LandSubmission, type Prepared } from './land-submission.ts';

class NotTogether extends Error {}

/**
 * All branches of a set move, or none. There is no atomic move over several repositories, so the intents of all members are written in one
 * transaction and stay open until the set is settled: one open intent for a branch means that nobody else moves it. From `landing`
 * the set goes on to `moved`, after which it can only be completed, or to `undoing`, after which it can only be undone.
 */
@Injectable()
export class LandSet {
  private readonly logger = new Logger(LandSet.name);

  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly commands: CommandBus,
    private readonly repositories: Repositories,
    private readonly sets: LandingSets,
    private readonly line: LandingLine,
    private readonly reviews: Reviews,
    private readonly landings: LandSubmission,
    private readonly clock: Clock,
    private readonly crash: CrashPoints,
  ) {}

  /** Called by whoever has come to the front. `intended`: all of them have, and the set is on its way. */
  async begin(set: SetRow): Promise<'intended' | 'waiting' | 'stepped_back'> {
    const rows = await this.sets.submissions(set.id);
    const away = rows.find(({ turn, held, state }) => turn === null || held !== null || !isInLine(state));
    if (away !== undefined || rows.length < (await this.sets.members(set.id)).length) {
      await this.sets.stepBack(set, `${away?.id ?? 'A member'} is not in its line any more.`);
      return 'stepped_back';
    }
    const members: Array<{ row: SubmissionRow; prepared: Prepared; reviewers: readonly Approver[] }> = [];
    for (const row of rows) {
      const standing = await this.standing(row);
      if (standing === 'quiet') {
        await this.sets.stepBack(set, `${row.branch} of ${row.project_id} lands nothing at this hour.`);
        return 'stepped_back';
      }
      if (standing === 'waiting') return 'waiting';
      try {
        members.push({ row, prepared: await this.landings.prepare(row), reviewers: standing });
      } catch (error) {
        // Its own driver has it verified anew.
        if (error instanceof EvidenceMismatch) return 'waiting';
        throw error;
      }
    }
    return (await this.intend(set, members)) ? 'intended' : 'waiting';
  }

  /** At the front of its line, on what has landed, with all approvals that the rules of now want. */
  private async standing(row: SubmissionRow): Promise<'waiting' | 'quiet' | readonly Approver[]> {
    const [first] = await this.line.of(row.project_id, row.branch);
    const head = await this.repositories.resolve(row.project_id, `refs/heads/${row.branch}`);
    if (first?.id !== row.id || row.state !== 'queued' || row.suspect || head === null || row.candidate_head !== head)
      return 'waiting';
    if ((await this.queries.execute(new FindProject(row.project_id))) === null) return 'waiting';
    const { policy } = await this.queries.execute(new ReadPolicy(row.project_id, head));
    if (row.kind === 'change' && quietSeconds(this.clock.now(), policy.landing.quietHours) > 0) return 'quiet';
    const { missing, approvers } = await this.reviews.stateOf(row, policy, head);
    return missing.length > 0 ? 'waiting' : approvers;
  }

  private async intend(
    set: SetRow,
    members: ReadonlyArray<{ row: SubmissionRow; prepared: Prepared; reviewers: readonly Approver[] }>,
  ): Promise<boolean> {
    for (const { row, prepared } of members)
      await this.repositories.updateRef(row.project_id, setRef(prepared.id), prepared.commit, NOTHING);
    this.crash.reach('set.fenced');
    try {
      await this.database.transaction(async (tx) => {
        const [still] = await tx.sql<{ id: string }>(
          `update landing_sets set state = 'landing', failures = 0, next_action_at = muster_now() where id = $1 and state = 'queued' returning id`,
          [set.id],
        );
        if (still === undefined) throw new NotTogether();
        for (const { row, prepared, reviewers } of members)
          if ((await this.landings.record(tx, row, prepared, reviewers, set.id)) === null) throw new NotTogether();
      });
    } catch (error) {
      // Somebody else's intent is open on one of the branches, or one of them moved on: they take their turn again.
      if (!(error instanceof NotTogether) && sqlState(error) !== '23505') throw error;
      for (const { row, prepared } of members)
        await this.repositories.updateRef(row.project_id, setRef(prepared.id), NOTHING, prepared.commit);
      return false;
    }
    this.crash.reach('set.intended');
    return true;
  }

  /** From wherever it stopped to its end. */
  async finish(setId: string): Promise<void> {
    let set = await this.sets.find(setId);
    if (set?.state === 'landing') set = await this.move(set);
    if (set?.state === 'moved') await this.complete(set);
    if (set?.state === 'undoing') await this.undo(set);
  }

  private async move(set: SetRow): Promise<SetRow | null> {
    const intents = await this.intents(set.id);
    let why: string | null = null;
    for (const landing of intents) {
      try {
        const moved = await this.landings.move(landing, setRef(landing.id));
        this.crash.reach('set.member_moved');
        if (moved === 'moved') continue;
        why = `${landing.branch} of ${landing.project_id} is not at ${landing.before} any more.`;
      } catch (error) {
        if (!(error instanceof EvidenceMismatch)) throw error;
        why = error.message;
      }
      break;
    }
    // Only about these intents: who slept while they were undone decides nothing about the ones that came after them.
    await this.database.sql(
      `update landing_sets set state = $2, reasons = $3::jsonb, next_action_at = muster_now()
       where id = $1 and state = 'landing'
         and (select count(*) from landings where id = any($4::text[]) and state = 'intended') = cardinality($4::text[])`,
      [
        set.id, why === null ? 'moved' : 'undoing', JSON.stringify(why === null ? [] : [why]), intents.map(({ id }) => id),
      ], // prettier-ignore
    );
    this.crash.reach(why === null ? 'set.moved' : 'set.undo_decided');
    return await this.sets.find(set.id);
  }

  private async complete(set: SetRow): Promise<void> {
    for (const landing of await this.intents(set.id)) {
      await this.landings.complete(landing, await this.landings.attest(landing));
      this.crash.reach('set.member_completed');
    }
    const landed = await this.landed(set.id);
    for (const { project_id: projectId, id } of landed) await this.repositories.setRef(projectId, setRef(id), null);
    await this.database.transaction(async (tx) => {
      const [first] = await tx.sql<{ id: string }>(
        `update landing_sets set state = 'landed', settled_at = muster_now(), next_action_at = null, failures = 0, last_error = null
         where id = $1 and state = 'moved' returning id`,
        [set.id],
      );
      if (first === undefined) return;
      tx.append(setEvent(set, 'set.landed', { landings: landed.map(({ id }) => id) }));
      if (set.reverts_set_id === null) return;
      const [original] = await tx.sql<{ id: string }>(
        `update landing_sets set state = 'rolled_back' where id = $1 and state = 'landed' returning id`,
        [set.reverts_set_id],
      );
      if (original === undefined) return;
      const about = { id: original.id, team_id: set.team_id, kind: 'change' as const };
      tx.append({ ...setEvent(about, 'set.rolled_back', { bySetId: set.id }), priority: 'high' });
    });
    this.crash.reach('set.landed');
  }

  private async undo(set: SetRow): Promise<void> {
    for (const landing of await this.intents(set.id)) {
      if ((await this.takeBack(landing)) === 'built_upon') {
        // Somebody put something on top of it, past Muster. It cannot be taken out of the history any more, only reverted.
        await this.landings.complete(landing, await this.landings.attest(landing));
      } else await this.landings.abandon(landing, set.reasons.join(' ') || 'Another member of its set could not land.');
      this.crash.reach('set.member_undone');
    }
    // While it is undone nothing of it has landed but what could not go back.
    const lost = await this.database.sql<{ id: string }>(
      `select l.id from landings l join landing_sets s on s.id = l.set_id
       where s.id = $1 and s.state = 'undoing' and l.state = 'landed' order by l.project_id`,
      [set.id],
    );
    for (const { id } of lost) await this.revert(id, set);
    await this.database.transaction(async (tx) => {
      const next = lost.length > 0 ? 'failed' : 'queued';
      const [first] = await tx.sql<{ id: string }>(
        `update landing_sets set state = $2, settled_at = case when $2 = 'failed' then muster_now() end,
           next_action_at = case when $2 = 'queued' then muster_now() + interval '1 minute' end
         where id = $1 and state = 'undoing' returning id`,
        [set.id, next],
      );
      if (first === undefined) return;
      const about = { reasons: set.reasons, reverted: lost.map(({ id }) => id) };
      tx.append({ ...setEvent(set, 'set.undone', about), priority: 'high' });
      if (next === 'failed') tx.append({ ...setEvent(set, 'set.failed', about), priority: 'high' });
    });
    await this.sets.wake(set.id);
  }

  /** The branch as it was before, and from then on nobody can move it for this landing any more: both in one transaction of git. */
  private async takeBack(landing: LandingRow): Promise<'undone' | 'built_upon'> {
    const { project_id: projectId, before, commit } = landing;
    const [branch, fence] = [`refs/heads/${landing.branch}`, setRef(landing.id)];
    for (let tries = 0; tries < 20; tries += 1) {
      const head = await this.repositories.resolve(projectId, branch);
      if ((await this.repositories.resolve(projectId, fence)) === null) return 'undone';
      const gone = { ref: fence, next: NOTHING, old: commit };
      if (head === commit) {
        if (await this.repositories.updateRefs(projectId, [{ ref: branch, next: before, old: commit }, gone]))
          return 'undone';
      } else if (head !== null && head !== before && (await this.repositories.isAncestor(projectId, commit, head))) {
        return 'built_upon';
      } else if (await this.repositories.updateRefs(projectId, [{ ref: branch, same: head ?? NOTHING }, gone])) {
        return 'undone';
      }
    }
    throw new Error(`${branch} of ${projectId} does not stand still for a moment.`);
  }

  private async revert(landingId: string, set: SetRow): Promise<void> {
    try {
      const reason = `The other members of ${set.id} could not land.`;
      await this.commands.execute(new RollBackLanding(landingId, reason, set.requested_by));
    } catch (error) {
      // It is gone already: there is nothing to take back.
      if (!(error instanceof MusterError) || error.status >= 500) throw error;
      this.logger.warn(`${landingId} is not taken back: ${error.message}`);
    }
  }

  private intents(setId: string): Promise<LandingRow[]> {
    return this.database.sql<LandingRow>(
      `select ${landingColumns} from landings where set_id = $1 and state = 'intended' order by project_id`,
      [setId],
    );
  }

  private landed(setId: string): Promise<LandingRow[]> {
    return this.database.sql<LandingRow>(
      `select ${landingColumns} from landings where set_id = $1 and state = 'landed' order by project_id`,
      [setId],
    );
  }
}

const isInLine = (state: SubmissionRow['state']): boolean => state === 'queued' || state === 'verifying';
