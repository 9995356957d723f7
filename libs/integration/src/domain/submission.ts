import type {
  Approver,
  ConflictHunk,
  LandingStrategy,
  ResolvedFile,
  ReviewNeed,
  SubmissionView,
} from '@muster/contracts';
import type { NewEvent } from '#kernel';
import { isoTime } from '#platform/database';

/** A row of `submissions`. `step` counts its transitions: a writer that read an older step writes nothing. */
export interface SubmissionRow {
  readonly id: string;
  readonly team_id: string;
  readonly project_id: string;
  readonly task_id: string | null;
  readonly fence: number | null;
  readonly kind: 'change' | 'revert';
  readonly branch: string;
  readonly base: string;
  readonly commit: string;
  readonly tree: string;
  readonly message: string;
  readonly agent: string | null;
  readonly agent_version: string | null;
  readonly requested_by: string;
  readonly approved_by: Approver | null;
  readonly reverts_landing_id: string | null;
  readonly restores_tree: string | null;
  readonly state: SubmissionView['state'];
  readonly verification_id: string | null;
  /** The tree that `verification_id` is about: this submission merged with `candidate_head`. */
  readonly candidate_tree: string | null;
  readonly candidate_head: string | null;
  /** The tree of `candidate_head`, which the candidate is compared with. */
  readonly candidate_base: string | null;
  /** The submission that `candidate_head` stands for while it has not landed; null: `candidate_head` has landed. */
  readonly candidate_on: string | null;
  readonly candidate_since: string | null;
  /** It fails on top of what has not landed yet. That is held against nobody; it is judged again at the front. */
  readonly suspect: boolean;
  readonly strategy: LandingStrategy;
  /** 0 critical, 1 high, 2 normal, 3 low. */
  readonly urgency: number;
  /** The person who let it land, where one has to. */
  readonly released_by: Approver | null;
  /** What it waits for, accepted as it is. */
  readonly held: 'person' | 'review' | 'set' | 'quiet_hours' | 'conflict' | null;
  /** Rules and protected paths that it touches, where that is all that the gate holds against it. */
  readonly rules_paths: string[];
  readonly review_needs: ReviewNeed[];
  /** Its place in the landing queue; given once, kept through every later verification. */
  readonly turn: number | null;
  readonly accepted: boolean;
  readonly conflicts: ConflictHunk[];
  /** What became of a conflict that a tool might settle. */
  readonly resolution: Resolution | null;
  readonly reasons: string[];
  readonly landing_id: string | null;
  /** Why whoever handed it in has taken it back. */
  readonly withdrawn: string | null;
  readonly step: number;
  /** False when nothing is owed any more, to the submission or to its task. */
  readonly pending: boolean;
  readonly failures: number;
  /** How often in a row its verification did not come about while it was in line. */
  readonly unverified: number;
  readonly created_at: string;
  readonly updated_at: string;
}

/** What both sides changed, on one commit: given to a tool, or settled by git. */
export interface Resolution {
  readonly on: string;
  /** Null: no tool was asked. */
  readonly taskId: string | null;
  /** Null: it is being made, or there is none. */
  readonly files: readonly ResolvedFile[] | null;
  readonly why: string | null;
}
export const resolvedOn = (
  { resolution }: Pick<SubmissionRow, 'resolution'>,
  on: string | null,
): readonly ResolvedFile[] => (resolution === null || resolution.on !== on ? [] : (resolution.files ?? []));

/** Without what git's own merge has, whoever makes it again. */
export const toolMade = (resolved: readonly ResolvedFile[]): readonly ResolvedFile[] =>
  resolved.filter(({ how }) => how !== 'identical-hunks');

/** The columns of a SubmissionRow, numbers and times in the form that the code uses. */
export const submissionColumns = `
  id, team_id, project_id, task_id, fence::float8 as fence, kind, branch, base, commit, tree, message, agent, agent_version, requested_by, approved_by,
  reverts_landing_id, restores_tree, state, verification_id, candidate_tree, candidate_head, candidate_base, candidate_on,
  ${isoTime('candidate_since')}, suspect, strategy, urgency, released_by, held, rules_paths, review_needs, turn::float8 as turn,
  accepted_at is not null as accepted, conflicts, resolution, reasons, landing_id, withdrawn, step, next_action_at is not null as pending, failures, unverified,
  ${isoTime('created_at')}, ${isoTime('updated_at')}`;

export const finalStates = ['landed', 'rejected', 'conflicted', 'failed'] as const;
export const isFinal = (state: SubmissionView['state']): boolean => (finalStates as readonly string[]).includes(state);

/** How evidence names the person who let a change through. */
export const approvalOf = (approver: Approver | null): string | null =>
  approver === null ? null : `${approver.name.slice(0, 200)} (${approver.id})`;

/** Where a submission's commit is kept: agents may fetch it, nobody may push it. */
export const submissionRef = (submissionId: string): string => `refs/muster/submissions/${submissionId}`;

/** Where a submission in the queue is kept as what others are put on while it has not landed. Nobody fetches it. */
export const queueRef = (submissionId: string): string => `refs/muster/queue/${submissionId}`;

export const submissionViewOf = (row: SubmissionRow): SubmissionView => ({
  id: row.id,
  projectId: row.project_id,
  taskId: row.task_id,
  kind: row.kind,
  branch: row.branch,
  base: row.base,
  commit: row.commit,
  message: row.message,
  agent: row.agent,
  approvedBy: row.approved_by,
  releasedBy: row.released_by,
  held: row.held,
  reviewNeeds: row.review_needs,
  state: row.state,
  verificationId: row.verification_id,
  conflicts: row.conflicts,
  resolved: [...resolvedOn(row, row.candidate_head)],
  reasons: row.reasons,
  landingId: row.landing_id,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

export const submissionEvent = (row: SubmissionRow, type: string, data: Record<string, unknown>): NewEvent => ({
  type,
  teamId: row.team_id,
  projectId: row.project_id,
  subject: row.id,
  data: { submissionId: row.id, taskId: row.task_id, ...data },
});

/** A person has to look: what landed on top of it stands in the way of taking it back. */
export const rollbackConflicted = (row: SubmissionRow, paths: readonly string[]): NewEvent => ({
  type: 'landing.rollback_conflicted',
  teamId: row.team_id,
  projectId: row.project_id,
  subject: row.reverts_landing_id,
  priority: 'high',
  data: { landingId: row.reverts_landing_id, submissionId: row.id, paths },
});
