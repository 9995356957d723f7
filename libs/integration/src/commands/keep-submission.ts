import { Injectable } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import type { Approver, SubmissionView } from '@muster/contracts';
import { FindProject, type ProjectRecord } from '#messages/projects';
import { LeaseGuard } from '#messages/runtime';
import { Ids, MusterError, type NewEvent, type Tx } from '#kernel';
import { Database, violatedConstraint } from '#platform/database';
import { NOTHING, Repositories } from '#platform/git';
import { CrashPoints } from '../crash-points.ts';
import { submissionColumns, submissionRef, type SubmissionRow, submissionViewOf } from '../domain/submission.ts';
import { EmptyBranch, EmptyChange, NotFound, NotYourAttempt, UnfitPaths, UnknownBase } from '../integration.errors.ts';

export interface NewSubmission {
  readonly id: string;
  readonly teamId: string;
  readonly projectId: string;
  readonly task: { readonly taskId: string; readonly fence: number } | null;
  readonly branch: string;
  readonly base: string;
  readonly commit: string;
  readonly message: string;
  readonly claim: string | null;
  readonly agent: string | null;
  readonly requestedBy: string;
  readonly approvedBy: Approver | null;
  /** Names what it was handed in for, once in a project. */
  readonly origin?: string | undefined;
}

/** What every way of handing in a change has in common: the branch it is for, the ref that keeps it, the row and its fence. */
@Injectable()
export class KeepSubmission {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly leases: LeaseGuard,
    private readonly repositories: Repositories,
    private readonly ids: Ids,
    private readonly crash: CrashPoints,
  ) {}

  newId(): string {
    return this.ids.next('submission');
  }

  /**
   * Asking twice is not an error: an attempt that has handed in already gets what it made then. Also when two calls with one
   * fence run at the same time: the second finds the attempt ended.
   */
  async once(
    teamId: string,
    task: { readonly taskId: string; readonly fence: number },
    receive: () => Promise<SubmissionView>,
  ): Promise<SubmissionView> {
    const before = await this.findByFence(teamId, task.taskId, task.fence);
    if (before !== null) return before;
    try {
      return await receive();
    } catch (error) {
      const first = await this.findByFence(teamId, task.taskId, task.fence);
      if (first === null) throw error;
      return first;
    }
  }

  private async findByFence(teamId: string, taskId: string, fence: number): Promise<SubmissionView | null> {
    const [row] = await this.database.sql<SubmissionRow>(
      `select ${submissionColumns} from submissions where team_id = $1 and task_id = $2 and fence = $3`,
      [teamId, taskId, fence],
    );
    return row === undefined ? null : submissionViewOf(row);
  }

  /** Refuses a lost attempt before any work is done for it; the hold that counts is taken again with the row. */
  async holderOf(
    teamId: string,
    { taskId, fence }: { readonly taskId: string; readonly fence: number },
    actorId: string,
  ): Promise<{ agent: string | null }> {
    const held = await this.database.transaction((tx) => this.leases.hold(tx, taskId, fence));
    if (held.teamId !== teamId) throw new NotFound('task', taskId);
    if (held.holderId !== actorId) throw new NotYourAttempt(taskId, fence);
    return { agent: held.agent };
  }

  async target(teamId: string, projectId: string): Promise<{ project: ProjectRecord; head: string }> {
    const project = await this.queries.execute(new FindProject(projectId));
    if (project === null || project.teamId !== teamId) throw new NotFound('project', projectId);
    const head = await this.repositories.resolve(projectId, `refs/heads/${project.branch}`);
    if (head === null) throw new EmptyBranch(project.branch);
    return { project, head };
  }

  async requireBase(projectId: string, base: string, branch: string, head: string): Promise<void> {
    const known = await this.repositories.resolve(projectId, base);
    if (known !== base || !(await this.repositories.isAncestor(projectId, base, head)))
      throw new UnknownBase(base, branch, head);
  }

  /** The commit and its ref come first: when this ends half-way, a ref is left that nothing names, and the sweep takes it. */
  async keep(submission: NewSubmission): Promise<SubmissionView> {
    const { id, projectId, commit, base } = submission;
    const tree = await this.repositories.treeOf(projectId, commit);
    if (tree === (await this.repositories.treeOf(projectId, base))) throw new EmptyChange(base);
    const unfit = await this.repositories.unfitPaths(projectId, base, commit);
    if (unfit.length > 0) throw new UnfitPaths(unfit);
    await this.repositories.updateRef(projectId, submissionRef(id), commit, NOTHING);
    this.crash.reach('submission.ref_kept');
    try {
      return await this.database.transaction(async (tx) => {
        const held =
          submission.task === null ? null : await this.leases.hold(tx, submission.task.taskId, submission.task.fence);
        const agentVersion = held?.agentVersion ?? null;
        const row = await insertSubmission(tx, { ...submission, kind: 'change', tree, agentVersion });
        if (held !== null) await this.leases.submitted(tx, held, id);
        tx.append(receivedEvent(row));
        return submissionViewOf(row);
      });
    } catch (error) {
      await dropRefOfRefused(this.database, this.repositories, submission, error);
      throw error;
    }
  }
}

/**
 * Takes the ref of a submission whose row was refused. Where only the answer was lost the row may be there, or come yet: that ref
 * stays, and the sweep looks at it.
 */
export async function dropRefOfRefused(
  database: Database,
  repositories: Repositories,
  { id, projectId }: { readonly id: string; readonly projectId: string },
  error: unknown,
): Promise<void> {
  if (!(error instanceof MusterError) && violatedConstraint(error) === null) return;
  const rows = await database.sql(`select from submissions where id = $1`, [id]);
  if (rows.length === 0) await repositories.setRef(projectId, submissionRef(id), null);
}

export async function insertSubmission(
  tx: Tx,
  s: NewSubmission & {
    readonly kind: 'change' | 'revert';
    readonly tree: string;
    readonly agentVersion?: string | null;
    readonly revertsLandingId?: string;
    readonly restoresTree?: string;
    readonly state?: 'received' | 'conflicted';
    readonly conflicts?: SubmissionView['conflicts'];
    readonly reasons?: readonly string[];
  },
): Promise<SubmissionRow> {
  const [row] = await tx.sql<SubmissionRow>(
    `insert into submissions (id, team_id, project_id, task_id, fence, kind, branch, base, commit, tree, message, claim, agent,
       requested_by, reverts_landing_id, restores_tree, state, conflicts, reasons, approved_by, agent_version, origin, next_action_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18::jsonb, $19::jsonb, $20::jsonb, $21, $22, muster_now())
     returning ${submissionColumns}`,
    [
      s.id,
      s.teamId,
      s.projectId,
      s.task?.taskId ?? null,
      s.task?.fence ?? null,
      s.kind,
      s.branch,
      s.base,
      s.commit,
      s.tree,
      s.message,
      s.claim,
      s.agent,
      s.requestedBy,
      s.revertsLandingId ?? null,
      s.restoresTree ?? null,
      s.state ?? 'received',
      JSON.stringify(s.conflicts ?? []),
      JSON.stringify(s.reasons ?? []),
      s.approvedBy === null ? null : JSON.stringify(s.approvedBy),
      s.agentVersion ?? null,
      s.origin ?? null,
    ],
  );
  if (row === undefined) throw new Error('An inserted row did not come back.');
  return row;
}

export const receivedEvent = (row: SubmissionRow): NewEvent => ({
  type: 'submission.received',
  teamId: row.team_id,
  projectId: row.project_id,
  subject: row.id,
  data: {
    submissionId: row.id,
    taskId: row.task_id,
    kind: row.kind,
    agent: row.agent,
    approvedBy: row.approved_by,
    branch: row.branch,
    commit: row.commit,
  },
});
