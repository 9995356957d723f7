export interface FieldError {
  readonly path: string;
  readonly message: string;
  readonly line?: number;
  readonly column?: number;
}

/**
 * A fact that stops a request: a stable code, an HTTP status, data, and a sentence that says what to do next.
 * Rooms derive one class per reason; the HTTP and socket edges print it as problem+json. Anything else that is thrown is
 * a bug and answers 500.
 */
export class MusterError extends Error {
  readonly data: Readonly<Record<string, unknown>>;
  readonly errors: readonly FieldError[];

  /** @param code stable, `room.reason`  @param status 4xx for the caller's mistake, 503 for ours that passes */
  constructor(
    readonly code: string,
    readonly status: number,
    message: string,
    details: { data?: Record<string, unknown>; errors?: readonly FieldError[]; cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.data = details.data ?? {};
    this.errors = details.errors ?? [];
  }
}
