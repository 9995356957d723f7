import { type DynamicModule, Module } from '@nestjs/common';
import { OwnedIds } from '#platform/http';
import { AgentRecords } from './agent-records.ts';
import { AwaitedPeople } from './awaited-people.ts';
import { Candidates } from './candidates.ts';
import { AdvanceIncident } from './commands/advance-incident.ts';
import { AdvanceLanding } from './commands/advance-landing.ts';
import { AdvanceSet } from './commands/advance-set.ts';
import { AdvanceSubmission } from './commands/advance-submission.ts';
import { CreateSetHandler } from './commands/create-set.ts';
import { KeepSubmission } from './commands/keep-submission.ts';
import { LandSet } from './commands/land-set.ts';
import { LandSubmission } from './commands/land-submission.ts';
import { OpenIncidentHandler } from './commands/open-incident.ts';
import { ReceivePushHandler } from './commands/receive-push.ts';
import { ReceiveSubmissionHandler } from './commands/receive-submission.ts';
import { ReleaseSubmissionHandler } from './commands/release-submission.ts';
import { WithdrawSubmissionsHandler } from './commands/withdraw-submissions.ts';
import { ReviewSubmissionHandler } from './commands/review-submission.ts';
import { RollBackLandingHandler } from './commands/roll-back-landing.ts';
import { RollBackSetHandler } from './commands/roll-back-set.ts';
import { TellAuditHandler } from './commands/tell-audit.ts';
import { RotateProvenanceKeyHandler } from './commands/rotate-provenance-key.ts';
import { SettleSubmission } from './commands/settle-submission.ts';
import { CrashPoints, NoCrashPoints } from './crash-points.ts';
import { Departures } from './departures.ts';
import { Grounds } from './grounds.ts';
import { IncidentsController } from './http/incidents.controller.ts';
import { LandingsController } from './http/landings.controller.ts';
import { ProvenanceController } from './http/provenance.controller.ts';
import { QueueController } from './http/queue.controller.ts';
import { SetsController } from './http/sets.controller.ts';
import { SubmissionsController } from './http/submissions.controller.ts';
import { LandingLine } from './landing-line.ts';
import { LandingSets } from './landing-sets.ts';
import { OpenConflicts } from './open-conflicts.ts';
import { TouchedFiles } from './touched-files.ts';
import { RollbackOutlook } from './outlook.ts';
import { Provenance } from './provenance.ts';
import { AuditProjectHandler } from './queries/audit-project.ts';
import { ExportTrustHandler } from './queries/export-trust.ts';
import { ForecastRollbackHandler } from './queries/forecast-rollback.ts';
import { ForecastConflictsHandler } from './queries/forecast-conflicts.ts';
import { ShowEnforcerHandler } from './queries/show-enforcer.ts';
import { ShowQueueHandler } from './queries/show-queue.ts';
import { FindLandingHandler } from './queries/find-landing.ts';
import { FindOverlapsHandler } from './queries/find-overlaps.ts';
import { FindLandingUnderWayHandler } from './queries/find-landing-under-way.ts';
import { FindTaskChangesHandler } from './queries/find-task-changes.ts';
import { FindSetHandler, ListSetsHandler } from './queries/show-sets.ts';
import { FindSubmissionHandler } from './queries/find-submission.ts';
import { ListLandingsHandler } from './queries/list-landings.ts';
import { ListProvenanceKeysHandler } from './queries/list-provenance-keys.ts';
import { ListReviewsHandler } from './queries/list-reviews.ts';
import { ListSubmissionsHandler } from './queries/list-submissions.ts';
import { ReadMergedTreeHandler } from './queries/read-merged-tree.ts';
import { FindIncidentHandler, ListIncidentsHandler } from './queries/show-incidents.ts';
import { AdmitWhenSubmissionReceived } from './reactions/admit-when-submission-received.ts';
import { AdvanceWhenAConflictWasLookedAt } from './reactions/advance-when-a-conflict-was-looked-at.ts';
import { AdvanceWhenVerificationFinished } from './reactions/advance-when-verification-finished.ts';
import { CheckWhatLanded } from './reactions/check-what-landed.ts';
import { GoOnWhenARevertMoved } from './reactions/go-on-when-a-revert-moved.ts';
import { WithdrawWhenTaskCancelled } from './reactions/withdraw-when-task-cancelled.ts';
import { Resolutions } from './resolutions.ts';
import { Reviews } from './reviews.ts';
import { Submissions } from './submissions.ts';
import { Sweep } from './sweep.ts';
import { Trials } from './trials.ts';

export const controllers = [
  SubmissionsController,
  LandingsController,
  IncidentsController,
  ProvenanceController,
  QueueController,
  SetsController,
];
export const commandHandlers = [
  ReceiveSubmissionHandler,
  ReceivePushHandler,
  RollBackLandingHandler,
  OpenIncidentHandler,
  ReleaseSubmissionHandler,
  WithdrawSubmissionsHandler,
  ReviewSubmissionHandler,
  CreateSetHandler,
  RollBackSetHandler,
  RotateProvenanceKeyHandler,
  TellAuditHandler,
];
export const queryHandlers = [
  FindSubmissionHandler,
  FindSetHandler,
  ListSetsHandler,
  FindLandingHandler,
  FindLandingUnderWayHandler,
  FindOverlapsHandler,
  FindTaskChangesHandler,
  ReadMergedTreeHandler,
  ListSubmissionsHandler,
  ListReviewsHandler,
  ListLandingsHandler,
  ListProvenanceKeysHandler,
  ExportTrustHandler,
  AuditProjectHandler,
  ShowEnforcerHandler,
  ShowQueueHandler,
  ForecastConflictsHandler,
  ForecastRollbackHandler,
  FindIncidentHandler,
  ListIncidentsHandler,
];
export const reactions = [
  AdmitWhenSubmissionReceived,
  AdvanceWhenVerificationFinished,
  AdvanceWhenAConflictWasLookedAt,
  CheckWhatLanded,
  WithdrawWhenTaskCancelled,
  GoOnWhenARevertMoved,
];

@Module({
  controllers,
  providers: [
    ...commandHandlers,
    ...queryHandlers,
    ...reactions,
    KeepSubmission,
    Submissions,
    Candidates,
    LandingLine,
    Grounds,
    Trials,
    AwaitedPeople,
    Departures,
    OpenConflicts,
    TouchedFiles,
    Resolutions,
    AgentRecords,
    Reviews,
    LandSubmission,
    LandingSets,
    LandSet,
    AdvanceSet,
    SettleSubmission,
    { provide: CrashPoints, useClass: NoCrashPoints },
    AdvanceSubmission,
    AdvanceLanding,
    AdvanceIncident,
    RollbackOutlook,
    Provenance,
    Sweep,
  ],
})
export class IntegrationModule {
  constructor() {
    OwnedIds.register('submission', 'submissions');
    OwnedIds.register('landing', 'landings');
    OwnedIds.register('set', 'landing_sets', { project: null });
    OwnedIds.register('incident', 'incidents');
  }

  /** The room with somebody who is told of every crash point. A server has nobody. */
  static with(crashPoints: CrashPoints): DynamicModule {
    return { module: IntegrationModule, providers: [{ provide: CrashPoints, useValue: crashPoints }] };
  }
}
