import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  repositoryPath,
  type GeneratedConflict,
  type GeneratedRule,
  type LockAnswer,
  type NoAnswer,
  type RebuiltAnswer,
} from '@muster/contracts';
import picomatch from 'picomatch';
import { breathe } from '../breath.ts';
import type { SandboxDriver } from '../sandbox/driver.ts';
import { readReportBytes } from '../sandbox/report.ts';
import { inSlot } from '../sandbox/slots.ts';
import { toolchain } from '../sandbox/toolchain.ts';
import { copyTree, discard, SourceTree } from '../source/tree.ts';
import { installDependencies } from './dependencies.ts';
import type { Installed } from './installed.ts';
import { mergeLock } from './lock-merge.ts';
import { environmentAt } from './tree-run.ts';

/** What one task's answer may bring back: its files as text, or half as much again in base64. */
const mostAnsweredBytes = 4_000_000;
/** What is compared, side with side and run with run. */
const mostMadeBytes = 64_000_000;
const mostFiles = 2000;

class NotRebuildable extends Error {}

type Made = ReadonlyMap<string, Buffer>;

export interface RebuildOptions {
  readonly driver: SandboxDriver;
  /** Reachable by whoever runs sandboxed commands. */
  readonly workDir: string;
  readonly cacheDir: string;
  readonly registry: string | null;
  readonly npmCache: string | null;
  readonly pythonWheels?: string | null;
  readonly signal?: AbortSignal | undefined;
  readonly onLog?: ((line: string) => void) | undefined;
}

/** Names that others chose, in a sentence of ours. */
const named = (paths: readonly string[]): string =>
  `${paths
    .slice(0, 5)
    .map((path) => JSON.stringify(path.slice(0, 200)))
    .join(', ')}${paths.length > 5 ? ` and ${paths.length - 5} more` : ''}`;

/**
 * The declared files of a project both of whose sides changed them, made anew from the merged sources by the project's own commands, in the
 * sandbox without a network. It counts only where nothing can get lost or come in by it: each side is, byte for byte, what the
 * commands make of its other files; nothing but declared files changes; and a second run on the merge makes the same.
 * `trees`: the folders that hold what `input.trees` names. The merged one is written to where a lock file is settled first.
 */
export async function rebuildGenerated(
  input: Pick<GeneratedConflict, 'rules' | 'install' | 'conflicts' | 'lock'>,
  trees: Readonly<Record<keyof GeneratedConflict['trees'], string>>,
  options: RebuildOptions,
): Promise<RebuiltAnswer | NoAnswer> {
  const folder = mkdtempSync(join(options.driver.scratch ?? options.workDir, 'rebuild-'));
  try {
    const lock = input.lock === null ? null : await mergeLock(input.lock, options);
    if (lock !== null && !lock.resolved) return lock;
    if (lock !== null && input.lock !== null) writeFileSync(join(trees.merged, input.lock.path), lock.content);
    for (const [side, whose] of [
      ['ours', 'of the branch'],
      ['theirs', 'of the change'],
    ] as const)
      // prettier-ignore
      await isWhatIsMade(input, trees[side], whose, join(folder, side), options);
    const first = await make(input, trees.merged, join(folder, 'first'), options);
    const second = await make(input, trees.merged, join(folder, 'second'), options);
    const unsteady = different(first, second);
    if (unsteady.length > 0) throw new NotRebuildable(`two runs on the same files made different ${named(unsteady)}`);
    return answerOf(input.conflicts, trees.merged, first, lock);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof NotRebuildable) return { resolved: false, why: error.message.slice(0, 2000) };
    throw error;
  } finally {
    await discard(folder);
  }
}

const different = (one: Made, other: Made): string[] =>
  [...new Set([...one.keys(), ...other.keys()])]
    .filter((path) => one.get(path)?.equals(other.get(path) ?? Buffer.of()) !== true || !other.has(path))
    .sort();

const matcher = (rules: readonly GeneratedRule[]): ((path: string) => boolean) =>
  picomatch(
    rules.flatMap(({ files }) => files),
    { dot: true },
  );

/** Somebody's own words in a generated file would be gone after the rebuild; then it is no generated file. */
async function isWhatIsMade(
  input: Pick<GeneratedConflict, 'rules' | 'install'>,
  dir: string,
  whose: string,
  folder: string,
  options: RebuildOptions,
): Promise<void> {
  const made = await make(input, dir, folder, options);
  const is = matcher(input.rules);
  const committed = new Map(
    [...new SourceTree(dir).files.keys()].filter(is).map((path) => [path, readDeclared(dir, path)]),
  );
  const other = different(committed, made);
  if (other.length > 0)
    throw new NotRebuildable(`${named(other)} ${whose} is not what the declared commands make of its sources`);
}

/** All declared files as the commands make them of the rest of a tree, in a copy from which they are gone. */
async function make(
  { rules, install }: Pick<GeneratedConflict, 'rules' | 'install'>,
  dir: string,
  folder: string,
  options: RebuildOptions,
): Promise<Made> {
  const tree = new SourceTree(dir);
  const is = matcher(rules);
  const declared = [...tree.files.keys()].filter(is);
  const installed = install ? await dependenciesOf(tree, options) : null;
  await copyTree(dir, folder);
  for (const path of declared) rmSync(join(folder, path));
  for (const place of installed?.mountPoints ?? []) mkdirSync(join(folder, place), { recursive: true });
  for (const rule of rules) await run(rule, folder, installed, options);
  const after = treeOf(folder);
  const missing = declared.filter((path) => !after.has(path));
  if (missing.length > 0) throw new NotRebuildable(`the declared commands do not make ${named(missing)}`);
  const touched: string[] = [];
  for (const path of new Set([...tree.files.keys(), ...after.files.keys()])) {
    await breathe();
    if (!is(path) && !tree.sameIn(after, path)) touched.push(path);
  }
  if (touched.length > 0)
    throw new NotRebuildable(`the declared commands change ${named(touched.sort())}, which is not declared`);
  const made = new Map<string, Buffer>();
  let bytes = 0;
  for (const path of [...after.files.keys()].filter(is)) {
    const content = readDeclared(folder, path);
    made.set(path, content);
    if (made.size > mostFiles || (bytes += content.length) > mostMadeBytes)
      throw new NotRebuildable(`more is made than ${mostFiles} files of ${mostMadeBytes / 1_000_000} MB together`);
  }
  return made;
}

/** A run may leave folders that only it can open, or that are nested deeper than paths reach. */
function treeOf(folder: string): SourceTree {
  try {
    return new SourceTree(folder);
  } catch (error) {
    throw new NotRebuildable(`what the declared commands left cannot be read: ${String(error)}`);
  }
}

function readDeclared(folder: string, path: string): Buffer {
  if (!repositoryPath.safeParse(path).success)
    throw new NotRebuildable(`${named([path])} is not a path that a repository may have`);
  const content = readReportBytes(join(folder, path), mostMadeBytes);
  if (content === null) throw new NotRebuildable(`${named([path])} is not a plain file of a size that can be taken`);
  return content;
}

async function dependenciesOf(tree: SourceTree, options: RebuildOptions): Promise<Installed> {
  const installed = await installDependencies(tree, options);
  if (installed.status === 'refused' || installed.status === 'not_run')
    throw new NotRebuildable(
      `its dependencies are not installed: ${[installed.reason, ...installed.refused].join('; ')}`,
    );
  return installed;
}

async function run(
  { run: command, timeoutSeconds }: GeneratedRule,
  workDir: string,
  installed: Installed | null,
  { driver, signal, onLog }: RebuildOptions,
): Promise<void> {
  onLog?.(`making generated files: ${command}`);
  const ran = await inSlot(() =>
    driver.run({
      command,
      workDir,
      mounts: installed?.mounts ?? [],
      env: environmentAt(driver.paths({ workDir }).work, driver, { python: installed?.python ?? null }),
      network: 'none',
      limits: { timeoutMs: timeoutSeconds * 1000, outputBytes: 100_000 },
      ...(signal === undefined ? {} : { signal }),
    }),
  );
  const about = JSON.stringify(command.slice(0, 200));
  if (ran.timedOut) throw new NotRebuildable(`${about} did not end within ${timeoutSeconds} s`);
  if (ran.stopped !== null) throw new NotRebuildable(`${about} was stopped: ${ran.stopped}`);
  if (ran.exitCode !== 0)
    throw new NotRebuildable(
      `${about} failed with ${ran.exitCode === null ? String(ran.signal) : `exit code ${ran.exitCode}`}: ${ran.stderr.trim().slice(-500)}`,
    );
}

/** What is not as git merged it, and everything that conflicts. */
function answerOf(conflicts: readonly string[], merged: string, made: Made, lock: LockAnswer | null): RebuiltAnswer {
  const undone = conflicts.filter((path) => !made.has(path));
  if (undone.length > 0) throw new NotRebuildable(`the declared commands do not make ${named(undone)}`);
  const files: RebuiltAnswer['files'] = [];
  let bytes = 0;
  for (const [path, content] of made) {
    if (!conflicts.includes(path) && readReportBytes(join(merged, path))?.equals(content) === true) continue;
    if ((bytes += content.length) > mostAnsweredBytes)
      throw new NotRebuildable(`what is made anew is larger than ${mostAnsweredBytes / 1_000_000} MB`);
    const text = content.toString('utf8');
    const plain = !text.includes('\0') && Buffer.from(text, 'utf8').equals(content);
    files.push(
      plain
        ? { path, encoding: 'utf8', content: text }
        : { path, encoding: 'base64', content: content.toString('base64') },
    );
  }
  return {
    resolved: true,
    files,
    lock: lock === null ? null : { content: lock.content, tool: lock.tool },
    tool: `node ${toolchain().nodeVersion}`,
  };
}
