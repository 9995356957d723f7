import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { idOf, repositoryPath, type ConflictHunk } from '@muster/contracts';
import { Injectable } from '@nestjs/common';
import { Config } from '#platform/config';
import {
  committed,
  contents,
  differences,
  infos,
  merged as mergeAnswer,
  nameOf,
  parseCommit,
  parseTree,
  written,
  type Commit,
  type Difference,
} from './answers.ts';
import { archiveOf } from './archive.ts';
import { limited, parseMergeTree, type ConflictedPath } from './conflicts.ts';
import { edited, type FileChange } from './edits.ts';
import { FileTooLarge, PatchDoesNotApply, PathRefused } from './git.errors.ts';
import { DiskFull, Git, GitFailed, lostItsFolder } from './git.ts';
import { conflictHunks, shareHunk } from './hunks.ts';
import { entriesOf, infoOf, makeTree, NOTHING, object, objects } from './objects.ts';
import { refFile } from './ref-files.ts';

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
/** What git made of two commits, with its markers in these files. */
export interface ContentConflicts {
  readonly tree: string;
  readonly paths: readonly ConflictedPath[];
}
export type MergeResult =
  { readonly clean: true; readonly tree: string } | { readonly clean: false; readonly conflicts: ConflictHunk[] };

const projectIdSchema = idOf('project');
/** A full ref name that no command can take for an option, a range or an expression. */
const refName = (ref: string): string => {
  if (!/^refs\/(?!.*(\.\.|\/\/|@\{|\/\.|\.lock(\/|$)))[\w./+@=-]+(?<![/.])$/.test(ref))
    throw new Error(`not a full ref name: ${ref}`);
  return ref;
};
/** As git writes it: it takes these signs from both ends of names. */
const EDGES = /^[\0- .,:;<>"\\']+|[\0- .,:;<>"\\']+$/g;
const identity = (who: Person, date: Date): string => {
  const plain = (text: string, otherwise: string) =>
    text
      .replace(/[\p{Cc}<>]/gu, ' ')
      .trim()
      .slice(0, 200)
      .replace(EDGES, '') || otherwise;
  const seconds = Math.floor(date.getTime() / 1000);
  return `${plain(who.name, 'unknown')} <${plain(who.email, 'unknown@localhost')}> ${seconds} +0000`;
};
/** Questions to processes that stay: see `Git.ask`. */
const merges = ['merge-tree', '--write-tree', '-z', '--messages', '--stdin'];
const files = (type: 'blob' | 'commit') => ['hash-object', '-t', type, '-w', '--no-filters', '--stdin-paths'];
const refs = ['update-ref', '--no-deref', '--stdin'];
const diffs = ['diff-tree', '--stdin', '-r', '-z', '--raw', '--no-renames', '--no-ext-diff'];
/** What is handed in was mostly made not long ago: so many commits are looked at before git searches all history. */
const NOT_LONG_AGO = 50;
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
    return join(this.config.sharedDir, 'repositories');
  }

  path(projectId: string): string {
    return join(this.folder, `${projectIdSchema.parse(projectId)}.git`);
  }

  /** A folder for one piece of work. In the data folder, so that what a killed server leaves is found by the next one. */
  private async scratch(what: string): Promise<string> {
    const place = join(this.config.dataDir, 'scratch');
    await mkdir(place, { recursive: true }).catch(throwNoRoom);
    return await mkdtemp(join(place, `${what}-`)).catch(throwNoRoom);
  }

  /**
   * What a killed server left half-done: its folders, and the locks of its git processes, which would keep a ref from ever moving
   * again. Only before any work begins: the data folder is this process's alone. The repositories may be shared, and no live lock
   * gets old.
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
    this.git.forget(this.path(projectId));
    // Another server may be writing a file into a folder that is being emptied here.
    await rm(this.path(projectId), { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  /** The commit that a full ref name or an object id stands for; null when there is none. */
  async resolve(projectId: string, ref: string): Promise<string | null> {
    const name = /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(ref) ? ref : refName(ref);
    // A commit whose tree was asked for is there.
    if (this.trees.has(`${projectId} ${name}`)) return name;
    const dir = this.path(projectId);
    const held = name.startsWith('refs/') ? await this.value(dir, name) : name;
    // Branches hold commits and nothing else.
    if (held === null || name.startsWith('refs/heads/')) return held;
    return (await infoOf(this.git, dir, `${held}^{commit}`))?.oid ?? null;
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
    const tree = await infoOf(this.git, this.path(projectId), `${commit}^{tree}`);
    if (tree === null) throw new GitFailed('cat-file', 128, `${commit} has no tree here`, Buffer.alloc(0));
    this.remember(key, tree.oid);
    return tree.oid;
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
    let above = `${object(commitOrTree)}^{tree}`;
    const names = path.split('/');
    for (const [at, name] of names.entries()) {
      const tree = await this.git.ask(dir, objects, `contents ${above}\0`, contents);
      if (tree === null) {
        if (at > 0) return null;
        throw new GitFailed('cat-file', 128, `${commitOrTree} has no tree here`, Buffer.alloc(0));
      }
      const entry = parseTree(tree.bytes, tree.oid.length / 2).find((one) => one.name === nameOf(name));
      const last = at === names.length - 1;
      if (entry === undefined || !(last ? /^100(644|755)$/ : /^40000$/).test(entry.mode)) return null;
      above = entry.oid;
    }
    const info = await infoOf(this.git, dir, above);
    if (info === null) throw new GitFailed('cat-file', 128, `${above} is not here`, Buffer.alloc(0));
    if (info.size > maxBytes) throw new FileTooLarge(path, info.size, maxBytes);
    return (await this.git.ask(dir, objects, `contents ${above}\0`, contents))?.bytes ?? null;
  }

  async diffFiles(projectId: string, a: string, b: string): Promise<ChangedFile[]> {
    const found = await this.differences(projectId, a, b);
    return found.map(({ status, path }) => ({ status, path }));
  }

  private async differences(projectId: string, a: string, b: string): Promise<Difference[]> {
    const [before, after] = [await this.treeOf(projectId, a), await this.treeOf(projectId, b)];
    const last = 'end\n';
    return await this.git.ask(this.path(projectId), diffs, `${before} ${after}\n${last}`, differences(last));
  }

  /** Paths that b brings and that cannot be verified as files: submodules, and names that no checkout could hold safely. */
  async unfitPaths(projectId: string, a: string, b: string): Promise<string[]> {
    const unfit = ({ status, mode, path }: Difference) =>
      status !== 'D' && (mode === '160000' || path.includes('\ufffd') || !repositoryPath.safeParse(path).success);
    return (await this.differences(projectId, a, b)).filter(unfit).map(({ path }) => path);
  }

  /** @throws GitFailed when there is no such commit */
  async commit(projectId: string, commit: string): Promise<Commit> {
    const found = await this.git.ask(this.path(projectId), objects, `contents ${object(commit)}\0`, contents);
    if (found?.type !== 'commit') throw new GitFailed('cat-file', 128, `${commit} is not here`, Buffer.alloc(0));
    return parseCommit(found.bytes);
  }

  async isAncestor(projectId: string, a: string, b: string): Promise<boolean> {
    if (a === b) return true;
    for (
      let below: string | undefined = object(b), looked = 0;
      below !== undefined && looked < NOT_LONG_AGO;
      looked += 1
    ) {
      [below] = (await this.commit(projectId, below)).parents;
      if (below === a) return true;
    }
    const { code } = await this.git.run(this.path(projectId), ['merge-base', '--is-ancestor', object(a), object(b)], {
      ok: [0, 1, 128],
    });
    return code === 0;
  }

  /** The tree as a tar stream, exactly its bytes. */
  tar(projectId: string, tree: string): Readable {
    return archiveOf(this.git, this.path(projectId), tree);
  }

  /** Merges two commits without a checkout. Conflicts come with what each side wrote. */
  async mergeTree(projectId: string, ours: string, theirs: string): Promise<MergeResult> {
    const dir = this.path(projectId);
    const question = `${object(ours)} ${object(theirs)}\n${ours} ${ours}\n`;
    const { clean, output } = await this.git.ask(dir, merges, question, mergeAnswer);
    const merged = parseMergeTree(output);
    if (clean) return { clean: true, tree: object(merged.tree) };
    const hunks: ConflictHunk[] = [];
    for (const path of merged.paths)
      hunks.push(...(await conflictHunks(this.git, dir, () => this.scratch('merge'), path, merged.messages)));
    if (hunks.length === 0)
      hunks.push(
        ...merged.messages
          .filter((m) => m.type.startsWith('CONFLICT'))
          .map((m) => ({ path: m.paths[0] ?? '', startLine: 1, base: '', ours: m.text.trim(), theirs: '' })),
      );
    return { clean: false, conflicts: limited(hunks) };
  }

  /**
   * The files whose contents two commits changed in different ways, by stage, where that is all that keeps them apart; null: they merge by
   * themselves, or something else keeps them apart as well.
   */
  async contentConflicts(projectId: string, ours: string, theirs: string): Promise<ContentConflicts | null> {
    const question = `${object(ours)} ${object(theirs)}\n${ours} ${ours}\n`;
    const { clean, output } = await this.git.ask(this.path(projectId), merges, question, mergeAnswer);
    if (clean) return null;
    const { tree, paths, messages } = parseMergeTree(output);
    const others = messages.some(({ type }) => /^CONFLICT (?!\((contents|binary)\))/.test(type));
    const regular = paths.every(({ stages }) => {
      const [base, mine, other] = [1, 2, 3].map((stage) => stages.get(stage)?.mode);
      return mine?.startsWith('100') === true && mine === other && (base === undefined || base === mine);
    });
    return others || !regular || paths.length === 0 ? null : { tree: object(tree), paths };
  }

  /**
   * The tree of two commits merged, with these blobs where they conflict; null: that is not where, or not all of it.
   * @param beside paths whose blobs may stand in for what merged by itself
   */
  async mergeWith(
    projectId: string,
    ours: string,
    theirs: string,
    blobs: ReadonlyMap<string, string>,
    beside: ReadonlySet<string> = new Set(),
  ): Promise<string | null> {
    const found = await this.contentConflicts(projectId, ours, theirs);
    if (found === null) return null;
    const conflicting = new Set(found.paths.map(({ path }) => path));
    if (![...conflicting].every((path) => blobs.has(path))) return null;
    if (![...blobs.keys()].every((path) => conflicting.has(path) || beside.has(path))) return null;
    const dir = this.path(projectId);
    const edits = [...blobs].map(([path, blob]) => ({
      change: { path, content: '' },
      blob: object(blob),
      parts: path.split('/'),
    }));
    return await makeTree(this.git, dir, await edited(this.git, dir, found.tree, edits));
  }

  async readBlob(projectId: string, blob: string, maxBytes: number): Promise<Buffer | null> {
    const dir = this.path(projectId);
    const info = await infoOf(this.git, dir, object(blob));
    if (info?.type !== 'blob' || info.size > maxBytes) return null;
    return (await this.git.ask(dir, objects, `contents ${blob}\0`, contents))?.bytes ?? null;
  }

  /**
   * The files in which both sides of a clean merge made the same change at the same place since they parted: git has it once, where
   * two different changes would have conflicted. With what the merge holds there.
   */
  async sameChanges(
    projectId: string,
    ours: string,
    theirs: string,
    merged: string,
  ): Promise<Array<{ path: string; blob: string }>> {
    const dir = this.path(projectId);
    const { stdout, code } = await this.git.run(dir, ['merge-base', object(ours), object(theirs)], { ok: [0, 1] });
    const base = stdout.toString('utf8').trim();
    if (code !== 0 || base === ours || base === theirs) return [];
    const mine = new Map((await this.differences(projectId, base, ours)).map((one) => [one.path, one]));
    const found: Array<{ path: string; blob: string }> = [];
    for (const other of await this.differences(projectId, base, theirs)) {
      const { path } = other;
      const own = mine.get(path);
      if (own === undefined || !own.mode.startsWith('100') || !other.mode.startsWith('100')) continue;
      if (own.oid !== other.oid && !(await shareHunk(this.git, dir, own, other))) continue;
      const there = await infoOf(this.git, dir, `${object(merged)}:${path}`);
      if (there?.type === 'blob') found.push({ path, blob: there.oid });
    }
    return found;
  }

  /** Which git this is, for those who write down what did something. */
  async gitVersion(projectId: string): Promise<string> {
    return (await this.git.text(this.path(projectId), ['version'])).replace(' version', '');
  }

  async writeBlob(projectId: string, content: string | Buffer): Promise<string> {
    const [blob = ''] = await this.write(this.path(projectId), 'blob', [content]);
    return object(blob);
  }

  /** The paths in which two commits cannot be merged by themselves; empty when they get along. */
  async conflictingPaths(projectId: string, a: string, b: string): Promise<string[]> {
    const question = `${object(a)} ${object(b)}\n${a} ${a}\n`;
    const { clean, output } = await this.git.ask(this.path(projectId), merges, question, mergeAnswer);
    return clean ? [] : parseMergeTree(output).paths.map(({ path }) => path);
  }

  /** Byte for byte what `git commit-tree` makes of it. */
  async commitTree(projectId: string, commit: NewCommit): Promise<string> {
    const dir = this.path(projectId);
    const parents = [...new Set(commit.parents.map(object))];
    const asked = [`${object(commit.tree)}^{tree}`, ...parents.map((parent) => `${parent}^{commit}`)];
    const there = await this.git.ask(dir, objects, asked.map((one) => `info ${one}\0`).join(''), infos(asked.length));
    const missing = there.indexOf(null);
    if (missing !== -1) throw new GitFailed('cat-file', 128, `${asked[missing] ?? ''} is not here`, Buffer.alloc(0));
    const lines = [
      `tree ${commit.tree}`,
      ...parents.map((parent) => `parent ${parent}`),
      `author ${identity(commit.author, commit.date)}`,
      `committer ${identity(commit.committer, commit.date)}`,
      '',
      // git refuses NUL in a message, and ends it with a newline only if it has one.
      commit.message.replaceAll('\0', '').trimEnd(),
    ];
    const [made = ''] = await this.write(dir, 'commit', [`${lines.join('\n')}\n`]);
    this.remember(`${projectId} ${made}`, commit.tree);
    return made;
  }

  /** The ids of new objects, each of these bytes. */
  private async write(dir: string, type: 'blob' | 'commit', bodies: ReadonlyArray<string | Buffer>): Promise<string[]> {
    if (bodies.length === 0) return [];
    const folder = await this.scratch('objects');
    try {
      const names = bodies.map((_, at) => join(folder, String(at)));
      for (const [at, body] of bodies.entries()) await writeFile(names[at] ?? '', body).catch(throwNoRoom);
      const lines = names.map((name) => `${name}\n`).join('');
      return (await this.git.ask(dir, files(type), lines, written(bodies.length))).map(object);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Moves a ref if it still is `old`. False: it is not. `NOTHING` as old means it must not exist, as next deletes it. */
  async updateRef(projectId: string, ref: string, next: string, old: string): Promise<boolean> {
    const dir = this.path(projectId);
    for (let tries = 0; ; tries += 1) {
      try {
        await this.transact(dir, [`update ${refName(ref)} ${object(next)} ${object(old)}`]);
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
        await this.transact(dir, lines);
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
    await this.transact(this.path(projectId), [`update ${refName(ref)} ${commit === null ? NOTHING : object(commit)}`]);
  }

  /** All of it or, when git ends on one, none. */
  private async transact(dir: string, lines: readonly string[]): Promise<void> {
    await this.git.ask(dir, refs, ['start', ...lines, 'prepare', 'commit', ''].join('\n'), committed);
  }

  /** What a ref holds, unpeeled. */
  private async value(dir: string, ref: string): Promise<string | null> {
    const file = refFile(dir, refName(ref));
    if (file !== undefined) return file;
    const { stdout, code } = await this.git.run(dir, ['show-ref', '--verify', '--hash', '--', ref], {
      ok: [0, 1, 128],
    });
    return code === 0 ? stdout.toString('utf8').trim() : null;
  }

  private async withIndex<T>(work: (env: { GIT_INDEX_FILE: string }) => Promise<T>): Promise<T> {
    const folder = await this.scratch('index');
    try {
      return await work({ GIT_INDEX_FILE: join(folder, 'index') });
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
        if (!(error instanceof GitFailed) || error.exitCode < 0 || lostItsFolder(error)) throw error;
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
    await this.refuseSpecialFiles(projectId, base, tree);
    return tree;
  }

  /** Nobody may bring in links or submodules, or names that another file system reads as `.git`. */
  private async refuseSpecialFiles(projectId: string, base: string, tree: string): Promise<void> {
    for (const { mode, path } of await this.differences(projectId, base, tree)) {
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
    const kept = changes.filter((change) => change.content !== null);
    const bodies = kept.map(({ content, encoding }) => Buffer.from(content ?? '', encoding ?? 'utf8'));
    const blobs = await this.write(dir, 'blob', bodies);
    const edits = [
      ...kept.map((change, at) => ({ change, blob: blobs[at] ?? null, parts: change.path.split('/') })),
      ...changes
        .filter(({ content }) => content === null)
        .map((change) => ({ change, blob: null, parts: change.path.split('/') })),
    ];
    const entries = await edited(this.git, dir, await this.treeOf(projectId, baseCommit), edits);
    return await makeTree(this.git, dir, entries);
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
    const [blob = ''] = await this.write(dir, 'blob', [text]);
    for (let tries = 0; tries < 20; tries += 1) {
      const tip = await this.value(dir, ref);
      const tree = await this.treeWithNote(dir, tip, object(commit), blob);
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

  /** Notes lie in folders by the first two digits; one that another program wrote flat is replaced, not joined. */
  private async treeWithNote(dir: string, tip: string | null, commit: string, blob: string): Promise<string> {
    const top = tip === null ? [] : await entriesOf(this.git, dir, `${tip}^{tree}`);
    const [folder, name] = [commit.slice(0, 2), commit.slice(2)];
    const below = top.find((entry) => entry.mode === '40000' && entry.name === folder);
    const notes = below === undefined ? [] : await entriesOf(this.git, dir, below.oid);
    const inFolder = await makeTree(this.git, dir, [
      ...notes.filter((entry) => entry.name !== name),
      { mode: '100644', name, oid: blob },
    ]);
    return makeTree(this.git, dir, [
      ...top.filter((entry) => entry.name !== folder && entry.name !== commit),
      { mode: '40000', name: folder, oid: inFolder },
    ]);
  }

  async readNote(projectId: string, ref: string, commit: string): Promise<string | null> {
    const dir = this.path(projectId);
    const tip = await this.value(dir, ref);
    if (tip === null) return null;
    const [a, b, rest] = [object(commit).slice(0, 2), commit.slice(2, 4), commit.slice(4)];
    const places = [`${a}/${b}${rest}`, commit, `${a}/${b}/${rest}`];
    for (const place of places) {
      const note = await this.git.ask(dir, objects, `contents ${tip}:${place}\0`, contents);
      if (note?.type === 'blob') return note.bytes.toString('utf8');
    }
    return null;
  }
}

/** What a full disk says to us, as what it says to git. */
function throwNoRoom(error: unknown): never {
  const { code } = error as NodeJS.ErrnoException;
  throw code === 'ENOSPC' || code === 'EDQUOT' ? new DiskFull(error as Error) : error;
}
