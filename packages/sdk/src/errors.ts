import type { Problem } from '@muster/contracts';

/** The server said no: carries its problem document, `code` is what programs switch on. */
export class MusterApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem, options?: ErrorOptions) {
    super(problem.detail || problem.title, options);
    this.name = 'MusterApiError';
    this.problem = problem;
  }
  get status(): number {
    return this.problem.status;
  }
  get code(): string {
    return this.problem.code;
  }
}

/** Somebody else has the task by now, or it ended: stop, whatever this attempt still writes is refused. */
export class StaleLeaseError extends Error {
  readonly code = 'runtime.stale_lease';

  readonly taskId: string;
  readonly fence: number;

  constructor(taskId: string, fence: number, options?: ErrorOptions) {
    super(`The lease on ${taskId} (fence ${fence}) is not ours any more. Stop working on it.`, options);
    this.name = 'StaleLeaseError';
    this.taskId = taskId;
    this.fence = fence;
  }
}

/** The task was cancelled while it was being worked on. */
export class TaskCancelledError extends Error {
  readonly taskId: string;
  readonly reason: string;

  constructor(taskId: string, reason: string) {
    super(`Task ${taskId} was cancelled: ${reason}`);
    this.name = 'TaskCancelledError';
    this.taskId = taskId;
    this.reason = reason;
  }
}

/** This process is going away and its time to finish is over; the task goes back to the queue without losing an attempt. */
export class AgentShutdownError extends Error {
  readonly reason: string;

  constructor(reason: string) {
    super(`The agent is shutting down: ${reason}`);
    this.name = 'AgentShutdownError';
    this.reason = reason;
  }
}

/** The server could not be reached for as long as we were told to try. */
export class MusterUnreachableError extends Error {
  constructor(url: string, options?: ErrorOptions) {
    super(`${url} cannot be reached. Check the URL and that the server is running.`, options);
    this.name = 'MusterUnreachableError';
  }
}

/** Reads `retryable: false` from anything that was thrown; everything else may be tried again. */
export const isRetryable = (error: unknown): boolean =>
  !(typeof error === 'object' && error !== null && 'retryable' in error && error.retryable === false);

/** Thrown by a handler to say that another try would end the same. */
export class PermanentError extends Error {
  readonly retryable = false;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PermanentError';
  }
}
