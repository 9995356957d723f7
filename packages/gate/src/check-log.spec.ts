import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { projectPolicy, type CheckFacts, type VerificationFacts } from '@muster/contracts';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { CheckArtefact } from './checks/check.ts';
import { junitOf } from './junit.ts';
import { detectSandbox, type Sandbox } from './sandbox/detect.ts';
import { runVerification } from './verification.ts';

type Files = Record<string, string>;
const testOf = (name: string, body: string): string =>
  `import test from 'node:test';\nimport assert from 'node:assert/strict';\nimport { ${name} } from '../src/${name}.js';\n${body}\n`;
const before: Files = {
  'package.json': JSON.stringify({
    name: 'sample',
    version: '1.0.0',
    type: 'module',
    scripts: { test: 'node --test' },
  }),
  'src/sum.js': 'export function sum(a, b) {\n  return a + b;\n}\n',
  'test/sum.test.js': testOf(
    'sum',
    "test('adds', () => {\n  console.log('a word from the test');\n  assert.equal(sum(1, 2), 3);\n});",
  ),
};
const after: Files = {
  ...before,
  'src/twice.js': 'export function twice(a) {\n  return a * 2;\n}\n',
  'test/twice.test.js': testOf('twice', "test('doubles', () => {\n  assert.equal(twice(4), 8);\n});"),
};

let root: string;
let sandbox: Sandbox;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'gate-log-'));
  sandbox = await detectSandbox('auto');
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Told {
  facts: VerificationFacts;
  logs: Map<string, string>;
  ended: CheckFacts[];
  artefacts: Map<string, CheckArtefact>;
  /** What had been told of each check's log when it ended. */
  order: string[];
}

async function verify(name: string, fresh: string[] = []): Promise<Told> {
  const written = (side: string, files: Files): string => {
    const dir = join(root, name, side);
    rmSync(dir, { recursive: true, force: true });
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      writeFileSync(join(dir, path), text);
    }
    return dir;
  };
  const treeOf = (files: Files): string => createHash('sha1').update(JSON.stringify(files)).digest('hex');
  const told = { logs: new Map<string, string>(), ended: [], artefacts: new Map(), order: [] } as Omit<Told, 'facts'>;
  const facts = await runVerification({
    candidateDir: written('candidate', after),
    baseDir: written('base', before),
    restoresDir: null,
    input: {
      purpose: 'admission',
      candidateTree: treeOf(after),
      baseTree: treeOf(before),
      restoresTree: null,
      policy: projectPolicy.parse({ timeoutSeconds: 60 }),
      rulesDigest: 'rules',
      fresh,
    },
    workDir: join(root, name, 'work'),
    cacheDir: join(root, name, 'cache'),
    sandbox,
    onCheckLog: (check, text) => {
      told.order.push(`log ${check}`);
      told.logs.set(check, (told.logs.get(check) ?? '') + text);
    },
    onCheck: (each) => {
      told.order.push(`ended ${each.check}`);
      told.ended.push(each);
    },
    onArtefact: (_check, artefact) => told.artefacts.set(artefact.name, artefact),
  });
  return { facts, ...told };
}

describe('a verification that is listened to', () => {
  it('tells what each check prints under its name, whose run it was, and each check once when it has ended', async () => {
    const { facts, logs, ended, artefacts, order } = await verify('first');
    expect(logs.get('tests')).toMatch(/^\$ .*node --test/m);
    expect(logs.get('tests')).toMatch(/^[^[]*a word from the test$/m);
    expect(logs.get('tests@branch')).toMatch(/^[^[]*a word from the test$/m);
    expect(logs.get('tests')?.match(/a word from the test/g)).toHaveLength(1);
    expect(logs.get('tests')).toMatch(/^\[exit 0 after \d+\.\d s\]$/m);
    expect(logs.get('coverage')).toContain('node --test');
    expect(ended.map(({ check }) => check).sort()).toEqual(facts.checks.map(({ check }) => check).sort());
    expect(ended.every(({ reused }) => reused == null)).toBe(true);
    // Others were still going when the first was told.
    expect(order.indexOf('ended secrets')).toBeLessThan(order.lastIndexOf('log coverage'));
    expect(artefacts.get('tests.junit.xml')?.text).toContain('name="doubles"');
    expect(artefacts.get('coverage.lcov')?.text).toMatch(/SF:src\/twice\.js\nDA:\d+,1/);
    expect(JSON.parse(artefacts.get('sbom.cdx.json')?.text ?? '')).toMatchObject({ bomFormat: 'CycloneDX' });
    expect(JSON.parse(artefacts.get('mutants.json')?.text ?? '')).toMatchObject({
      mutants: expect.arrayContaining([expect.objectContaining({ path: 'src/twice.js', trial: 'noticed' })]),
    });

    const again = await verify('first');
    const reused = Object.fromEntries(again.facts.checks.map((each) => [each.check, each.reused ?? null]));
    expect(reused['tests']).toMatchObject({ because: expect.stringContaining('same tree') });
    expect(reused['coverage']).toMatchObject({ because: expect.stringContaining('same was asked') });
    expect(reused['secrets']).toBeNull();
    expect(again.logs.get('tests')).toMatch(/^\[reused from 2[\s\S]*a word from the test/);
    expect([...again.artefacts.keys()].sort()).toEqual([...artefacts.keys()].sort());

    const anew = await verify('first', ['coverage']);
    expect(anew.facts.checks.find(({ check }) => check === 'coverage')?.reused).toBeUndefined();
    expect(anew.facts.checks.find(({ check }) => check === 'mutation')?.reused).toMatchObject({
      because: expect.stringContaining('same was asked'),
    });
  }, 120_000);
});

describe('results of tests as JUnit', () => {
  it('stay XML whatever a test is called or says', () => {
    const xml = junitOf([
      { name: 'a "b" <c> & \u0000\ud800', file: 'x.js', status: 'failed', message: 'no\n]]>', ms: 12 },
      { name: 'later', file: 'x.js', status: 'skipped', message: null, ms: null },
    ]);
    expect(xml).toContain('name="a &quot;b&quot; &lt;c&gt; &amp; \ufffd\ufffd"');
    expect(xml).toContain('<failure message="no&#10;]]&gt;"/>');
    expect(xml).toContain('tests="2" failures="1" skipped="1"');
  });
});
