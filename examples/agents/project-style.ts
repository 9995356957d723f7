import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, posix, relative, sep } from 'node:path';
import { PermanentError } from '@muster/sdk';
import type { Idea } from './ideas.ts';

export type Runner = 'node:test' | 'jest' | 'vitest' | 'mocha' | 'pytest';

/** How a project writes its code and its tests, read off the project itself. */
export interface ProjectStyle {
  readonly runner: Runner;
  /** A real test file that new tests are written like, and next to. */
  readonly sampleTest: string;
  readonly sourceFolder: string;
  modulePath(idea: Idea): string;
  testPath(idea: Idea): string;
  moduleText(idea: Idea): string;
  /** @param weak only looks whether the function is there */
  testText(idea: Idea, weak?: boolean): string;
  /** The same as one more function for a module that exists. */
  functionText(idea: Idea): string;
}

/** Said when a project has no place for the kind of work that was asked for. */
export const cannot = (why: string): PermanentError => new PermanentError(`cannot be played here: ${why}`);

const skippedFolders = new Set([
  'node_modules',
  '.git',
  'dist',
  'build',
  'coverage',
  'vendor',
  '.venv',
  'venv',
  'fixtures',
  '__pycache__',
]);

/** Every file below the folder, as paths with forward slashes; at most 5,000. */
export async function listFiles(root: string): Promise<string[]> {
  const found: string[] = [];
  const folders = [''];
  while (folders.length > 0 && found.length < 5_000) {
    const folder = folders.shift()!;
    const entries = await readdir(join(root, folder), { withFileTypes: true });
    for (const entry of entries.sort((left, right) => left.name.localeCompare(right.name))) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory() && !skippedFolders.has(entry.name)) folders.push(path);
      else if (entry.isFile()) found.push(path);
    }
  }
  return found;
}

const readText = (root: string, path: string): Promise<string> => readFile(join(root, path), 'utf8');
const exists = async (path: string): Promise<boolean> =>
  stat(path).then(
    (entry) => entry.isFile(),
    () => false,
  );
const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** @param knownTests files of tests that are known to pass, the most telling first */
export async function readStyle(root: string, knownTests: readonly string[] = []): Promise<ProjectStyle> {
  const files = await listFiles(root);
  const known = knownTests.map((path) => path.split(sep).join('/')).filter((path) => files.includes(path));
  const python = [...known, ...files].filter((path) => /(^|\/)(test_[^/]*|[^/]*_test)\.py$/.test(path));
  if (files.includes('package.json')) {
    const style = await readJavaScriptStyle(root, files, known);
    if (style) return style;
  }
  if (python.length > 0) return readPythonStyle(root, files, python);
  throw cannot('no node:test, jest, vitest, mocha or pytest suite was found');
}

interface PackageJson {
  readonly type?: string;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const detectRunner = (manifest: PackageJson, sample: string): Runner | null => {
  const script = manifest.scripts?.['test'] ?? '';
  const through = Object.entries(manifest.scripts ?? {})
    .filter(([name]) => script.includes(`run ${name}`) || name.startsWith('test:'))
    .map(([, command]) => command);
  for (const command of [script, ...through]) {
    if (/\bvitest\b/.test(command)) return 'vitest';
    if (/\bjest\b/.test(command)) return 'jest';
    if (/\bmocha\b/.test(command)) return 'mocha';
    if (/\bnode\b.*--test\b/.test(command)) return 'node:test';
  }
  if (/['"]node:test['"]/.test(sample)) return 'node:test';
  const packages = { ...manifest.dependencies, ...manifest.devDependencies };
  for (const runner of ['vitest', 'jest', 'mocha'] as const) if (packages[runner] !== undefined) return runner;
  return null;
};

const codePattern = /\.([cm]?[jt]sx?)$/;
const testPattern =
  /(\.|-|_)(test|spec)\.[cm]?[jt]sx?$|(^|\/)(tests?|__tests__|spec)\/[^/]+(\/[^/]+)*\.[cm]?[jt]sx?$|(^|\/)tests?\.[cm]?[jt]sx?$/;

const sayingTest = /(test|spec)[^/]*$/i;

interface SourceImport {
  readonly specifier: string;
  readonly file: string;
}

async function sourceImports(root: string, files: readonly string[], test: string): Promise<SourceImport[]> {
  const text = await readText(root, test);
  const found: SourceImport[] = [];
  for (const match of text.matchAll(/(?:from\s+|require\(\s*|import\(\s*|import\s+)['"](\.{1,2}(?:\/[^'"]*)?)['"]/g)) {
    const specifier = match[1]!;
    const target = posix.normalize(posix.join(posix.dirname(test), specifier)).replace(/\/$/, '');
    const bare = target.replace(/\.[cm]?jsx?$/, '');
    const candidates = [
      target,
      ...['.ts', '.tsx', '.js', '.mjs', '.cjs', '.mts', '.cts'].flatMap((end) => [
        bare + end,
        target + end,
        posix.join(target, `index${end}`),
      ]),
    ];
    const file = candidates.find((candidate) => files.includes(candidate) && codePattern.test(candidate));
    if (file && !testPattern.test(file)) found.push({ specifier, file });
  }
  return found;
}

async function readJavaScriptStyle(
  root: string,
  files: readonly string[],
  known: readonly string[],
): Promise<ProjectStyle | null> {
  const manifest = JSON.parse(await readText(root, 'package.json')) as PackageJson;
  const tests = [
    ...known.filter((path) => codePattern.test(path)),
    // Files that say themselves that they are tests come before what merely lies beside them.
    ...files
      .filter((path) => testPattern.test(path) && codePattern.test(path))
      .sort((left, right) => Number(sayingTest.test(right)) - Number(sayingTest.test(left))),
  ];
  let sampleTest: string | null = null;
  let sampleImport: SourceImport | null = null;
  for (const test of tests.slice(0, 60)) {
    const text = await readText(root, test);
    if (!/\b(test|it)\s*(\.\w+)?\s*\(/.test(text)) continue;
    const [first] = await sourceImports(root, files, test);
    if (first) {
      sampleTest = test;
      sampleImport = first;
      break;
    }
    sampleTest ??= test;
  }
  if (sampleTest === null) return null;
  const testSample = await readText(root, sampleTest);
  const runner = detectRunner(manifest, testSample);
  if (runner === null) return null;
  // Without an import to go by, new code lies where code usually does.
  const fallback =
    files.find((path) => /^(src|lib)\/[^/]+$/.test(path) && codePattern.test(path)) ??
    files.find((path) => !path.includes('/') && codePattern.test(path) && !/config|rc\./.test(path)) ??
    sampleTest;
  const sourceSample = sampleImport?.file ?? fallback;
  const sourceText = await readText(root, sourceSample);
  const sourceFolder = posix.dirname(sourceSample) === '.' ? '' : `${posix.dirname(sourceSample)}/`;
  const typescript = /\.[cm]?tsx?$/.test(sourceSample);
  const testTypescript = /\.[cm]?tsx?$/.test(sampleTest);
  const extension = extname(sourceSample).replace(/x$/, '');
  const sourceEsm =
    typescript ||
    extension === '.mjs' ||
    (extension !== '.cjs' &&
      (/^\s*export\s/m.test(sourceText) ||
        (!/module\.exports|exports\./.test(sourceText) && manifest.type === 'module')));
  const testEsm =
    /^\s*import\s[^(]/m.test(testSample) ||
    (!/\brequire\(/.test(testSample) && (manifest.type === 'module' || testTypescript));
  const finish = styler(sourceText);
  const finishTest = styler(testSample);
  const nameLike =
    /[-]/.test(basename(sourceSample)) || !/[A-Z]/.test(basename(sourceSample))
      ? kebab
      : (name: string): string => name;

  // A script that names the file runs that file and no other: new tests go to its end.
  const onlyFile = Object.values(manifest.scripts ?? {}).some((command) =>
    command.split(/[\s'"]+/).some((word) => posix.normalize(word) === sampleTest),
  );

  const modulePath = (idea: Idea): string => `${sourceFolder}${nameLike(idea.name)}${extension}`;
  const testPath = (idea: Idea): string => {
    if (onlyFile) return sampleTest;
    const suffix = /((?:\.|-|_)(?:test|spec))?\.[cm]?[jt]sx?$/.exec(basename(sampleTest))![0].replace(/x$/, '');
    return posix.join(posix.dirname(sampleTest), `${nameLike(idea.name)}${suffix}`);
  };
  const specifier = (idea: Idea): string => {
    const path = posix.relative(posix.dirname(testPath(idea)), modulePath(idea));
    const relativePath = path.startsWith('.') ? path : `./${path}`;
    const written = sampleImport
      ? extname(sampleImport.specifier)
      : testEsm && !['jest', 'vitest'].includes(runner)
        ? '.js'
        : '';
    const bare = relativePath.slice(0, -extension.length);
    if (!codePattern.test(written))
      return testEsm && sourceEsm && runner === 'node:test' && !typescript ? relativePath : bare;
    return /^\.[cm]?js$/.test(written) && typescript
      ? `${bare}${extension.replace('ts', 'js')}`
      : `${bare}${extension}`;
  };
  const declaration = (idea: Idea): string => {
    const parameters = idea.parameters.map(([name, type]) => (typescript ? `${name}: ${type}` : name)).join(', ');
    const result = typescript ? `: ${idea.result}` : '';
    return [
      `/** ${idea.about} */`,
      `${sourceEsm ? 'export ' : ''}function ${idea.name}(${parameters})${result} {`,
      ...idea.javascript.map((line) => `  ${line}`),
      '}',
    ].join('\n');
  };
  const functionText = (idea: Idea): string =>
    finish(`${declaration(idea)}${sourceEsm ? '' : `\n\nmodule.exports.${idea.name} = ${idea.name};`}`);

  const testText = (idea: Idea, weak = false): string => {
    const { imports, name, same, truth } = testWords(runner, testSample, testEsm);
    const from = testEsm
      ? `import { ${idea.name} } from '${specifier(idea)}';`
      : `const { ${idea.name} } = require('${specifier(idea)}');`;
    const checks = weak
      ? [`${name}('${idea.name} is there', () => {`, `  ${truth(`typeof ${idea.name} === 'function'`)}`, '});']
      : idea.cases.flatMap(({ says, given, answer }) => [
          `${name}('${idea.name} ${says}', () => {`,
          `  ${same(`${idea.name}(${given.map(literal).join(', ')})`, literal(answer))}`,
          '});',
          '',
        ]);
    const strict = !testEsm && /^['"]use strict['"]/m.test(testSample) ? ["'use strict';", ''] : [];
    if (onlyFile) {
      const missing = imports.filter((line) => !/(assert|expect|test|it)\b/.test(line) || !declares(testSample, line));
      return `${testSample.trimEnd()}\n\n${finishTest([...missing, from, '', ...checks].join('\n').trimEnd())}`;
    }
    return finishTest([...strict, ...imports, from, '', ...checks].join('\n').trimEnd());
  };
  const head = !sourceEsm && /^['"]use strict['"]/m.test(sourceText) ? finish("'use strict';\n") + '\n' : '';
  return {
    runner,
    sampleTest,
    sourceFolder,
    modulePath,
    testPath,
    functionText,
    moduleText: (idea) => head + functionText(idea),
    testText,
  };
}

/** Whether a file brings in already what this line would bring in. */
const declares = (text: string, line: string): boolean => {
  const names = /(?:import|const)\s+\{?\s*([\w\s,]+?)\s*\}?\s+(?:from|=)/.exec(line)?.[1]?.split(/\s*,\s*/) ?? [];
  return names.every((name) => new RegExp(`(?:import|const|var|let)[^;\\n]*\\b${name}\\b`).test(text));
};

const literal = (value: number | string | boolean): string =>
  typeof value === 'string' ? `'${value}'` : String(value);

/** What a test of this project starts with and how it says that two things are equal. */
function testWords(
  runner: Runner,
  sample: string,
  esm: boolean,
): {
  imports: string[];
  name: string;
  same: (actual: string, wanted: string) => string;
  truth: (expression: string) => string;
} {
  const bring = (names: string, from: string): string =>
    esm ? `import { ${names} } from '${from}';` : `const { ${names} } = require('${from}');`;
  const bringAll = (name: string, from: string): string =>
    esm ? `import ${name} from '${from}';` : `const ${name} = require('${from}');`;
  const asserting = {
    same: (actual: string, wanted: string): string => `assert.strictEqual(${actual}, ${wanted});`,
    truth: (expression: string): string => `assert.ok(${expression});`,
  };
  const expecting = {
    same: (actual: string, wanted: string): string => `expect(${actual}).toBe(${wanted});`,
    truth: (expression: string): string => `expect(${expression}).toBe(true);`,
  };
  const assertModule = /['"]((?:node:)?assert(?:\/strict)?)['"]/.exec(sample)?.[1] ?? 'node:assert';
  switch (runner) {
    case 'node:test':
      return { imports: [bringAll('assert', assertModule), bring('test', 'node:test')], name: 'test', ...asserting };
    case 'vitest':
      return {
        imports: /['"]vitest['"]/.test(sample) ? [bring('expect, test', 'vitest')] : [],
        name: 'test',
        ...expecting,
      };
    case 'jest':
      return {
        imports: /['"]@jest\/globals['"]/.test(sample) ? [bring('expect, test', '@jest/globals')] : [],
        name: 'test',
        ...expecting,
      };
    case 'mocha': {
      const name = /\bit\s*\(/.test(sample) || !/\btest\s*\(/.test(sample) ? 'it' : 'test';
      if (/['"]chai['"]/.test(sample) && !/['"](node:)?assert/.test(sample))
        return {
          imports: [bring('expect', 'chai')],
          name,
          same: (actual, wanted) => `expect(${actual}).to.equal(${wanted});`,
          truth: (expression) => `expect(${expression}).to.equal(true);`,
        };
      return { imports: [bringAll('assert', assertModule)], name, ...asserting };
    }
    case 'pytest':
      throw new Error('Python tests are written elsewhere.');
  }
}

/** The same without const, let, arrows, destructuring and `for … of`, for projects that still parse ECMAScript 5. */
const toOldSyntax = (code: string): string =>
  code
    .replace(/for \((?:const|let) (\w+) of ((?:[^()]|\([^()]*\))+)\) (.*;)/g, '$2.forEach(function ($1) { $3 });')
    .replace(/(?:const|let) \{ (\w+) \} = (require\([^)]*\))/g, 'var $1 = $2.$1')
    .replace(/\b(?:const|let) /g, 'var ')
    .replace(/\(([\w, ]*)\) => \{/g, 'function ($1) {')
    .replace(/\((\w+)\) => ((?:[^()]|\([^()]*\))+)\)/g, 'function ($1) { return $2; })')
    .replace(/(\w+(?:\.\w+)*)\(\.\.\.(\w+)\)/g, '$1.apply(null, $2)');

/** Takes over the sample's quotes, semicolons and indentation. */
function styler(sample: string): (code: string) => string {
  const double = (sample.match(/"/g)?.length ?? 0) > (sample.match(/'/g)?.length ?? 0);
  // `import {x}` or `import { x }`: linters of either kind mind the other.
  const tight = /^(import|const) [^'"\n]*\{\w/m.test(sample) && !/^(import|const) [^'"\n]*\{ \w/m.test(sample);
  const lines = sample.split('\n');
  const ends = lines.filter((line) => /;\s*$/.test(line)).length;
  const open = lines.filter((line) => /[\w)\]'"]\s*$/.test(line)).length;
  const indent = lines.some((line) => line.startsWith('\t')) ? '\t' : (/^( {2}| {4})\S/m.exec(sample)?.[1] ?? '  ');
  const old = /^\s*var\s/m.test(sample) && !/\b(const|let)\s|=>/.test(sample);
  return (code) => {
    let text = (old ? toOldSyntax(code) : code).replace(/^( {2})+/gm, (spaces) => indent.repeat(spaces.length / 2));
    if (ends < open / 4) text = text.replace(/;$/gm, '');
    if (double) text = text.replace(/'/g, '"');
    if (tight) text = text.replace(/\{ ([\w, ]+) \}(?= from | = require)/g, '{$1}');
    return `${text.trimEnd()}\n`;
  };
}

async function readPythonStyle(
  root: string,
  files: readonly string[],
  tests: readonly string[],
): Promise<ProjectStyle> {
  for (const sampleTest of tests.slice(0, 60)) {
    const sample = await readText(root, sampleTest);
    for (const match of sample.matchAll(/^(?:from|import)\s+([A-Za-z_]\w*)/gm)) {
      const name = match[1]!;
      const folder = [`src/${name}/`, `${name}/`].find((path) => files.includes(`${path}__init__.py`));
      const single = folder === undefined && (await exists(join(root, `${name}.py`)));
      if (folder === undefined && !single) continue;
      const sourceFolder = folder ?? '';
      const quote = (sample.match(/"/g)?.length ?? 0) > (sample.match(/'/g)?.length ?? 0) ? '"' : "'";
      const finish = (code: string): string => `${quote === '"' ? code.replace(/'/g, '"') : code}\n`;
      const functionText = (idea: Idea): string =>
        finish(
          [
            `def ${snake(idea.name)}(${idea.parameters.map(([parameter]) => parameter).join(', ')}):`,
            `    """${idea.about}"""`,
            ...idea.python.map((line) => `    ${line}`),
          ].join('\n'),
        );
      const value = (of: number | string | boolean): string =>
        typeof of === 'boolean' ? (of ? 'True' : 'False') : literal(of);
      const modulePath = (idea: Idea): string => `${sourceFolder}${snake(idea.name)}.py`;
      return {
        runner: 'pytest',
        sampleTest,
        sourceFolder,
        modulePath,
        testPath: (idea) => {
          const like = basename(sampleTest).startsWith('test_')
            ? `test_${snake(idea.name)}.py`
            : `${snake(idea.name)}_test.py`;
          return posix.join(posix.dirname(sampleTest), like);
        },
        functionText,
        moduleText: functionText,
        testText: (idea, weak = false) => {
          const called = snake(idea.name);
          const from = single ? called : `${name}.${called}`;
          const checks = weak
            ? [`def test_${called}_is_there():`, `    assert callable(${called})`]
            : idea.cases.flatMap(({ says, given, answer }) => [
                `def test_${called}_${says.replace(/\W+/g, '_')}():`,
                `    assert ${called}(${given.map(value).join(', ')}) == ${value(answer)}`,
                '',
                '',
              ]);
          return finish([`from ${from} import ${called}`, '', '', ...checks].join('\n').trimEnd());
        },
      };
    }
  }
  throw cannot('no test imports a package of the project, so there is no place known for new code');
}

/** A path below the checkout as the project writes it. */
export const within = (root: string, path: string): string => relative(root, join(root, path)).split(sep).join('/');
export const folderOf = (path: string): string => dirname(path);
