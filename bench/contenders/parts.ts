/** What every contender has, each part in processes of its own: somebody who stores tasks, and somebody who does them. */
export interface Payload {
  readonly n: number;
  /** When its creation was asked for, on the clock of the machine. */
  readonly at: number;
}

export interface Producer {
  /** Stores one task; resolves when it is durable. */
  one(payload: Payload): Promise<void>;
  /** Stores many in one call; resolves when they are durable. */
  many(payloads: readonly Payload[]): Promise<void>;
  close(): Promise<void>;
}

export interface ConsumerEvents {
  /** The task's handler begins. */
  started(payload: Payload): void;
  /** So many more are done, and durably so. */
  accepted(count: number): void;
}
export interface Consumer {
  start(events: ConsumerEvents): Promise<void>;
  /** Where a library does not say when a completion is durable, it is looked up once all handlers have run. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

/** The best documented settings are not the same for both. */
export type Tuning = 'throughput' | 'latency';

/** Everything that the processes of a contender need; goes to them as JSON. */
export interface Plan {
  /** PostgreSQL, Redis or Muster. */
  readonly url: string;
  readonly tuning: Tuning;
  /** Calls under way at once, so that there are enough connections for them. */
  readonly callers: number;
  /** Muster only. */
  readonly producerToken?: string;
  readonly agentToken?: string;
  readonly projectId?: string;
  readonly agent?: string;
  readonly capability?: string;
  /** Tasks at a time; where nothing is said, as many as a process may have. */
  readonly capacity?: number;
}

export interface Parts {
  producer(plan: Plan): Promise<Producer>;
  consumer(plan: Plan): Promise<Consumer>;
}
