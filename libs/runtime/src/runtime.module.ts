import { createTask, createTasks, readTasksQuickly, readTaskQuickly } from '@muster/contracts';
import { Global, Module, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { LeaseGuard } from '#messages/runtime';
import { OwnedIds, readsQuickly } from '#platform/http';
import { Invariants } from '#platform/invariants';
import { Beats } from './batches/beats.ts';
import { Completions } from './batches/completions.ts';
import { Creations } from './batches/creations.ts';
import { Reports } from './batches/reports.ts';
import { Returns } from './batches/returns.ts';
import { TaskStarts } from './batches/task-starts.ts';
import { TermedCreations } from './batches/termed-creations.ts';
import { AppendLogHandler } from './commands/append-log.ts';
import { CancelTaskHandler } from './commands/cancel-task.ts';
import { CancelTreeHandler } from './commands/cancel-tree.ts';
import { ClaimTasksHandler } from './commands/claim-tasks.ts';
import { CompleteAttemptHandler } from './commands/complete-attempt.ts';
import { ConnectInstanceHandler } from './commands/connect-instance.ts';
import { DisconnectInstanceHandler } from './commands/disconnect-instance.ts';
import { DrainInstanceHandler } from './commands/drain-instance.ts';
import { FailAttemptHandler } from './commands/fail-attempt.ts';
import { PauseInstanceHandler } from './commands/pause-instance.ts';
import { RemoveLimitHandler } from './commands/remove-limit.ts';
import { ReleaseAttemptHandler } from './commands/release-attempt.ts';
import { RenewLeasesHandler } from './commands/renew-leases.ts';
import { ReportCostHandler } from './commands/report-cost.ts';
import { ReportProgressHandler } from './commands/report-progress.ts';
import { ResumeInstanceHandler } from './commands/resume-instance.ts';
import { RetryTaskHandler } from './commands/retry-task.ts';
import { SaveCheckpointHandler } from './commands/save-checkpoint.ts';
import { SetLimitHandler } from './commands/set-limit.ts';
import { SettleSubmittedTaskHandler } from './commands/settle-submitted-task.ts';
import { StartDispatchHandler } from './commands/start-dispatch.ts';
import { StartInstanceHandler } from './commands/start-instance.ts';
import { StartSupervisedHandler } from './commands/start-supervised.ts';
import { StopDispatchHandler } from './commands/stop-dispatch.ts';
import { StopInstanceHandler } from './commands/stop-instance.ts';
import { StartTaskHandler } from './commands/start-task.ts';
import { StartTasksHandler } from './commands/start-tasks.ts';
import { Assignments } from './dispatch/assignments.ts';
import { OpenWork } from './dispatch/open-work.ts';
import { Claims } from './dispatch/claims.ts';
import { DispatchLimits } from './dispatch/dispatch-limits.ts';
import { DispatchStops } from './dispatch/dispatch-stops.ts';
import { Dispatcher } from './dispatch/dispatcher.ts';
import { Eligibility } from './dispatch/eligibility.ts';
import { InstanceOrders } from './dispatch/instance-orders.ts';
import { InstanceWishes } from './dispatch/instance-wishes.ts';
import { Lanes } from './dispatch/lanes.ts';
import { LongPoll } from './dispatch/long-poll.ts';
import { ReadyLanes } from './dispatch/ready-lanes.ts';
import { LeaseSweep } from './dispatch/sweep.ts';
import { TaskEnd } from './dispatch/task-end.ts';
import { TermsSweep } from './dispatch/terms-sweep.ts';
import { TreeCancel } from './dispatch/tree-cancel.ts';
import { WakeUps } from './dispatch/wake-ups.ts';
import { JsonSchemas } from './domain/json-schema.ts';
import { AttemptsController } from './http/attempts.controller.ts';
import { TaskBlobs } from './blobs/task-blobs.ts';
import { TaskRetention } from './retention/task-retention.ts';
import { BlobsController } from './http/blobs.controller.ts';
import { InstanceControlController } from './http/instance-control.controller.ts';
import { InstancesController } from './http/instances.controller.ts';
import { LimitsController } from './http/limits.controller.ts';
import { RuntimeController } from './http/runtime.controller.ts';
import { SupervisedController } from './http/supervised.controller.ts';
import { TasksController } from './http/tasks.controller.ts';
import { SqlLeaseGuard } from './lease-guard.ts';
import { ExplainTaskHandler } from './queries/explain-task.ts';
import { FindOfferedCapabilitiesHandler } from './queries/find-offered-capabilities.ts';
import { FindTaskHandler } from './queries/find-task.ts';
import { ListLimitsHandler } from './queries/list-limits.ts';
import { ListInstancesHandler } from './queries/list-instances.ts';
import { FindProjectOperationsHandler, ListOperationsHandler } from './queries/list-operations.ts';
import { ListTasksHandler } from './queries/list-tasks.ts';
import { ReadHistoryHandler } from './queries/read-history.ts';
import { ReadLogHandler } from './queries/read-log.ts';
import { ReadInstanceHandler } from './queries/read-instance.ts';
import { ReadProcessLogHandler } from './queries/read-process-log.ts';
import { ReadRuntimeStatusHandler } from './queries/read-runtime-status.ts';
import { ReadSupervisedHandler } from './queries/read-supervised.ts';
import { ReadTaskHandler } from './queries/read-task.ts';
import { runtimeInvariants } from './invariants/runtime-invariants.ts';
import { AgentGateway } from './sockets/agent.gateway.ts';
import { ServerIdentity } from './supervised/server-identity.ts';
import { Supervisor } from './supervised/supervisor.ts';

const controllers = [
  TasksController,
  BlobsController,
  RuntimeController,
  LimitsController,
  SupervisedController,
  InstanceControlController,
  InstancesController,
  AttemptsController,
];
const gateways = [AgentGateway];
const commandHandlers = [
  StartTaskHandler,
  StartTasksHandler,
  CancelTaskHandler,
  CancelTreeHandler,
  RetryTaskHandler,
  SettleSubmittedTaskHandler,
  ConnectInstanceHandler,
  DisconnectInstanceHandler,
  ClaimTasksHandler,
  RenewLeasesHandler,
  ReportProgressHandler,
  AppendLogHandler,
  ReportCostHandler,
  SaveCheckpointHandler,
  CompleteAttemptHandler,
  FailAttemptHandler,
  ReleaseAttemptHandler,
  StartSupervisedHandler,
  StartInstanceHandler,
  StopInstanceHandler,
  PauseInstanceHandler,
  ResumeInstanceHandler,
  DrainInstanceHandler,
  StartDispatchHandler,
  StopDispatchHandler,
  SetLimitHandler,
  RemoveLimitHandler,
];
const queryHandlers = [
  FindTaskHandler,
  FindOfferedCapabilitiesHandler,
  ExplainTaskHandler,
  ReadTaskHandler,
  ListTasksHandler,
  ListOperationsHandler,
  FindProjectOperationsHandler,
  ReadLogHandler,
  ReadHistoryHandler,
  ListInstancesHandler,
  ReadInstanceHandler,
  ReadRuntimeStatusHandler,
  ReadSupervisedHandler,
  ReadProcessLogHandler,
  ListLimitsHandler,
];
const retention = [TaskRetention];
const blobs = [TaskBlobs];
const batches = [Creations, Completions, Returns, Beats, Reports, TaskStarts, TermedCreations];
const dispatch = [
  WakeUps,
  Lanes,
  ReadyLanes,
  Eligibility,
  Claims,
  Assignments,
  OpenWork,
  Dispatcher,
  LongPoll,
  TaskEnd,
  LeaseSweep,
  DispatchStops,
  DispatchLimits,
  InstanceOrders,
  InstanceWishes,
  TermsSweep,
  TreeCancel,
];
const supervision = [ServerIdentity, Supervisor];

/** Global for `LeaseGuard`, which other rooms are given without knowing this one. */
@Global()
@Module({
  controllers,
  providers: [
    ...gateways,
    ...commandHandlers,
    ...queryHandlers,
    ...blobs,
    ...retention,
    ...batches,
    ...dispatch,
    ...supervision,
    JsonSchemas,
    { provide: LeaseGuard, useClass: SqlLeaseGuard },
  ],
  exports: [LeaseGuard],
})
export class RuntimeModule implements OnApplicationBootstrap, OnApplicationShutdown {
  constructor(private readonly dispatcher: Dispatcher) {
    Invariants.register(...runtimeInvariants);
    OwnedIds.register('task', 'task_owners');
    OwnedIds.register('instance', 'instances', { project: null });
    OwnedIds.register('limit', 'dispatch_limits');
    readsQuickly(createTask, readTaskQuickly);
    readsQuickly(createTasks, readTasksQuickly);
  }

  onApplicationBootstrap(): void {
    this.dispatcher.start();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.dispatcher.stop();
  }
}
