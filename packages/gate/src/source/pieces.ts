import { breathe } from '../breath.ts';
import type { FileChange } from './changes.ts';
import { mostSourceBytes } from './fresh.ts';
import { isProductSource, isPython, isTypeScript } from './paths.ts';
import type { SourceTree } from './tree.ts';
import { unitsOf, type Unit, type Units, type Word } from './units.ts';

/**
 * One independent piece of behaviour that a change alters: units that were there before and are others now, with all that hangs together with
 * them by names that the change brings or takes away. It can be taken back alone, and the rest of the change stays.
 */
export interface Piece {
  /** The units that were there before, the first of which it is called after. */
  readonly names: readonly string[];
  readonly path: string;
  readonly line: number;
  /** The same decisions as before, written otherwise or elsewhere, or words and data of which no test asks for each. */
  readonly asksForNothing: boolean;
  /** The names on the lines that it alters, where those are few; of a function written anew they say nothing. */
  readonly touched: readonly string[];
  /** The change's files without it. */
  readonly without: ReadonlyMap<string, string>;
}

interface Placed {
  readonly path: string;
  readonly was: Unit | null;
  readonly is: Unit | null;
}

interface Sides {
  readonly path: string;
  readonly was: Units | null;
  readonly is: Units;
}

/** Source files of a change beyond which only those that were there before are taken apart. */
const mostLinked = 2000;

const lastOf = (key: string): string => key.split(/[.(]/).at(-1)!;
/** Words of the language that are names as well. */
const words = new Set(['from', 'of', 'as', 'is', 'in', 'type', 'get', 'set']);
const identifiers = (text: string): Set<string> => new Set(text.match(/#?[A-Za-z_$][\w$]*/g) ?? []);
const sameWords = (a: Unit, b: Unit): boolean =>
  a.words.length === b.words.length && a.words.every((word, at) => word.text === b.words[at]!.text);

/** The file that an added one was before it moved: the removed one with which it shares the most of what it holds. */
function movedFrom(units: Units, gone: ReadonlyMap<string, Units>): string | null {
  const keys = new Set(units.units.map(({ key }) => key));
  let best: { path: string; shared: number } | null = null;
  for (const [path, { units: was }] of gone) {
    const shared = was.filter(({ key }) => keys.has(key)).length;
    if (shared * 2 >= was.length && shared > (best?.shared ?? 0)) best = { path, shared };
  }
  return best?.path ?? null;
}

/** What a change alters of the behaviour that is there, in pieces that do not need one another. New code alone is no piece. */
export async function piecesOf(
  changes: readonly FileChange[],
  before: SourceTree,
  after: SourceTree,
): Promise<Piece[]> {
  const read = (tree: SourceTree, path: string): Units | null => {
    const text = tree.text(path);
    if (!isProductSource(path) || text === null || text.length >= mostSourceBytes) return null;
    try {
      const units = unitsOf(path, text);
      return units.ok ? units : null;
    } catch (error) {
      // Nested so deeply that nobody can follow it: not taken apart.
      if (error instanceof RangeError) return null;
      throw error;
    }
  };
  const gone = new Map<string, Units>();
  const source = changes.filter(({ path }) => isProductSource(path));
  // In bulk nobody looks for what hangs together with new files.
  const looked = source.length > mostLinked ? source.filter(({ status }) => status === 'changed') : source;
  for (const { path, status } of looked) {
    await breathe();
    const units = status === 'removed' ? read(before, path) : null;
    if (units !== null) gone.set(path, units);
  }
  const sides: Sides[] = [];
  const known = new Set<string>();
  const learn = (path: string): void => {
    for (const name of identifiers(before.text(path) ?? '')) if (!words.has(name)) known.add(name);
  };
  for (const { path, status } of looked) {
    await breathe();
    if (status === 'removed') {
      learn(path);
      continue;
    }
    const is = read(after, path);
    if (is === null) continue;
    const from = status === 'added' ? movedFrom(is, gone) : path;
    learn(path);
    const was = from === null ? null : (gone.get(from) ?? read(before, from));
    sides.push({ path, was, is });
  }
  const placed = sides.flatMap(({ path, was, is }): Placed[] => {
    const then = new Map((was?.units ?? []).map((unit) => [unit.key, unit]));
    const now = new Set(is.units.map(({ key }) => key));
    return [
      ...is.units.flatMap((unit): Placed[] => {
        const old = then.get(unit.key) ?? null;
        return old !== null && sameWords(old, unit) ? [] : [{ path, was: old, is: unit }];
      }),
      ...[...then.values()].filter(({ key }) => !now.has(key)).map((unit) => ({ path, was: unit, is: null })),
    ];
  });
  const still = new Set(sides.flatMap(({ path }) => [...identifiers(after.text(path) ?? '')]));
  // A parameter list that is another binds the function to whoever calls it, by its old name.
  const binds = ({ was, is }: Placed): string[] =>
    was === null || is === null || was.parameters === is.parameters ? [] : [lastOf(is.key)];
  const names = placed.map((each) => ({
    brings: (each.is?.declares ?? []).filter((name) => !known.has(name)),
    takes: (each.was?.declares ?? []).filter((name) => !still.has(name)),
    binds: binds(each),
    says: identifiers(each.is?.text ?? ''),
    said: identifiers(each.was?.text ?? ''),
  }));
  const heads = placed.map((_each, index) => index);
  const headOf = (index: number): number => {
    let at = index;
    while (heads[at] !== at) at = heads[at] = heads[heads[at]!]!;
    return at;
  };
  const holders = new Map<string, number[]>();
  const hold = (name: string, index: number): void => {
    const known = holders.get(name);
    if (known === undefined) holders.set(name, [index]);
    else known.push(index);
  };
  const join = (one: number, other: number): void => void (heads[headOf(one)] = headOf(other));
  for (const [index, { brings, takes, binds: bound }] of names.entries())
    for (const name of [...brings, ...takes, ...bound]) hold(name, index);
  const members = new Set(sides.flatMap(({ is }) => is.members.filter((name) => !known.has(name))));
  for (const [index, { says }] of names.entries()) for (const name of says) if (members.has(name)) hold(name, index);
  // Whoever says a name hangs together with all that hold it, and so do these with one another.
  const met = new Set<string>();
  for (const [index, { says, said }] of names.entries()) {
    await breathe();
    for (const name of [...says, ...said]) {
      const known = holders.get(name);
      if (known === undefined) continue;
      join(index, known[0]!);
      if (!met.has(name)) for (const other of known) join(other, known[0]!);
      met.add(name);
    }
  }
  const groups = new Map<number, Placed[]>();
  for (const [index, each] of placed.entries()) {
    const group = groups.get(headOf(index));
    if (group === undefined) groups.set(headOf(index), [each]);
    else group.push(each);
  }
  const sidesAt = new Map(sides.map((each) => [each.path, each]));
  return [...groups.values()].flatMap((group): Piece[] => {
    const there = group.filter(({ was }) => was !== null);
    const first = there.find(({ is }) => is !== null) ?? there[0];
    if (first === undefined) return [];
    return [
      {
        names: there.map(({ was }) => was!.key),
        path: first.path,
        line: first.is?.line ?? 1,
        asksForNothing:
          decidesTheSame(group) || there.every(({ was, is }) => is === null || (was!.constant && is.constant)),
        touched: touchedIn(group),
        // Few of many pieces are taken back.
        get without() {
          return takenBack(group, sidesAt, after);
        },
      },
    ];
  });
}

/** More lines than these are no one thing that a few words could be about. */
const mostTouched = 8;

function touchedIn(group: readonly Placed[]): string[] {
  const lines = ({ text }: Unit): string[] => text.split('\n').map((line) => line.trim());
  const altered = group.flatMap(({ was, is }) => {
    const [then, now] = [was === null ? [] : lines(was), is === null ? [] : lines(is)];
    return [...then.filter((line) => !now.includes(line)), ...now.filter((line) => !then.includes(line))];
  });
  return altered.length > mostTouched ? [] : [...new Set(altered.flatMap((line) => [...identifiers(line)]))];
}

/** The same literals, operators, branches and calls, whatever things are called and wherever they stand. */
function decidesTheSame(group: readonly Placed[]): boolean {
  const [only] = group;
  if (group.length === 1 && only!.was !== null && only!.is !== null) return renamed(only!.was.words, only!.is.words);
  const own = new Set(group.flatMap(({ was, is }) => [...(was?.declares ?? []), ...(is?.declares ?? [])]));
  const decisions = (side: 'was' | 'is'): string =>
    group
      .flatMap((each) => each[side]?.words ?? [])
      .filter(({ kind, text }) => kind === 'decides' || (kind === 'calls' && !own.has(text)))
      .map(({ text }) => text)
      .sort()
      .join('\n');
  return decisions('was') === decisions('is');
}

/** Word for word the same but for names, each of which became one other name. */
function renamed(was: readonly Word[], is: readonly Word[]): boolean {
  if (was.length !== is.length) return false;
  const there = new Map<string, string>();
  const back = new Map<string, string>();
  return was.every((word, at) => {
    const other = is[at]!;
    if (word.kind !== other.kind) return false;
    if (word.kind !== 'name' && word.kind !== 'calls') return word.text === other.text;
    const same = (there.get(word.text) ?? other.text) === other.text && (back.get(other.text) ?? word.text) === word.text;
    there.set(word.text, other.text);
    back.set(other.text, word.text);
    return same;
  }); // prettier-ignore
}

function takenBack(
  group: readonly Placed[],
  sides: ReadonlyMap<string, Sides>,
  after: SourceTree,
): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const path of new Set(group.filter(({ was }) => was !== null).map((each) => each.path))) {
    const { was, is } = sides.get(path)!;
    const edits = group
      .filter((each) => each.path === path && each.was !== null)
      .map((each) => {
        const at = is.placeOf(each.was!.key);
        return each.is === null
          ? { start: at, end: at, text: `\n${statement(path, each.was!)}\n` }
          : { start: each.is.start, end: each.is.end, text: each.was!.text };
      });
    let text = after.text(path) ?? '';
    for (const { start, end, text: old } of edits.sort((a, b) => b.start - a.start))
      text = text.slice(0, start) + old + text.slice(end);
    const wants = identifiers(edits.map((each) => each.text).join('\n'));
    const imports = [...(was?.imports ?? [])]
      .filter(([name]) => wants.has(name) && !is.imports.has(name))
      .map(([, line]) => line);
    files.set(path, withImports(path, text, imports));
  }
  return files;
}

/** What is gone stands as a statement of its own again, a variable with its keyword. */
const statement = (path: string, unit: Unit): string =>
  isPython(path) || unit.key.includes('.') || !/^[\w$]+\s*(?::[^=]+)?=/.test(unit.text)
    ? unit.text
    : `const ${unit.text};`;

function withImports(path: string, text: string, imports: readonly string[]): string {
  const shebang = /^#!.*\n/.exec(text)?.[0] ?? '';
  const rest = text.slice(shebang.length);
  if (!isPython(path))
    return `${shebang}${isTypeScript(path) ? '// @ts-nocheck\n' : ''}${imports.join('\n')}${imports.length > 0 ? '\n' : ''}${rest}`;
  const future = /^from __future__ .*$/m.exec(rest);
  const at = future === null ? 0 : future.index + future[0].length + 1;
  return imports.length === 0 ? text : `${shebang}${rest.slice(0, at)}${imports.join('\n')}\n${rest.slice(at)}`;
}
