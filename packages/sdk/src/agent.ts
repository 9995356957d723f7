import type { AgentDefinition, InstanceWish, TaskAssignment } from '@muster/contracts';
import { MusterClient } from './client.ts';
import { AttemptContext, isStale, type AgentTask, type TaskContext } from './context.ts';
import { AgentShutdownError, isRetryable, StaleLeaseError, TaskCancelledError } from './errors.ts';
import { atMost, pause } from './backoff.ts';
import { Http } from './http.ts';
import type { HeldLease, Hello, Link, LinkOwner } from './link.ts';
import { PollingLink } from './polling-link.ts';
import { SocketLink } from './socket-link.ts';
import type { JsonValue } from './json.ts';

/** Does one task. What it returns is the task's output, unless it submitted a change. */
export type TaskHandler = (task: AgentTask, ctx: TaskContext) => Promise<JsonValue | void> | JsonValue | void;

export interface AgentOptions {
  /** The name of a published definition of the key's team. */
  readonly name: string;
  /** A version or range of it; default: the highest published. */
  readonly version?: string;
  readonly capabilities: Readonly<Record<string, TaskHandler>>;
  /** Tasks at a time. Default 1. */
  readonly capacity?: number;
  /** What tasks may ask for, `{ os: 'linux' }`. */
  readonly labels?: Readonly<Record<string, string>>;
}
export interface ConnectOptions {
  /** Default: `MUSTER_URL`. */
  readonly url?: string;
  /** An API key. Default: `MUSTER_TOKEN`. */
  readonly token?: string;
  /** `http` for places where a socket cannot be held. */
  readonly transport?: 'socket' | 'http';
  /** How this instance is called in lists, a host name for instance. */
  readonly instanceName?: string;
  /** Longest pause between two attempts to reconnect. */
  readonly maxReconnectMs?: number;
  readonly onEvent?: (event: AgentEvent) => void;
}
/** What happens to a running agent, for its own log. */
export type AgentEvent =
  | { readonly type: 'connected'; readonly instanceId: string }
  | { readonly type: 'disconnected'; readonly reason: string }
  /** People want something else of this instance now. It is done already: told, so that the agent may act on it as well. */
  | { readonly type: 'wanted'; readonly wanted: InstanceWish; readonly reason: string | null }
  | {
      readonly type: 'task_started';
      readonly taskId: string;
      readonly fence: number;
      readonly attempt: number;
      readonly capability: string;
    }
  | {
      readonly type: 'task_ended';
      readonly taskId: string;
      readonly fence: number;
      readonly outcome: 'completed' | 'submitted' | 'failed' | 'released' | 'stale_lease' | 'cancelled';
      readonly error?: string;
    };

export interface Agent {
  readonly options: AgentOptions;
  /** The definition that `POST /api/agents` takes for this agent. */
  definition(version: string, description?: string): DefinitionInput;
  connect(options?: ConnectOptions): Promise<RunningAgent>;
}
export interface DefinitionInput {
  readonly apiVersion: AgentDefinition['apiVersion'];
  readonly kind: AgentDefinition['kind'];
  readonly metadata: { readonly name: string; readonly version: string; readonly description?: string };
  readonly skills: ReadonlyArray<{ readonly name: string }>;
}

/** Names an agent and says how it does each of its capabilities. */
export const defineAgent = (options: AgentOptions): Agent => ({
  options,
  definition: (version, description) => ({
    apiVersion: 'muster/v1',
    kind: 'Agent',
    metadata: { name: options.name, version, ...(description === undefined ? {} : { description }) },
    skills: Object.keys(options.capabilities).map((name) => ({ name })),
  }),
  connect: (connection = {}) => RunningAgent.connect(options, connection),
});

/** Connects and works until SIGTERM or SIGINT, which finish what is running first; a second one quits at once. */
export const runAgent = async (
  agent: Agent,
  options: ConnectOptions & { readonly drainMs?: number } = {},
): Promise<void> => {
  const running = await agent.connect(options);
  let asked = false;
  const onSignal = (name: NodeJS.Signals): void => {
    if (asked) process.exit(130);
    asked = true;
    void running.stop({ reason: name, drainMs: options.drainMs ?? 30_000 });
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  try {
    await running.ended;
  } finally {
    process.off('SIGTERM', onSignal);
    process.off('SIGINT', onSignal);
  }
};

/** What a timer can wait for, almost 25 days. */
const longestTimerMs = 2 ** 31 - 1;

interface Attempt {
  readonly task: AgentTask;
  readonly controller: AbortController;
  readonly done: Promise<void>;
}

/** One connected instance of an agent. */
export class RunningAgent implements LinkOwner {
  readonly hello: Hello;
  readonly #agent: AgentOptions;
  readonly #options: ConnectOptions;
  readonly #client: MusterClient;
  readonly #token: () => Promise<string>;
  readonly #link: Link;
  readonly #attempts = new Map<string, Attempt>();
  #instanceId = '';
  #stopping = false;
  /** What comes now was sent before the server heard that nothing more is wanted, and is handed back. */
  #leaving = false;
  #wanted: InstanceWish = 'run';
  /** Aborted when what runs is not waited for any longer. */
  readonly #hurry = new AbortController();

  private constructor(agent: AgentOptions, options: ConnectOptions) {
    const url = options.url ?? process.env['MUSTER_URL'];
    const token = options.token ?? process.env['MUSTER_TOKEN'];
    if (!url)
      throw new Error('Where is Muster? Give connect({ url }) or set MUSTER_URL, http://localhost:3000 for instance.');
    if (!token) throw new Error('Give connect({ token }) or set MUSTER_TOKEN to an API key of your team.');
    this.#agent = agent;
    this.#options = options;
    const http = { url, token, retryForMs: 120_000 };
    this.#client = new MusterClient(http);
    this.#token = () => Promise.resolve(token);
    const capacity = agent.capacity ?? 1;
    this.hello = {
      agent: agent.name,
      version: agent.version ?? '*',
      capabilities: Object.keys(agent.capabilities),
      capacity,
      labels: { ...agent.labels },
      ...(options.instanceName === undefined ? {} : { name: options.instanceName }),
    };
    const times = { firstMs: 100, maxMs: options.maxReconnectMs ?? 5_000 };
    this.#link =
      options.transport === 'http'
        ? new PollingLink(new Http(http), this, times)
        : new SocketLink(this.#client.url, this.#token, this, times);
  }

  static async connect(agent: AgentOptions, options: ConnectOptions): Promise<RunningAgent> {
    const running = new RunningAgent(agent, options);
    await running.#link.open();
    return running;
  }

  get instanceId(): string {
    return this.#instanceId;
  }
  /** Resolves when it was stopped; rejects when the server refuses it for good, because its key was revoked for instance. */
  get ended(): Promise<void> {
    return this.#link.ended;
  }

  /** Takes nothing new, lets what runs finish for `drainMs`, hands the rest back and says goodbye. */
  async stop(options: { readonly reason?: string; readonly drainMs?: number } = {}): Promise<void> {
    if (this.#stopping) {
      if ((options.drainMs ?? 0) === 0) this.#hurry.abort();
      return;
    }
    this.#stopping = true;
    this.#link.pause();
    const reason = options.reason ?? 'stopped';
    // Also what was on its way when it asked for nothing more.
    const finished = async (): Promise<void> => {
      while (this.#attempts.size > 0) await Promise.all([...this.#attempts.values()].map((attempt) => attempt.done));
    };
    await Promise.race([finished(), pause(Math.min(options.drainMs ?? 0, longestTimerMs), this.#hurry.signal)]);
    this.#leaving = true;
    this.#hurry.abort();
    for (const attempt of this.#attempts.values()) attempt.controller.abort(new AgentShutdownError(reason));
    await atMost(finished(), 3_000);
    await this.#link.close(reason);
  }

  held(): HeldLease[] {
    return [...this.#attempts.values()].map(({ task }) => ({ taskId: task.taskId, fence: task.fence }));
  }
  freeSlots(): number {
    return this.#stopping || this.#wanted !== 'run' ? 0 : Math.max(0, this.hello.capacity - this.#attempts.size);
  }
  onWanted(wanted: InstanceWish, reason: string | null): void {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#tell({ type: 'wanted', wanted, reason });
    const words = reason ?? `${wanted} was asked for`;
    if (wanted === 'run') {
      // Whoever is on the way out takes nothing more.
      if (!this.#stopping) this.#link.resume();
    } else if (wanted === 'pause') this.#link.pause();
    else void this.stop({ reason: words, drainMs: wanted === 'drain' ? longestTimerMs : 0 });
  }
  onWelcome(instanceId: string): void {
    // A new instance is wanted to run; one that was taken up again is told what is wanted of it right after.
    if (instanceId !== this.#instanceId) this.onWanted('run', null);
    this.#instanceId = instanceId;
    this.#tell({ type: 'connected', instanceId });
  }
  onDisconnect(reason: string): void {
    this.#tell({ type: 'disconnected', reason });
  }

  onTask(assignment: TaskAssignment): void {
    if (this.#leaving) {
      const { taskId, fence } = assignment;
      void this.#link
        .request({ type: 'release', taskId, fence, reason: 'the agent is leaving' })
        .catch(() => undefined);
      return;
    }
    const before = this.#attempts.get(assignment.taskId);
    // A resumed connection may tell again what is already being worked on.
    if (before && before.task.fence >= assignment.fence) return;
    before?.controller.abort(new StaleLeaseError(before.task.taskId, before.task.fence));
    const controller = new AbortController();
    const done = this.#work(assignment, controller).finally(() => {
      if (this.#attempts.get(assignment.taskId)?.controller === controller) this.#attempts.delete(assignment.taskId);
      this.#link.slotFreed();
    });
    this.#attempts.set(assignment.taskId, { task: assignment, controller, done });
  }

  onCancel(taskId: string, fence: number, reason: string): void {
    const attempt = this.#attempts.get(taskId);
    if (!attempt || attempt.task.fence !== fence) return;
    attempt.controller.abort(
      reason === 'stale_lease' ? new StaleLeaseError(taskId, fence) : new TaskCancelledError(taskId, reason),
    );
  }

  async #work(task: AgentTask, controller: AbortController): Promise<void> {
    const { taskId, fence, attempt, capability } = task;
    this.#tell({ type: 'task_started', taskId, fence, attempt, capability });
    const context = new AttemptContext({
      task,
      link: this.#link,
      client: this.#client,
      token: this.#token,
      instanceId: this.#instanceId,
      controller,
    });
    const ended = (outcome: Extract<AgentEvent, { type: 'task_ended' }>['outcome'], error?: string): void =>
      this.#tell({ type: 'task_ended', taskId, fence, outcome, ...(error === undefined ? {} : { error }) });
    try {
      // Let the attempt be known before its handler runs.
      await Promise.resolve();
      const handler = this.#agent.capabilities[capability];
      if (!handler) {
        await this.#link.request({ type: 'release', taskId, fence, reason: `no handler for ${capability}` });
        return ended('released');
      }
      const input = (await this.#client.blobs.valueOf(task.project.id, task.input)) as AgentTask['input'];
      const output = await handler({ ...task, input }, context);
      await context.flushLog();
      if (context.submitted) return ended('submitted');
      controller.signal.throwIfAborted();
      const told = await this.#client.blobs.forOutput(task, output ?? null);
      await this.#link.request({ type: 'complete', taskId, fence, output: told });
      ended('completed');
    } catch (error) {
      await this.#giveUp(task, context, controller.signal, error, ended);
    } finally {
      await context.end();
    }
  }

  async #giveUp(
    { taskId, fence }: AgentTask,
    context: AttemptContext,
    signal: AbortSignal,
    error: unknown,
    ended: (outcome: Extract<AgentEvent, { type: 'task_ended' }>['outcome'], error?: string) => void,
  ): Promise<void> {
    const words = error instanceof Error ? error.message : String(error);
    // After a submit the attempt is over, whatever the handler still runs into.
    if (context.submitted) return ended('submitted', words);
    const why: unknown = signal.aborted ? signal.reason : error;
    if (why instanceof StaleLeaseError || isStale(why)) return ended('stale_lease', words);
    if (why instanceof TaskCancelledError) return ended('cancelled', why.reason);
    try {
      if (why instanceof AgentShutdownError) {
        await this.#link.request({ type: 'release', taskId, fence, reason: why.message.slice(0, 2_000) });
        return ended('released');
      }
      await context.flushLog();
      await this.#link.request({
        type: 'fail',
        taskId,
        fence,
        error: (words || 'failed without a message').slice(0, 8_000),
        retryable: isRetryable(error),
      });
      ended('failed', words);
    } catch (refusal) {
      ended(isStale(refusal) ? 'stale_lease' : 'failed', refusal instanceof Error ? refusal.message : String(refusal));
    }
  }

  #tell(event: AgentEvent): void {
    this.#options.onEvent?.(event);
  }
}
