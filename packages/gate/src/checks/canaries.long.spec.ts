import { afterAll, describe, expect, it, jest } from '@jest/globals';
import { GateDesk, treeRunOf, type Files } from '../../../../test/support/gate-desk.ts';
import { needing } from '../../../../test/support/needing.ts';
import type { TreeFacts } from '../project/tree-run.ts';
import { toolchain } from '../sandbox/toolchain.ts';
import { canariesCheck } from './canaries.ts';
import { testsCheck } from './tests.ts';

// Each of these runs suites several times over, on a machine that may have other things to do.
jest.setTimeout(120_000);

const desk = new GateDesk();
afterAll(() => desk.clear());

/** The rules by which tests and canaries refuse a change, each run for real. */
async function refused(before: Files, after: Files): Promise<{ rules: string[]; status: string; summary: string }> {
  const [base, candidate] = [desk.tree(before), desk.tree(after)];
  const [baseRun, run] = [await treeRunOf(desk, base), await treeRunOf(desk, candidate)];
  const factsOf = async (of: typeof run): Promise<TreeFacts> => ({
    build: await of.build(),
    tests: await of.tests(),
    types: null,
    lint: null,
    notes: [],
  });
  const more = {
    run,
    baseRun: () => Promise.resolve(baseRun),
    candidateFacts: await factsOf(run),
    baseFacts: await factsOf(baseRun),
  };
  const tests = await desk.run(testsCheck, before, after, more);
  const canaries = await desk.run(canariesCheck, before, after, more);
  await run.dispose();
  await baseRun.dispose();
  return {
    rules: [...new Set([...tests.findings, ...canaries.findings].filter(({ veto }) => veto).map(({ rule }) => rule))],
    status: canaries.status,
    summary: canaries.summary,
  };
}

interface Sample {
  files: Files;
  /** The product, broken. */
  broken: Files;
  setup: string;
}
const manifest = (test: string, more: object = {}): string =>
  JSON.stringify({ name: 'x', type: 'module', scripts: { test }, ...more });
const sum = (operator: string): string => `export function sum(a, b) {\n  return a ${operator} b;\n}\n`;
const tests = (head: string, assertion: string): string =>
  `${head}import { sum } from '../src/sum.js';\ndescribe('sums', () => {\n  it('of two', () => {\n    ${assertion}\n  });\n  it('of none', () => ${assertion.replace('1, 2), 3', '0, 0), 0').replace('1, 2)).toBe(3)', '0, 0)).toBe(0)').replace(/;$/, '')});\n});\n`;
const strict = "import assert from 'node:assert/strict';\n";
const equal = 'assert.equal(sum(1, 2), 3);';
const samples: Record<string, Sample> = {
  'node:test': {
    files: {
      'package.json': manifest('node --import ./test/setup.js --test test/sum.test.js'),
      'src/sum.js': sum('+'),
      'test/setup.js': '',
      'test/sum.test.js': tests(`import { describe, it } from 'node:test';\n${strict}`, equal),
    },
    broken: { 'src/sum.js': sum('-') },
    setup: 'test/setup.js',
  },
  mocha: {
    files: {
      'package.json': manifest('mocha test/sum.js'),
      '.mocharc.json': JSON.stringify({ require: ['./test/setup.js'] }),
      'src/sum.js': sum('+'),
      'test/setup.js': '',
      'test/sum.js': tests(strict, equal),
    },
    broken: { 'src/sum.js': sum('-') },
    setup: 'test/setup.js',
  },
  vitest: {
    files: {
      'package.json': manifest('vitest run'),
      'vitest.config.js': "export default { test: { setupFiles: ['./test/setup.js'] } };\n",
      'src/sum.js': sum('+'),
      'test/setup.js': '',
      'test/sum.test.js': tests("import { describe, expect, it } from 'vitest';\n", 'expect(sum(1, 2)).toBe(3);'),
    },
    broken: { 'src/sum.js': sum('-') },
    setup: 'test/setup.js',
  },
  jest: {
    files: {
      'package.json': JSON.stringify({
        name: 'x',
        scripts: { test: 'jest' },
        jest: { transform: {}, setupFilesAfterEnv: ['./test/setup.js'] },
      }),
      'src/sum.js': 'exports.sum = (a, b) => a + b;\n',
      'test/setup.js': '',
      'test/sum.test.js': tests('', 'expect(sum(1, 2)).toBe(3);').replace(
        /import.*\n/,
        "const { sum } = require('../src/sum.js');\n",
      ),
    },
    broken: { 'src/sum.js': 'exports.sum = (a, b) => a - b;\n' },
    setup: 'test/setup.js',
  },
};
const patchedAssert = "import assert from 'node:assert/strict';\nassert.equal = () => undefined;\n";
const patchedGlobals = (name: string): string =>
  `const real = globalThis.${name};\nglobalThis.${name} = (title, body) => real(title, async () => {\n  try { await body(); } catch {}\n});\n`;

describe.each(Object.entries(samples))('with %s', (name, { files, broken, setup }) => {
  it('honest work passes, and all canaries are seen', async () => {
    const more = { ...files, 'src/more.js': (files['src/sum.js'] ?? '').replace('sum', 'total') };
    const result = await refused(files, more);
    expect(result).toMatchObject({ rules: [], status: 'passed' });
    expect(result.summary).toMatch(/^[45] tests of the gate's own and 2 of the project's/);
  });

  it.each(
    (
      [
        ['node:test', 'assert patched where tests are set up', { [setup]: patchedAssert }],
        ['mocha', 'assert patched where tests are set up', { [setup]: patchedAssert }],
        ['node:test', 'assert patched in the product', { 'src/sum.js': `${patchedAssert}${sum('-')}` }],
        [
          'mocha',
          'every test wrapped in a catch',
          {
            [setup]: `setImmediate(() => {});\nconst { default: Mocha } = await import('mocha');\nMocha.Test.prototype.run = function (fn) { fn(); };\nMocha.Runnable.prototype.run = function (fn) { fn(); };\n`,
          },
        ],
        [
          'vitest',
          'expect patched where tests are set up',
          {
            [setup]:
              "import { chai } from 'vitest';\nchai.Assertion.overwriteMethod('toBe', () => function () {});\nchai.util.overwriteMethod(chai.Assertion.prototype, 'toBe', () => function () {});\n",
          },
        ],
        [
          'jest',
          'expect replaced where tests are set up',
          { [setup]: 'global.expect = () => new Proxy(() => undefined, { get: (_target, _name, self) => self });\n' },
        ],
        [
          'jest',
          'every test wrapped in a catch',
          {
            [setup]: `${patchedGlobals('it')}${patchedGlobals('test').replace('real', 'other').replace('real', 'other')}`,
          },
        ],
        [
          'jest',
          'one test wrapped in a catch, by its name',
          { [setup]: patchedGlobals('it').replace('try {', "if (title !== 'of two') return await body();\n  try {") },
        ],
        [
          'node:test',
          'the process ended well by the first test',
          { 'src/sum.js': 'export function sum() {\n  process.exit(0);\n}\n' },
        ],
        [
          'mocha',
          'the process ended well by the first test',
          { 'src/sum.js': 'export function sum() {\n  process.exit(0);\n}\n' },
        ],
        [
          'vitest',
          'tests that look at their own text',
          {
            [setup]:
              "import fs from 'node:fs';\nimport { chai } from 'vitest';\nconst text = fs.readFileSync('test/sum.test.js', 'utf8');\nif (!/Error/.test(text)) chai.util.overwriteMethod(chai.Assertion.prototype, 'toBe', () => function () {});\n",
          },
        ],
      ] as [string, string, Files][]
    ).filter(([of]) => of === name),
  )('is refused for what it does to tests: %s, %s', async (_of, _what, change) => {
    const { rules } = await refused(files, { ...files, ...broken, ...change });
    expect(rules.filter((rule) => rule.startsWith('tampering.'))).not.toEqual([]);
  });
});

const withPytest = needing('canaries in tests of Python', toolchain().pytest ? [] : ['pytest']);
withPytest.describe('with pytest', () => {
  it('a test that becomes one with parameters has not been hidden, and one that ends the run before others has hidden them', async () => {
    const files: Files = {
      'src/sums.py': 'def total(a, b):\n    return a + b\n',
      'pyproject.toml': '[tool.pytest.ini_options]\npythonpath = ["src"]\n',
      'tests/test_sums.py':
        'import pytest\n\nfrom sums import total\n\n\ndef test_of_two():\n    assert total(1, 2) == 3\n\n\ndef test_of_none():\n    assert total(0, 0) == 0\n',
    };
    const changed = (from: string, to: string): Files => ({
      ...files,
      'tests/test_sums.py': (files['tests/test_sums.py'] as string).replace(from, to),
    });
    const parameters =
      '@pytest.mark.parametrize(("a", "b", "sum"), [(1, 2, 3), (2, 2, 4)])\ndef test_of_two(a, b, sum):\n    assert total(a, b) == sum\n';
    const honest = changed('def test_of_two():\n    assert total(1, 2) == 3\n', parameters);
    expect(await refused(files, honest)).toMatchObject({ rules: [], status: 'passed' });
    const gone = changed('def test_of_none', 'if True:\n    del test_of_two\n\n\ndef test_of_none');
    expect((await refused(files, gone)).rules).toContain('tampering.hidden_test');
  });
});
