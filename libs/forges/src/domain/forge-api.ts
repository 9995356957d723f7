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

/**
 * The REST API of a forge under one account of the operator's. It goes to no address but the operator's, follows no redirect (the token would go
 * along), and waits and reads within limits.
 */
export class ForgeApi {
  constructor(
    private readonly account: ForgeAccount,
    private readonly now: () => Date,
  ) {}

  async call(method: 'GET' | 'POST', path: string, body?: object): Promise<Answer> {
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
            ? { authorization: `Bearer ${this.account.token}`, 'x-github-api-version': '2022-11-28' }
            : { 'private-token': this.account.token }),
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
    const pauseMs = pauseOf(response, this.now());
    if (!response.ok) {
      const said = `${this.account.name} answered ${response.status} to ${method} ${path}: ${messageOf(text)}`;
      throw new ForgeFailed(said, response.status >= 500 || response.status === 408 || pauseMs !== null, pauseMs);
    }
    return { json: parsed(text), next: this.nextOf(response) };
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

/** How long a forge that limits us asks to be left alone; null: it does not. */
function pauseOf({ status, headers }: Response, now: Date): number | null {
  const after = headers.get('retry-after');
  const spent = (headers.get('x-ratelimit-remaining') ?? headers.get('ratelimit-remaining')) === '0';
  if (status !== 429 && !(status === 403 && (after !== null || spent)) && !(status === 503 && after !== null))
    return null;
  const reset = Number(headers.get('x-ratelimit-reset') ?? headers.get('ratelimit-reset') ?? Number.NaN);
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
