import type { AgentMessage, InstanceWish, TaskAssignment } from '@muster/contracts';

type WithoutSeq<M> = M extends { seq: number } ? Omit<M, 'seq'> : never;
/** A message to the server as callers write it; the link numbers it. */
export type Outgoing = WithoutSeq<AgentMessage>;
/** The messages that act on one attempt, each guarded by its fence. */
export type AttemptVerb = Extract<
  Outgoing,
  { type: 'progress' | 'log' | 'cost' | 'checkpoint' | 'complete' | 'fail' | 'release' }
>;
export interface HeldLease {
  readonly taskId: string;
  readonly fence: number;
}
export interface Hello {
  readonly agent: string;
  readonly version: string;
  readonly capabilities: string[];
  readonly name?: string;
  readonly capacity: number;
  readonly labels: Record<string, string>;
}
/** What the running agent offers to the link that serves it. */
export interface LinkOwner {
  readonly hello: Hello;
  held(): HeldLease[];
  /** How many more tasks it would take now. */
  freeSlots(): number;
  onTask(task: TaskAssignment): void;
  onCancel(taskId: string, fence: number, reason: string): void;
  onWanted(wanted: InstanceWish, reason: string | null): void;
  onWelcome(instanceId: string): void;
  onDisconnect(reason: string): void;
}
/** One way to the server; it stays up across lost connections until it is closed or refused for good. */
export interface Link {
  /** Resolves when the server has welcomed this instance; rejects when it refuses it. */
  open(): Promise<void>;
  /** Sends and waits for the answer, over as many connections as that takes. Rejects with MusterApiError when refused. */
  request(message: AttemptVerb): Promise<unknown>;
  /** Tells the server that a slot is free. */
  slotFreed(): void;
  /** No more tasks, please. */
  pause(): void;
  /** Tasks again. */
  resume(): void;
  close(reason: string): Promise<void>;
  /** Settles when the link is closed (resolves) or lost for good (rejects). */
  readonly ended: Promise<void>;
}
export interface LinkTimes {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Refusals that pass: the server is busy, restarting or not there yet. */
export const passes = (status: number): boolean => status >= 500 || status === 408 || status === 429;

/** So often a verb is sent again that the server could not do; with the pauses between, longer than PostgreSQL takes to come back. */
export const maxRefusals = 12;
