import { execFileSync } from 'node:child_process';
import { createVerify } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SaidStatus {
  readonly context: string;
  readonly state: string;
  readonly description: string;
  readonly target_url: string;
  readonly commit: string;
}
export interface CheckRunHere {
  readonly id: number;
  readonly commit: string;
  readonly name: string;
  readonly external_id: string;
  status: string;
  conclusion: string | null;
  output: { title: string; summary: string };
  readonly annotations: Array<{
    readonly path: string;
    readonly start_line: number;
    readonly annotation_level: string;
  }>;
}
export interface RequestHere {
  readonly repository: string;
  readonly number: number;
  readonly author: string;
  readonly branch: string;
  /** The repository that the branch is in. */
  readonly from: string;
  readonly base: string;
  title: string;
  body: string;
  head: string;
  draft: boolean;
  state: 'open' | 'closed' | 'merged';
  readonly comments: Array<{ readonly id: number; body: string }>;
}
/** Instead of an answer. `done`: what was asked for was done before. */
export interface Mood {
  readonly done?: boolean;
  /** Only for calls like `POST /repos/`. */
  readonly to?: RegExp;
  answer(response: ServerResponse): void;
}
type Json = Record<string, unknown>;
interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Done, and the answer is lost. */
export const hangUp: Mood = { done: true, answer: (response) => void response.destroy() };
export const refuse = (status: number, message: string, headers: Record<string, string> = {}): Mood => ({
  answer: (response) => void response.writeHead(status, headers).end(JSON.stringify({ message })),
});

/**
 * A forge on this machine, over real HTTP: it plays what GitHub and GitLab document of the calls that we make, and remembers all that it
 * was told. Requests of repositories whose git folder it knows are merged when their commits have reached their base, as there.
 */
export class ForgeHere {
  readonly said: SaidStatus[] = [];
  readonly checks: CheckRunHere[] = [];
  readonly requests: RequestHere[] = [];
  readonly asked: string[] = [];
  readonly tokens = new Set<string | undefined>();
  /** Taken one after another, by the calls that each is for. */
  readonly moods: Mood[] = [];
  /** Who may push there, by name. */
  readonly writers = new Set<string>();
  readonly folders = new Map<string, string>();
  /** Of the GitHub App `12`, installed as `34`. */
  app: { readonly publicKey: string; now(): Date } | null = null;
  readonly installationTokens: Array<{ readonly token: string; readonly until: number }> = [];
  /** What a status answers besides what was said: recorded from the real one. */
  recorded: { readonly response: object; readonly headers: Record<string, string> } = { response: {}, headers: {} };
  #ids = 1000;
  readonly #server: Server = createServer((request, response) => void this.#serve(request, response));

  async listen(): Promise<string> {
    await new Promise<void>((done) => this.#server.listen(0, '127.0.0.1', done));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }
  forget(): void {
    for (const list of [this.said, this.checks, this.requests, this.asked, this.moods, this.installationTokens])
      list.length = 0;
    this.tokens.clear();
    this.writers.clear();
    this.folders.clear();
  }

  open(request: Partial<RequestHere> & Pick<RequestHere, 'repository' | 'head'>): RequestHere {
    const { repository } = request;
    const number = request.number ?? this.requests.filter((one) => one.repository === repository).length + 1;
    const made: RequestHere = {
      number,
      author: 'ada',
      branch: 'topic',
      from: repository,
      base: 'main',
      title: 'A change',
      body: '',
      draft: false,
      state: 'open',
      comments: [],
      ...request,
    };
    this.requests.push(made);
    return made;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const [method, url] = [request.method ?? 'GET', request.url ?? ''];
    const call = `${method} ${url}`;
    this.asked.push(call);
    const token = request.headers.authorization ?? (request.headers['private-token'] as string | undefined);
    this.tokens.add(token);
    const at = this.moods.findIndex(({ to }) => to === undefined || to.test(call));
    const [mood] = at < 0 ? [] : this.moods.splice(at, 1);
    if (mood !== undefined && mood.done !== true) return mood.answer(response);
    const answer = this.#answer(method, url, text === '' ? {} : (JSON.parse(text) as Json), token ?? '');
    if (mood !== undefined) return mood.answer(response);
    const { 'content-length': _, connection: __, ...headers } = this.recorded.headers;
    response.writeHead(answer.status, {
      'content-type': 'application/json',
      ...headers,
      'x-ratelimit-remaining': '4999',
    });
    response.end(JSON.stringify(answer.body));
  }

  #answer(method: string, url: string, body: Json, token: string): Answer {
    const { pathname, searchParams: query } = new URL(url, 'http://here');
    if (pathname.startsWith('/app/')) return this.#installationToken(pathname, token);
    if (/\/installation$/.test(pathname)) return { status: 200, body: { id: 34, app_id: 12 } };
    if (this.app !== null && pathname.startsWith('/repos/') && !this.#isCurrent(token))
      return { status: 401, body: { message: 'Bad credentials' } };
    const hub = /^\/repos\/([^/]+\/[^/]+)(\/.*)$/.exec(pathname);
    if (hub !== null) return this.#hub(method, hub[1] ?? '', hub[2] ?? '', query, body);
    const lab = /^\/projects\/([^/]+)(\/.*)$/.exec(pathname);
    if (lab !== null) return this.#lab(method, decodeURIComponent(lab[1] ?? ''), lab[2] ?? '', query, body);
    return { status: 404, body: { message: 'Not Found' } };
  }

  #isCurrent(token: string): boolean {
    const now = this.app?.now().getTime() ?? 0;
    return this.installationTokens.some((one) => `Bearer ${one.token}` === token && one.until > now);
  }

  /** As GitHub: a JWT of the app, RS256, at most ten minutes long, and not from the future. */
  #installationToken(pathname: string, token: string): Answer {
    const [header = '', payload = '', signature = ''] = token.replace('Bearer ', '').split('.');
    const said = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { iat: number; exp: number; iss: string };
    const now = (this.app?.now().getTime() ?? 0) / 1000;
    const isSigned = createVerify('RSA-SHA256')
      .update(`${header}.${payload}`)
      .verify(this.app?.publicKey ?? '', signature, 'base64url');
    const fits = said.iss === '12' && said.iat <= now && said.exp > now && said.exp - said.iat <= 600;
    if (!isSigned || !fits || pathname !== '/app/installations/34/access_tokens')
      return { status: 401, body: { message: 'A JSON web token could not be decoded' } };
    const made = { token: `ghs_${(this.#ids += 1)}`, until: Math.floor(now + 3600) * 1000 };
    this.installationTokens.push(made);
    const until = new Date(made.until).toISOString().replace('.000Z', 'Z');
    return { status: 201, body: { token: made.token, expires_at: until, permissions: { checks: 'write' } } };
  }

  #hub(method: string, repository: string, path: string, query: URLSearchParams, body: Json): Answer {
    const found = (body: unknown): Answer => ({ status: 200, body });
    const commit = /[0-9a-f]{40}/.exec(path)?.[0] ?? '';
    if (method === 'POST' && path.startsWith('/statuses/'))
      return this.#setStatus(commit, String(body['context']), body);
    if (path.endsWith('/statuses'))
      return found(
        this.said.filter((one) => one.commit === commit).map((one) => ({ ...this.recorded.response, ...one })),
      );
    if (path.includes('/check-runs')) return this.#checkRuns(method, path, commit, query, body);
    const permission = /^\/collaborators\/([^/]+)\/permission$/.exec(path);
    if (permission !== null) {
      const isWriter = this.writers.has(decodeURIComponent(permission[1] ?? ''));
      return found({ permission: isWriter ? 'write' : 'read', role_name: isWriter ? 'maintain' : 'read' });
    }
    const comments = /^\/issues\/(?:comments\/)?(\d+)(\/comments)?$/.exec(path);
    if (comments !== null)
      return this.#comment(method, repository, Number(comments[1]), comments[2] !== undefined, body);
    const pull = /^\/pulls(?:\/(\d+))?$/.exec(path);
    if (pull === null) return { status: 404, body: { message: 'Not Found' } };
    const said = (one: RequestHere): Json => this.#asPull(one);
    if (pull[1] === undefined && method === 'POST') {
      const [owner] = repository.split('/');
      const exists = `A pull request already exists for ${owner}:${String(body['head'])}.`;
      return this.#make(repository, String(body['head']), String(body['base']), body, said, { status: 422, body: { message: 'Validation Failed', errors: [{ message: exists }] } }); // prettier-ignore
    }
    if (pull[1] === undefined) {
      const head = query.get('head')?.split(':')[1] ?? null;
      return found(this.#list(repository, query.get('state') ?? 'open', head).map(said));
    }
    const one = this.#find(repository, Number(pull[1]));
    if (one === undefined) return { status: 404, body: { message: 'Not Found' } };
    if (method === 'PATCH') {
      if (typeof body['title'] === 'string') one.title = body['title'];
      if (typeof body['body'] === 'string') one.body = body['body'];
      if (body['state'] === 'closed' && one.state === 'open') one.state = 'closed';
      if (body['state'] === 'open' && one.state === 'closed') one.state = 'open';
    }
    return found(said(one));
  }

  #lab(method: string, repository: string, path: string, query: URLSearchParams, body: Json): Answer {
    const found = (body: unknown): Answer => ({ status: 200, body });
    const commit = /[0-9a-f]{40}/.exec(path)?.[0] ?? '';
    if (method === 'POST' && path.startsWith('/statuses/')) return this.#setStatus(commit, String(body['name']), body);
    if (path.endsWith('/statuses'))
      return found(
        this.said
          .filter((one) => one.commit === commit)
          .map((one) => ({ ...one, name: one.context, status: one.state })),
      );
    const member = /^\/members\/all\/(\d+)$/.exec(path);
    if (member !== null) {
      const name = [...this.writers].find((one) => idOf(one) === Number(member[1]));
      if (name === undefined) return { status: 404, body: { message: '404 Not found' } };
      return found({ id: Number(member[1]), username: name, state: 'active', access_level: 30 });
    }
    const notes = /^\/merge_requests\/(\d+)\/notes(?:\/(\d+))?$/.exec(path);
    if (notes !== null)
      return this.#comment(method, repository, Number(notes[2] ?? notes[1]), notes[2] === undefined, body);
    const merge = /^\/merge_requests(?:\/(\d+))?$/.exec(path);
    if (merge === null) return { status: 404, body: { message: '404 Not found' } };
    const said = (one: RequestHere): Json => this.#asMergeRequest(one);
    if (merge[1] === undefined && method === 'POST') {
      const exists = 'Another open merge request already exists for this source branch: !1';
      const more = { ...body, body: body['description'] };
      return this.#make(repository, String(body['source_branch']), String(body['target_branch']), more, said, { status: 409, body: { message: [exists] } }); // prettier-ignore
    }
    if (merge[1] === undefined) {
      const state = query.get('state') === 'opened' ? 'open' : 'all';
      return found(this.#list(repository, state, query.get('source_branch')).map(said));
    }
    const one = this.#find(repository, Number(merge[1]));
    if (one === undefined) return { status: 404, body: { message: '404 Not found' } };
    if (method === 'PUT') {
      if (typeof body['title'] === 'string') one.title = body['title'];
      if (typeof body['description'] === 'string') one.body = body['description'];
      if (body['state_event'] === 'close' && one.state === 'open') one.state = 'closed';
      if (body['state_event'] === 'reopen' && one.state === 'closed') one.state = 'open';
    }
    return found(said(one));
  }

  #setStatus(commit: string, context: string, body: Json): Answer {
    this.said.unshift({ ...(body as unknown as SaidStatus), context, commit });
    return { status: 201, body: { ...this.recorded.response, ...body } };
  }

  #checkRuns(method: string, path: string, commit: string, query: URLSearchParams, body: Json): Answer {
    const said = (run: CheckRunHere): Json => {
      const { annotations, commit: head_sha, output, ...rest } = run;
      return { ...rest, head_sha, output: { ...output, text: null, annotations_count: annotations.length } };
    };
    if (method === 'GET') {
      const runs = this.checks.filter((one) => one.commit === commit && one.name === query.get('check_name'));
      return { status: 200, body: { total_count: runs.length, check_runs: runs.map(said) } };
    }
    const { annotations = [], ...output } = (body['output'] ?? {}) as { annotations?: CheckRunHere['annotations'] };
    if (annotations.length > 50)
      return { status: 422, body: { message: 'Invalid request. No more than 50 annotations.' } };
    const known = this.checks.find(({ id }) => path.endsWith(`/check-runs/${id}`));
    const run: CheckRunHere = known ?? {
      id: (this.#ids += 1),
      commit: String(body['head_sha']),
      name: String(body['name']),
      external_id: String(body['external_id']),
      status: 'queued',
      conclusion: null,
      output: { title: '', summary: '' },
      annotations: [],
    };
    if (known === undefined) this.checks.push(run);
    run.status = String(body['status']);
    if (typeof body['conclusion'] === 'string') run.conclusion = body['conclusion'];
    run.output = output as CheckRunHere['output'];
    run.annotations.push(...annotations);
    return { status: known === undefined ? 201 : 200, body: said(run) };
  }

  #comment(method: string, repository: string, id: number, ofRequest: boolean, body: Json): Answer {
    if (!ofRequest) {
      const comment = this.requests.flatMap(({ comments }) => comments).find((one) => one.id === id);
      if (comment === undefined) return { status: 404, body: { message: 'Not Found' } };
      comment.body = String(body['body']);
      return { status: 200, body: comment };
    }
    const request = this.#find(repository, id);
    if (request === undefined) return { status: 404, body: { message: 'Not Found' } };
    if (method === 'GET') return { status: 200, body: request.comments };
    const made = { id: (this.#ids += 1), body: String(body['body']) };
    request.comments.push(made);
    return { status: 201, body: made };
  }

  #make(
    repository: string,
    branch: string,
    base: string,
    body: Json,
    said: (one: RequestHere) => Json,
    exists: Answer,
  ): Answer {
    if (this.#list(repository, 'open', branch).length > 0) return exists;
    const head = this.#git(repository, 'rev-parse', '--verify', '--quiet', `refs/heads/${branch}`);
    if (head === null) return { status: 422, body: { message: 'Validation Failed', errors: [{ field: 'head', code: 'invalid' }] } }; // prettier-ignore
    const made = this.open({ repository, head, branch, base, author: 'muster', title: String(body['title']), body: String(body['body']) }); // prettier-ignore
    return { status: 201, body: said(made) };
  }

  #list(repository: string, state: string, branch: string | null): RequestHere[] {
    return this.requests
      .filter((one) => one.repository === repository && (branch === null || one.branch === branch))
      .map((one) => this.#look(one))
      .filter((one) => state === 'all' || one.state === 'open')
      .toReversed();
  }

  #find(repository: string, number: number): RequestHere | undefined {
    const one = this.requests.find((each) => each.repository === repository && each.number === number);
    return one === undefined ? undefined : this.#look(one);
  }

  /** As they are now: a branch of the repository itself moves its request, and one that its base has come to hold is merged. */
  #look(one: RequestHere): RequestHere {
    if (one.state !== 'open' || !this.folders.has(one.repository)) return one;
    if (one.from === one.repository)
      one.head = this.#git(one.repository, 'rev-parse', '--verify', '--quiet', `refs/heads/${one.branch}`) ?? one.head;
    if (this.#git(one.repository, 'merge-base', '--is-ancestor', one.head, `refs/heads/${one.base}`) !== null)
      one.state = 'merged';
    return one;
  }

  #git(repository: string, ...args: string[]): string | null {
    const folder = this.folders.get(repository);
    if (folder === undefined) return null;
    try {
      return execFileSync('git', ['-c', 'safe.directory=*', ...args], {
        cwd: folder,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim();
    } catch {
      return null;
    }
  }

  #asPull(one: RequestHere): Json {
    return {
      number: one.number,
      state: one.state === 'open' ? 'open' : 'closed',
      locked: false,
      draft: one.draft,
      merged: one.state === 'merged',
      merged_at: one.state === 'merged' ? '2026-05-01T12:00:00Z' : null,
      title: one.title,
      body: one.body,
      html_url: `https://hub.example/${one.repository}/pull/${one.number}`,
      user: { login: one.author, id: idOf(one.author), type: 'User' },
      author_association: this.writers.has(one.author) ? 'MEMBER' : 'NONE',
      head: { ref: one.branch, sha: one.head, repo: { full_name: one.from } },
      base: { ref: one.base, sha: '0'.repeat(40), repo: { full_name: one.repository } },
    };
  }

  #asMergeRequest(one: RequestHere): Json {
    return {
      id: 1000 + one.number,
      iid: one.number,
      state: one.state === 'open' ? 'opened' : one.state,
      draft: one.draft,
      work_in_progress: one.draft,
      title: one.title,
      description: one.body,
      web_url: `https://lab.example/${one.repository}/-/merge_requests/${one.number}`,
      author: { id: idOf(one.author), username: one.author, state: 'active' },
      source_branch: one.branch,
      target_branch: one.base,
      source_project_id: idOf(one.from),
      target_project_id: idOf(one.repository),
      sha: one.head,
      merged_at: one.state === 'merged' ? '2026-05-01T12:00:00Z' : null,
    };
  }
}

/** A number for a name, always the same. */
const idOf = (name: string): number => [...name].reduce((sum, character) => (sum * 31 + character.charCodeAt(0)) % 1_000_003, 7); // prettier-ignore
