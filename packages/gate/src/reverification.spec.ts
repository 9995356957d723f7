import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { projectPolicy, type VerificationFacts } from '@muster/contracts';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { GateDesk, type Files } from '../../../test/support/gate-desk.ts';
import { judge } from './judge.ts';
import { detectSandbox, type Sandbox } from './sandbox/detect.ts';
import { changesBetween } from './source/changes.ts';
import { surroundingsOf } from './source/surroundings.ts';
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
const aboutTheChange = ['canaries', 'honesty', 'new-tests', 'coverage', 'mutation'];

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
