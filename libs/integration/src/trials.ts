import { Injectable } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import {
  type ConflictHunk,
  declaredWork,
  type DeclaredWork,
  type ResolvedFile,
  type VerificationView,
} from '@muster/contracts';
import { MusterError } from '#kernel';
import { FindVerification, RequestVerification } from '#messages/quality';
import { CancelTask, FindTask } from '#messages/runtime';
import { Database } from '#platform/database';
import { Candidates } from './candidates.ts';
import { CrashPoints } from './crash-points.ts';
import { approvalOf, resolvedOn, submissionEvent, type SubmissionRow, toolMade } from './domain/submission.ts';
import type { Ground } from './grounds.ts';
import { Resolutions } from './resolutions.ts';
import { LOOK_AGAIN_SECONDS, Submissions } from './submissions.ts';

type Candidate = Pick<SubmissionRow, 'candidate_head' | 'candidate_base' | 'candidate_on' | 'strategy'>;
export type Trial =
  /** It does not fit on this ground, or brings nothing to it; with what was tried. */
  | { readonly outcome: 'conflicted'; readonly candidate: Candidate; readonly conflicts: ConflictHunk[] }
  | { readonly outcome: 'nothing_new'; readonly candidate: Candidate }
  /** Its verification is asked for. `moved`: those who stand on it stand on something else now. */
  | { readonly outcome: 'asked'; readonly written: boolean; readonly moved: boolean };

/** What would land, made without a checkout, and its verification under the rules of what has landed. */
@Injectable()
export class Trials {
  constructor(
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly submissions: Submissions,
    private readonly candidates: Candidates,
    private readonly resolutions: Resolutions,
    private readonly crash: CrashPoints,
  ) {}

  /** Makes the candidate and asks for its verification. */
  async begin(row: SubmissionRow, ground: Ground): Promise<Trial> {
    const { commit: on, tree: base } = ground;
    const wanted = await this.candidates.strategyFor(ground.policy.landing.strategy, row);
    const resolved = ground.final ? toolMade(resolvedOn(row, on)) : [];
    // Commits that were replayed one by one would each need an answer of its own.
    const strategy = resolved.length > 0 && wanted === 'rebase' ? 'squash' : wanted;
    const merged = await this.candidates.tree(row.project_id, strategy, on, row, resolved);
    this.crash.reach('candidate.merged');
    const candidate = { candidate_head: on, candidate_base: base, candidate_on: ground.on, strategy };
    if (!merged.clean) return { outcome: 'conflicted', candidate, conflicts: merged.conflicts };
    if (merged.tree === base) return { outcome: 'nothing_new', candidate };
    const verification = await this.ask(row, ground, merged.tree);
    this.crash.reach('candidate.requested');
    const resolution = ground.final ? await this.resolutionOf(row, on, resolved, merged.tree) : row.resolution;
    const changes = {
      ...candidate,
      resolution,
      state: 'verifying' as const,
      verification_id: verification.id,
      candidate_tree: merged.tree,
      suspect: false,
      held: null,
      wait: verification.state === 'finished' ? 0 : LOOK_AGAIN_SECONDS,
    };
    const written = await this.submissions.change(row, changes, (tx) => {
      if (resolution !== row.resolution)
        tx.append(submissionEvent(row, 'submission.conflict_resolved', { on, resolved: resolution?.files ?? [] }));
      if (row.turn === null || verification.state === 'finished') return;
      const about = { branch: row.branch, on: ground.on, head: on, verificationId: verification.id };
      tx.append(submissionEvent(row, 'queue.verifying', about));
    });
    this.crash.reach('candidate.recorded');
    const inLine = written && row.turn !== null;
    if (inLine && row.verification_id !== verification.id) await this.drop(row);
    return { outcome: 'asked', written, moved: inLine && (row.candidate_tree !== merged.tree || row.suspect) };
  }

  private async ask(row: SubmissionRow, ground: Ground, candidateTree: string): Promise<VerificationView> {
    return await this.commands.execute(
      new RequestVerification({
        teamId: row.team_id,
        projectId: row.project_id,
        purpose: row.kind === 'revert' ? 'revert' : row.turn === null ? 'admission' : 'landing',
        subjectId: row.id,
        candidateTree,
        baseTree: ground.tree,
        restoresTree: row.restores_tree,
        rulesCommit: ground.landed,
        approvedBy: approvalOf(row.approved_by),
        declared: await this.declared(row),
        author: row.agent === null ? null : { agent: row.agent, version: row.agent_version },
      }),
    );
  }

  async verificationOf(row: SubmissionRow): Promise<VerificationView | null> {
    return row.verification_id === null ? null : await this.queries.execute(new FindVerification(row.verification_id));
  }

  /** With what git settled itself, as it is recorded; nobody waits any more for what a tool was asked about another head. */
  private async resolutionOf(
    row: SubmissionRow,
    on: string,
    resolved: readonly ResolvedFile[],
    tree: string,
  ): Promise<SubmissionRow['resolution']> {
    const known = row.resolution;
    if (known !== null && known.on !== on) await this.resolutions.drop(row);
    const identical = (await this.candidates.identicalIn(row.project_id, on, row.commit, tree)).filter(
      ({ path }) => !resolved.some((file) => file.path === path),
    );
    const files = [...resolved, ...identical];
    if (JSON.stringify(files) === JSON.stringify(resolvedOn(row, on))) return known;
    return { on, taskId: known?.on === on ? known.taskId : null, files, why: null };
  }

  /** What the task and the commit say that the work is, and where the task keeps it to. */
  private async declared(row: SubmissionRow): Promise<DeclaredWork> {
    const task = row.task_id === null ? null : await this.queries.execute(new FindTask(row.task_id));
    const parsed = declaredWork.safeParse({
      title: `${task?.title ?? ''}\n${row.message}`.trim().slice(0, 2000),
      paths: task?.input['paths'] ?? null,
    });
    return parsed.success ? parsed.data : declaredWork.parse({ title: row.message.slice(0, 2000) });
  }

  /** Nobody waits for it any more: its slot is for others. */
  private async drop(row: SubmissionRow): Promise<void> {
    const old = await this.verificationOf(row);
    if (old === null || old.state === 'finished' || old.taskId === null || old.subjectId !== row.id) return;
    const [other] = await this.database.sql(
      `select from submissions where verification_id = $1 and id <> $2 and state = 'verifying' limit 1`,
      [old.id, row.id],
    );
    if (other !== undefined) return;
    try {
      await this.commands.execute(new CancelTask(old.taskId, `${row.id} is verified on other ground now.`));
    } catch (error) {
      // It ended meanwhile.
      if (!(error instanceof MusterError) || error.status >= 500) throw error;
    }
  }
}
