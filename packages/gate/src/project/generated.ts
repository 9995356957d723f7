import type { GeneratedRule } from '@muster/contracts';
import { repositoryPath } from '@muster/contracts';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import picomatch from 'picomatch';
import { breathe } from '../breath.ts';
import type { SandboxDriver } from '../sandbox/driver.ts';
import { readReportBytes } from '../sandbox/report.ts';
import { inSlot } from '../sandbox/slots.ts';
import { copyTree, SourceTree } from '../source/tree.ts';
import type { Installed } from './installed.ts';
import { environmentAt } from './tree-run.ts';

/** What is compared, side with side and run with run. */
const mostMadeBytes = 64_000_000;
const mostFiles = 2000;

/** Why the declared commands do not make what is declared, as a sentence. */
export class NotMade extends Error {}

/** What was made, by its path. */
export type Made = ReadonlyMap<string, Buffer>;

export interface MakeOptions {
  readonly driver: SandboxDriver;
  readonly signal?: AbortSignal | undefined;
  readonly onLog?: ((line: string) => void) | undefined;
}

/** Names that others chose, in a sentence of ours. */
export const named = (paths: readonly string[]): string =>
  `${paths
    .slice(0, 5)
    .map((path) => JSON.stringify(path.slice(0, 200)))
    .join(', ')}${paths.length > 5 ? ` and ${paths.length - 5} more` : ''}`;

/** The paths of files that are not the same in both, in order. */
export const different = (one: Made, other: Made): string[] =>
  [...new Set([...one.keys(), ...other.keys()])]
    .filter((path) => one.get(path)?.equals(other.get(path) ?? Buffer.of()) !== true || !other.has(path))
    .sort();

/** Whether a path is one that these rules say is made. */
export const isGenerated = (rules: readonly GeneratedRule[]): ((path: string) => boolean) =>
  picomatch(
    rules.flatMap(({ files }) => files),
    { dot: true },
  );

/** The declared files as they stand in a tree. */
export const generatedIn = (rules: readonly GeneratedRule[], tree: SourceTree): Made =>
  new Map([...tree.files.keys()].filter(isGenerated(rules)).map((path) => [path, readDeclared(tree.dir, path)]));

/** All declared files as the commands make them of the rest of a tree, in a copy at `folder` from which they are gone. */
export async function makeGenerated(
  rules: readonly GeneratedRule[],
  tree: SourceTree,
  folder: string,
  installed: Installed | null,
  options: MakeOptions,
): Promise<Made> {
  const is = isGenerated(rules);
  const declared = [...tree.files.keys()].filter(is);
  await copyTree(tree.dir, folder);
  for (const path of declared) rmSync(join(folder, path));
  for (const place of installed?.mountPoints ?? []) mkdirSync(join(folder, place), { recursive: true });
  for (const rule of rules) await run(rule, folder, installed, options);
  const after = treeOf(folder);
  const missing = declared.filter((path) => !after.has(path));
  if (missing.length > 0) throw new NotMade(`the declared commands do not make ${named(missing)}`);
  const touched: string[] = [];
  for (const path of new Set([...tree.files.keys(), ...after.files.keys()])) {
    await breathe();
    if (!is(path) && !tree.sameIn(after, path)) touched.push(path);
  }
  if (touched.length > 0)
    throw new NotMade(`the declared commands change ${named(touched.sort())}, which is not declared`);
  const made = new Map<string, Buffer>();
  let bytes = 0;
  for (const path of [...after.files.keys()].filter(is)) {
    const content = readDeclared(folder, path);
    made.set(path, content);
    if (made.size > mostFiles || (bytes += content.length) > mostMadeBytes)
      throw new NotMade(`more is made than ${mostFiles} files of ${mostMadeBytes / 1_000_000} MB together`);
  }
  return made;
}

/** A run may leave folders that only it can open, or that are nested deeper than paths reach. */
function treeOf(folder: string): SourceTree {
  try {
    return new SourceTree(folder);
  } catch (error) {
    throw new NotMade(`what the declared commands left cannot be read: ${String(error)}`);
  }
}

function readDeclared(folder: string, path: string): Buffer {
  if (!repositoryPath.safeParse(path).success)
    throw new NotMade(`${named([path])} is not a path that a repository may have`);
  const content = readReportBytes(join(folder, path), mostMadeBytes);
  if (content === null) throw new NotMade(`${named([path])} is not a plain file of a size that can be taken`);
  return content;
}

async function run(
  { run: command, timeoutSeconds }: GeneratedRule,
  workDir: string,
  installed: Installed | null,
  { driver, signal, onLog }: MakeOptions,
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
  if (ran.timedOut) throw new NotMade(`${about} did not end within ${timeoutSeconds} s`);
  if (ran.stopped !== null) throw new NotMade(`${about} was stopped: ${ran.stopped}`);
  if (ran.exitCode !== 0)
    throw new NotMade(
      `${about} failed with ${ran.exitCode === null ? String(ran.signal) : `exit code ${ran.exitCode}`}: ${ran.stderr.trim().slice(-500)}`,
    );
}
