import type { CheckFacts } from '@muster/contracts';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Reads } from '../sandbox/watch.ts';
import { isSetting } from '../source/apart.ts';
import { differing, inventoryOf, type Inventory } from '../source/inventory.ts';
import { seenDifference, sightOf, type Sight } from '../source/seen.ts';
import type { SourceTree } from '../source/tree.ts';

export type TreeStep = 'build' | 'tests' | 'types' | 'lint';
export type Reused = NonNullable<CheckFacts['reused']>;

interface Step {
  readonly sight: Sight;
  readonly outcome: unknown;
  /** The test files that were run, where these were named; else what is run is the step's name. */
  readonly files?: readonly string[];
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

/** What mypy has nothing to say of, by its settings. */
export interface CleanPython {
  find(settings: unknown): Found<unknown> | null;
  keep(settings: unknown, outcome: unknown): void;
}

/** Test files that were run by their names. */
export interface NamedTests {
  readonly files: readonly string[];
  /** Each in a process or worker of its own. */
  readonly separate: boolean;
}

/** What is to be run on a tree of which two others have shown the rest. */
export interface Rest<T> {
  /** Those that have seen, or could have seen, what the change touches or what has landed. */
  readonly files: readonly string[];
  /** What the whole suite has shown of the same change, before that landed. */
  readonly whole: Found<T>;
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
  keep(step: string, line: string, reads: Reads | undefined, tree: SourceTree, outcome: unknown, named?: NamedTests): void {
    const sight = reads === undefined ? null : sightOf(reads, tree, line, named);
    if (sight === null) return;
    const since = new Date().toISOString();
    const files = named === undefined ? {} : { files: named.files };
    this.steps[step] = { sight, outcome, since, verification: this.verification, ...files };
  } // prettier-ignore

  /**
   * Which test files have to be run where a change stands on something that has landed: whatever lies here lies as well on an earlier tree
   * with the change, or on the one that it is compared with now; the suite has been run on both; so that a test which has seen nothing of
   * that by which the three differ comes out as it did. Where none has to be run but such as keep to themselves, these stand as well by what they
   * have seen where they were run: none of them can tell whether another is run, and what can has met them all. Null where there is no such tree.
   * @param here as this tree is when they are run
   * @param tests all test files, of a suite and the tree that it was run on
   * @param agrees whether test files came to the same by themselves as in the whole suite: what needs others to pass is run with them
   */
  restAfter<T>(
    landed: Readings,
    here: 'built' | 'source',
    tests: (whole: T, source: Inventory) => ReadonlySet<string> | null,
    agrees: (whole: T, alone: T, files: readonly string[]) => boolean,
  ): Rest<T> | null {
    const changed = new Set(differing(landed.source, this.source));
    const own = here === 'source' ? this.source : this.built;
    if (own === null || changed.size === 0) return null;
    const head = this.trees().find(({ source }) => differing(source, landed.source).length === 0);
    const before = this.trees().find(
      ({ source, steps }) =>
        steps['tests'] !== undefined && differing(source, this.source).every((path) => !changed.has(path)),
    );
    if (head === undefined || before === undefined) return null;
    if (![before, head].every((each) => this.isAccountedFor(each))) return null;
    const { outcome, since, verification } = before.steps['tests']!;
    const all = tests(outcome as T, before.source);
    if (all === null) return null;
    const agreeing = (step: Step): boolean => agrees(outcome as T, step.outcome as T, step.files ?? []);
    const filesOf = (apart: boolean): string[] => {
      const standing = this.standing(own, [before.built, head.built], agreeing, apart);
      return [...all].filter((path) => !standing.has(path)).sort();
    };
    // Settings of both sides may make tests of what was none on either.
    const differs = [...changed, ...differing(before.source, this.source)];
    const apart = differs.some(isSetting) ? null : filesOf(true);
    const files = apart?.length === 0 ? apart : filesOf(false);
    const because = `of ${all.size} test files ${files.length === 0 ? 'none had to be run again' : `${files.length} were run again, together`}; the others passed with the change before or with what has landed since, and have read nothing that is another here, nor could have looked it up`;
    return { files, whole: { outcome: outcome as T, reused: { since, because, verification } } };
  }

  /** What the suite has read as a whole, of what is another here, has been read by test files by themselves: otherwise they do something else then. */
  private isAccountedFor({ source, steps }: Earlier): boolean {
    const whole = new Set(steps['tests']?.sight.read);
    const alone = new Set(Object.values(steps).flatMap(({ files, sight }) => (files === undefined ? [] : sight.read)));
    return differing(source, this.source).every((path) => !whole.has(path) || alone.has(path));
  }

  /** Test files of which it is known, by themselves, what they read, and that this is the same in a place and in others. */
  private standing(here: Inventory, others: readonly Inventory[], counts: (step: Step) => boolean, apart = true): ReadonlySet<string> {
    const found = new Set<string>();
    const look = (from: Inventory, name: string, step: Step): void => {
      if (step.files === undefined || step.files.every((path) => found.has(path))) return;
      const sight = apart ? step.sight : { ...step.sight, apart: false };
      if (seenDifference(sight, from, here) !== null) return;
      if (here === this.built) this.steps[name] ??= step; // it holds on this tree as well
      const alike = sight.apart === true || others.every((other) => seenDifference(sight, from, other) === null);
      if (!alike || !counts(step)) return;
      for (const path of step.files) found.add(path);
    };
    if (here === this.built) for (const [name, step] of Object.entries(this.steps)) look(here, name, step);
    for (const each of this.trees()) for (const [name, step] of Object.entries(each.steps)) look(each.built, name, step);
    return found;
  } // prettier-ignore

  /** Test files of which it is known what they read here. */
  read(): ReadonlySet<string> {
    return this.built === null ? new Set() : this.standing(this.built, [], () => true);
  }

  get knowsBuilt(): boolean {
    return this.built !== null;
  }

  /** Whether some of these test files, when last run on what a build had left, saw something of that, or could have: then they will again. */
  sawWhatBuildsLeave(files: readonly string[]): boolean {
    const wanted = new Set(files);
    const unknown = new Set(files);
    for (const { source, built, steps } of this.trees())
      for (const { files: run, sight } of Object.values(steps)) {
        if (run?.some((path) => unknown.has(path)) !== true || !run.every((path) => wanted.has(path))) continue;
        if (seenDifference(sight, built, source) !== null) return true;
        for (const path of run) unknown.delete(path);
      }
    return false;
  }

  /** Whether a step that was run before the build would have come out the same after it; what would not is forgotten. */
  holdsOnceBuilt(step: string): boolean {
    const known = this.steps[step];
    if (known !== undefined && this.built !== null && seenDifference(known.sight, this.source, this.built) === null)
      return true;
    delete this.steps[step];
    return false;
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

  /** Whether some of these test files were run without reading all of them; a runner that does otherwise tells nothing of any. */
  tellsApart(files: readonly string[]): boolean {
    const steps = [this.steps, ...this.trees().map((each) => each.steps)].flatMap((each) => Object.values(each));
    const some = steps.filter((step) => step.files !== undefined && step.files.length < files.length);
    return some.every(({ sight }) => files.some((path) => !sight.read.includes(path)));
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
