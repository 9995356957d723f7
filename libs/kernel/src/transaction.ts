import type { Priority } from '@muster/contracts';

/** A fact to append to the event log in the transaction that caused it. */
export interface NewEvent {
  /** Given where the writer tells it on; otherwise the log makes one. */
  readonly id?: string;
  readonly type: string;
  readonly teamId: string;
  readonly projectId: string | null;
  /** Id of what it happened to. */
  readonly subject: string | null;
  readonly data: Record<string, unknown>;
  readonly priority?: Priority;
  /** W3C trace context of what caused it, where that is not what runs: one of a batch. Null: there was none. */
  readonly traceparent?: string | null;
}

/** A transaction as rooms hand it to each other: SQL, events at its end, nothing external while it is open. */
export interface Tx {
  /** @param text SQL with `$1` placeholders; objects and arrays of objects are passed as JSON text by the caller */
  sql<Row extends object>(text: string, params?: readonly unknown[]): Promise<Row[]>;
  /** Kept until the work is done, then written as the transaction's last statement. */
  append(...events: NewEvent[]): void;
}
