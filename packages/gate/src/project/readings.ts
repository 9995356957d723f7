import type { CheckFacts } from '@muster/contracts';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Reads } from '../sandbox/watch.ts';
import { differing, inventoryOf, type Inventory } from '../source/inventory.ts';
import { seenDifference, sightOf, type Sight } from '../source/seen.ts';
import type { SourceTree } from '../source/tree.ts';

export type TreeStep = 'build' | 'tests' | 'types' | 'lint';
export type Reused = NonNullable<CheckFacts['reused']>;

interface Step {
  readonly sight: Sight;
  readonly outcome: unknown;
  readonly since: string;
  readonly verification: string | null;
}

/** One tree with what was run on it, as it is kept. */
interface Reading {
  readonly source: [string, Inventory extends ReadonlyMap<string, infer Entry> ? Entry : never][];
  /** After the build; null: there is none. */
  readonly built: Reading['source'] | null;
  readonly steps: Record<string, Step>;
}

/** Trees that are compared with, the newest first; older ones leave. */
const mostCompared = 12;
const mostKept = 48;

interface Earlier {
  readonly source: Inventory;
  readonly built: Inventory;
  readonly steps: Readonly<Record<string, Step>>;
}

export interface Found<T> {
  readonly outcome: T;
  readonly reused: Reused;
}

/** What is known of a change by its own text and what can see it, whatever tree it stands on. */
export interface OfTheChange {
  find(step: TreeStep): Found<unknown> | null;
  keep(step: TreeStep, outcome: unknown): void;
}

/**
 * What commands that succeeded on earlier trees have read there, so that on this one they need not be run again where all of that is the
 * same. What failed is not kept: a failure is always looked at again.
 */
export class Readings {
  private readonly folder: string;
  private readonly verification: string | null;
  private readonly source: Inventory;
  private built: Inventory | null = null;
  private readonly steps: Record<string, Step> = {};
  private earlier: readonly Earlier[] | undefined;

  private constructor(folder: string, verification: string | null, source: Inventory) {
    this.folder = folder;
    this.verification = verification;
    this.source = source;
  }

  /**
   * @param folder for all trees on which the same commands are run with the same tools, dependencies and limits
   * @returns null where the tree is too large
   */
  static of(folder: string, tree: SourceTree, verification: string | null): Readings | null {
    const source = inventoryOf(tree);
    return source === null ? null : new Readings(folder, verification, source);
  }

  /** The build of an earlier tree: what it left there, with what has changed beside it, is what it would leave here. */
  findBuild<T>(): Found<T> | null {
    for (const each of this.trees()) {
      const found = this.compared<T>('build', each, each.source, this.source);
      if (found === null) continue;
      const built = new Map(each.built);
      for (const path of differing(each.source, this.source)) {
        const now = this.source.get(path);
        if (now === undefined) built.delete(path);
        else built.set(path, now);
      }
      this.built = built;
      return found;
    }
    return null;
  }

  /** What is there after the build; null: the tree itself, since nothing is built. */
  leaves(built: SourceTree | null): void {
    this.built = built === null ? this.source : inventoryOf(built);
  }

  find<T>(step: string): Found<T> | null {
    if (this.built === null) return null;
    for (const each of this.trees()) {
      const found = this.compared<T>(step, each, each.built, this.built);
      if (found !== null) return found;
    }
    return null;
  }

  /** @param tree as the command found it */
  keep(step: string, line: string, reads: Reads | undefined, tree: SourceTree, outcome: unknown): void {
    const sight = reads === undefined ? null : sightOf(reads, tree, line);
    if (sight === null) return;
    const since = new Date().toISOString();
    this.steps[step] = { sight, outcome, since, verification: this.verification };
  }

  /** So that the next tree finds it. */
  save(): void {
    if (this.built === null || Object.keys(this.steps).length === 0) return;
    const reading: Reading = {
      source: [...this.source],
      built: this.built === this.source ? null : [...this.built],
      steps: this.steps,
    };
    mkdirSync(this.folder, { recursive: true });
    const draft = join(this.folder, `.${randomUUID()}`);
    writeFileSync(draft, JSON.stringify(reading));
    renameSync(draft, join(this.folder, `${randomUUID()}.json`));
    for (const path of this.newestFirst().slice(mostKept)) rmSync(path, { force: true });
  }

  private compared<T>(step: string, each: Earlier, before: Inventory, after: Inventory): Found<T> | null {
    const known = each.steps[step];
    if (known === undefined || seenDifference(known.sight, before, after) !== null) return null;
    // It holds on this tree as well, from when it was seen.
    this.steps[step] = known;
    const differs = differing(before, after);
    const { since, verification } = known;
    const because =
      differs.length === 0
        ? 'the same was run on the same files'
        : `nothing that it read or could have looked up has changed since: what differs is ${differs.slice(0, 3).join(', ').slice(0, 600)}${differs.length > 3 ? ` and ${differs.length - 3} more` : ''}`;
    return { outcome: known.outcome as T, reused: { since, because, verification } };
  }

  private trees(): readonly Earlier[] {
    return (this.earlier ??= this.newestFirst()
      .slice(0, mostCompared)
      .flatMap((path) => {
        try {
          const { source, built, steps } = JSON.parse(readFileSync(path, 'utf8')) as Reading;
          const own = new Map(source);
          return [{ source: own, built: built === null ? own : new Map(built), steps }];
        } catch {
          return []; // another verification has just taken it away
        }
      }));
  }

  private newestFirst(): string[] {
    let names: string[];
    try {
      names = readdirSync(this.folder).filter((name) => name.endsWith('.json'));
    } catch {
      return []; // the first of its kind
    }
    return names
      .map((name) => join(this.folder, name))
      .map((path) => [path, statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0] as const)
      .sort(([, a], [, b]) => b - a)
      .map(([path]) => path);
  }
}
