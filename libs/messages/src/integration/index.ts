import type {
  Approver,
  ConflictForecast,
  CreateSubmission,
  LandingView,
  Overlap,
  SubmissionView,
} from '@muster/contracts';
import { Command, Query } from '@nestjs/cqrs';

export class ReceiveSubmission extends Command<SubmissionView> {
  constructor(
    readonly teamId: string,
    readonly submission: CreateSubmission,
    /** The actor that hands it in: the one whose key holds the attempt, or it is refused. */
    readonly submittedBy: string,
  ) {
    super();
  }
}
/** A commit that git push brought to refs/for/<branch>; the objects are in the repository already. */
export class ReceivePush extends Command<SubmissionView> {
  constructor(
    readonly push: {
      readonly teamId: string;
      readonly projectId: string;
      readonly branch: string;
      readonly commit: string;
      /** From the push options `task` and `fence`; null when a person with `repository.import` pushes without a task. */
      readonly task: { readonly taskId: string; readonly fence: number } | null;
      readonly pushedBy: string;
      /** The person who pushes; null when a key does, whoever it belongs to. Counts only without a task. */
      readonly person: Approver | null;
      readonly claim?: string;
      /** Where it is from, in words that name it once: asking again with the same ones gives the same submission, whatever became of it. */
      readonly origin?: string;
    },
  ) {
    super();
  }
}
export class RollBackLanding extends Command<SubmissionView> {
  constructor(
    readonly landingId: string,
    readonly reason: string,
    readonly requestedBy: string,
    /** The incident that it belongs to; null: one of its own, or the open one that names this landing already. */
    readonly incidentId: string | null = null,
  ) {
    super();
  }
}
/** A person lets an accepted change land where the project's rules ask for one. Bound to this submission, and so to its commit. */
export class ReleaseSubmission extends Command<SubmissionView> {
  constructor(
    readonly submissionId: string,
    readonly person: Approver,
  ) {
    super();
  }
}
/**
 * Whoever handed in takes back all that is from there: with an origin that begins like this, but for the one that is kept. They end as
 * `failed` with this reason; what is landing, or over, stays as it is.
 */
export class WithdrawSubmissions extends Command<void> {
  constructor(
    readonly projectId: string,
    readonly origins: string,
    /** An origin; null: all go. */
    readonly kept: string | null,
    readonly reason: string,
  ) {
    super();
  }
}
export class FindSubmission extends Query<SubmissionView | null> {
  constructor(readonly submissionId: string) {
    super();
  }
}
/** What was handed in for a task and what came of it, the newest 100, newest first. */
export class FindTaskChanges extends Query<
  readonly { readonly submission: SubmissionView; readonly landing: LandingView | null }[]
> {
  constructor(readonly taskId: string) {
    super();
  }
}
export class FindLanding extends Query<LandingView | null> {
  constructor(readonly landingId: string) {
    super();
  }
}
/** Which changes on their way to the branch touch files that a task is to touch: what it may conflict with. */
export class FindOverlaps extends Query<Overlap[]> {
  constructor(
    readonly projectId: string,
    readonly taskId: string,
    /** Globs. */
    readonly paths: readonly string[],
  ) {
    super();
  }
}
/** Is something of the project's landing at this moment: between the intent and the announcement? */
export class FindLandingUnderWay extends Query<boolean> {
  constructor(readonly projectId: string) {
    super();
  }
}
/**
 * Which open changes of a project will conflict with one another, and which of them touch these paths: what is worth knowing before
 * more work is given out.
 */
export class ForecastConflicts extends Query<ConflictForecast> {
  constructor(
    readonly projectId: string,
    readonly paths: readonly string[] = [],
  ) {
    super();
  }
}
