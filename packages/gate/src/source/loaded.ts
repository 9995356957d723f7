import { isPython, isScript } from './paths.ts';
import { importsIn } from './reached.ts';
import { asksFor } from './seen.ts';
import { filesNamedIn, isBuiltin, mayBeAlias, modulesOf } from './surroundings.ts';
import type { SourceTree } from './tree.ts';

export interface Loaded {
  readonly files: ReadonlySet<string>;
  /** False: a program among them asks for files that it need not name, or by a name that leads nowhere here. */
  readonly certain: boolean;
}

/**
 * All files that may be loaded with these, as the texts name them: by paths, by names that settings may give to files, and in Python by modules
 * wherever path settings may find them. Rather too many than too few.
 */
export function loadedWith(tree: SourceTree, from: readonly string[]): Loaded {
  const bySegment = new Map<string, string[]>();
  for (const path of tree.files.keys())
    if (isScript(path))
      for (const name of segmentsOf(path)) bySegment.set(name, [...(bySegment.get(name) ?? []), path]);
  const files = new Set(from.filter((path) => tree.has(path)));
  let certain = true;
  for (const path of files) {
    certain &&= !asksFor(path, tree.text(path) ?? '');
    if (isPython(path)) for (const target of modulesOf(tree, path)) files.add(target);
    if (!isScript(path)) continue;
    for (const target of filesNamedIn(tree, path)) files.add(target);
    for (const name of importsIn(tree, path, { types: false })) {
      if (/^\.{0,2}\//.test(name) || isBuiltin(name) || !mayBeAlias(tree, name)) continue;
      const targets = bySegment.get(name.split('/').at(-1)!.replace(/\.\w+$/, '').replace(/^\W+/, '')) ?? []; // prettier-ignore
      certain &&= targets.length > 0;
      for (const target of targets) files.add(target);
    }
  }
  return { files, certain };
}

/** By which last parts of a name a file may be meant: its own name, or that of each folder whose index it is. */
function segmentsOf(path: string): string[] {
  const parts = path.replace(/(?:\.d)?\.\w+$/, '').split('/');
  return parts.at(-1) === 'index' ? parts.slice(0, -1) : parts.slice(-1);
}
