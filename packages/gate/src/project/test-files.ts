import type { TestCase } from '@muster/contracts';
import { isPython, isScript, isTestFile } from '../source/paths.ts';
import { fileOf, importsIn } from '../source/reached.ts';
import type { SourceTree } from '../source/tree.ts';

/**
 * The files of a tree that cases come from. Null where that is not all that is run: a case does not say where it is from, or a file that goes by the name
 * of tests and that nothing imports has none, so that it may do anything when it is loaded.
 */
export function filesOf(tree: SourceTree, cases: readonly TestCase[]): ReadonlySet<string> | null {
  const files = new Set<string>();
  for (const { file } of cases) {
    if (file === null) return null;
    if (tree.has(file)) files.add(file);
  }
  const paths = [...tree.files.keys()].filter((path) => isScript(path) || isPython(path));
  const silent = paths.filter((path) => isTestFile(path) && !files.has(path) && !/(?:^|\/)conftest\.py$/.test(path));
  if (silent.length === 0) return files;
  const imported = new Set(
    paths.filter(isScript).flatMap((path) => importsIn(tree, path).flatMap((name) => fileOf(tree, path, name) ?? [])),
  );
  return silent.every((path) => imported.has(path)) ? files : null;
}

const outcomesOf = (cases: readonly TestCase[], file: string): string =>
  JSON.stringify(cases.filter((each) => each.file === file).map(({ name, status }) => [name, status]).sort()); // prettier-ignore

/** Whether test files came to the same by themselves as among all. */
export const sameOutcomes = (files: readonly string[], alone: readonly TestCase[], all: readonly TestCase[]): boolean =>
  files.every((file) => outcomesOf(alone, file) === outcomesOf(all, file));

/** The cases of a suite, with those of the files that it does not have and another one does. */
export function withLanded(own: readonly TestCase[], landed: readonly TestCase[]): TestCase[] {
  const files = new Set(own.map(({ file }) => file));
  return [...own, ...landed.filter(({ file }) => !files.has(file))];
}
