import type { CreateTask, Operation, Rework, TaskView } from '@muster/contracts';
import { Command, Query } from '@nestjs/cqrs';
import type { Tx } from '#kernel';

/** Capabilities under `muster.` belong to the system: only system tasks ask for them, only the system's verifier answers. */
export const VERIFY_CAPABILITY = 'muster.verify';
export const RESOLVE_CAPABILITY = 'muster.resolve';

export interface NewTask extends CreateTask {
  readonly teamId: string;
  /** One task for one key and team, however often it is asked for. */
  readonly idempotencyKey?: string;
  readonly reopens?: string;
  /** Who asked, for the log: an actor's or a trigger's id. */
  readonly requestedBy: string;
}
export class StartTask extends Command<TaskView> {
  constructor(readonly task: NewTask) {
    super();
  }
}
export class FindTask extends Query<TaskView | null> {
  constructor(readonly taskId: string) {
    super();
  }
}
export class CancelTask extends Command<TaskView> {
  constructor(
    readonly taskId: string,
    readonly reason: string,
  ) {
    super();
  }
}

/** What the system's own instances that are connected can be asked to do. */
export class FindOfferedCapabilities extends Query<ReadonlySet<string>> {}

export interface HeldAttempt {
  readonly taskId: string;
  readonly attemptId: string;
  readonly attempt: number;
  readonly fence: number;
  readonly teamId: string;
  readonly projectId: string;
  readonly capability: string;
  /** Name of the agent definition that holds it. */
  readonly agent: string | null;
  readonly agentVersion: string | null;
  readonly instanceId: string | null;
  /** The actor whose key holds it: fences are no secret, so only this one may hand in under it. */
  readonly holderId: string;
}
/**
 * Acting under a task's fence in one's own transaction. Kept by the runtime room; every method throws `StaleLease`
 * (409 `runtime.stale_lease`) when the fence is not the task's current one.
 */
export abstract class LeaseGuard {
  /** Locks the attempt's row until the transaction ends. */
  abstract hold(tx: Tx, taskId: string, fence: number): Promise<HeldAttempt>;
  /** Ends the attempt as `submitted`, frees the agent's slot and lets the task wait for the verification of the submission. */
  abstract submitted(tx: Tx, held: HeldAttempt, submissionId: string): Promise<void>;
}

/** How the integration room tells the runtime what became of a submission's task; idempotent. */
export class SettleSubmittedTask extends Command<void> {
  constructor(
    readonly taskId: string,
    readonly submissionId: string,
    readonly outcome:
      | { readonly kind: 'waiting_landing'; readonly ref: string }
      | { readonly kind: 'landed'; readonly output: { submissionId: string; landingId: string; commit: string } }
      /** Nothing could be said about it, and its agent is not to blame: a person decides when it is tried again. */
      | { readonly kind: 'waiting_person'; readonly why: string }
      | { readonly kind: 'rework'; readonly rework: Omit<Rework, 'round'> },
  ) {
    super();
  }
}

/** What a project's page shows: its newest tasks, and how many are open for each capability. */
export class FindProjectOperations extends Query<{
  readonly operations: readonly Operation[];
  readonly openTasks: ReadonlyArray<{ readonly capability: string; readonly count: number }>;
}> {
  constructor(
    readonly projectId: string,
    readonly limit: number,
  ) {
    super();
  }
}
