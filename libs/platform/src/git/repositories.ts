import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { idOf, repositoryPath, type ConflictHunk } from '@muster/contracts';
import { Injectable } from '@nestjs/common';
import { pack } from 'tar-stream';
import { Config } from '#platform/config';
import {
  limited,
  MARKER_SIZE,
  parseMarkers,
  parseMergeTree,
  type ConflictedPath,
  type MergeMessage,
} from './conflicts.ts';
import { FileTooLarge, NotAnObject, PatchDoesNotApply, PathRefused } from './git.errors.ts';
import { Git, GitFailed } from './git.ts';

/** The old value of a ref that must not exist yet, and the new value of one that is to go. */
export const NOTHING = '0'.repeat(40);
/** Many packed refs are read faster by git than by us. */
const MAX_REF_FILE_BYTES = 256 * 1024;
/** What a three-way comparison shows line by line; larger files are named only. */
const MAX_COMPARED_BYTES = 1024 * 1024;
const TREES_KEPT = 10_000;
/** git holds a ref's lock for milliseconds. */
const LOCK_IS_DEAD_MS = 60_000;

export interface Person {
  readonly name: string;
  readonly email: string;
}
export interface NewCommit {
  readonly tree: string;
  readonly parents: readonly string[];
  readonly message: string;
  readonly author: Person;
  readonly committer: Person;
  readonly date: Date;
}
export type RefMove =
  | { readonly ref: string; readonly next: string; readonly old: string }
  | { readonly ref: string; readonly same: string };
export interface ChangedFile {
  readonly path: string;
  /** A added, M modified, D deleted, T type changed. Renames show as D and A. */
  readonly status: string;
}
export interface FileChange {
  readonly path: string;
  /** Null deletes. */
  readonly content: string | null;
  readonly encoding?: 'utf8' | 'base64';
  readonly executable?: boolean;
}
export interface LoggedCommit {
  readonly commit: string;
  readonly tree: string;
  readonly parents: readonly string[];
  readonly author: Person;
  readonly committedAt: Date;
  readonly subject: string;
  /** Trailer values by key, in their order; a key may occur more than once. */
  readonly trailers: Readonly<Record<string, readonly string[]>>;
}
export type MergeResult =
  { readonly clean: true; readonly tree: string } | { readonly clean: false; readonly conflicts: ConflictHunk[] };

const projectIdSchema = idOf('project');
const object = (id: string): string => {
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(id)) throw new NotAnObject();
  return id;
};
/** A full ref name that no command can take for an option, a range or an expression. */
const refName = (ref: string): string => {
  if (!/^refs\/(?!.*(\.\.|\/\/|@\{|\/\.|\.lock(\/|$)))[\w./+@=-]+(?<![/.])$/.test(ref))
    throw new Error(`not a full ref name: ${ref}`);
  return ref;
};
const person = (who: Person, role: 'AUTHOR' | 'COMMITTER', date: Date): Record<string, string> => {
  const plain = (text: string, otherwise: string) =>
    text
      .replace(/[\p{Cc}<>]/gu, ' ')
      .trim()
      .slice(0, 200) || otherwise;
  return {
    [`GIT_${role}_NAME`]: plain(who.name, 'unknown'),
    [`GIT_${role}_EMAIL`]: plain(who.email, 'unknown@localhost'),
    [`GIT_${role}_DATE`]: `@${Math.floor(date.getTime() / 1000)} +0000`,
  };
};
const muster: Person = { name: 'Muster', email: 'muster@localhost' };

/**
 * Settings of a project's repository. Objects and refs are on disk before git says so; what comes in is checked; only what
 * agents may see is advertised; `refs/for/*` is handed to the proc-receive hook instead of becoming a ref.
 */
const repositorySettings: ReadonlyArray<readonly [string, string]> = [
  ['core.fsync', 'committed,reference'],
  ['core.logAllRefUpdates', 'false'],
  ['transfer.fsckObjects', 'true'],
  ['receive.fsckObjects', 'true'],
  ['receive.advertisePushOptions', 'true'],
  ['receive.advertiseAtomic', 'true'],
  ['receive.autogc', 'false'],
  ['receive.procReceiveRefs', 'refs/for'],
  ['http.receivepack', 'true'],
  ['http.getanyfile', 'false'],
  ['uploadpack.allowFilter', 'true'],
  ['transfer.hideRefs', 'refs'],
  ['transfer.hideRefs', '!refs/heads'],
  ['transfer.hideRefs', '!refs/tags'],
  ['transfer.hideRefs', '!refs/for'],
  ['transfer.hideRefs', '!refs/notes/muster'],
  ['transfer.hideRefs', '!refs/muster/submissions'],
];

/** The bare repositories of the projects. Everything here works on objects: nothing is ever checked out. */
@Injectable()
export class Repositories {
  private readonly trees = new Map<string, string>();

  constructor(
    private readonly git: Git,
    private readonly config: Config,
  ) {}

  get folder(): string {
    return join(this.config.dataDir, 'repositories');
  }

  path(projectId: string): string {
    return join(this.folder, `${projectIdSchema.parse(projectId)}.git`);
  }

  /** A folder for one piece of work. In the data folder, so that what a killed server leaves is found by the next one. */
  private async scratch(what: string): Promise<string> {
    const place = join(this.config.dataDir, 'scratch');
    await mkdir(place, { recursive: true });
    return mkdtemp(join(place, `${what}-`));
  }

  /**
   * What a killed server left half-done: its folders, and the locks of its git processes, which would keep a ref from ever moving
   * again. Only before any work begins: the data folder is this process's alone.
   */
  async clearLeftovers(): Promise<void> {
    await rm(join(this.config.dataDir, 'scratch'), { recursive: true, force: true });
    for (const repository of await readdir(this.folder).catch(() => [])) {
      const entries = await readdir(join(this.folder, repository), { recursive: true, withFileTypes: true }).catch(
        () => [],
      );
      for (const entry of entries) {
        const place = join(entry.parentPath, entry.name);
        const isLock = entry.isFile() && entry.name.endsWith('.lock') && !place.includes('/objects/');
        // The killed server's git may still be at it for a moment.
        if (
          isLock &&
          Date.now() -
            (await stat(place).then(
              ({ mtimeMs }) => mtimeMs,
              () => Date.now(),
            )) >
            LOCK_IS_DEAD_MS
        )
          await rm(place, { force: true });
      }
    }
  }

  /** The projects that have a repository here. */
  async all(): Promise<string[]> {
    const names = await readdir(this.folder).catch(() => []);
    return names.map((name) => name.replace(/\.git$/, '')).filter((id) => projectIdSchema.safeParse(id).success);
  }

  async exists(projectId: string): Promise<boolean> {
    return stat(this.path(projectId)).then(
      (found) => found.isDirectory(),
      () => false,
    );
  }

  /** An empty repository whose HEAD points at `branch`; again on an existing one it only sets the settings right. */
  async create(projectId: string, branch: string): Promise<void> {
    const path = this.path(projectId);
    await mkdir(path, { recursive: true });
    refName(`refs/heads/${branch}`);
    await this.git.run(path, ['init', '--quiet', '--bare', '--template=', '--object-format=sha1', '.']);
    await this.git.run(path, ['symbolic-ref', 'HEAD', `refs/heads/${branch}`]);
    const lines = repositorySettings.map(([key, value]) => {
      const [section = '', name = ''] = key.split('.');
      return `[${section}]\n\t${name} = ${value}`;
    });
    await writeFile(join(path, 'muster.config'), `${lines.join('\n')}\n`);
    await this.git.run(path, ['config', 'include.path', 'muster.config']);
  }

  async remove(projectId: string): Promise<void> {
    await rm(this.path(projectId), { recursive: true, force: true });
  }

  /** The commit that a full ref name or an object id stands for; null when there is none. */
  async resolve(projectId: string, ref: string): Promise<string | null> {
    const name = /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(ref) ? ref : refName(ref);
    // A commit whose tree was asked for is there.
    if (this.trees.has(`${projectId} ${name}`)) return name;
    const branch = name.startsWith('refs/heads/') ? await this.branchFile(projectId, name) : undefined;
    if (branch !== undefined) return branch;
    const result = await this.git.run(
      this.path(projectId),
      ['rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`],
      { ok: [0, 1, 128] },
    );
    const found = result.stdout.toString('utf8').trim();
    return result.code === 0 && found !== '' ? found : null;
  }

  /**
   * A branch as it stands in git's files, which are replaced as a whole: a file of its own when it moved since refs were last
   * packed, and a line of `packed-refs` when not. Null when it is in neither, undefined when git has to be asked. Saves a process
   * for each task that is created and each that is handed out.
   */
  private async branchFile(projectId: string, name: string): Promise<string | null | undefined> {
    const dir = this.path(projectId);
    const loose = await contentOf(join(dir, name));
    if (loose === undefined) return undefined;
    if (loose !== null) return /^([0-9a-f]{40}|[0-9a-f]{64})\n$/.test(loose) ? loose.trim() : undefined;
    // Packing writes the line before it removes the file, so a branch that is in neither was in neither at one moment.
    const packed = await contentOf(join(dir, 'packed-refs'));
    if (packed === undefined || packed === null) {
      const otherFormat = await stat(join(dir, 'reftable')).catch(() => null);
      return packed === null && otherFormat === null ? null : undefined;
    }
    const end = packed.indexOf(` ${name}\n`);
    if (end === -1) return null;
    const object = packed.slice(packed.lastIndexOf('\n', end - 1) + 1, end);
    return /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(object) ? object : undefined;
  }

  async refs(projectId: string, prefix: string): Promise<Array<{ ref: string; object: string }>> {
    const text = await this.git.text(this.path(projectId), [
      'for-each-ref',
      '--format=%(objectname) %(refname)',
      '--',
      prefix === 'refs' ? prefix : refName(prefix),
    ]);
    return text === ''
      ? []
      : text
          .split('\n')
          .map((line) => ({ object: line.slice(0, line.indexOf(' ')), ref: line.slice(line.indexOf(' ') + 1) }));
  }

  /** A commit's tree never changes, and the queue asks for the same ones over and over. */
  async treeOf(projectId: string, commit: string): Promise<string> {
    const key = `${projectId} ${object(commit)}`;
    const known = this.trees.get(key);
    if (known !== undefined) return known;
    const tree = await this.git.text(this.path(projectId), [
      'rev-parse',
      '--verify',
      '--end-of-options',
      `${commit}^{tree}`,
    ]);
    this.remember(key, tree);
    return tree;
  }

  private remember(key: string, tree: string): void {
    const [oldest] = this.trees.keys();
    if (this.trees.size >= TREES_KEPT && oldest !== undefined) this.trees.delete(oldest);
    this.trees.set(key, tree);
  }

  /** A regular file's bytes; null for what is not there, a folder or a symbolic link. */
  async readFile(projectId: string, commitOrTree: string, path: string, maxBytes: number): Promise<Buffer | null> {
    if (!repositoryPath.safeParse(path).success) return null;
    const dir = this.path(projectId);
    const listed = await this.git.text(dir, ['ls-tree', '-z', '-l', '--full-tree', object(commitOrTree), '--', path]);
    const entry = /^(100644|100755) blob ([0-9a-f]+) +(\d+)\t/.exec(listed);
    if (!entry) return null;
    const [, , blob = '', size = '0'] = entry;
    if (Number(size) > maxBytes) throw new FileTooLarge(path, Number(size), maxBytes);
    return (await this.git.run(dir, ['cat-file', 'blob', blob])).stdout;
  }

  async diffFiles(projectId: string, a: string, b: string): Promise<ChangedFile[]> {
    const { stdout } = await this.git.run(this.path(projectId), [
      'diff-tree', '-r', '-z', '--no-renames', '--no-ext-diff', '--name-status', `${object(a)}^{tree}`, `${object(b)}^{tree}`, '--',
    ]); // prettier-ignore
    const fields = stdout.toString('utf8').split('\0');
    const files: ChangedFile[] = [];
    for (let at = 0; at + 1 < fields.length; at += 2)
      files.push({ status: fields[at] ?? '', path: fields[at + 1] ?? '' });
    return files;
  }

  /** Paths that b brings and that cannot be verified as files: submodules, and names that no checkout could hold safely. */
  async unfitPaths(projectId: string, a: string, b: string): Promise<string[]> {
    const { stdout } = await this.git.run(this.path(projectId), [
      'diff-tree', '-r', '-z', '--raw', '--no-renames', '--no-ext-diff', `${object(a)}^{tree}`, `${object(b)}^{tree}`, '--',
    ]); // prettier-ignore
    const fields = stdout.toString('utf8').split('\0');
    const unfit: string[] = [];
    for (let at = 0; at + 1 < fields.length; at += 2) {
      const [, mode = '', , , status = ''] = (fields[at] ?? '').split(' ');
      const path = fields[at + 1] ?? '';
      const strange = path.includes('\ufffd') || !repositoryPath.safeParse(path).success;
      if (status !== 'D' && (mode === '160000' || strange)) unfit.push(path);
    }
    return unfit;
  }

  async isAncestor(projectId: string, a: string, b: string): Promise<boolean> {
    if (a === b) return true;
    const { code } = await this.git.run(this.path(projectId), ['merge-base', '--is-ancestor', object(a), object(b)], {
      ok: [0, 1, 128],
    });
    return code === 0;
  }

  /**
   * The tree as a tar stream, exactly its bytes: blobs are read one by one. `git archive` is not used because attributes
   * inside the tree could drop or rewrite files, and what is verified must be what lands.
   */
  tar(projectId: string, tree: string): Readable {
    const archive = pack();
    void this.fill(archive, this.path(projectId), object(tree)).then(
      () => archive.finalize(),
      (error: unknown) => archive.destroy(error instanceof Error ? error : new Error(String(error))),
    );
    return Readable.from(archive, { objectMode: false });
  }

  private async fill(archive: ReturnType<typeof pack>, dir: string, tree: string): Promise<void> {
    const { stdout } = await this.git.run(dir, ['ls-tree', '-r', '-z', '--full-tree', `${tree}^{tree}`]);
    const entries = stdout
      .toString('utf8')
      .split('\0')
      .filter((line) => line !== '')
      .map((line) => {
        const [meta = '', ...name] = line.split('\t');
        const [mode = '', type = '', oid = ''] = meta.split(' ');
        return { mode, type, oid, name: name.join('\t') };
      });
    const mtime = new Date(0);
    const add = (headers: Parameters<typeof archive.entry>[0], body: Buffer) =>
      new Promise<void>((resolve, reject) =>
        archive.entry(headers, body, (error) => (error ? reject(error) : resolve())),
      );
    const child = spawn('git', [...this.git.prefix(), 'cat-file', '--batch'], {
      cwd: dir,
      env: this.git.environment(dir),
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const failed = new Promise<never>((_, reject) => child.on('error', reject));
    failed.catch(() => undefined);
    child.stdin.on('error', () => undefined);
    archive.once('close', () => child.kill('SIGKILL'));
    try {
      const blobs = new Blobs(child.stdout);
      for (const { mode, type, oid, name } of entries) {
        // A submodule is a folder whose content lives elsewhere.
        if (type !== 'blob') {
          await add({ name: `${name}/`, type: 'directory', mode: 0o755, mtime }, Buffer.alloc(0));
          continue;
        }
        child.stdin.write(`${oid}\n`);
        const body = await Promise.race([blobs.next(), failed]);
        if (mode === '120000')
          await add(
            { name, type: 'symlink', linkname: body.toString('utf8'), mode: 0o777, mtime, size: 0 },
            Buffer.alloc(0),
          );
        else await add({ name, type: 'file', mode: mode === '100755' ? 0o755 : 0o644, size: body.length, mtime }, body);
      }
    } finally {
      child.stdin.end();
      child.kill();
    }
  }

  /** Merges two commits without a checkout. Conflicts come with what each side wrote. */
  async mergeTree(projectId: string, ours: string, theirs: string): Promise<MergeResult> {
    const dir = this.path(projectId);
    const result = await this.git.run(
      dir,
      ['merge-tree', '--write-tree', '-z', '--messages', object(ours), object(theirs)],
      { ok: [0, 1] },
    );
    const merged = parseMergeTree(result.stdout);
    if (result.code === 0) return { clean: true, tree: object(merged.tree) };
    const hunks: ConflictHunk[] = [];
    for (const path of merged.paths) hunks.push(...(await this.hunks(dir, path, merged.messages)));
    if (hunks.length === 0)
      hunks.push(
        ...merged.messages
          .filter((m) => m.type.startsWith('CONFLICT'))
          .map((m) => ({ path: m.paths[0] ?? '', startLine: 1, base: '', ours: m.text.trim(), theirs: '' })),
      );
    return { clean: false, conflicts: limited(hunks) };
  }

  private async hunks(
    dir: string,
    { path, stages }: ConflictedPath,
    messages: readonly MergeMessage[],
  ): Promise<ConflictHunk[]> {
    const side = async (stage: number): Promise<Buffer | 'none' | 'large' | 'other'> => {
      const entry = stages.get(stage);
      if (!entry) return 'none';
      if (!entry.mode.startsWith('100')) return 'other';
      const size = Number(await this.git.text(dir, ['cat-file', '-s', entry.oid]));
      return size > MAX_COMPARED_BYTES ? 'large' : (await this.git.run(dir, ['cat-file', 'blob', entry.oid])).stdout;
    };
    const [base, ours, theirs] = [await side(1), await side(2), await side(3)];
    const plain = (x: typeof base): x is Buffer => Buffer.isBuffer(x) && !x.subarray(0, 8000).includes(0);
    if (plain(ours) && plain(theirs) && (base === 'none' || plain(base))) {
      const folder = await this.scratch('merge');
      try {
        await writeFile(join(folder, 'base'), base === 'none' ? '' : base);
        await writeFile(join(folder, 'ours'), ours);
        await writeFile(join(folder, 'theirs'), theirs);
        // The exit code counts the conflicts, up to 127.
        const { stdout } = await this.git.run(
          folder,
          ['merge-file', '-p', '--diff3', `--marker-size=${MARKER_SIZE}`, 'ours', 'base', 'theirs'],
          { ok: Array.from({ length: 128 }, (_, code) => code) },
        );
        const found = parseMarkers(path, stdout.toString('utf8'));
        if (found.length > 0) return found;
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    }
    const describe = (x: typeof base, stage: number): string => {
      if (x === 'none') return stage === 1 ? '' : '[not there]';
      if (x === 'other')
        return `[${stages.get(stage)?.mode === '120000' ? 'a symbolic link' : 'a submodule'} ${stages.get(stage)?.oid ?? ''}]`;
      if (plain(x)) return x.toString('utf8');
      return `[${x === 'large' ? 'a large file' : 'a binary file'} ${stages.get(stage)?.oid ?? ''}]`;
    };
    const text = messages.find((m) => m.type.startsWith('CONFLICT') && m.paths.includes(path))?.text.trim();
    return [
      {
        path,
        startLine: 1,
        base: describe(base, 1),
        ours: describe(ours, 2) || text || '',
        theirs: describe(theirs, 3),
      },
    ];
  }

  async commitTree(projectId: string, commit: NewCommit): Promise<string> {
    const made = await this.git.text(
      this.path(projectId),
      ['commit-tree', object(commit.tree), ...commit.parents.flatMap((parent) => ['-p', object(parent)]), '-F', '-'],
      {
        // git refuses NUL in a message, and ends it with a newline only if it has one.
        input: `${commit.message.replaceAll('\0', '').trimEnd()}\n`,
        env: { ...person(commit.author, 'AUTHOR', commit.date), ...person(commit.committer, 'COMMITTER', commit.date) },
      },
    );
    this.remember(`${projectId} ${made}`, commit.tree);
    return made;
  }

  /** Moves a ref if it still is `old`. False: it is not. `NOTHING` as old means it must not exist, as next deletes it. */
  async updateRef(projectId: string, ref: string, next: string, old: string): Promise<boolean> {
    const dir = this.path(projectId);
    for (let tries = 0; ; tries += 1) {
      try {
        await this.git.run(dir, ['update-ref', '--no-deref', '--stdin'], {
          input: `update ${refName(ref)} ${object(next)} ${object(old)}\n`,
        });
        return true;
      } catch (error) {
        if (!(error instanceof GitFailed)) throw error;
        const now = (await this.value(dir, ref)) ?? NOTHING;
        if (now !== old) return false;
        // Somebody holds the lock file for a moment.
        if (tries >= 5) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20 * 2 ** tries));
      }
    }
  }

  /**
   * Moves several refs of one repository, or none: each only if it still is `old`; `same` only looks. False: one of them is not.
   */
  async updateRefs(projectId: string, moves: readonly RefMove[]): Promise<boolean> {
    const dir = this.path(projectId);
    const lines = moves.map((move) =>
      'same' in move
        ? `verify ${refName(move.ref)} ${object(move.same)}`
        : `update ${refName(move.ref)} ${object(move.next)} ${object(move.old)}`,
    );
    for (let tries = 0; ; tries += 1) {
      try {
        await this.git.run(dir, ['update-ref', '--no-deref', '--stdin'], { input: `${lines.join('\n')}\n` });
        return true;
      } catch (error) {
        if (!(error instanceof GitFailed)) throw error;
        for (const move of moves) {
          const now = (await this.value(dir, move.ref)) ?? NOTHING;
          if (now !== ('same' in move ? move.same : move.old)) return false;
        }
        // Somebody holds a lock file for a moment.
        if (tries >= 5) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20 * 2 ** tries));
      }
    }
  }

  /** Makes a ref of ours hold this commit, whatever it held; null takes it away. Not for branches: they move by `updateRef`. */
  async setRef(projectId: string, ref: string, commit: string | null): Promise<void> {
    if (/^refs\/(heads|tags)\//.test(ref)) throw new Error(`${ref} is not set without its old value`);
    await this.git.run(this.path(projectId), ['update-ref', '--no-deref', '--stdin'], {
      input: `update ${refName(ref)} ${commit === null ? NOTHING : object(commit)}\n`,
    });
  }

  /** What a ref holds, unpeeled. */
  private async value(dir: string, ref: string): Promise<string | null> {
    const { stdout, code } = await this.git.run(dir, ['show-ref', '--verify', '--hash', '--', refName(ref)], {
      ok: [0, 1, 128],
    });
    return code === 0 ? stdout.toString('utf8').trim() : null;
  }

  private async withIndex<T>(work: (env: { GIT_INDEX_FILE: string }, folder: string) => Promise<T>): Promise<T> {
    const folder = await this.scratch('index');
    try {
      return await work({ GIT_INDEX_FILE: join(folder, 'index') }, folder);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** The tree that a unified diff makes of a commit's tree. Regular files only. */
  async applyPatch(projectId: string, baseCommit: string, patch: string): Promise<string> {
    const dir = this.path(projectId);
    const base = object(baseCommit);
    const tree = await this.withIndex(async (env) => {
      await this.git.run(dir, ['read-tree', `${base}^{tree}`], { env });
      try {
        await this.git.run(dir, ['apply', '--cached', '--3way', '--whitespace=nowarn', '-'], {
          env,
          input: patch.endsWith('\n') ? patch : `${patch}\n`,
        });
        return await this.git.text(dir, ['write-tree'], { env });
      } catch (error) {
        if (!(error instanceof GitFailed) || error.exitCode < 0) throw error;
        throw new PatchDoesNotApply(
          error.stderr
            .split('\n')
            .filter((line) => line !== '')
            .slice(0, 5)
            .join('; ')
            .slice(0, 1000),
        );
      }
    });
    await this.refuseSpecialFiles(dir, base, tree);
    return tree;
  }

  /** Nobody may bring in links or submodules, or names that another file system reads as `.git`. */
  private async refuseSpecialFiles(dir: string, base: string, tree: string): Promise<void> {
    const { stdout } = await this.git.run(dir, [
      'diff-tree',
      '-r',
      '-z',
      '--no-renames',
      `${base}^{tree}`,
      `${tree}^{tree}`,
      '--',
    ]);
    const fields = stdout.toString('utf8').split('\0');
    for (let at = 0; at + 1 < fields.length; at += 2) {
      const mode = (fields[at] ?? '').split(' ')[1] ?? '';
      const path = fields[at + 1] ?? '';
      if (mode !== '000000' && !mode.startsWith('100'))
        throw new PathRefused(path, 'only regular files can be submitted');
      if (!repositoryPath.safeParse(path).success)
        throw new PathRefused(path, 'it is not a plain path inside the repository');
    }
  }

  /** The tree that single files make of a commit's tree: new content, or gone. */
  async applyFiles(projectId: string, baseCommit: string, changes: readonly FileChange[]): Promise<string> {
    const dir = this.path(projectId);
    const paths = new Set<string>();
    for (const { path } of changes) {
      const valid = repositoryPath.safeParse(path);
      if (!valid.success) throw new PathRefused(path, valid.error.issues[0]?.message ?? 'it is not a plain path');
      if (paths.has(path)) throw new PathRefused(path, 'it is named twice');
      paths.add(path);
    }
    return this.withIndex(async (env, folder) => {
      await this.git.run(dir, ['read-tree', `${object(baseCommit)}^{tree}`], { env });
      const { stdout } = await this.git.run(dir, ['ls-files', '-z', '--stage'], { env });
      const modes = new Map(
        stdout
          .toString('utf8')
          .split('\0')
          .filter((line) => line !== '')
          .map((line) => [line.slice(line.indexOf('\t') + 1), line.slice(0, 6)]),
      );
      const written = changes.filter((change) => change.content !== null);
      for (const [index, change] of written.entries())
        await writeFile(join(folder, `file-${index}`), Buffer.from(change.content ?? '', change.encoding ?? 'utf8'));
      // Files, not one process each: five thousand files are one run of git. No filters: what came in is what is kept.
      const hashed =
        written.length === 0
          ? []
          : (
              await this.git.text(dir, ['hash-object', '-w', '--no-filters', '--stdin-paths'], {
                input: written.map((_, index) => `${join(folder, `file-${index}`)}\n`).join(''),
              })
            ).split('\n');
      // git would silently replace a file by a folder of that name, and the other way round.
      const gone = new Set(changes.filter((change) => change.content === null).map((change) => change.path));
      const after = new Set(
        [...modes.keys(), ...written.map((change) => change.path)].filter((path) => !gone.has(path)),
      );
      for (const path of after)
        for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1))
          if (after.has(path.slice(0, slash))) throw new PathRefused(path, `${path.slice(0, slash)} is a file`);
      const lines: string[] = [];
      for (const change of changes.filter((c) => c.content === null)) {
        if (!modes.has(change.path))
          throw new PathRefused(change.path, 'it is to be deleted but is not there on this base');
        lines.push(`0 ${NOTHING}\t${change.path}\0`);
      }
      for (const [index, change] of written.entries()) {
        const before = modes.get(change.path);
        if (before !== undefined && !before.startsWith('100'))
          throw new PathRefused(change.path, 'only regular files can be submitted');
        const executable = change.executable ?? before === '100755';
        lines.push(`${executable ? '100755' : '100644'} ${hashed[index] ?? ''}\t${change.path}\0`);
      }
      try {
        await this.git.run(dir, ['update-index', '--add', '-z', '--index-info'], { env, input: lines.join('') });
        return await this.git.text(dir, ['write-tree'], { env });
      } catch (error) {
        if (!(error instanceof GitFailed) || error.exitCode < 0) throw error;
        const path =
          /(?:unable to add|cannot add|Invalid path|invalid path) '?([^'\n]*)/i.exec(error.stderr)?.[1] ??
          [...paths][0] ??
          '';
        throw new PathRefused(path, 'a file and a folder would have the same name, or git does not allow the name');
      }
    });
  }

  /**
   * The tree of `head` without what lies between `before` and the landed commit: a three-way merge whose base is the landed commit.
   * This git cannot be told a merge base, so two commits that have the landed one as their parent stand in; they stay unreferenced.
   */
  async revertTree(projectId: string, head: string, landedCommit: string, before: string): Promise<MergeResult> {
    const stand = async (tree: string) =>
      this.commitTree(projectId, {
        tree,
        parents: [object(landedCommit)],
        message: 'revert',
        author: muster,
        committer: muster,
        date: new Date(0),
      });
    const [without, now] = [await this.treeOf(projectId, before), await this.treeOf(projectId, head)];
    return this.mergeTree(projectId, await stand(now), await stand(without));
  }

  emptyTree(projectId: string): Promise<string> {
    return this.git.text(this.path(projectId), ['mktree'], { input: '' });
  }

  /** The history of a branch as it was landed: first parents, newest first, without `from` and what is before it. */
  async log(projectId: string, from: string | null, to: string, limit: number): Promise<LoggedCommit[]> {
    const { stdout } = await this.git.run(this.path(projectId), [
      'log', '-z', '--first-parent', '--no-show-signature', '--no-color', `--max-count=${Math.max(1, Math.floor(limit))}`,
      '--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%ct%x00%s%x00%(trailers:only=true,unfold=true)',
      '--end-of-options', object(to), ...(from === null ? [] : [`^${object(from)}`]), '--',
    ]); // prettier-ignore
    const fields = stdout.toString('utf8').split('\0');
    const commits: LoggedCommit[] = [];
    for (let at = 0; at + 7 < fields.length; at += 8) {
      const [commit = '', tree = '', parents = '', name = '', email = '', seconds = '0', subject = '', trailers = ''] =
        fields.slice(at, at + 8);
      const found: Record<string, string[]> = {};
      for (const line of trailers.split('\n')) {
        const colon = line.indexOf(':');
        if (colon > 0) (found[line.slice(0, colon)] ??= []).push(line.slice(colon + 1).trim());
      }
      commits.push({
        commit,
        tree,
        parents: parents === '' ? [] : parents.split(' '),
        author: { name, email },
        committedAt: new Date(Number(seconds) * 1000),
        subject,
        trailers: found,
      });
    }
    return commits;
  }

  /** Sets a commit's note. Writers on other machines may do so at the same time: compare-and-swap, again when it moved. */
  async addNote(projectId: string, ref: string, commit: string, text: string): Promise<void> {
    const dir = this.path(projectId);
    const place = `${object(commit).slice(0, 2)}/${commit.slice(2)}`;
    const blob = await this.git.text(dir, ['hash-object', '-w', '--stdin'], { input: text });
    for (let tries = 0; tries < 20; tries += 1) {
      const tip = await this.value(dir, ref);
      const tree = await this.withIndex(async (env) => {
        if (tip !== null) await this.git.run(dir, ['read-tree', `${tip}^{tree}`], { env });
        // A note that another program wrote flat would stand beside ours.
        const input = `0 ${NOTHING}\t${commit}\0` + `100644 ${blob}\t${place}\0`;
        await this.git.run(dir, ['update-index', '--add', '-z', '--index-info'], { env, input });
        return this.git.text(dir, ['write-tree'], { env });
      });
      if (tip !== null && (await this.treeOf(projectId, tip)) === tree) return;
      const next = await this.commitTree(projectId, {
        tree,
        parents: tip === null ? [] : [tip],
        message: `Note on ${commit}`,
        author: muster,
        committer: muster,
        date: new Date(),
      });
      if (await this.updateRef(projectId, ref, next, tip ?? NOTHING)) return;
      await new Promise((resolve) => setTimeout(resolve, 10 * (tries + 1)));
    }
    throw new Error(`the notes ref ${ref} of ${projectId} moved twenty times while a note was written`);
  }

  async readNote(projectId: string, ref: string, commit: string): Promise<string | null> {
    const dir = this.path(projectId);
    const { stdout, code } = await this.git.run(dir, ['notes', `--ref=${refName(ref)}`, 'list', object(commit)], {
      ok: [0, 1, 128],
    });
    const blob = stdout.toString('utf8').trim();
    if (code !== 0 || blob === '') return null;
    return (await this.git.run(dir, ['cat-file', 'blob', blob])).stdout.toString('utf8');
  }
}

/** Reads the answers of `git cat-file --batch` one after another, without taking more from the pipe than is asked for. */
class Blobs {
  private readonly chunks: AsyncIterator<Buffer, undefined>;
  private rest: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  }

  async next(): Promise<Buffer> {
    let end = this.rest.indexOf(10);
    while (end < 0) {
      await this.more();
      end = this.rest.indexOf(10);
    }
    const [oid = '', kind = '', size = ''] = this.rest.subarray(0, end).toString('latin1').split(' ');
    this.rest = this.rest.subarray(end + 1);
    if (kind !== 'blob') throw new Error(`object ${oid} is ${kind}, not a blob`);
    const length = Number(size);
    const parts: Buffer[] = [];
    let missing = length + 1;
    while (missing > 0) {
      if (this.rest.length === 0) await this.more();
      const part = this.rest.subarray(0, missing);
      parts.push(part);
      missing -= part.length;
      this.rest = this.rest.subarray(part.length);
    }
    return Buffer.concat(parts).subarray(0, length);
  }

  private async more(): Promise<void> {
    const { value, done } = await this.chunks.next();
    if (done === true) throw new Error('git cat-file ended early');
    this.rest = this.rest.length === 0 ? value : Buffer.concat([this.rest, value]);
  }
}

/** Null when there is no such file; undefined when it is no small file. */
async function contentOf(path: string): Promise<string | null | undefined> {
  try {
    const { size } = await stat(path);
    return size > MAX_REF_FILE_BYTES ? undefined : await readFile(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    return code === 'ENOENT' || code === 'ENOTDIR' ? null : undefined;
  }
}
