import { Module } from '@nestjs/common';
import { CqrsModule } from '@nestjs/cqrs';
import { OwnedIds } from '#platform/http';
import { KeepArtefactHandler } from './commands/keep-artefact.ts';
import { RecordFirstLookHandler } from './commands/record-first-look.ts';
import { RecordReportHandler } from './commands/record-report.ts';
import { RequestVerificationHandler } from './commands/request-verification.ts';
import { RerunVerificationHandler } from './commands/rerun-verification.ts';
import { SettleVerification } from './commands/settle-verification.ts';
import { VerifierTasks } from './commands/verifier-tasks.ts';
import { VerifyHeadHandler } from './commands/verify-head.ts';
import { LogGateway } from './http/log.gateway.ts';
import { ReportsController } from './http/reports.controller.ts';
import { TrendsController } from './http/trends.controller.ts';
import { VerificationsController } from './http/verifications.controller.ts';
import { ExplainVerificationHandler } from './queries/explain-verification.ts';
import { FindVerdictsHandler } from './queries/find-verdicts.ts';
import { FindVerificationHandler } from './queries/find-verification.ts';
import { ListArtefactsHandler, ReadArtefactHandler } from './queries/list-artefacts.ts';
import { ListChecksHandler } from './queries/list-checks.ts';
import { ListVerificationsHandler } from './queries/list-verifications.ts';
import { ReadLogHandler } from './queries/read-log.ts';
import { ReadTreeHandler } from './queries/read-tree.ts';
import { ShowCheckTrendHandler, ShowVerificationTrendHandler } from './queries/show-trends.ts';
import { SettleWhenTheVerifierAnswered } from './reactions/settle-when-the-verifier-answered.ts';
import { ReportsRetention } from './reports-retention.ts';
import { Sweep } from './sweep.ts';

export const controllers = [VerificationsController, ReportsController, TrendsController];
export const gateways = [LogGateway];
export const commandHandlers = [
  RequestVerificationHandler,
  VerifyHeadHandler,
  RecordFirstLookHandler,
  RecordReportHandler,
  KeepArtefactHandler,
  RerunVerificationHandler,
];
export const queryHandlers = [
  FindVerificationHandler,
  FindVerdictsHandler,
  ListVerificationsHandler,
  ReadTreeHandler,
  ListChecksHandler,
  ExplainVerificationHandler,
  ReadLogHandler,
  ListArtefactsHandler,
  ReadArtefactHandler,
  ShowVerificationTrendHandler,
  ShowCheckTrendHandler,
];
export const reactions = [SettleWhenTheVerifierAnswered];

@Module({
  imports: [CqrsModule],
  controllers,
  providers: [
    ...gateways,
    ...commandHandlers,
    ...queryHandlers,
    ...reactions,
    VerifierTasks,
    SettleVerification,
    Sweep,
    ReportsRetention,
  ],
})
export class QualityModule {
  constructor() {
    OwnedIds.register('verification', 'verifications');
  }
}
