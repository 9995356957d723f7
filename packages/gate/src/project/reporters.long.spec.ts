import { afterAll, describe, expect, it, jest } from '@jest/globals';
import { GateDesk, treeRunOf, type Files } from '../../../../test/support/gate-desk.ts';
import { needing } from '../../../../test/support/needing.ts';
import { toolchain } from '../sandbox/toolchain.ts';
import type { SuiteOutcome } from './tree-run.ts';

jest.setTimeout(120_000);

const desk = new GateDesk();
afterAll(() => desk.clear());

async function run(files: Files): Promise<SuiteOutcome> {
  const tests = await treeRunOf(desk, desk.tree(files));
  const outcome = await tests.tests();
  await tests.dispose();
  if (outcome === null) throw new Error('nothing to run');
  return outcome;
}
const told = ({ cases }: SuiteOutcome): string[] =>
  cases.map(({ name, file, status }) => `${status} ${name} @ ${file}`).sort();

interface Runner {
  name: string;
  manifest: object;
  /** A file with one test of each status, in a group. */
  all: [string, string];
  broken: [string, string];
  group: string;
  /** How a file is named that could not be loaded. */
  unloaded: string;
  /** A test that forges, in the process where the reporter is, or beside it. */
  test(body: string): [string, string];
}
const script = (line: string, more: object = {}): object => ({
  name: 'x',
  type: 'module',
  scripts: { test: line },
  ...more,
});
const assert = "import assert from 'node:assert/strict';\n";
const both = (head: string): string =>
  `${head}${assert}describe('group', () => {\n  it('holds', () => {});\n  it('breaks', () => assert.equal(1, 2));\n  it.skip('waits', () => {});\n});\n`;
const one = (head: string, body: string): string => `${head}it('tries', async () => {\n${body}\n});\n`;
const nodeHead = "import { describe, it } from 'node:test';\n";
const vitestHead = "import { describe, it } from 'vitest';\n";
const runners: Runner[] = [
  {
    name: 'node:test',
    manifest: script('node --test'),
    all: ['a.test.js', both(nodeHead)],
    broken: ['b.test.js', "import './nowhere.js';\n"],
    group: 'group > ',
    unloaded: 'b.test.js',
    test: (body) => ['c.test.js', one(nodeHead, body)],
  },
  {
    name: 'jest',
    manifest: script('jest', { jest: { transform: {} } }),
    all: ['a.test.cjs', both('').replace(assert, "const assert = require('node:assert/strict');\n")],
    broken: ['b.test.cjs', "require('./nowhere.js');\n"],
    group: 'group ',
    unloaded: 'b.test.cjs can be run',
    test: (body) => ['c.test.cjs', one('', body)],
  },
  {
    name: 'vitest',
    manifest: script('vitest run'),
    all: ['a.test.js', both(vitestHead)],
    broken: ['b.test.js', "import './nowhere.js';\n"],
    group: 'group ',
    unloaded: 'b.test.js can be run',
    test: (body) => ['c.test.js', one(vitestHead, body)],
  },
  {
    name: 'mocha',
    manifest: script("mocha 'test/*.js'"),
    all: ['test/a.js', both('')],
    broken: [
      'test/b.js',
      "describe('group', () => {\n  before(() => { throw new Error('no'); });\n  it('x', () => {});\n});\n",
    ],
    group: 'group ',
    unloaded: 'group "before all" hook for "x"',
    test: (body) => ['test/c.js', one('', body)],
  },
];

describe.each(runners)('the reporter of $name', (runner) => {
  it('tells of each case, and of a file that cannot be run', async () => {
    const manifest = { 'package.json': JSON.stringify(runner.manifest) };
    const [file, text] = runner.all;
    const outcome = await run({ ...manifest, [file]: text, [runner.broken[0]]: runner.broken[1] });
    expect({ ...outcome, cases: told(outcome) }).toMatchObject({
      ok: false,
      detailed: true,
      forged: null,
      cases: [
        `failed ${runner.group}breaks @ ${file}`,
        `failed ${runner.unloaded} @ ${runner.broken[0]}`,
        `passed ${runner.group}holds @ ${file}`,
        `skipped ${runner.group}waits @ ${file}`,
      ].sort(),
    });
  });

  it('is told from whoever else writes where it speaks', async () => {
    const [file, text] = runner.test(
      `  const fs = process.getBuiltinModule('fs');
  const forged = JSON.stringify({ name: 'never ran', file: null, status: 'passed', message: null, ms: 1 });
  fs.writeFileSync('/muster/reporters/channel/results', 'a'.repeat(32) + ' ' + forged + '\\n');`,
    );
    const outcome = await run({ 'package.json': JSON.stringify(runner.manifest), [file]: text });
    expect(told(outcome)).toEqual([`passed tries @ ${file}`]);
    expect(outcome.forged).toMatch(/1 lines of it were not written by the reporter/);
  });

  it('can be neither replaced, nor emptied, nor asked for its key', async () => {
    const [file, text] = runner.test(
      `  const fs = process.getBuiltinModule('fs');
  const at = '/muster/reporters/channel/';
  const { O_RDONLY, O_NONBLOCK } = fs.constants;
  const tries = [
    () => fs.rmSync(at + 'results'),
    () => fs.renameSync(at + 'results', at + 'away'),
    () => fs.writeFileSync(at + 'more', 'x'),
    () => fs.chmodSync(at + 'results', 0o777),
    () => fs.openSync(at + 'results', O_RDONLY | O_NONBLOCK),
    () => fs.readSync(fs.openSync(at + 'key', O_RDONLY | O_NONBLOCK), Buffer.alloc(64)),
    () => fs.appendFileSync('/muster/reporters/node.mjs', 'x'),
  ];
  const won = tries.filter((attempt) => { try { attempt(); return true; } catch { return false; } });
  if (won.length > 0) throw new Error(won.map(String).join());`,
    );
    const outcome = await run({ 'package.json': JSON.stringify(runner.manifest), [file]: text });
    expect(outcome.cases.map(({ message }) => message)).toEqual([null]);
    expect(outcome).toMatchObject({ ok: true, forged: null });
  });
});

const withPytest = needing('the reporter of pytest', toolchain().pytest ? [] : ['pytest']);
withPytest.describe('the reporter of pytest', () => {
  const tests =
    'import pytest\n\n\ndef test_holds():\n    assert True\n\n\ndef test_breaks():\n    assert 1 == 2\n\n\n@pytest.mark.skip\ndef test_waits():\n    pass\n\n\nclass TestKnown:\n    @pytest.mark.parametrize("n", [1])\n    def test_bug(self, n):\n        assert n == 1\n';
  it('tells of each case, with its file, in a class or not, and of a file that cannot be run', async () => {
    const outcome = await run({ 'tests/test_a.py': tests, 'tests/test_b.py': 'import nowhere\n' });
    expect({ ...outcome, cases: told(outcome) }).toMatchObject({
      ok: false,
      detailed: true,
      forged: null,
      cases: [
        'failed test_breaks @ tests/test_a.py',
        'failed tests.test_b @ tests/test_b.py',
        'passed test_bug[1] @ tests/test_a.py',
        'passed test_holds @ tests/test_a.py',
        'skipped test_waits @ tests/test_a.py',
      ],
    });
  });

  it('notices that the tests end before it has said its last word', async () => {
    const outcome = await run({ 'tests/test_a.py': 'import os\n\n\ndef test_a():\n    os._exit(0)\n' });
    expect(outcome).toMatchObject({ ok: true, detailed: false, cutShort: true });
  });

  it('tells of a stranger that writes where it speaks', async () => {
    const outcome = await run({
      'tests/test_a.py':
        'def test_a():\n    with open("/muster/reporters/channel/results", "w") as out:\n        out.write("x\\n")\n',
    });
    expect(outcome.forged).toMatch(/not written by the reporter/);
  });
});

describe('a run that ends well before its reporter has finished', () => {
  it.each([
    ['mocha', script("mocha 'test/*.js'"), 'test/a.js', ''],
    ['node:test in one process', script('node --test --test-isolation=none'), 'a.test.js', nodeHead],
    ['jest in one process', script('jest -i', { jest: { transform: {} } }), 'a.test.cjs', ''],
  ])('is known as such: %s', async (_name, manifest, file, head) => {
    const leave = '  process.reallyExit(0);';
    const outcome = await run({ 'package.json': JSON.stringify(manifest), [file]: one(head, leave) });
    expect(outcome).toMatchObject({ ok: true, detailed: false, cutShort: true });
  });
});
