import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { CheckFacts, TestCase } from '@muster/contracts';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { GateDesk, type Files } from '../../../test/support/gate-desk.ts';
import { buildCheck } from './checks/build.ts';
import { secretsCheck } from './checks/secrets.ts';
import { tamperingCheck } from './checks/tampering.ts';
import { testsCheck } from './checks/tests.ts';
import { filesOf } from './project/test-files.ts';
import { detectSandbox, type Sandbox } from './sandbox/detect.ts';
import type { SandboxDriver } from './sandbox/driver.ts';

jest.setTimeout(120_000);
let sandbox: Sandbox;
const desk = new GateDesk();
beforeAll(async () => {
  sandbox = await detectSandbox('auto');
  expect(sandbox.tellsReads).toBe(true);
});
afterAll(() => desk.clear());

const head = "import test from 'node:test';\nimport assert from 'node:assert/strict';\n";
const suite = (body: string, more = ''): string => `${head}${more}test('holds', async () => {\n${body}\n});\n`;
const manifest = (script: string): string =>
  JSON.stringify({ name: 'sample', type: 'module', scripts: { test: script } });
const shared = 'node --test --test-isolation=none "test/*.test.js"';
const project: Files = {
  'package.json': manifest(shared),
  'README.md': '# Sample\n',
  'src/left.js': 'export const left = () => 1;\n',
  'src/right.js': 'export const right = () => 2;\n',
  'src/apart.js': 'export const apart = () => 3;\n',
  'test/left.test.js': suite('  assert.ok(left() > 0);', "import { left } from '../src/left.js';\n"),
  'test/right.test.js': suite('  assert.ok(right() > 0);', "import { right } from '../src/right.js';\n"),
  'test/apart.test.js': suite('  assert.ok(apart() > 0);', "import { apart } from '../src/apart.js';\n"),
};
const change: Files = { 'src/left.js': 'export const left = () => 4;\n' };
const landing: Files = { 'src/right.js': 'export const right = () => 5;\n' };
const added: Files = {
  'src/novel.js': 'export const novel = () => 6;\n',
  'test/novel.test.js': suite('  assert.equal(novel(), 6);', "import { novel } from '../src/novel.js';\n"),
};

interface Again {
  tests: CheckFacts;
  /** The last verification's commands that run tests. */
  lines: string[];
}

/** A branch, a change to it, a landing, and the change on top of that. Each of the first three is honest. */
async function onTopOf({ base = project, change, landing }: { base?: Files; change: Files; landing: Files }): Promise<Again> {
  const cacheDir = mkdtempSync(join(desk.root, 'cache-'));
  const lines: string[] = [];
  const listening = (driver: SandboxDriver): SandboxDriver => ({
    name: driver.name,
    paths: (run) => driver.paths(run),
    run: (run) => {
      if (/--test|mocha|pytest/.test(String(run.command))) lines.push(String(run.command));
      return driver.run(run);
    },
  });
  const verify = async (files: Files, onto: Files | null, verificationId: string): Promise<CheckFacts> => {
    lines.length = 0;
    const checks = await desk.verifyOnto(files, onto, {
      verificationId,
      cacheDir,
      sandbox: { ...sandbox, driver: listening(sandbox.driver!) },
      checks: [buildCheck, testsCheck],
    });
    return checks.find(({ check }) => check === 'tests')!;
  };
  const onHead = { ...base, ...landing };
  for (const [files, onto, id] of [[base, null, 'base'], [{ ...base, ...change }, base, 'first'], [onHead, base, 'landed']] as const)
    expect((await verify(files, onto, id)).status).toBe('passed');
  return { tests: await verify({ ...onHead, ...change }, onHead, 'second'), lines: [...lines] };
} // prettier-ignore

const filesIn = (line: string | undefined): string[] => [...(line ?? '').matchAll(/'(tests?\/[^']+)'/g)].map(([, path]) => path!); // prettier-ignore

describe('the suite of a change, once something else has landed', () => {
  it.each<[string, Files]>([
    ['changes other modules', landing],
    ['brings modules and their tests', added],
  ])('is run for those test files that could see either, together, where what has landed %s', async (_what, landing) => {
    const { tests, lines } = await onTopOf({ change, landing });
    expect(tests).toMatchObject({ status: 'passed', reused: { verification: 'first', because: expect.stringContaining('2 were run again') } });
    expect(tests.metrics['total']).toBe(landing === added ? 4 : 3);
    expect(lines.map(filesIn)).toEqual([['test/left.test.js', landing === added ? 'test/novel.test.js' : 'test/right.test.js']]);
  }); // prettier-ignore

  it('is not run where each test file has a process of its own, and none could have told whether another is run', async () => {
    const base = { ...project, 'package.json': manifest('node --test "test/*.test.js"') };
    const { tests, lines } = await onTopOf({ base, change, landing: { ...landing, ...added } });
    expect(tests).toMatchObject({ status: 'passed', reused: { verification: 'first', because: expect.stringContaining('none had to be run again') } });
    expect(tests.metrics['total']).toBe(4);
    expect(lines).toEqual([]);
  }); // prettier-ignore

  it('is run for a test file that reads both sides, though each has a process of its own', async () => {
    const both = suite(
      '  assert.ok(left() + right() < 9);',
      "import { left } from '../src/left.js';\nimport { right } from '../src/right.js';\n",
    );
    const base = {
      ...project,
      'package.json': manifest('node --test "test/*.test.js"'),
      'test/apart.test.js': both,
    };
    expect((await onTopOf({ base, change, landing })).tests.status).toBe('failed');
  });

  it('is not run where a folder came that nothing names, whatever its modules are called', async () => {
    const { tests, lines } = await onTopOf({ change, landing: { 'src/fresh/index.js': 'export const fresh = 1;\n' } });
    expect(tests.reused).toMatchObject({ verification: 'first' });
    expect(lines).toEqual([]);
  });

  it('is run for those that name a folder that came', async () => {
    const { tests } = await onTopOf({
      change: { 'test/absent.test.js': suite("  await assert.rejects(import('../src/fresh/index.js'));") },
      landing: { 'src/fresh/index.js': 'export const fresh = 1;\n' },
    });
    expect(tests.status).toBe('failed');
  });

  it.each<[string, { base?: Files; change: Files; landing: Files }]>([
    [
      'read files of both that they do not import',
      {
        base: {
          ...project,
          'test/apart.test.js': suite(
            "  const of = (name) => Number(/\\d/.exec(fs.readFileSync(`src/${name}.js`, 'utf8')));\n  assert.ok(of('left') + of('right') < 9);",
            "import fs from 'node:fs';\n",
          ),
        },
        change,
        landing,
      },
    ],
    [
      'load modules of both by names that stand nowhere',
      {
        base: {
          ...project,
          'test/apart.test.js': suite(
            "  const load = (name) => import(`../src/${atob(name)}.js`);\n  const [a, b] = [await load('bGVmdA=='), await load('cmlnaHQ=')];\n  assert.ok(a.left() + b.right() < 9);",
          ),
        },
        change,
        landing,
      },
    ],
    [
      'ask for modules that neither has alone, by names that stand nowhere',
      {
        base: {
          ...project,
          'test/apart.test.js': suite(
            "  const there = async (name) => await import(`../src/${atob(name)}.js`).then(() => 1, () => 0);\n  assert.ok((await there('bm92ZWw=')) + (await there('b2xkZXI=')) < 2);",
          ),
        },
        change: { 'src/older.js': 'export const older = 1;\n' },
        landing: added,
      },
    ],
    [
      'list what both add to',
      {
        base: {
          ...project,
          'steps/a-1.js': '',
          'test/apart.test.js': suite(
            "  const numbers = fs.readdirSync('steps').map((name) => name.replace(/\\D/g, ''));\n  assert.equal(new Set(numbers).size, numbers.length);",
            "import fs from 'node:fs';\n",
          ),
        },
        change: { 'steps/b-2.js': '' },
        landing: { 'steps/c-2.js': '' },
      },
    ],
    [
      'look at both only where they are not alone',
      {
        base: {
          ...project,
          'test/apart.test.js': suite(
            "  if (process.argv.some((word) => word.endsWith('apart.test.js'))) return;\n  const of = (name) => Number(/\\d/.exec(fs.readFileSync(`src/${name}.js`, 'utf8')));\n  assert.ok(of('left') + of('spare') < 9);",
            "import fs from 'node:fs';\n",
          ),
          'src/spare.js': 'export const spare = () => 1;\n',
        },
        change,
        landing: { 'src/spare.js': 'export const spare = () => 5;\n' },
      },
    ],
    [
      'are set up by a file that both have a part in',
      {
        base: {
          ...project,
          'package.json': manifest('node --import ./test/setup.js --test "test/*.test.js"'),
          'test/setup.js': "import { left } from '../src/left.js';\nimport { right } from '../src/right.js';\nglobalThis.sum = left() + right();\n",
          'test/apart.test.js': suite('  assert.ok(globalThis.sum < 9);'),
        },
        change,
        landing,
      },
    ],
    [
      'share a file that one writes and the other reads',
      {
        change: { 'test/left.test.js': suite("  fs.writeFileSync('state', 'left');", "import fs from 'node:fs';\n") },
        landing: { 'test/right.test.js': suite("  assert.ok(!fs.existsSync('state'));", "import fs from 'node:fs';\n") },
      },
    ],
    [
      'share a file that one writes and the other reads, each in a process of its own',
      {
        base: { ...project, 'package.json': manifest('node --test "test/*.test.js"') },
        change: { 'test/left.test.js': suite("  fs.writeFileSync('state', 'left');", "import fs from 'node:fs';\n") },
        landing: { 'test/right.test.js': suite("  assert.ok(!fs.existsSync('state'));", "import fs from 'node:fs';\n") },
      },
    ],
    [
      'write what another imports, which by itself keeps to itself',
      {
        base: {
          ...project,
          'package.json': manifest('node --test "test/*.test.js"'),
          'src/state.js': "export const state = 'fresh';\n",
        },
        change: { 'test/left.test.js': suite("  fs.writeFileSync('src/state.js', \"export const state = 'left';\\n\");", "import fs from 'node:fs';\n") },
        landing: { 'test/right.test.js': suite("  assert.equal(state, 'fresh');", "import { state } from '../src/state.js';\n") },
      },
    ],
    [
      'share a process in which one leaves something behind',
      {
        change: { 'test/left.test.js': suite('  globalThis.left = true;') },
        landing: { 'test/right.test.js': suite('  assert.ok(!globalThis.left);') },
      },
    ],
    [
      'import a module of which both are a part',
      {
        base: { ...project, 'src/apart.js': "import { left } from './left.js';\nimport { right } from './right.js';\nexport const apart = () => 9 - left() - right();\n" },
        change,
        landing,
      },
    ],
  ])('fails where tests %s, though each passes without the other', async (_what, both) => {
    const { tests } = await onTopOf(both);
    expect(tests.status).toBe('failed');
  }); // prettier-ignore

  it.each<[string, Files, Files]>([
    ['what they read of it', change, landing],
    ['modules that came with it', change, added],
  ])('keeps in mind after a build what tests read of what it leaves, and runs them by %s', async (_what, change, landing) => {
    const build = 'mkdir -p dist && cp src/*.js dist';
    const base = {
      ...project,
      'package.json': manifest(shared).replace('"test"', `"build":${JSON.stringify(build)},"test"`),
      'test/right.test.js': project['test/right.test.js']!.replace('../src/', '../dist/'),
    };
    const { tests, lines } = await onTopOf({ base, change, landing });
    expect(tests).toMatchObject({ status: 'passed', reused: { verification: 'first' } });
    // Those that have seen before what a build leaves wait for it, instead of being run twice.
    expect(lines.map(filesIn)).toEqual([['test/left.test.js', landing === added ? 'test/novel.test.js' : 'test/right.test.js']]);
  }); // prettier-ignore

  it('waits for nothing that is only read: what is run is started first', async () => {
    const cacheDir = mkdtempSync(join(desk.root, 'cache-'));
    const told: string[] = [];
    const listening: SandboxDriver = {
      name: sandbox.driver!.name,
      paths: (run) => sandbox.driver!.paths(run),
      run: (run) => {
        told.push('run');
        return sandbox.driver!.run(run);
      },
    };
    const onHead = { ...project, ...landing };
    const steps: [Files, Files | null][] = [[project, null], [{ ...project, ...change }, project], [onHead, project], [{ ...onHead, ...change }, onHead]];
    for (const [files, onto] of steps) {
      told.length = 0;
      await desk.verifyOnto(files, onto, {
        verificationId: 'any',
        cacheDir,
        sandbox: { ...sandbox, driver: listening },
        checks: [testsCheck, secretsCheck, tamperingCheck],
        onCheck: ({ check }) => told.push(check),
        onFirstLook: () => undefined,
      });
    }
    expect(told[0]).toBe('run');
    expect(told).toEqual(expect.arrayContaining(['secrets', 'tampering', 'tests']));
  }); // prettier-ignore

  it('runs tests again that pass only after others, with those', async () => {
    const base = {
      ...project,
      'test/apart.test.js': suite('  globalThis.ready = true;'),
      'test/right.test.js': suite('  assert.ok(globalThis.ready);'),
    };
    const { tests, lines } = await onTopOf({ base, change, landing: added });
    expect(tests.status).toBe('passed');
    expect(lines.some((line) => line.includes('test/*.test.js'))).toBe(true);
  });
});

describe('the files that tests come from', () => {
  const cases = (...files: (string | null)[]): TestCase[] =>
    files.map((file) => ({ name: 'holds', file, status: 'passed', message: null, ms: 1 }));
  const tests = ['test/left.test.js', 'test/right.test.js', 'test/apart.test.js'];
  const of = (files: Files, told: readonly (string | null)[]): string[] | null => {
    const found = filesOf(desk.tree(files), cases(...told));
    return found === null ? null : [...found];
  };

  it('are those that the cases name, as far as they are still there', () => {
    expect(of(project, [...tests, 'test/gone.test.js'])).toEqual(tests);
  });

  it('may import others that go by the name of tests and have none', () => {
    const helped = { ...project, 'test/desk.js': '', 'test/left.test.js': "import './desk.js';\n" };
    expect(of(helped, tests)).toEqual(tests);
  });

  it('are not known where one has no cases and nothing imports it, so that it may do anything when it is loaded', () => {
    expect(of({ ...project, 'test/silent.test.js': 'globalThis.silent = true;\n' }, tests)).toBeNull();
  });

  it('are not known where a case does not say where it is from', () => {
    expect(of(project, [...tests, null])).toBeNull();
  });
});
