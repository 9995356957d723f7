import { randomUUID } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, renameSync, rmdirSync, type Dirent } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { breathe } from '../breath.ts';
import type { SandboxResult } from '../sandbox/driver.ts';
import { copyEntry, copyTree, discard, isCopied } from '../source/tree.ts';

/** The clock that the kernel dates changes with ticks this seldom at most. */
const tickMs = 10;

interface Copy {
  readonly folder: string;
  /** Since when whatever was changed in it was changed by a run; null: nobody knows; undefined: nothing has run. */
  begunMs: number | null | undefined;
  /** What we wrote into it ourselves. */
  readonly overridden: ReadonlySet<string>;
}

/**
 * Copies of one folder for runs that write into them. Copying fifty thousand files takes longer than most runs do, so a copy goes from run
 * to run: what a run has changed the kernel dates, and nobody can date it back, and that alone is made anew. A run never
 * sees anything of an earlier one; where it is not certain what was changed, there is a new copy.
 */
export class Copies {
  private readonly from: string;
  private readonly folder: string;
  private readonly idle: Copy[] = [];
  private readonly used = new Map<string, Copy>();
  private removing: Promise<void> = Promise.resolve();

  constructor(from: string, folder: string) {
    this.from = from;
    this.folder = folder;
  }

  /** Work on a copy; `overrides` replaces the text of files in it. */
  async use<T>(overrides: ReadonlyMap<string, string>, work: (folder: string) => Promise<T>): Promise<T> {
    const copy = await this.take(overrides);
    this.used.set(copy.folder, copy);
    try {
      return await work(copy.folder);
    } finally {
      this.used.delete(copy.folder);
      if (copy.begunMs == null) this.remove(copy.folder);
      else this.idle.push(copy);
    }
  }

  /** What became of a run in one of these copies; of several, all has to be known. */
  ran(folder: string, { begunMs }: SandboxResult): void {
    const copy = this.used.get(folder);
    if (copy === undefined) return;
    copy.begunMs = copy.begunMs === null || begunMs === undefined ? null : Math.min(copy.begunMs ?? begunMs, begunMs);
  }

  async dispose(): Promise<void> {
    for (const { folder } of this.idle.splice(0)) this.remove(folder);
    await this.removing;
  }

  private async take(overrides: ReadonlyMap<string, string>): Promise<Copy> {
    for (let used = this.idle.pop(); used !== undefined; used = this.idle.pop()) {
      try {
        await putRight({ from: this.from, copy: used, overrides, inside: '' });
        return { folder: used.folder, begunMs: undefined, overridden: new Set(overrides.keys()) };
      } catch {
        // A run may leave what only it can open.
        this.remove(used.folder);
      }
    }
    // Removing takes longer than copying where files are many: no more than one copy waits for it.
    await this.removing;
    const folder = join(this.folder, `copy-${randomUUID()}`);
    try {
      await copyTree(this.from, folder, overrides);
    } catch (error) {
      this.remove(folder);
      throw error;
    }
    return { folder, begunMs: undefined, overridden: new Set(overrides.keys()) };
  }

  private remove(folder: string): void {
    this.removing = this.removing.then(() => discard(folder));
  }
}

interface Repair {
  readonly from: string;
  readonly copy: Copy;
  readonly overrides: ReadonlyMap<string, string>;
  readonly inside: string;
}

/**
 * Makes a folder of a copy what it was before the run, but for overrides. A folder that was changed in any way is made anew around what in it
 * was not: its permissions and attributes may be others as well.
 */
async function putRight({ from, copy, overrides, inside }: Repair): Promise<void> {
  const folder = join(copy.folder, inside);
  const isChanged = (path: string): boolean => lstatSync(path).ctimeMs >= copy.begunMs! - tickMs;
  const rebuilt = isChanged(folder);
  const there = new Map(readdirSync(folder, { withFileTypes: true }).map((entry) => [entry.name, entry]));
  const missing: Dirent[] = [];
  for (const entry of readdirSync(join(from, inside), { withFileTypes: true })) {
    if (!isCopied(entry, inside)) continue;
    await breathe();
    const path = join(inside, entry.name);
    const found = there.get(entry.name);
    there.delete(entry.name);
    const keeps =
      found !== undefined &&
      found.isDirectory() === entry.isDirectory() &&
      found.isSymbolicLink() === entry.isSymbolicLink() &&
      found.isFile() === entry.isFile() &&
      !overrides.has(path) &&
      !copy.overridden.has(path);
    if (keeps && entry.isDirectory()) await putRight({ from, copy, overrides, inside: path });
    else if (!keeps || isChanged(join(folder, entry.name))) {
      if (found !== undefined) await rm(join(folder, entry.name), { recursive: true, force: true });
      missing.push(entry);
    }
  }
  for (const name of there.keys()) await rm(join(folder, name), { recursive: true, force: true });
  if (rebuilt) {
    const fresh = `${folder}.${randomUUID()}`;
    mkdirSync(fresh);
    for (const name of readdirSync(folder)) {
      await breathe();
      renameSync(join(folder, name), join(fresh, name));
    }
    rmdirSync(folder);
    renameSync(fresh, folder);
  }
  for (const entry of missing) await copyEntry(entry, join(from, inside), folder, overrides, inside);
}
