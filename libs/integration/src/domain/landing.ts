import type { Approver, LandingStrategy, LandingView, ResolvedFile } from '@muster/contracts';
import { isoTime } from '#platform/database';
import type { Envelope } from './dsse.ts';

/** A row of `landings`: all that is needed to make the same commit and the same statement again after a crash. */
export interface LandingRow {
  readonly id: string;
  readonly team_id: string;
  readonly project_id: string;
  readonly submission_id: string;
  /** The set that it lands with; its branch does not move before all the others can. */
  readonly set_id: string | null;
  readonly verification_id: string;
  readonly task_id: string | null;
  readonly fence: number | null;
  readonly kind: 'change' | 'revert';
  readonly agent: string | null;
  readonly author: string;
  readonly approved_by: Approver | null;
  readonly released_by: Approver | null;
  /** Whose approval it had when it landed. */
  readonly reviewers: readonly Approver[];
  readonly strategy: LandingStrategy;
  /** The commits below `commit` that came in with it, oldest first. */
  readonly commits: readonly string[];
  readonly branch: string;
  readonly before: string;
  /** What became of files that both sides had changed. */
  readonly resolved: readonly ResolvedFile[];
  readonly commit: string;
  readonly landed_tree: string;
  readonly verified_tree: string;
  readonly message: string;
  readonly committed_at: string;
  readonly score: number;
  readonly previous_statement: string | null;
  readonly statement: Envelope | null;
  readonly statement_digest: string | null;
  readonly state: LandingView['state'];
  readonly post_landing: LandingView['postLanding'];
  readonly post_verification_id: string | null;
  readonly reverts_landing_id: string | null;
  readonly rolled_back_by: string | null;
  readonly follow_up_task_id: string | null;
  readonly pending: boolean;
  readonly failures: number;
  /** How often in a row its post-landing check did not come about. */
  readonly unverified: number;
  readonly landed_at: string | null;
}

export const landingColumns = `
  id, team_id, project_id, submission_id, set_id, verification_id, task_id, fence::float8 as fence, kind, agent, author, approved_by, released_by, reviewers, strategy, commits, branch, before, resolved, commit,
  landed_tree, verified_tree, message, ${isoTime('committed_at')}, score, previous_statement, statement, statement_digest, state,
  post_landing, post_verification_id, reverts_landing_id, rolled_back_by, follow_up_task_id,
  next_action_at is not null as pending, failures, unverified, ${isoTime('landed_at')}`;

/** Where the provenance of landed commits is kept, one note per commit. */
export const NOTES_REF = 'refs/notes/muster';

export const landingViewOf = (row: LandingRow): LandingView => ({
  id: row.id,
  projectId: row.project_id,
  submissionId: row.submission_id,
  verificationId: row.verification_id,
  taskId: row.task_id,
  setId: row.set_id,
  branch: row.branch,
  strategy: row.strategy,
  releasedBy: row.released_by,
  before: row.before,
  commit: row.commit,
  landedTree: row.landed_tree,
  verifiedTree: row.verified_tree,
  resolved: [...row.resolved],
  state: row.state,
  postLanding: row.post_landing,
  rolledBackBy: row.rolled_back_by,
  followUpTaskId: row.follow_up_task_id,
  landedAt: row.landed_at,
});
