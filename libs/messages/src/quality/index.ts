import type { DeclaredWork, verificationPurposes, VerificationView } from '@muster/contracts';
import { Command, Query } from '@nestjs/cqrs';

export interface VerificationRequest {
  readonly teamId: string;
  readonly projectId: string;
  readonly purpose: (typeof verificationPurposes)[number];
  /** The submission or landing that asks. */
  readonly subjectId: string | null;
  readonly candidateTree: string;
  /** What it is compared with: the tree of the branch's head. Null only for purpose `base`. */
  readonly baseTree: string | null;
  readonly restoresTree: string | null;
  /** The landed commit whose `muster.yaml` gives the rules. */
  readonly rulesCommit: string;
  /** The person who lets the change touch what judges changes, in words; null when nobody does. */
  readonly approvedBy: string | null;
  /** What whoever handed the change in says about it; it raises what is asked of the change and proves nothing. */
  readonly declared?: DeclaredWork;
  /** Whose work it is, for trends; no part of the question. */
  readonly author?: { readonly agent: string; readonly version: string | null } | null;
}
/** Evidence is keyed by (candidate, base, restores, rules, approval, toolchain) and never computed twice: an equal finished one is returned. */
export class RequestVerification extends Command<VerificationView> {
  constructor(readonly request: VerificationRequest) {
    super();
  }
}
/** What verifications came to, without their findings; those that there are. */
export class FindVerdicts extends Query<readonly Pick<VerificationView, 'id' | 'state' | 'verdict' | 'score'>[]> {
  constructor(readonly verificationIds: readonly string[]) {
    super();
  }
}
export class FindVerification extends Query<VerificationView | null> {
  constructor(readonly verificationId: string) {
    super();
  }
}
