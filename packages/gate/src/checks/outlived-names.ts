import { breathe } from '../breath.ts';
import type { FileChange } from '../source/changes.ts';
import { mostSourceBytes } from '../source/fresh.ts';
import { isProductSource } from '../source/paths.ts';
import type { SourceTree } from '../source/tree.ts';
import { unitsOf } from '../source/units.ts';
import { blocksIn, notOurs, ofOtherTimes } from './promised-names.ts';

/** A call in a document's code of what the change took out of the product. */
export interface Outlived {
  path: string;
  line: number;
  name: string;
}

const ofCode = /^(?:[mc]?[jt]sx?|javascript|typescript|py|python3?|pycon)$/;
/** What everything can do in these languages: `list.remove(…)` in an example may be of no class of the product. */
const ofTheLanguage = new Set(
  [Array, String, Map, Set, Promise, Object, RegExp, Number, Date, Math, JSON, Function, Symbol]
    .flatMap((each) => [
      ...Object.getOwnPropertyNames(each),
      ...Object.getOwnPropertyNames((each as { prototype?: object }).prototype ?? {}),
    ])
    .concat(
      'append clear copy count extend index insert pop remove reverse sort get items keys popitem setdefault update values add discard print open read write close join split strip lower upper format replace find'.split(
        ' ',
      ),
    ),
);

/** Called, or given something that can be: a variable of the same name is another thing. */
const called = /\b(\w+)\s*(?:\(|[:=]\s*(?:async\b|function\b|\())/g;

const namesIn = (tree: SourceTree, path: string): string[] => {
  const text = tree.text(path);
  if (!isProductSource(path) || text === null || text.length >= mostSourceBytes) return [];
  return unitsOf(path, text).units.map(({ key }) => key.split('.').at(-1)!);
};

/** Functions and methods that the change takes out, so that no source calls or makes one of their name any more, and that documents go on calling. */
export async function outlivedIn(
  before: SourceTree,
  after: SourceTree,
  changes: readonly FileChange[],
  isProse: (path: string) => boolean,
): Promise<Outlived[]> {
  const gone = new Set<string>();
  for (const { path, status } of changes) {
    if (status === 'added' || !isProductSource(path)) continue;
    await breathe();
    const now = new Set(namesIn(after, path));
    for (const name of namesIn(before, path))
      if (!now.has(name) && /^[A-Za-z]\w{2,}$/.test(name) && !ofTheLanguage.has(name)) gone.add(name);
  }
  for (const path of gone.size === 0 ? [] : after.files.keys()) {
    if (!isProductSource(path)) continue;
    await breathe();
    for (const [, name] of after.text(path)?.matchAll(called) ?? []) gone.delete(name!);
  }
  if (gone.size === 0) return [];
  const added = new Map(changes.map(({ path, addedLines }) => [path, addedLines]));
  return [...after.files.keys()].flatMap((path) => {
    const text = after.text(path);
    if (!isProse(path) || ofOtherTimes.test(path) || notOurs.test(path) || text === null) return [];
    return blocksIn(text)
      .filter(({ language }) => ofCode.test(language))
      .flatMap(({ lines }) => lines)
      .filter(({ line }) => added.get(path)?.has(line) !== true)
      .flatMap(({ line, text: code }) =>
        [...code.replace(/(?:\/\/|#).*$/, '').matchAll(/\b(\w+)\s*\(/g)]
          .filter(([, name]) => gone.has(name!))
          .map(([, name]) => ({ path, line, name: name! })),
      );
  });
}
