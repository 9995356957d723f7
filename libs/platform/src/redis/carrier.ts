/** What a carrier tells of. */
export interface CarrierListener {
  /** A message of some replica, this one included. */
  received(text: string): void;
  /** The way is open (again): what was sent before may have been missed. */
  opened(): void;
}

/** A way to every replica on the same database. At most once, in no promised order, and silent while it is broken. */
export interface Carrier {
  readonly kind: 'redis' | 'postgres';
  readonly connected: boolean;
  /** Longest message in bytes. */
  readonly maxBytes: number;
  /** Begins to connect, and goes on trying by itself. Never waits, never throws: no server needs it to start. */
  start(listener: CarrierListener): void;
  send(texts: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}
