import { randomUUID } from 'node:crypto';
import { problem as problemSchema, type Problem } from '@muster/contracts';
import { z } from 'zod';
import { backoffMs, pause } from './backoff.ts';
import { MusterApiError, MusterUnreachableError } from './errors.ts';

export interface Credentials {
  readonly email: string;
  readonly password: string;
}
export interface HttpOptions {
  readonly url: string;
  /** An API key, or an access token from `login`. */
  readonly token?: string | undefined;
  /** Instead of a token: log in at first use, and again when the session has ended. */
  readonly credentials?: Credentials | undefined;
  /** Renews an access token that has run out. */
  readonly refreshToken?: string | undefined;
  /** Told the new tokens whenever the session was renewed. */
  readonly onSession?: ((tokens: { accessToken: string; refreshToken: string }) => void | Promise<void>) | undefined;
  /** How long to keep trying when the server is away (it restarts, it drains). Default 30 seconds; 0: try once. */
  readonly retryForMs?: number | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
}
export interface Call<T extends z.ZodType> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>> | undefined;
  readonly body?: unknown;
  /** Sent as it is, with this content type, instead of JSON. */
  readonly raw?: { readonly bytes: Uint8Array<ArrayBuffer>; readonly contentType: string } | undefined;
  /** The answer is what it is, and not JSON of ours. */
  readonly text?: boolean | undefined;
  /** What the answer must look like. */
  readonly answer: T;
  /** Null where the route is idempotent by itself, a submission by its fence for instance. */
  readonly idempotencyKey?: string | null | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

const sessionTokens = z.object({ accessToken: z.string(), refreshToken: z.string() });
/** Refusals that pass by themselves; `in_progress` is our own first try, which the server has not answered yet. */
const passes = (error: MusterApiError): boolean =>
  [429, 502, 503, 504].includes(error.status) || error.code === 'request.in_progress';

/** One way over HTTP for the client and for agents: JSON, problem+json, idempotency keys, patience while the server restarts. */
export class Http {
  readonly url: string;
  readonly #fetch: typeof globalThis.fetch;
  readonly #retryForMs: number;
  readonly #credentials: Credentials | undefined;
  readonly #onSession: HttpOptions['onSession'];
  #token: string | undefined;
  #refreshToken: string | undefined;

  constructor(options: HttpOptions) {
    this.url = options.url.replace(/\/+$/, '');
    this.#fetch = options.fetch ?? globalThis.fetch;
    this.#retryForMs = options.retryForMs ?? 30_000;
    this.#token = options.token;
    this.#refreshToken = options.refreshToken;
    this.#onSession = options.onSession;
    this.#credentials = options.credentials;
  }

  /** What stands behind `Bearer `; logs in first when there are only credentials. */
  async token(renew = false): Promise<string> {
    if (renew) await this.#renew();
    if (this.#token === undefined && this.#credentials) await this.login(this.#credentials);
    return this.#token ?? '';
  }

  async login(credentials: Credentials): Promise<{ accessToken: string; refreshToken: string }> {
    const answer = await this.#send(
      { method: 'POST', path: '/api/auth/login', body: credentials, answer: sessionTokens },
      false,
    );
    return this.#keep(answer);
  }

  async call<T extends z.ZodType>(call: Call<T>): Promise<z.infer<T>> {
    await this.token();
    try {
      return await this.#send(call, true);
    } catch (error) {
      if (!(error instanceof MusterApiError) || error.status !== 401 || !(await this.#renew())) throw error;
      return await this.#send(call, true);
    }
  }

  #keep<T extends { accessToken: string; refreshToken: string }>(tokens: T): T {
    this.#token = tokens.accessToken;
    this.#refreshToken = tokens.refreshToken;
    return tokens;
  }

  async #renew(): Promise<boolean> {
    const refreshToken = this.#refreshToken;
    this.#refreshToken = undefined;
    if (refreshToken !== undefined) {
      try {
        this.#keep(
          await this.#send(
            { method: 'POST', path: '/api/auth/refresh', body: { refreshToken }, answer: sessionTokens },
            false,
          ),
        );
        await this.#onSession?.({ accessToken: this.#token ?? '', refreshToken: this.#refreshToken ?? '' });
        return true;
      } catch (error) {
        if (!(error instanceof MusterApiError)) throw error;
      }
    }
    if (!this.#credentials) return false;
    await this.login(this.#credentials);
    return true;
  }

  async #send<T extends z.ZodType>(call: Call<T>, authorised: boolean): Promise<z.infer<T>> {
    const target = new URL(this.url + call.path);
    for (const [name, value] of Object.entries(call.query ?? {}))
      if (value !== undefined) target.searchParams.set(name, String(value));
    const headers: Record<string, string> = { accept: 'application/json' };
    if (authorised && this.#token !== undefined) headers['authorization'] = `Bearer ${this.#token}`;
    if (call.raw) headers['content-type'] = call.raw.contentType;
    else if (call.body !== undefined) headers['content-type'] = 'application/json';
    // The same key on every try: a lost answer is not a second creation.
    if (call.method === 'POST' && call.idempotencyKey !== null)
      headers['idempotency-key'] = call.idempotencyKey ?? randomUUID();
    const body = call.raw ? call.raw.bytes : call.body === undefined ? undefined : JSON.stringify(call.body);
    const giveUpAt = performance.now() + this.#retryForMs;

    for (let attempt = 0; ; attempt += 1) {
      const timeout = AbortSignal.timeout(call.timeoutMs ?? 60_000);
      const signal = call.signal ? AbortSignal.any([call.signal, timeout]) : timeout;
      let failure: unknown;
      try {
        const response = await this.#fetch(target, {
          method: call.method,
          headers,
          signal,
          redirect: 'error',
          ...(body === undefined ? {} : { body }),
        });
        const text = await response.text();
        if (response.ok) return call.answer.parse(call.text === true ? text : text === '' ? undefined : parsed(text));
        throw new MusterApiError(problemOf(response.status, text));
      } catch (error) {
        if (call.signal?.aborted) throw call.signal.reason;
        if (error instanceof z.ZodError)
          throw new Error(
            `${call.method} ${call.path} answered something else than expected: ${z.prettifyError(error)}`,
            {
              cause: error,
            },
          );
        if (error instanceof MusterApiError && !passes(error)) throw error;
        failure = error;
      }
      const delay = backoffMs(attempt, { firstMs: 200, maxMs: 2_000 });
      if (performance.now() + delay > giveUpAt) {
        if (failure instanceof MusterApiError) throw failure;
        throw new MusterUnreachableError(this.url, { cause: failure });
      }
      await pause(delay, call.signal);
    }
  }
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
};

const problemOf = (status: number, text: string): Problem => {
  const document = problemSchema.safeParse(parsed(text));
  if (document.success) return document.data;
  return {
    type: 'about:blank',
    title: 'Unexpected answer',
    status,
    code: 'http.unexpected',
    detail: `The server answered ${status}: ${text.slice(0, 300) || 'nothing'}`,
  };
};
