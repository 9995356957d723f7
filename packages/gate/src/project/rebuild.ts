import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GeneratedConflict, LockAnswer, NoAnswer, RebuiltAnswer } from '@muster/contracts';
import { readReportBytes } from '../sandbox/report.ts';
import { toolchain } from '../sandbox/toolchain.ts';
import { discard, SourceTree } from '../source/tree.ts';
import { installDependencies } from './dependencies.ts';
import { different, generatedIn, makeGenerated, named, NotMade, type Made, type MakeOptions } from './generated.ts';
import type { Installed } from './installed.ts';
import { mergeLock } from './lock-merge.ts';

/** What one task's answer may bring back: its files as text, or half as much again in base64. */
const mostAnsweredBytes = 4_000_000;

export interface RebuildOptions extends MakeOptions {
  /** Reachable by whoever runs sandboxed commands. */
  readonly workDir: string;
  readonly cacheDir: string;
  readonly registry: string | null;
  readonly npmCache: string | null;
  readonly pythonWheels?: string | null;
}

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
    if (unsteady.length > 0) throw new NotMade(`two runs on the same files made different ${named(unsteady)}`);
    return answerOf(input.conflicts, trees.merged, first, lock);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof NotMade) return { resolved: false, why: error.message.slice(0, 2000) };
    throw error;
  } finally {
    await discard(folder);
  }
}

/** Somebody's own words in a generated file would be gone after the rebuild; then it is no generated file. */
async function isWhatIsMade(
  input: Pick<GeneratedConflict, 'rules' | 'install'>,
  dir: string,
  whose: string,
  folder: string,
  options: RebuildOptions,
): Promise<void> {
  const made = await make(input, dir, folder, options);
  const other = different(generatedIn(input.rules, new SourceTree(dir)), made);
  if (other.length > 0)
    throw new NotMade(`${named(other)} ${whose} is not what the declared commands make of its sources`);
}

async function make(
  { rules, install }: Pick<GeneratedConflict, 'rules' | 'install'>,
  dir: string,
  folder: string,
  options: RebuildOptions,
): Promise<Made> {
  const tree = new SourceTree(dir);
  return await makeGenerated(rules, tree, folder, install ? await dependenciesOf(tree, options) : null, options);
}

async function dependenciesOf(tree: SourceTree, options: RebuildOptions): Promise<Installed> {
  const installed = await installDependencies(tree, options);
  if (installed.status === 'refused' || installed.status === 'not_run')
    throw new NotMade(`its dependencies are not installed: ${[installed.reason, ...installed.refused].join('; ')}`);
  return installed;
}

/** What is not as git merged it, and everything that conflicts. */
function answerOf(conflicts: readonly string[], merged: string, made: Made, lock: LockAnswer | null): RebuiltAnswer {
  const undone = conflicts.filter((path) => !made.has(path));
  if (undone.length > 0) throw new NotMade(`the declared commands do not make ${named(undone)}`);
  const files: RebuiltAnswer['files'] = [];
  let bytes = 0;
  for (const [path, content] of made) {
    if (!conflicts.includes(path) && readReportBytes(join(merged, path))?.equals(content) === true) continue;
    if ((bytes += content.length) > mostAnsweredBytes)
      throw new NotMade(`what is made anew is larger than ${mostAnsweredBytes / 1_000_000} MB`);
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
