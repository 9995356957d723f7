/**
 * What clients outside of the victims saw, in Jepsen's words: an operation is invoked, and then it is ok (it happened), it
 * failed (it did not), or it is info: nobody answered, so it may have happened, or may still happen.
 */
export type Outcome = 'invoke' | 'ok' | 'fail' | 'info';

/** Somebody asks for a task, under a key of its own. Every try of the same key is a line. */
export interface Creation {
  readonly f: 'create';
  readonly type: Outcome;
  readonly key: string;
  /** Of the task that the answer named. */
  readonly taskId?: string;
  readonly error?: string;
}

/** One line of an agent's journal, written to a file before the next thing happens, so that it survives a kill. */
export interface AgentOperation {
  /** Which life of which agent. */
  readonly process: string;
  /** On the machine's monotonic clock, in milliseconds: the wall clocks of agents are stepped. */
  readonly atMs?: number;
  readonly f: 'connect' | 'start' | 'complete' | 'fail' | 'release' | 'cost' | 'late';
  readonly type: Outcome;
  readonly instanceId?: string;
  readonly taskId?: string;
  readonly fence?: number;
  /** `late`: which verb was tried under a fence that the agent knew to be lost. */
  readonly verb?: string;
  readonly error?: string;
}

/** A task as REST shows it in the end. */
export interface FinalTask {
  readonly id: string;
  readonly key: string | null;
  readonly state: string;
  /** The fence that the accepted output carries. */
  readonly acceptedFence: number | null;
  readonly costUsd: number;
  /** Null where only the list was read; then what the event log says about attempts stands alone. */
  readonly attempts: readonly { readonly fence: number; readonly outcome: string | null }[] | null;
}

/** An event of a task, as the stream gives it. */
export interface LoggedEvent {
  readonly position: number;
  readonly id: string;
  readonly type: string;
  readonly subject: string | null;
  readonly atMs: number;
  readonly fence: number | null;
}

/** How soon things have to go on again. What must never happen has no limits to choose. */
export interface TimeLimits {
  /** 99 % of the expired leases are claimed again within this. */
  readonly reclaimP99Ms: number;
  /** No task is open any more so many leases after the last fault. */
  readonly drainLeases: number;
}

export interface History {
  readonly leaseMs: number;
  readonly limits: TimeLimits;
  readonly creations: readonly Creation[];
  readonly agents: readonly AgentOperation[];
  readonly tasks: readonly FinalTask[];
  /** From cursor 0, read when all was over. */
  readonly events: readonly LoggedEvent[];
  /** Positions of other readers' events that this reader may not see; they are no gaps. */
  readonly hiddenPositions: readonly number[];
  /** Ids in the order in which a reader got them that was connected, and cut off, all the time. */
  readonly followed: readonly string[];
  /** By fence: when its lease ran out for the last time, as somebody beside the servers read it from the database. */
  readonly expiries: ReadonlyMap<number, number>;
  /** Fences of leases that ran out because the database's clock was stepped over them. */
  readonly steppedOver: readonly number[];
  /** Stretches in which PostgreSQL had been shut down: nobody can claim then. */
  readonly outages: readonly { readonly fromMs: number; readonly toMs: number }[];
  /** What an agent's clock lacks to the wall clock of the database. */
  readonly agentClockOffsetMs: number;
  /** From the end of the last fault until no task was open any more; null: not within the patience of the run. */
  readonly drainedAfterMs: number | null;
  /** What each accepted attempt reports once, under one key. */
  readonly costUsd: number;
}
