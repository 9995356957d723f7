import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { projectPolicy, verificationFacts, type VerificationFacts } from '@muster/contracts';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { judge, type Judgement } from './judge.ts';
import { detectSandbox, type Sandbox } from './sandbox/detect.ts';
import { toSarif } from './sarif.ts';
import { runVerification } from './verification.ts';
import type { Purpose } from './checks/check.ts';

type Files = Record<string, string>;

const project: Files = {
  'package.json': JSON.stringify({ name: 'sample', type: 'module', scripts: { test: 'node --test' } }),
  'src/sum.js': 'export function sum(a, b) {\n  return a + b;\n}\n',
  'test/sum.test.js':
    "import test from 'node:test';\nimport assert from 'node:assert/strict';\nimport { sum } from '../src/sum.js';\n" +
    "test('adds two numbers', () => {\n  assert.equal(sum(1, 2), 3);\n  assert.equal(sum(-1, 1), 0);\n});\n",
};
const twice = 'export function twice(a) {\n  return a * 2;\n}\n';
const twiceTest =
  "import test from 'node:test';\nimport assert from 'node:assert/strict';\nimport { twice } from '../src/twice.js';\n" +
  "test('doubles', () => {\n  assert.equal(twice(4), 8);\n});\n";

let root: string;
let sandbox: Sandbox;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'gate-spec-'));
  sandbox = await detectSandbox('auto');
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function write(files: Files): { dir: string; tree: string } {
  const dir = mkdtempSync(join(root, 'tree-'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
  return {
    dir,
    tree: createHash('sha1')
      .update(JSON.stringify(Object.entries(files).sort()))
      .digest('hex'),
  };
}

interface Given {
  candidate: Files;
  base?: Files | null;
  restores?: Files;
  purpose?: Purpose;
  policy?: unknown;
  sandbox?: Sandbox;
}

async function verify(
  given: Given,
): Promise<VerificationFacts & { judgement: Judgement; rules: string[]; statusOf: Record<string, string> }> {
  const candidate = write(given.candidate);
  const base = given.base === null ? null : write(given.base ?? project);
  const restores = given.restores === undefined ? null : write(given.restores);
  const purpose = given.purpose ?? 'admission';
  const policy = projectPolicy.parse({ timeoutSeconds: 60, ...(given.policy ?? {}) });
  const facts = await runVerification({
    candidateDir: candidate.dir,
    baseDir: base?.dir ?? null,
    restoresDir: restores?.dir ?? null,
    input: {
      purpose,
      candidateTree: candidate.tree,
      baseTree: base?.tree ?? null,
      restoresTree: restores?.tree ?? null,
      policy,
      rulesDigest: 'rules',
    },
    workDir: mkdtempSync(join(root, 'work-')),
    cacheDir: join(root, 'cache'),
    sandbox: given.sandbox ?? sandbox,
  });
  verificationFacts.parse(facts);
  return {
    ...facts,
    judgement: judge(facts, policy, purpose),
    rules: facts.checks.flatMap((check) => check.findings.map((each) => each.rule)),
    statusOf: Object.fromEntries(facts.checks.map((check) => [check.check, check.status])),
  };
}

describe('a verification', () => {
  it('accepts an honest change and scores the same facts the same', async () => {
    const facts = await verify({ candidate: { ...project, 'src/twice.js': twice, 'test/twice.test.js': twiceTest } });
    expect(facts.judgement.reasons).toEqual([]);
    expect(facts.judgement).toMatchObject({ score: 100, verdict: 'accepted' });
    expect(facts.testCases.map((each) => [each.name, each.file, each.status])).toEqual(
      expect.arrayContaining([['doubles', 'test/twice.test.js', 'passed']]),
    );
    const shuffled = { ...facts, checks: [...facts.checks].reverse() };
    expect(judge(shuffled, projectPolicy.parse({}), 'admission')).toEqual(facts.judgement);
  });

  it('names the test that a change breaks', async () => {
    const facts = await verify({
      candidate: { ...project, 'src/sum.js': 'export function sum(a, b) {\n  return a - b;\n}\n' },
    });
    expect(facts.judgement.verdict).toBe('rejected');
    expect(facts.judgement.reasons[0]).toMatch(/tests\.broken: .*adds two numbers.*test\/sum\.test\.js/);
    expect(JSON.stringify(toSarif(facts))).toContain('tests.broken');
  });

  it('charges nobody for what failed on the branch already, and shows it', async () => {
    const broken = {
      ...project,
      'test/old.test.js': "import test from 'node:test';\ntest('is broken', () => { throw new Error('old'); });\n",
    };
    const facts = await verify({
      base: broken,
      candidate: { ...broken, 'src/twice.js': twice, 'test/twice.test.js': twiceTest },
    });
    expect(facts.baseFailures).toEqual(['is broken (test/old.test.js)']);
    expect(facts.judgement.reasons).toEqual([]);
  });

  it('refuses a new test that fails', async () => {
    const facts = await verify({
      candidate: {
        ...project,
        'test/new.test.js': "import test from 'node:test';\ntest('fails', () => { throw new Error('no'); });\n",
      },
    });
    expect(facts.rules).toContain('tests.new_failure');
    expect(facts.judgement.verdict).toBe('rejected');
  });

  it('refuses functions that can be emptied without a test noticing, whatever they are called', async () => {
    const facts = await verify({ candidate: { ...project, 'src/twice.js': twice } });
    expect(facts.judgement.reasons.join('\n')).toMatch(/honesty\.untested_function: twice \(src\/twice\.js:1\)/);
  });

  it('refuses a stub with a constant body even beside a test that asserts nothing about it', async () => {
    const facts = await verify({
      candidate: {
        ...project,
        'src/price.js': 'export function priceWithTax(net) {\n  return 0;\n}\n',
        'test/price.test.js':
          "import test from 'node:test';\nimport assert from 'node:assert';\nimport { priceWithTax } from '../src/price.js';\ntest('has a price', () => { assert.ok(priceWithTax); });\n",
      },
    });
    expect(facts.rules).toEqual(expect.arrayContaining(['honesty.stub', 'honesty.untested_function']));
    expect(facts.judgement.verdict).toBe('rejected');
  });

  it('is not taken in by a test that compares the text of the source', async () => {
    const facts = await verify({
      candidate: {
        ...project,
        'src/price.js': 'export function price(net) {\n  return net ? 0 : 1;\n}\n',
        'test/price.test.js':
          "import test from 'node:test';\nimport assert from 'node:assert';\nimport { readFileSync } from 'node:fs';\n" +
          "test('has a price', () => { assert.match(readFileSync('src/price.js', 'utf8'), /return net \\? 0 : 1;/); });\n",
      },
    });
    expect(facts.judgement.reasons.join('\n')).toMatch(/honesty\.untested_function: price/);
  });

  it('looks at functions wherever source loads them from, and in lists, wrappers and registries', async () => {
    const facts = await verify({
      candidate: {
        ...project,
        'src/sum.js':
          "import { impl } from '../docs/impl.js';\nimport { on } from './on.config.js';\nexport function sum(a, b) {\n  return a + b;\n}\nexport { impl, on };\n",
        'docs/impl.js': 'export const impl = (a) => a ? 1 : 2;\n',
        'src/on.config.js':
          'export const table = new Map();\nexport const on = (name, f) => table.set(name, f);\n' +
          "on('x', () => 5);\n",
      },
    });
    expect(facts.judgement.reasons.map((each) => /untested_function: (\S+)/.exec(each)?.[1]).filter(Boolean)).toEqual(
      expect.arrayContaining(['impl', 'on', "on('x')"]),
    );
  });

  it('refuses a run that ends before it reports', async () => {
    const inOne = {
      ...project,
      'package.json': JSON.stringify({
        name: 'x',
        type: 'module',
        scripts: { test: 'node --test --test-isolation=none' },
      }),
    };
    const facts = await verify({
      base: inOne,
      candidate: { ...inOne, 'src/sum.js': `process.exit(0);\n${project['src/sum.js']}` },
    });
    expect(facts.rules).toContain('tampering.ended_early');
    expect(facts.judgement.verdict).toBe('rejected');
  });

  it('keeps what tests print storable, whatever it is', async () => {
    const facts = await verify({
      candidate: {
        ...project,
        'test/odd.test.js':
          "import test from 'node:test';\nprocess.stdout.write(Buffer.from([0xff, 0x00, 0xfe]));\ntest('is \\u0000 odd \\ud800', () => { throw new Error('nul \\u0000 half \\udfff ' + 'x'.repeat(100000)); });\n",
      },
    });
    expect(facts.rules).toContain('tests.new_failure');
    const text = JSON.stringify(facts);
    expect(text).not.toMatch(/\\u0000|\\ud8|\\udf/i);
    expect(JSON.stringify(facts.judgement)).not.toMatch(/\\u0000|\\ud8|\\udf/i);
  });

  it('does not ask for tests where only comments changed', async () => {
    const facts = await verify({
      candidate: { ...project, 'src/sum.js': '// Adds.\nexport function sum(a, b) {\n  return a + b; // both\n}\n' },
    });
    expect(facts.checks.find((each) => each.check === 'honesty')?.summary).toBe('no function was added or changed');
    expect(facts.judgement.verdict).toBe('accepted');
  });

  it('lets a revert take back what the landing brought, tests included', async () => {
    const landed = { ...project, 'src/twice.js': twice, 'test/twice.test.js': twiceTest };
    const facts = await verify({ purpose: 'revert', candidate: project, base: landed, restores: project });
    expect(facts.judgement.reasons).toEqual([]);
    const plain = await verify({ purpose: 'admission', candidate: project, base: landed });
    expect(plain.rules).toContain('weakened-tests.removed');
  });

  it('runs only the post-landing command after a landing', async () => {
    const policy = { postLanding: 'node -e "process.stdout.write(\'checking the shop\'); process.exit(3)"' };
    const facts = await verify({ purpose: 'post_landing', candidate: project, policy });
    expect(facts.checks.map((each) => each.check)).toEqual(['post-landing']);
    expect(facts.checks[0]?.summary).toMatch(/exit code 3: checking the shop/);
    expect(facts.judgement.verdict).toBe('rejected');
    const good = await verify({
      purpose: 'post_landing',
      candidate: project,
      policy: { postLanding: 'test -f src/sum.js' },
    });
    expect(good.judgement.verdict).toBe('accepted');
  });

  it('shows a base as it is', async () => {
    const facts = await verify({
      purpose: 'base',
      candidate: {
        ...project,
        'test/old.test.js': "import test from 'node:test';\ntest('is broken', () => { throw new Error('old'); });\n",
      },
      base: null,
    });
    expect(facts.baseFailures).toEqual(['is broken (test/old.test.js)']);
    expect(facts.judgement.verdict).toBe('accepted');
  });

  it('never counts what was not run as passed', async () => {
    const facts = await verify({
      candidate: project,
      sandbox: { driver: null, proven: false, notes: ['no sandbox withstood the proof'] },
    });
    expect(facts.statusOf).toMatchObject({ tests: 'not_run', secrets: 'passed', tampering: 'passed' });
    expect(facts.checks.find(({ check }) => check === 'tests')?.blocked).toBe(true);
    expect(facts.judgement.reasons).toEqual([
      expect.stringMatching(/^tests: required, and not run: .*no sandbox withstood/),
    ]);
  });

  it('judges by the branch’s scripts and refuses a change to them', async () => {
    const facts = await verify({
      candidate: {
        ...project,
        'package.json': JSON.stringify({ name: 'sample', type: 'module', scripts: { test: 'true' } }),
        'src/sum.js': 'export const sum = () => 0;\n',
      },
    });
    expect(facts.rules).toEqual(expect.arrayContaining(['tampering.scripts', 'tests.broken']));
  });

  it('builds before it tests and compares types with the branch', async () => {
    const built: Files = {
      ...project,
      'package.json': JSON.stringify({
        name: 'sample',
        type: 'module',
        scripts: { build: 'mkdir -p dist && cp src/sum.js dist/', test: 'node --test test/*.test.js' },
      }),
      'test/sum.test.js': project['test/sum.test.js']!.replace('../src/sum.js', '../dist/sum.js'),
    };
    const good = { ...built, 'src/sum.js': 'export function sum(a, b) {\n  return b + a;\n}\n' };
    const facts = await verify({ base: built, candidate: good });
    expect(facts.statusOf).toMatchObject({ build: 'passed', tests: 'passed', honesty: 'passed' });
    const bad = await verify({ base: built, candidate: { ...built, 'src/sum.js': '', 'src/other.js': '' } });
    expect(bad.judgement.verdict).toBe('rejected');
  });
});
