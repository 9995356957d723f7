import type { ForgeAccount } from '#platform/config';
import { ForgeFailed } from '../forges.errors.ts';

const TIMEOUT_MS = 20_000;
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_PAGES = 10;
const MIN_PAUSE_MS = 1000;
/** A forge that asks for more is asked again after that. */
const MAX_PAUSE_MS = 3_600_000;
const UNSAID_PAUSE_MS = 60_000;

interface Answer {
  readonly json: unknown;
  readonly next: string | null;
}
type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';

/** What a call shows to be let in. */
export interface Credentials {
  token(): Promise<string>;
  /** It was not let in with it. True: there may be a better one now, so that it is worth another try. */
  refused(token: string): boolean;
}

/**
 * The REST API of a forge under one account of the operator's. It goes to no address but the operator's, follows no redirect (the token would go
 * along), and waits and reads within limits.
 */
export class ForgeApi {
  constructor(
    private readonly account: Pick<ForgeAccount, 'name' | 'kind' | 'api'>,
    private readonly credentials: Credentials,
    private readonly now: () => Date,
  ) {}

  async call(method: Method, path: string, body?: object): Promise<Answer> {
    const token = await this.credentials.token();
    const answer = await this.ask(method, path, token, body);
    if (answer !== 'not let in') return answer;
    if (this.credentials.refused(token)) {
      const again = await this.ask(method, path, await this.credentials.token(), body);
      if (again !== 'not let in') return again;
    }
    throw new ForgeFailed(
      `${this.account.name} answered 401 to ${method} ${path}: it does not take the account's token. The operator looks at it in MUSTER_FORGES.`,
      false,
    );
  }

  private async ask(method: Method, path: string, token: string, body?: object): Promise<Answer | 'not let in'> {
    const target = this.account.api + path;
    let response: Response;
    let text: string;
    try {
      response = await fetch(target, {
        method,
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
        headers: {
          accept: this.account.kind === 'github' ? 'application/vnd.github+json' : 'application/json',
          'user-agent': 'muster',
          ...(this.account.kind === 'github'
            ? { authorization: `Bearer ${token}`, 'x-github-api-version': '2022-11-28' }
            : { 'private-token': token }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      text = await limited(response);
    } catch (error) {
      if (error instanceof ForgeFailed) throw error;
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      throw new ForgeFailed(`${this.account.name} does not answer: ${String(cause).slice(0, 200)}`, true);
    }
    const pauseMs = pauseOf(response, this.now(), text);
    if (response.status === 401) return 'not let in';
    if (!response.ok) {
      const said = `${this.account.name} answered ${response.status} to ${method} ${path}: ${messageOf(text)}`;
      const passing = response.status >= 500 || response.status === 408 || pauseMs !== null;
      throw new ForgeFailed(said, passing, pauseMs, response.status);
    }
    return { json: parsed(text), next: this.nextOf(response) };
  }

  /** The same, where it is told that there is none: null. */
  async find(path: string): Promise<unknown> {
    try {
      return (await this.call('GET', path)).json;
    } catch (error) {
      if (error instanceof ForgeFailed && error.status === 404) return null;
      throw error;
    }
  }

  /** False: it is told that there is none. */
  async change(method: 'PATCH' | 'PUT', path: string, body: object): Promise<boolean> {
    try {
      await this.call(method, path, body);
      return true;
    } catch (error) {
      if (error instanceof ForgeFailed && error.status === 404) return false;
      throw error;
    }
  }

  /** The pages of a list, until the last one or as many as anybody should read. */
  async *pages(path: string): AsyncGenerator<unknown> {
    let next: string | null = path;
    for (let page = 0; next !== null && page < MAX_PAGES; page++) {
      const answer: Answer = await this.call('GET', next);
      yield answer.json;
      next = answer.next;
    }
  }

  /** Only below the address that the operator named: the token is for nobody else. */
  private nextOf(response: Response): string | null {
    const link = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
    return link?.startsWith(`${this.account.api}/`) === true ? link.slice(this.account.api.length) : null;
  }
}

/** How long a forge that limits us asks to be left alone; null: it does not. GitHub's secondary limits may show in its words alone. */
function pauseOf({ status, headers }: Response, now: Date, text: string): number | null {
  const after = headers.get('retry-after');
  const spent = (headers.get('x-ratelimit-remaining') ?? headers.get('ratelimit-remaining')) === '0';
  const secondary = status === 403 && /secondary rate limit|abuse detection/i.test(text.slice(0, 2000));
  if (
    status !== 429 &&
    !(status === 403 && (after !== null || spent || secondary)) &&
    !(status === 503 && after !== null)
  )
    return null;
  // Only where the hourly limit is used up does its end say anything: a secondary limit passes sooner, or later.
  const reset =
    !spent && secondary
      ? Number.NaN
      : Number(headers.get('x-ratelimit-reset') ?? headers.get('ratelimit-reset') ?? Number.NaN);
  const asked =
    after === null
      ? reset * 1000 - now.getTime()
      : /^\d+$/.test(after)
        ? Number(after) * 1000
        : Date.parse(after) - now.getTime();
  return Number.isFinite(asked) ? Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, asked)) : UNSAID_PAUSE_MS;
}

async function limited(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new ForgeFailed(`It answered with more than ${MAX_BYTES} bytes.`, true);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parsed(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    throw new ForgeFailed('It answered with something that is not JSON.', true);
  }
}

/** The forge's own words, as far as they are short. */
function messageOf(text: string): string {
  try {
    const { message, errors } = JSON.parse(text) as { message?: unknown; errors?: unknown };
    return [message, errors]
      .flatMap((part) => (part === undefined ? [] : [typeof part === 'string' ? part : JSON.stringify(part)]))
      .join(' ')
      .slice(0, 300);
  } catch {
    return 'no words';
  }
}
