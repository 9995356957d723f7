import { fileOf, importsIn } from '../source/reached.ts';
import { isPython, isScript, isTestFile } from '../source/paths.ts';
import type { FileChange } from '../source/changes.ts';
import type { SourceTree } from '../source/tree.ts';
import { wordsOf, type TestPlan } from './test-runner.ts';

/** Options of the runners that are followed by a value; anything else without a dash in front names what is run. */
const takesValue =
  /^(?:--import|--require|-r|--loader|--experimental-loader|--env-file|--config|-c|--project|-p|--root|--dir|--reporter|--reporter-option|--file|--timeout|-t|--ui|-u|-m|-k|-W|--rootdir)$/;
const runnerOf: Readonly<Partial<Record<TestPlan['runner'], RegExp>>> = {
  jest: /(^|[\s/])jest(\.js)?(\s|$)/,
  vitest: /(^|\s)vitest(\s|$)/,
  mocha: /(^|[\s/])_?mocha(\.js)?(\s|$)/,
  'node:test': /(^|\s)--test(\s|$)/,
  pytest: /(^|\s)(python3? -m )?pytest(\s|$)/,
};
const holdsTests = (tree: SourceTree, path: string): boolean =>
  isTestFile(path) && /\b(?:test|it|describe|suite)\b\s*[(.]|^\s*(?:async\s+)?def test_/m.test(tree.text(path) ?? '');
const stemOf = (path: string): string =>
  (path.split('/').at(-1) ?? '').replace(/^test_|(?:[._-](?:test|spec))?\.\w+$/g, '').toLowerCase();

/**
 * The test files that a change has to do with: changed ones, those that reach a changed file by imports, and those named like one. In
 * Python, where modules are found by path settings, those that name its module. Null where it cannot be told: settings changed, say.
 */
export function affectedTests(tree: SourceTree, changes: readonly FileChange[]): string[] | null {
  const code = changes.filter(({ path }) => isScript(path) || isPython(path));
  const settings = changes.some(
    ({ path }) => !isScript(path) && !isPython(path) && !/\.(?:md|mdx|markdown|txt|rst)$/i.test(path),
  );
  if (settings || code.length === 0) return null;
  const tests = [...tree.files.keys()].filter((path) => holdsTests(tree, path));
  const importers = new Map<string, string[]>();
  for (const path of tree.files.keys()) {
    if (!isScript(path)) continue;
    for (const name of importsIn(tree, path)) {
      const target = fileOf(tree, path, name);
      if (target !== null) importers.set(target, [...(importers.get(target) ?? []), path]);
    }
  }
  const reached = new Set(code.map(({ path }) => path));
  for (const path of reached) for (const from of importers.get(path) ?? []) reached.add(from);
  const stems = new Set(code.map(({ path }) => stemOf(path)));
  const modules = code.flatMap(({ path }) => (isPython(path) ? [path.replace(/\.py$|\/__init__\.py$/g, '').split('/').at(-1)!] : []));
  const named = modules.length === 0 ? null : new RegExp(`\\b(?:import|from)\\b[^\\n]*\\b(?:${modules.map((each) => each.replace(/\W/g, '\\$&')).join('|')})\\b`);
  return tests
    .filter((path) => reached.has(path) || stems.has(stemOf(path)) || (isPython(path) && named?.test(tree.text(path) ?? '') === true))
    .sort();
} // prettier-ignore

const quoted = (path: string): string => `'${path.replaceAll("'", "'\\''")}'`;

/**
 * The project's settings for mocha as options, but for the files that they name, which would be run beside those that are asked for. Where they are
 * written as a program, or say more than options say, these files are run as well.
 */
function mochaSettings(tree: SourceTree): string[] {
  if ([...tree.files.keys()].some((path) => /^\.mocharc\.(?:c?js|ya?ml|jsonc)$/.test(path))) return [];
  const settings = { ...Object(tree.json('package.json')?.['mocha']), ...tree.json('.mocharc.json') } as Record<string, unknown>;
  if (settings['spec'] === undefined) return [];
  const words = ['--no-config', '--no-package'];
  for (const [name, value] of Object.entries(settings).filter(([name]) => name !== 'spec' && name !== 'reporter')) {
    for (const each of [value].flat()) {
      if (!/^[a-z][a-z-]*$/i.test(name) || !['string', 'number', 'boolean'].includes(typeof each)) return [];
      words.push(typeof each === 'boolean' ? `--${each ? '' : 'no-'}${name}` : `--${name}=${quoted(String(each))}`);
    }
  }
  return words;
} // prettier-ignore

/** The project's own test line for these files only; null where the gate does not know the runner well enough. */
export function lineForFiles(plan: TestPlan, files: readonly string[], tree: SourceTree): string | null {
  const runner = runnerOf[plan.runner];
  if (runner === undefined || files.length === 0) return null;
  const parts = plan.bare.split(/(\s*(?:&&|;)\s*)/);
  const at = parts.findIndex((part) => runner.test(part));
  if (at < 0) return null;
  const words = wordsOf(parts[at]!);
  const begins = words.findIndex((word) => /(?:^|\/)(?:jest(?:\.js)?|vitest|_?mocha(?:\.js)?|pytest|--test)$/.test(word));
  const kept = words.filter((word, index) => {
    if (index <= begins || word.startsWith('-') || takesValue.test(words[index - 1] ?? '')) return true;
    return plan.runner === 'vitest' && word === 'run';
  });
  const own =
    plan.runner === 'jest'
      ? ['--runTestsByPath']
      : plan.runner === 'vitest'
        ? ['--run']
        : plan.runner === 'mocha' && !/\s--(?:no-)?config\b/.test(parts[at]!)
          ? mochaSettings(tree)
          : [];
  parts[at] = [...kept, ...own, ...files.map(quoted)].join(' ');
  return parts.join('');
} // prettier-ignore
