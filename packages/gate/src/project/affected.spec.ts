import { afterAll, describe, expect, it, jest } from '@jest/globals';
import { projectPolicy, type FirstLook } from '@muster/contracts';
import { GateDesk, type Files } from '../../../../test/support/gate-desk.ts';
import { changesBetween } from '../source/changes.ts';
import { runVerification } from '../verification.ts';
import { affectedTests, lineForFiles } from './affected.ts';
import { detectTests } from './test-runner.ts';

jest.setTimeout(120_000);
const desk = new GateDesk();
afterAll(() => desk.clear());

const test = (from: string, body: string): string =>
  `import test from 'node:test';\nimport assert from 'node:assert/strict';\nimport * as it from '${from}';\ntest('${from}', () => { ${body} });\n`;
const files: Files = {
  'package.json': '{ "name": "sample", "type": "module", "scripts": { "test": "node --test" } }',
  'src/core.js': 'export const core = () => 1;\n',
  'src/shell.js': "import { core } from './core.js';\nexport const shell = () => core() + 1;\n",
  'src/apart.js': 'export const apart = () => 3;\n',
  'test/core.test.js': test('../src/core.js', 'assert.equal(it.core(), 1);'),
  'test/shell.test.js': test('../src/shell.js', 'assert.equal(it.shell(), 2);'),
  'test/apart.test.js': test('../src/apart.js', 'assert.equal(it.apart(), 3);'),
};
const affected = (before: Files, after: Files): string[] | null => {
  const tree = desk.tree(after);
  return affectedTests(tree, changesBetween(desk.tree(before), tree));
};

describe('the tests that a change has to do with', () => {
  it('are those that reach it by imports, at whatever distance', () => {
    expect(affected(files, { ...files, 'src/core.js': 'export const core = () => 1 + 0;\n' })).toEqual(['test/core.test.js', 'test/shell.test.js']);
    expect(affected(files, { ...files, 'src/apart.js': 'export const apart = () => 4;\n' })).toEqual(['test/apart.test.js']);
  }); // prettier-ignore

  it('are those that name its module, in Python', () => {
    const python: Files = {
      'src/till/price.py': 'def price():\n    return 1\n',
      'tests/test_price.py': 'from till.price import price\n\n\ndef test_price():\n    assert price() == 1\n',
      'tests/test_other.py': 'def test_other():\n    assert True\n',
    };
    expect(affected(python, { ...python, 'src/till/price.py': 'def price():\n    return 2\n' })).toEqual(['tests/test_price.py']);
  }); // prettier-ignore

  it('cannot be told where settings change', () => {
    expect(affected(files, { ...files, 'package.json': '{}' })).toBeNull();
  });

  it.each([
    ['node --import ./setup.mjs --test test/*.test.js', /--import \.\/setup\.mjs --test 'test\/a\.test\.js'$/, /\*/],
    [
      'jest --config jest.config.js src',
      /jest --config jest\.config\.js --runTestsByPath 'test\/a\.test\.js'$/,
      / src /,
    ],
    ['vitest run --coverage', /vitest run --coverage --run 'test\/a\.test\.js'$/, /\*/],
    ["mocha -r tsx 'test/**/*.js'", /mocha -r tsx 'test\/a\.test\.js'$/, /\*/],
    ['python3 -m pytest -q tests', /-m pytest -q 'test\/a\.test\.js'$/, / tests( |$)/],
  ])('are run as the project runs its own: %s', (script, wanted, unwanted) => {
    const plan = detectTests(desk.tree(files), { test: script }, true, false);
    const line = lineForFiles(plan!, ['test/a.test.js'], desk.tree(files));
    expect(line).toMatch(wanted);
    expect(line).not.toMatch(unwanted);
  });

  it.each<[string, Files, string]>([
    ['as options, but for the files and the reporter that they name', { '.mocharc.json': `{ "spec": "test/**/*.js", "reporter": "dot", "timeout": 9, "bail": false, "require": ["./a b.js", "tsx"] }` }, "mocha --no-config --no-package --timeout='9' --no-bail --require='./a b.js' --require='tsx' 'test/a.test.js'"],
    ['by mocha itself, where they name no files', { '.mocharc.json': '{ "timeout": 9 }' }, "mocha 'test/a.test.js'"],
    ['by mocha itself, where they are a program', { '.mocharc.cjs': "module.exports = { spec: 'test/**/*.js' };\n" }, "mocha 'test/a.test.js'"],
  ])('take settings of mocha %s', (_how, more, wanted) => {
    const tree = desk.tree({ ...files, ...more });
    expect(lineForFiles(detectTests(tree, { test: 'mocha' }, true, false)!, ['test/a.test.js'], tree)).toBe(wanted);
  }); // prettier-ignore
});

describe('a first look', () => {
  const look = async (after: Files): Promise<FirstLook[]> => {
    const looks: FirstLook[] = [];
    await runVerification({
      candidateDir: desk.tree(after).dir,
      baseDir: desk.tree(files).dir,
      restoresDir: null,
      input: {
        purpose: 'admission', candidateTree: `${Object.values(after).join('').length}`.padStart(40, 'c'), baseTree: 'b'.repeat(40), restoresTree: null,
        policy: projectPolicy.parse({}), rulesDigest: 'r',
      },
      workDir: `${desk.root}/work`, cacheDir: `${desk.root}/cache`, sandbox: await desk.sandbox(), checks: [], onFirstLook: (seen) => looks.push(seen),
    }); // prettier-ignore
    return looks;
  };

  it('runs only the tests that the change has to do with, and says what fails', async () => {
    const fine = await look({ ...files, 'src/apart.js': 'export const apart = () => 1 + 2;\n' });
    expect(fine).toMatchObject([{ state: 'passing', testFiles: ['test/apart.test.js'], failing: [] }]);
    const broken = await look({ ...files, 'src/core.js': 'export const core = () => 7;\n' });
    expect(broken).toMatchObject([{ state: 'failing', testFiles: ['test/core.test.js', 'test/shell.test.js'] }]);
    expect(broken[0]!.checks.map(({ check }) => check)).toContain('secrets');
    const unknown = await look({ ...files, 'package.json': files['package.json']!.replace('sample', 'samples') });
    expect(unknown).toMatchObject([{ state: 'unknown' }]);
  });
});
