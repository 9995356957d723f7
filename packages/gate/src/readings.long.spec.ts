import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { projectPolicy, type CheckFacts } from '@muster/contracts';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { GateDesk, type Files } from '../../../test/support/gate-desk.ts';
import { detectSandbox, type Sandbox } from './sandbox/detect.ts';
import { runVerification } from './verification.ts';

let sandbox: Sandbox;
const desk = new GateDesk();
beforeAll(async () => {
  sandbox = await detectSandbox('auto');
  expect(sandbox.tellsReads).toBe(true);
});
afterAll(() => desk.clear());

const head = "import test from 'node:test';\nimport assert from 'node:assert/strict';\nimport fs from 'node:fs';\n";
const manifest = (scripts: Record<string, string>): string =>
  JSON.stringify({ name: 'sample', type: 'module', scripts: { test: 'node --test test/all.js', ...scripts } });
const suite = (body: string, more = ''): string => `${head}${more}test('holds', () => {\n${body}\n});\n`;
const project = (body: string, more = ''): Files => ({
  'package.json': manifest({}),
  'README.md': '# Sample\n',
  'docs/use.md': 'Use it.\n',
  'data/one.json': '1',
  'src/sum.js': 'export const sum = (a, b) => a + b;\n',
  'test/all.js': suite(body, more),
});

/** Verifies one tree and then the other, with one cache. */
async function after(
  first: Files,
  second: Files,
  { policies = [{}, {}], fresh = [] }: { policies?: [object, object]; fresh?: string[] } = {},
): Promise<Map<string, CheckFacts>> {
  const cacheDir = mkdtempSync(join(desk.root, 'cache-'));
  const verify = async (files: Files, verificationId: string, policy: object, again: string[]) =>
    await runVerification({
      candidateDir: desk.tree(files).dir,
      baseDir: null,
      restoresDir: null,
      input: {
        purpose: 'base',
        verificationId,
        candidateTree: JSON.stringify(files),
        baseTree: null,
        restoresTree: null,
        policy: projectPolicy.parse({ timeoutSeconds: 60, ...policy }),
        rulesDigest: 'rules',
        fresh: again,
      },
      workDir: mkdtempSync(join(desk.root, 'work-')),
      cacheDir,
      sandbox,
    });
  const one = await verify(first, 'first', policies[0], []);
  const about = one.checks.filter(({ check }) => ['build', 'tests', 'lint'].includes(check));
  expect(about.filter(({ status }) => status === 'failed')).toEqual([]);
  const two = await verify(second, 'second', policies[1], fresh);
  return new Map(two.checks.map((facts) => [facts.check, facts]));
}

describe('a suite that has run on an earlier tree', () => {
  const plain = project('  assert.equal(sum(1, 2), 3);', "import { sum } from '../src/sum.js';\n");

  it('is not run again where nothing that it read has changed, and the check says since when, why, and by whom', async () => {
    const checks = await after(plain, { ...plain, 'README.md': '# Another\n', 'docs/use.md': 'Use it well.\n' });
    expect(checks.get('tests')).toMatchObject({
      status: 'passed',
      metrics: { total: 1, passed: 1 },
      reused: { verification: 'first', because: expect.stringMatching(/README\.md, docs\/use\.md/) },
    });
  });

  it('is not run again where something was added that nobody lists and nothing names', async () => {
    const checks = await after(plain, { ...plain, 'docs/more.md': 'More.\n' });
    expect(checks.get('tests')?.reused).toMatchObject({ verification: 'first' });
  });

  it.each<[string, Files, Files]>([
    ['what it imports', plain, { 'src/sum.js': 'export const sum = (a, b) => a - b;\n' }],
    [
      'a file that it reads while it runs, by a name that stands nowhere',
      project("  assert.match(fs.readFileSync(['.', 'md'].join('/READ' + 'ME').replace('./READMEmd', 'README.md'), 'utf8'), /Sample/);"),
      { 'README.md': '# Another\n' },
    ],
    ['a file behind a link', { ...project("  assert.match(fs.readFileSync('guide', 'utf8'), /Use/);"), guide: '->docs/use.md' }, { 'docs/use.md': 'No.\n' }],
    ['where a link points', { ...project("  assert.match(fs.readFileSync('guide', 'utf8'), /Use/);"), guide: '->docs/use.md' }, { guide: '->README.md' }],
    [
      'a file that another program reads',
      project("  assert.equal(spawnSync('grep', ['Use', 'docs/use.md']).status, 0);", "import { spawnSync } from 'node:child_process';\n"),
      { 'docs/use.md': 'No.\n' },
    ],
    [
      'a file that is mapped into memory',
      project(
        `  assert.equal(spawnSync('python3', ['-c', 'import mmap,os; assert b"Use" in bytes(mmap.mmap(os.open("docs/use.md",0),0,prot=mmap.PROT_READ))']).status, 0);`,
        "import { spawnSync } from 'node:child_process';\n",
      ),
      { 'docs/use.md': 'No.\n' },
    ],
    [
      'a program that it runs',
      { ...project("  assert.equal(spawnSync('sh', ['docs/run.md']).status, 0);", "import { spawnSync } from 'node:child_process';\n"), 'docs/run.md': 'exit 0\n' },
      { 'docs/run.md': 'exit 1\n' },
    ],
    [
      'a file whose time of access it sets back',
      project(
        "  const { mtime } = fs.statSync('docs/use.md');\n  const text = fs.readFileSync('docs/use.md', 'utf8');\n  fs.utimesSync('docs/use.md', 946684800, mtime);\n  assert.match(text, /Use/);",
      ),
      { 'docs/use.md': 'No!!!!!\n' },
    ],
    ['a file by its size alone', project("  assert.ok(fs.statSync('docs/use.md').size < 10);"), { 'docs/use.md': 'Use it, and use it often.\n' }],
    [
      'what a folder holds, when it lists it',
      project("  assert.deepEqual(fs.readdirSync('docs'), ['use.md']);"),
      { 'docs/another.md': 'Another.\n' },
    ],
    [
      'what a folder holds, when it lists it and sets it back',
      project("  const { mtime } = fs.statSync('docs');\n  const names = fs.readdirSync('docs');\n  fs.utimesSync('docs', 946684800, mtime);\n  assert.deepEqual(names, ['use.md']);"),
      { 'docs/another.md': 'Another.\n' },
    ],
    ['whether a file is there', project("  assert.ok(!fs.existsSync('docs/later.md'));"), { 'docs/later.md': 'Now.\n' }],
    [
      'which module a name means, when one is added in front of it',
      { ...project("  assert.equal(require('../src/half')(4), 2);", "import { createRequire } from 'node:module';\nconst require = createRequire(import.meta.url);\n"),
        'src/half/index.js': 'module.exports = (n) => n / 2;\n', 'src/package.json': '{}' },
      { 'src/half.js': 'module.exports = () => 0;\n' },
    ],
    ['settings that are looked up by name', { ...plain, 'src/sum.js': 'exports.sum = (a, b) => a + b;\n', 'src/package.json': '{ "type": "commonjs" }' }, { 'src/package.json': '{ "type": "module" }' }],
    ['settings that come along', { ...plain, 'package.json': manifest({}).replace('"type":"module",', '') , 'test/all.js': `const test = require('node:test');\ntest('holds', () => {});\n` }, { 'test/package.json': '{ "type": "module" }' }],
  ])('is run again, and fails, when %s has changed', async (_what, first, change) => {
    const checks = await after(first, { ...first, ...change });
    expect(checks.get('tests')?.reused).toBeUndefined();
    expect(checks.get('tests')?.status).toBe('failed');
  }); // prettier-ignore

  it.each<[string, string, string]>([
    ['a file that it read', 'docs/use.md', "  assert.match(fs.readFileSync('docs/use.md', 'utf8'), /Use/);"],
    ['a file that it asked for', 'docs/use.md', "  assert.ok(fs.existsSync('docs/use.md'));"],
    ['a file that it listed', 'docs/use.md', "  assert.equal(fs.readdirSync('docs').length, 1);"],
    [
      'data, whoever asked for it',
      'data/one.json',
      "  assert.ok(fs.existsSync('data/' + ['on', 'e'].join('') + '.json'));",
    ],
  ])('is run again, and fails, when %s is gone', async (_what, gone, body) => {
    const first = project(body);
    const second = Object.fromEntries(Object.entries(first).filter(([path]) => path !== gone));
    const checks = await after(first, second);
    expect(checks.get('tests')?.reused).toBeUndefined();
    expect(checks.get('tests')?.status).toBe('failed');
  });

  it.each<[string, Parameters<typeof after>[2]]>([
    ['other limits hold', { policies: [{}, { timeoutSeconds: 61 }] }],
    ['another command is run', { policies: [{}, { checks: { test: 'node --test test/all.js test/all.js' } }] }],
    ['somebody asks for it by name', { fresh: ['tests'] }],
  ])('is run again when %s', async (_when, how) => {
    const checks = await after(plain, { ...plain, 'README.md': '# Another\n' }, how);
    expect(checks.get('tests')).toMatchObject({ status: 'passed' });
    expect(checks.get('tests')?.reused).toBeUndefined();
  });
});

describe('a build that has run on an earlier tree', () => {
  const built: Files = {
    ...project("  assert.equal(fs.readFileSync('dist/title', 'utf8'), '# Sample\\n');"),
    'package.json': manifest({ build: 'mkdir -p dist && cp README.md dist/title', lint: 'grep -q Sample README.md' }),
  };

  it('is not run again where it has read nothing that changed, and neither is what stands on it', async () => {
    const checks = await after(built, { ...built, 'docs/use.md': 'Use it well.\n' });
    for (const check of ['build', 'tests', 'lint']) expect(checks.get(check)?.reused).toMatchObject({ verification: 'first' });
  }); // prettier-ignore

  it('is run again where it has, and so are the tests that read what it leaves', async () => {
    const checks = await after(built, { ...built, 'README.md': '# Another\n' });
    expect([...checks.values()].filter(({ reused }) => reused != null)).toEqual([]);
    expect(checks.get('tests')?.status).toBe('failed');
    expect(checks.get('lint')?.status).toBe('failed');
  });

  it('that leaves the same lets tests stand that read nothing else of it', async () => {
    const first = { ...built, 'package.json': manifest({ build: 'mkdir -p dist && grep -h Sample README.md > dist/title' }) };
    const checks = await after(first, { ...first, 'README.md': '# Sample\n\nMore.\n' });
    expect(checks.get('build')?.reused).toBeUndefined();
    expect(checks.get('tests')?.reused).toMatchObject({ verification: 'first' });
  }); // prettier-ignore
});
