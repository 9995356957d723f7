import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { projectPolicy, type VerificationFacts } from '@muster/contracts';
import { mkdtempSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { GateDesk, type Files } from '../../../test/support/gate-desk.ts';
import { Packages } from '../../../test/gate/packages.ts';
import { lintCheck } from './checks/lint.ts';
import { typesCheck } from './checks/types.ts';
import { judge } from './judge.ts';
import { dependenciesHome } from './project/dependencies.ts';
import { detectSandbox, type Sandbox } from './sandbox/detect.ts';
import { changesBetween } from './source/changes.ts';
import { surroundingsOf, textsAround } from './source/surroundings.ts';
import { runVerification } from './verification.ts';

const head = "import test from 'node:test';\nimport assert from 'node:assert/strict';\n";
const project: Files = {
  'package.json': JSON.stringify({ name: 'sample', type: 'module', scripts: { test: 'node --test' } }),
  'README.md': '# Sample\n',
  'src/sum.js': 'export function sum(a, b) {\n  return a + b;\n}\n',
  'test/sum.test.js': `${head}import { sum } from '../src/sum.js';\ntest('adds', () => {\n  assert.equal(sum(1, 2), 3);\n});\n`,
};
const twice: Files = {
  'src/twice.js': "import { sum } from './sum.js';\nexport function twice(a) {\n  return sum(a, a);\n}\n",
  'test/twice.test.js': `${head}import { twice } from '../src/twice.js';\ntest('doubles', () => {\n  assert.equal(twice(4), 8);\n});\n`,
};
const elsewhere: Files = {
  'README.md': '# Sample\n\nAsk us.\n',
  'src/half.js': 'export function half(a) {\n  return a / 2;\n}\n',
  'test/half.test.js': `${head}import { half } from '../src/half.js';\ntest('halves', () => {\n  assert.equal(half(4), 2);\n});\n`,
};
const aboutTheChange = ['canaries', 'honesty', 'new-tests', 'coverage', 'mutation', 'syntax'];

let sandbox: Sandbox;
const desk = new GateDesk();
beforeAll(async () => {
  sandbox = await detectSandbox('auto');
});
afterAll(() => desk.clear());

/** Verifies both changes after one another with one cache, and says which checks of the second were answered from the first. */
async function again(first: { base: Files; candidate: Files }, second: { base: Files; candidate: Files }) {
  const cacheDir = mkdtempSync(join(desk.root, 'cache-'));
  const verify = async ({ base, candidate }: { base: Files; candidate: Files }): Promise<VerificationFacts> => {
    const policy = projectPolicy.parse({ timeoutSeconds: 60 });
    const facts = await runVerification({
      candidateDir: desk.tree(candidate).dir,
      baseDir: desk.tree(base).dir,
      restoresDir: null,
      input: {
        purpose: 'landing',
        candidateTree: JSON.stringify(candidate),
        baseTree: JSON.stringify(base),
        restoresTree: null,
        policy,
        rulesDigest: 'rules',
      },
      workDir: mkdtempSync(join(desk.root, 'work-')),
      cacheDir,
      sandbox,
    });
    return { ...facts, verdict: judge(facts, policy, 'landing') } as VerificationFacts & { verdict: unknown };
  };
  const [one, two] = [await verify(first), await verify(second)];
  return {
    one,
    two,
    reused: two.checks.filter(({ reused }) => reused != null && reused.because.includes('of this change')).map(({ check }) => check), // prettier-ignore
  };
}

describe('a change that is verified once more', () => {
  it('on top of something that neither it nor its tests can see runs build and tests, and asks no more about the change', async () => {
    const landed = { ...project, ...elsewhere };
    const { one, two, reused } = await again(
      { base: project, candidate: { ...project, ...twice } },
      { base: landed, candidate: { ...landed, ...twice } },
    );
    expect(reused.sort()).toEqual([...aboutTheChange].sort());
    const tests = two.checks.find(({ check }) => check === 'tests');
    expect(tests?.reused).toBeUndefined();
    expect(tests?.metrics['total']).toBe(3);
    expect(two.checks.map(({ check, status }) => [check, status])).toEqual(
      one.checks.map(({ check, status }) => [check, status]),
    );
  });

  it('on top of a change to what it loads is asked everything again', async () => {
    const landed = { ...project, 'src/sum.js': 'export function sum(a, b) {\n  return Number(a) + Number(b);\n}\n' };
    const { reused } = await again(
      { base: project, candidate: { ...project, ...twice } },
      { base: landed, candidate: { ...landed, ...twice } },
    );
    expect(reused).toEqual([]);
  });

  it('is asked everything again when the change itself is another', async () => {
    const other = { ...twice, 'src/twice.js': 'export function twice(a) {\n  return a * 2;\n}\n' };
    const { reused } = await again(
      { base: project, candidate: { ...project, ...twice } },
      { base: project, candidate: { ...project, ...other } },
    );
    expect(reused).toEqual([]);
  });
});

describe('what a change and its tests can see', () => {
  const around = (base: Files, candidate: Files): string[] | null => {
    const [before, after] = [desk.tree(base), desk.tree(candidate)];
    const found = surroundingsOf(after, changesBetween(before, after));
    return found === null ? null : [...found].sort();
  };
  const landed = { ...project, ...elsewhere };

  it('is settings, whoever reaches it, and what they reach', () => {
    expect(around(landed, { ...landed, ...twice })).toEqual(['package.json', 'src/sum.js']);
    const sum = { ...landed, ...twice };
    expect(around(sum, { ...sum, 'src/sum.js': 'export const sum = (a, b) => a + b;\n' })).toEqual([
      'package.json',
      'src/twice.js',
      'test/sum.test.js',
      'test/twice.test.js',
    ]);
  });

  it('is data and snapshots, and not prose', () => {
    const data = { ...landed, 'data.json': '{}', 'test/__snapshots__/a.snap': '', 'docs/a.md': '' };
    expect(around(data, { ...data, ...twice })).toEqual(
      ['data.json', 'package.json', 'src/sum.js', 'test/__snapshots__/a.snap'].sort(),
    );
  });

  it('is what settings name', () => {
    const named = {
      ...landed,
      'package.json': JSON.stringify({ type: 'module', scripts: { test: 'node --import ./test/setup.js --test' } }),
      'test/setup.js': 'globalThis.ready = true;\n',
    };
    expect(around(named, { ...named, ...twice })).toContain('test/setup.js');
  });

  it('is, in Python, the modules that a module names and those that name it, and what pytest loads by itself', () => {
    const python: Files = {
      'src/shop/__init__.py': '',
      'src/shop/money.py': 'def add(a, b):\n    return a + b\n',
      'src/shop/basket.py': 'from . import money\n\ndef total(a):\n    return money.add(a, a)\n',
      'src/shop/stars.py': 'def stars():\n    return open("stars").read()\n',
      'tests/conftest.py': '',
      'tests/test_basket.py':
        'from shop.basket import (\n    total,\n)\n\ndef test_total():\n    assert total(1) == 2\n',
      'tests/test_stars.py': 'import shop.stars\n',
    };
    const basket = `${python['src/shop/basket.py']!}\ndef none():\n    return 0\n`;
    expect(around(python, { ...python, 'src/shop/basket.py': basket })).toEqual([
      'src/shop/__init__.py',
      'src/shop/money.py',
      'tests/conftest.py',
      'tests/test_basket.py',
    ]);
    expect(around(python, { ...python, 'src/shop/stars.py': 'def stars():\n    return open("s")\n' })).toBeNull();
  });

  it.each<[string, Files]>([
    ['a name that the package gives to its own files', { 'src/half.js': "export { sum } from '#sum';\n" }],
    ['the name of the package itself', { 'src/half.js': "export { sum } from 'sample/sum';\n" }],
    ['a name that a compiler gives to a file, like that of a package', {
      'package.json': JSON.stringify({ name: 'sample', type: 'module', dependencies: { lodash: '1.0.0' }, scripts: { test: 'node --test' } }),
      'tsconfig.json': '{ // of ours\n "compilerOptions": { "paths": { "lodash/*": ["./src/*"] } } }',
      'src/half.js': "export { sum } from 'lodash/sum';\n",
    }],
    ['a name below the folder in which a compiler begins to look', {
      'package.json': JSON.stringify({ name: 'sample', type: 'module', dependencies: { sum: '1.0.0' }, scripts: { test: 'node --test' } }),
      'src/tsconfig.json': '{ "compilerOptions": { "baseUrl": "." } }',
      'src/half.js': "export { sum } from 'sum';\n",
    }],
    ['a name that a bundler gives to a file', {
      'package.json': JSON.stringify({ name: 'sample', type: 'module', dependencies: { lodash: '1.0.0' }, scripts: { test: 'node --test' } }),
      'vite.config.js': "export default { resolve: { alias: { lodash: './src/sum.js' } } };\n",
      'src/half.js': "export { sum } from 'lodash';\n",
    }],
    ['what the build makes', { 'src/half.js': "export { sum } from '../dist/sum.js';\n" }],
  ])('cannot be told where somebody, whom nothing else leads to, imports by %s', (_what, more) => {
    const tree = { ...landed, ...more };
    expect(around(tree, { ...tree, 'src/sum.js': 'export const sum = (a, b) => a + b;\n' })).toBeNull();
  }); // prettier-ignore

  it('is told beside settings of a compiler that give names to other files', () => {
    const tree = { ...landed, 'tsconfig.json': '{ "compilerOptions": { "paths": { "@app/*": ["./src/*"] } } }' };
    expect(around(tree, { ...tree, ...twice })).toEqual(['package.json', 'src/sum.js', 'tsconfig.json']);
  });

  it.each([
    ['reads files', "import fs from 'node:fs';\n"],
    ['starts programs', "import { execFileSync } from 'child_process';\n"],
    ['loads by a computed name', "const name = './a.js';\nawait import(name);\n"],
    ['loads what is made by the build', "import '../dist/a.js';\n"],
    ['loads by an alias', "import '#a';\n"],
    ['makes code of text', "eval('1');\n"],
  ])('cannot be told where one of them %s', (_what, text) => {
    const other = { ...twice, 'test/twice.test.js': text + twice['test/twice.test.js']! };
    expect(around(landed, { ...landed, ...other })).toBeNull();
  });
});

describe('what a compiler and a linter say of a change', () => {
  const packages = new Packages(resolve('.'));
  const named = {
    name: 'typed',
    version: '1.0.0',
    type: 'module',
    scripts: { lint: 'eslint src' },
    devDependencies: { eslint: packages.version('eslint'), typescript: packages.version('typescript') },
  };
  const lock = packages.lockFor(named);
  const typed: Files = {
    'package.json': JSON.stringify(named),
    'package-lock.json': JSON.stringify(lock),
    'tsconfig.json': JSON.stringify({
      compilerOptions: {
        strict: true,
        module: 'nodenext',
        target: 'es2022',
        lib: ['es2022'],
        types: [],
        noEmit: true,
        allowImportingTsExtensions: true,
      },
      include: ['src'],
    }),
    'eslint.config.js': "export default [{ files: ['src/*.js'], rules: { 'no-debugger': 'error' } }];\n",
    'README.md': '# Typed\n',
    'src/sum.ts':
      'export const sum = (a: number, b: number): number => a + b;\nexport const less = (a: number): number => a - 1;\n',
    'src/half.js': 'export const half = (a) => a / 2;\n',
    'src/half.d.ts': 'export declare const half: (a: number) => number;\n',
  };
  const change: Files = {
    'src/twice.ts':
      "import { sum } from './sum.ts';\nimport { half } from './half.js';\nexport const twice = (a: number): number => sum(a, half(a * 2));\nexport class Refused extends Error {\n  code = 'refused';\n}\n",
  };
  const code: Files = {
    'src/other.ts': "import { less } from './sum.ts';\nexport const other = less(3);\n",
    'src/more.js': 'export const more = 1;\n',
  };

  /** The change on one head, a landing, and the change on top of that: what the last says. */
  const onTopOf = async (landing: Files, handedIn = change) => {
    const cacheDir = mkdtempSync(join(desk.root, 'cache-'));
    const verify = async (base: Files | null, candidate: Files, verificationId: string) => {
      const at = (files: Files): string => {
        const { dir } = desk.tree(files);
        const home = dependenciesHome(dir, cacheDir)!;
        packages.fill(home, JSON.parse(readFileSync(join(dir, 'package-lock.json'), 'utf8')) as Parameters<Packages['fill']>[1]);
        return dir;
      };
      const checks = await desk.verifyOnto(candidate, base, { verificationId, cacheDir, sandbox, checks: [typesCheck, lintCheck], folderOf: at });
      return Object.fromEntries(checks.map((facts) => [facts.check, facts]));
    };
    const alone = await verify(typed, { ...typed, ...handedIn }, 'first');
    expect([alone['types']?.status, alone['lint']?.status]).toEqual(['passed', 'passed']);
    const head = { ...typed, ...landing };
    await verify(null, head, 'landed');
    return await verify(head, { ...head, ...handedIn }, 'second');
  }; // prettier-ignore

  it('is known where the change was clean, what has landed is clean as well, and neither can see the other', async () => {
    const { types, lint } = await onTopOf(code);
    for (const check of [types, lint]) {
      expect(check?.status).toBe('passed');
      expect(check?.reused).toMatchObject({ verification: 'first', because: expect.stringContaining('of this change') });
    }
  }); // prettier-ignore

  it.each<[string, Files, Files]>([
    ['changes the type of what the change uses', { 'src/sum.ts': typed['src/sum.ts']!.replace('b: number', 'b: string').replace('a + b', 'a + b.length') }, change],
    ['uses what the change takes away', code, { 'src/sum.ts': typed['src/sum.ts']!.split('\n')[0]! }],
    ['declares for all files what the change says otherwise', { 'src/global.ts': 'declare global {\n  interface Error {\n    code: number;\n  }\n}\nexport {};\n' }, change],
    ['puts another module in front of one that the change imports', { 'src/half.ts': "export const half = (a: number): string => `${a / 2}`;\n" }, change],
    ['makes the settings stricter', { 'tsconfig.json': typed['tsconfig.json']!.replace('"strict":true', '"strict":true,"declaration":true,"isolatedDeclarations":true') }, { 'src/twice.ts': "import { sum } from './sum.ts';\nexport const twice = (a: number) => sum(a, a);\n" }],
  ])('is asked again, and found wrong, where what has landed %s', async (_what, landing, handedIn) => {
    const { types } = await onTopOf(landing, handedIn);
    expect(types?.reused).toBeUndefined();
    expect(types?.status).toBe('failed');
  }); // prettier-ignore

  it('is asked again where what has landed is not clean itself', async () => {
    const { types } = await onTopOf({ 'src/wrong.ts': "export const wrong: number = 'text';\n" });
    expect(types?.reused).toBeUndefined();
    expect(types).toMatchObject({ status: 'passed', metrics: { errors: 1, new: 0 } });
  });

  it('is asked again where the rules of the linter are others now', async () => {
    const { lint } = await onTopOf({ 'eslint.config.js': "export default [{ files: ['src/*.js'], rules: { 'no-var': 'error' } }];\n" }); // prettier-ignore
    expect(lint?.reused).toBeUndefined();
  });

  const around = (files: Files, more: Files): string[] | null => {
    const [before, after] = [desk.tree(files), desk.tree({ ...files, ...more })];
    const found = textsAround(after, changesBetween(before, after));
    return found === null ? null : [...found].sort();
  };

  it('follows from settings, from what it reaches and who reaches it, and from files that declare things for all', () => {
    expect(around({ ...typed, ...code, 'src/script.ts': 'const everywhere = 1;\n' }, change)).toEqual([
      'eslint.config.js',
      'package-lock.json',
      'package.json',
      'src/half.d.ts',
      'src/half.js',
      'src/script.ts',
      'src/sum.ts',
      'tsconfig.json',
    ]);
  });

  it.each<[string, Files, Files]>([
    ['names mean something else by the settings', { 'tsconfig.json': '{ "compilerOptions": { "paths": {} } }' }, {}],
    ['somebody imports what the build makes', { 'src/late.ts': "import '../dist/a.js';\n" }, {}],
    ['somebody imports by an alias', { 'src/late.ts': "import '#sum';\n" }, {}],
    ['the change declares something for all files', {}, { 'src/twice.ts': 'declare global {\n  const x: 1;\n}\nexport {};\n' }],
    ['the change touches settings', {}, { 'data.json': '{}' }],
    ['two names differ by nothing but case', { 'src/Sum.ts': 'export {};\n' }, {}],
    ['there are workspaces', { 'package.json': JSON.stringify({ ...named, workspaces: ['a'] }) }, {}],
  ])('cannot be told where %s', (_what, more, handedIn) => {
    expect(around({ ...typed, ...more }, { ...change, ...handedIn })).toBeNull();
  }); // prettier-ignore
});
