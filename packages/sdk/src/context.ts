import type { CreateSubmission, Rework, SubmissionView, TaskAssignment } from '@muster/contracts';
import type { z } from 'zod';
import type { costBody } from '@muster/contracts';
import type { MusterClient } from './client.ts';
import { MusterApiError, PermanentError, StaleLeaseError } from './errors.ts';
import type { AttemptVerb, Link } from './link.ts';
import { GitError, Workspace } from './workspace.ts';

export interface AgentTask extends TaskAssignment {
  /** Why the previous submission of this task did not go in; null on the first round. */
  readonly rework: Rework | null;
}
type Change =
  | { readonly files: NonNullable<CreateSubmission['files']> }
  | { readonly patch: string }
  /** A commit of the workspace; it is pushed to refs/for/<branch>. */
  | { readonly commit: string };
export type SubmitOptions = Change & {
  /** The commit message. */
  readonly message: string;
  /** The agent's own words on what it did; shown, never believed. */
  readonly claim?: string;
  /** The commit that the change was made on. Default: the task's head, which `workspace()` checks out. */
  readonly base?: string;
};
export type CostReport = Omit<z.input<typeof costBody>, 'key'> & { readonly key?: string };

export interface TaskContext {
  /** Aborted when the attempt is over before the handler is; its reason is a StaleLeaseError, TaskCancelledError or AgentShutdownError. */
  readonly signal: AbortSignal;
  readonly instanceId: string;
  /** A REST client with the agent's own key. */
  readonly client: MusterClient;
  /** A clean checkout of the task's base, one per attempt, removed when the handler ends. */
  workspace(): Promise<Workspace>;
  /** @param ratio how far, from 0 to 1 */
  progress(message: string, ratio?: number): Promise<void>;
  /** Repeating a `key` does not charge twice. */
  cost(report: CostReport): Promise<void>;
  /** One or more lines for the attempt's log; sent in batches. */
  log(text: string, stream?: 'stdout' | 'stderr'): void;
  /** What the next attempt should know if this one does not end well; found in `task.checkpoint`. */
  checkpoint(state: CreateCheckpoint): Promise<void>;
  /** Hands in a change, which ends the attempt. Throws StaleLeaseError when somebody else has the task by now. */
  submit(submission: SubmitOptions): Promise<SubmissionView>;
}
export type CreateCheckpoint = Extract<AttemptVerb, { type: 'checkpoint' }>['state'];

const logFlushMs = 100;
const logLineLimit = 8_000;
const logBatch = 500;

/** One attempt as its handler sees it. */
export class AttemptContext implements TaskContext {
  readonly signal: AbortSignal;
  readonly instanceId: string;
  readonly client: MusterClient;
  submitted = false;
  readonly #task: AgentTask;
  readonly #link: Link;
  readonly #token: () => Promise<string>;
  readonly #controller: AbortController;
  #workspace: Promise<Workspace> | null = null;
  #costs = 0;
  #lines: Array<{ line: string; stream: 'stdout' | 'stderr' }> = [];
  #logTimer: NodeJS.Timeout | undefined;
  #logging: Promise<void> = Promise.resolve();

  constructor(parts: {
    task: AgentTask;
    link: Link;
    client: MusterClient;
    token: () => Promise<string>;
    instanceId: string;
    controller: AbortController;
  }) {
    this.#task = parts.task;
    this.#link = parts.link;
    this.client = parts.client;
    this.#token = parts.token;
    this.instanceId = parts.instanceId;
    this.#controller = parts.controller;
    this.signal = parts.controller.signal;
  }

  workspace(): Promise<Workspace> {
    this.#workspace ??= Workspace.of({
      url: this.client.url,
      token: this.#token,
      project: this.#task.project,
      signal: this.signal,
    });
    return this.#workspace;
  }

  progress(message: string, ratio?: number): Promise<void> {
    return this.#write({
      type: 'progress',
      message: message.slice(0, 2_000),
      ...(ratio === undefined ? {} : { ratio }),
    });
  }

  cost(report: CostReport): Promise<void> {
    // Numbered within the attempt: a handler that reports the same call twice on purpose is charged twice.
    const key = report.key ?? `${this.#task.fence}-${(this.#costs += 1)}`;
    return this.#write({ type: 'cost', ...report, key });
  }

  checkpoint(state: CreateCheckpoint): Promise<void> {
    return this.#write({ type: 'checkpoint', state });
  }

  log(text: string, stream: 'stdout' | 'stderr' = 'stdout'): void {
    for (const line of text.replace(/\r?\n$/, '').split(/\r?\n/))
      this.#lines.push({ line: line.slice(0, logLineLimit), stream });
    if (this.#lines.length >= logBatch) void this.flushLog();
    else this.#logTimer ??= setTimeout(() => void this.flushLog(), logFlushMs);
  }

  /** Sends what is still held back. Never throws: a log line is not worth a task. */
  flushLog(): Promise<void> {
    clearTimeout(this.#logTimer);
    this.#logTimer = undefined;
    const lines = this.#lines;
    this.#lines = [];
    this.#logging = this.#logging.then(async () => {
      for (let from = 0; from < lines.length;) {
        const stream = lines[from]!.stream;
        let to = from;
        while (to < lines.length && to - from < logBatch && lines[to]!.stream === stream) to += 1;
        const batch = lines.slice(from, to).map((entry) => entry.line);
        await this.#write({ type: 'log', lines: batch, stream }).catch(() => undefined);
        from = to;
      }
    });
    return this.#logging;
  }

  async submit(submission: SubmitOptions): Promise<SubmissionView> {
    this.signal.throwIfAborted();
    await this.flushLog();
    const view = await this.#guarded(() => ('commit' in submission ? this.#push(submission) : this.#post(submission)));
    this.submitted = true;
    return view;
  }

  async end(): Promise<void> {
    clearTimeout(this.#logTimer);
    const workspace = await this.#workspace?.catch(() => null);
    await workspace?.remove().catch(() => undefined);
  }

  #post(submission: Exclude<SubmitOptions, { commit: string }>): Promise<SubmissionView> {
    const base = submission.base ?? this.#task.project.head;
    if (base === null || base === undefined)
      throw new PermanentError('The project has no commit yet: there is no base to submit on.');
    return this.client.submissions.create(
      {
        taskId: this.#task.taskId,
        fence: this.#task.fence,
        base,
        message: submission.message,
        ...('files' in submission ? { files: submission.files } : { patch: submission.patch }),
        ...(submission.claim === undefined ? {} : { claim: submission.claim }),
      },
      // One submission for each fence: the server needs no key to know a repetition.
      { idempotencyKey: null },
    );
  }

  async #push(submission: Extract<SubmitOptions, { commit: string }>): Promise<SubmissionView> {
    const workspace = await this.workspace();
    const claim = submission.claim?.replace(/\s+/g, ' ').trim();
    await workspace.push(submission.commit, [
      `task=${this.#task.taskId}`,
      `fence=${this.#task.fence}`,
      ...(claim ? [`claim=${claim}`] : []),
    ]);
    const { submissionId } = await this.client.tasks.get(this.#task.taskId);
    if (submissionId === null) throw new Error('The push went through, but the task shows no submission.');
    return this.client.submissions.get(submissionId);
  }

  async #write(verb: WithoutLease<AttemptVerb>): Promise<void> {
    const written = this.#guarded(() =>
      this.#link.request({ ...verb, taskId: this.#task.taskId, fence: this.#task.fence }),
    );
    // A report that nobody waits for must not end the process; a lost lease is told through the signal.
    written.catch(() => undefined);
    await written;
  }

  async #guarded<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (!isStale(error)) throw error;
      const stale = new StaleLeaseError(this.#task.taskId, this.#task.fence, { cause: error });
      this.#controller.abort(stale);
      throw stale;
    }
  }
}

type WithoutLease<V> = V extends AttemptVerb ? Omit<V, 'taskId' | 'fence'> : never;

export const isStale = (error: unknown): boolean =>
  (error instanceof MusterApiError && error.code === 'runtime.stale_lease') ||
  (error instanceof GitError && /stale[_ ]lease/i.test(error.stderr));
