import type {
  DeclaredWork,
  FirstLook,
  GatePolicy,
  ProjectPolicy,
  VerificationFacts,
  VerificationView,
} from '@muster/contracts';
import { requiredChecks } from '@muster/gate';

export interface VerificationRow {
  readonly id: string;
  readonly team_id: string;
  readonly project_id: string;
  readonly purpose: VerificationView['purpose'];
  readonly subject_id: string | null;
  readonly candidate_tree: string;
  readonly base_tree: string | null;
  readonly restores_tree: string | null;
  readonly rules_digest: string;
  readonly approved_by: string | null;
  /** Whose work it is about, where an agent's. */
  readonly agent: string | null;
  readonly agent_version: string | null;
  readonly policy: ProjectPolicy;
  readonly declared: DeclaredWork;
  readonly server_policy: Omit<GatePolicy, 'seed'>;
  readonly evidence_key: string;
  readonly threshold: number;
  readonly state: VerificationView['state'];
  readonly verdict: VerificationView['verdict'];
  /** Once finished: is this evidence, which answers an equal request later? */
  readonly reusable: boolean;
  readonly score: number | null;
  readonly reasons: string[];
  readonly lost: VerificationView['lost'];
  readonly breaches: VerificationView['breaches'];
  readonly first_look: FirstLook | null;
  readonly facts: VerificationFacts | null;
  readonly task_id: string | null;
  readonly rules_commit: string;
  readonly rerun_of: string | null;
  /** The one that took its place as evidence. */
  readonly superseded_by: string | null;
  readonly fresh: string[];
  readonly created_at: Date;
  readonly finished_at: Date | null;
}
const withoutFacts = `id, team_id, project_id, purpose, subject_id, candidate_tree, base_tree, restores_tree, rules_digest, approved_by, policy,
  declared, server_policy, evidence_key, threshold, state, verdict, reusable, score, reasons, lost, breaches, agent, agent_version, first_look, task_id, rules_commit, rerun_of, superseded_by, fresh, created_at, finished_at`;
export const verificationColumns = `${withoutFacts}, facts`;
/** For lists: facts may be megabytes each. */
export const listedColumns = `${withoutFacts}, null as facts`;

export const verificationViewOf = (row: VerificationRow): VerificationView => ({
  id: row.id,
  projectId: row.project_id,
  purpose: row.purpose,
  subjectId: row.subject_id,
  candidateTree: row.candidate_tree,
  baseTree: row.base_tree,
  approvedBy: row.approved_by,
  state: row.state,
  verdict: row.verdict,
  evidence: row.state === 'finished' ? row.reusable || row.superseded_by !== null : null,
  score: row.score,
  threshold: row.threshold,
  required: requiredChecks(row.policy, row.purpose),
  reasons: row.reasons,
  lost: row.lost,
  breaches: row.breaches,
  firstLook: row.first_look,
  facts: row.facts,
  taskId: row.task_id,
  rerunOf: row.rerun_of,
  supersededBy: row.superseded_by,
  createdAt: row.created_at.toISOString(),
  finishedAt: row.finished_at?.toISOString() ?? null,
});
