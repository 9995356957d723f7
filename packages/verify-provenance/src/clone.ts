import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';

/** git could not answer, or an object is not what its id says. */
export class CloneError extends Error {
  readonly reason: 'clone.unreadable' | 'clone.shallow' | 'clone.branch_missing' | 'clone.object_altered';

  constructor(reason: CloneError['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

export interface Commit {
  readonly id: string;
  readonly tree: string;
  readonly parents: readonly string[];
  readonly message: string;
}

const MOST_BYTES = 1_000_000_000;

/**
 * A clone as an outsider has it: nobody in it is trusted. Objects are hashed again, and neither replacement refs, grafts nor
 * settings of the clone or of the machine change what is read.
 */
export class Clone {
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
    if (this.text('rev-parse', '--is-shallow-repository') !== 'false')
      throw new CloneError('clone.shallow', 'Fetch the rest with `git fetch --unshallow`.');
  }

  resolve(ref: string): string | null {
    const { status, stdout } = this.run(['rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`]);
    return status === 0 ? stdout.toString('utf8').trim() : null;
  }

  /** Every commit that is reachable from one and not from the other. */
  reachable(from: string, without: string | null): string[] {
    const text = this.text('rev-list', from, ...(without === null ? [] : [`^${without}`]), '--');
    return text === '' ? [] : text.split('\n');
  }

  /** Those that are there, of the wanted type, each hashed again: an object whose bytes were changed on the disk is refused. */
  objects(ids: readonly string[], type: 'commit' | 'tree' | 'blob'): Map<string, Buffer> {
    const found = new Map<string, Buffer>();
    if (ids.length === 0) return found;
    const { status, stdout } = this.run(['cat-file', '--batch'], `${ids.join('\n')}\n`);
    if (status !== 0) throw new CloneError('clone.unreadable', 'git cannot read its objects.');
    let at = 0;
    for (const id of ids) {
      const end = stdout.indexOf(10, at);
      const header = stdout.toString('utf8', at, end).split(' ');
      at = end + 1;
      const [, kind, size] = header;
      if (kind === 'missing' || size === undefined) continue;
      const body = stdout.subarray(at, at + Number(size));
      at += Number(size) + 1;
      if (kind !== type) continue;
      const hash = createHash(id.length === 64 ? 'sha256' : 'sha1');
      if (hash.update(`${kind} ${body.length}\0`).update(body).digest('hex') !== id)
        throw new CloneError('clone.object_altered', `${id} has other content than its id says.`);
      found.set(id, Buffer.from(body));
    }
    return found;
  }

  commits(ids: readonly string[]): Map<string, Commit> {
    return new Map([...this.objects(ids, 'commit')].map(([id, body]) => [id, commitOf(id, body.toString('utf8'))]));
  }

  /** The notes by commit. Two for one commit, in two spellings of its name, are told and not chosen from. */
  notes(ref: string): { notes: Map<string, string>; twice: Set<string> } {
    const twice = new Set<string>();
    const tip = this.resolve(ref);
    if (tip === null) return { notes: new Map(), twice };
    const entries = new Map<string, string>();
    for (const record of this.text('ls-tree', '-r', '-z', '--full-tree', tip).split('\0')) {
      const [, blob, path] = /^100644 blob ([0-9a-f]+)\t(.+)$/s.exec(record) ?? [];
      if (blob === undefined || path === undefined) continue;
      const commit = path.replaceAll('/', '');
      if (entries.has(commit)) twice.add(commit);
      entries.set(commit, blob);
    }
    const blobs = this.objects([...new Set(entries.values())], 'blob');
    return {
      notes: new Map([...entries].map(([commit, blob]) => [commit, blobs.get(blob)?.toString('utf8') ?? ''])),
      twice,
    };
  }

  /** SHA-256 of a regular file in each of these trees; null where there is none. */
  digestsOf(path: string, commits: readonly string[]): Map<string, string | null> {
    const { status, stdout } = this.run(
      ['cat-file', '--batch-check=%(objectname) %(objecttype)'],
      `${commits.map((commit) => `${commit}:${path}`).join('\n')}\n`,
    );
    if (status !== 0) throw new CloneError('clone.unreadable', 'git cannot read its objects.');
    const lines = stdout.toString('utf8').split('\n');
    const blobs = commits.map((_, at) => /^([0-9a-f]+) blob$/.exec(lines[at] ?? '')?.[1] ?? null);
    const contents = this.objects([...new Set(blobs.filter((blob) => blob !== null))], 'blob');
    return new Map(
      commits.map((commit, at) => {
        const body = contents.get(blobs[at] ?? '');
        return [commit, body === undefined ? null : createHash('sha256').update(body).digest('hex')];
      }),
    );
  }

  private text(...args: string[]): string {
    const { status, stdout, stderr } = this.run(args);
    if (status !== 0) {
      const said = stderr.toString('utf8').trim().split('\n')[0] ?? '';
      throw new CloneError('clone.unreadable', `git ${args[0]} says: ${said === '' ? `exit code ${status}` : said}`);
    }
    return stdout.toString('utf8').trim();
  }

  private run(args: readonly string[], input = '') {
    const kept = ['PATH', 'HOME', 'TMPDIR'].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value] as const];
    });
    const answer = spawnSync(
      'git',
      ['--no-replace-objects', '--literal-pathspecs', '-c', 'core.hooksPath=/dev/null', '-c', 'core.fsmonitor=false', '-C', this.folder, ...args],
      {
        input,
        maxBuffer: MOST_BYTES,
        env: {
          ...Object.fromEntries(kept), LC_ALL: 'C', GIT_NO_REPLACE_OBJECTS: '1', GIT_GRAFT_FILE: '/dev/null',
          GIT_CONFIG_NOSYSTEM: '1', GIT_OPTIONAL_LOCKS: '0', GIT_NO_LAZY_FETCH: '1', GIT_TERMINAL_PROMPT: '0', GIT_ADVICE: '0',
        },
      },
    ); // prettier-ignore
    if (answer.error !== undefined) throw new CloneError('clone.unreadable', answer.error.message);
    return answer;
  }
}

function commitOf(id: string, body: string): Commit {
  const end = body.indexOf('\n\n');
  const headers = (end === -1 ? body : body.slice(0, end)).split('\n');
  const all = (name: string): string[] =>
    headers.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));
  return { id, tree: all('tree')[0] ?? '', parents: all('parent'), message: end === -1 ? '' : body.slice(end + 2) };
}
