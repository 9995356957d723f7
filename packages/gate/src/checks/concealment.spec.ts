import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { projectPolicy } from '@muster/contracts';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { changesBetween } from '../source/changes.ts';
import { SourceTree } from '../source/tree.ts';
import type { CheckContext } from './check.ts';
import { concealmentCheck } from './concealment.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'gate-concealment-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

type Files = Record<string, string>;
function treeOf(files: Files): SourceTree {
  const dir = mkdtempSync(join(root, 'tree-'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    if (text.startsWith('->')) symlinkSync(text.slice(2), join(dir, path));
    else writeFileSync(join(dir, path), text);
  }
  return new SourceTree(dir);
}

async function rulesOf(change: Files, before: Files = {}): Promise<string[]> {
  const ground = { 'src/a.js': 'export const a = 1;\n', 'docs/notes.txt': 'text\n', 'docs/x.js': '' };
  const [against, candidate] = [treeOf({ ...ground, ...before }), treeOf({ ...ground, ...change })];
  const context = { purpose: 'admission', policy: projectPolicy.parse({}), against, candidate };
  const result = await concealmentCheck.run({
    ...context,
    changes: changesBetween(against, candidate),
  } as unknown as CheckContext);
  expect(result.findings.every((each) => each.veto)).toBe(true);
  return result.findings.map((each) => each.rule.replace('concealment.', ''));
}

describe('concealment', () => {
  it.each([
    ['source with a NUL character', { 'src/a.js': '/* \u0000 */ export const a = 2;\n' }, ['unreadable']],
    ['source too large to be read', { 'src/a.js': `//${'x'.repeat(2 * 1024 * 1024)}\n` }, ['unreadable']],
    ['source that is a link to text', { 'src/b.js': '->../docs/notes.txt' }, ['link']],
    ['a folder of source that is a link', { 'src/lib': '->../docs' }, ['link']],
    ['committed packages', { 'node_modules/x/index.js': '1' }, ['packages']],
    ['packages committed further down', { 'test/node_modules/chai/index.js': '1' }, ['packages']],
    ['a test that names the report', { 'test/a.test.js': "open('/muster/report/tests', 'w');\n" }, ['report']],
    [
      'what hooks into the report',
      { 'src/a.js': "argv.find((a) => a.startsWith('--test-reporter-destination'));\n" },
      ['report'],
    ],
    ['parentheses within parentheses', { 'src/a.js': `${'('.repeat(9000)}1${')'.repeat(9000)};\n` }, ['unreadable']],
    ['lists within lists, in a test', { 'test/a.test.js': `${'['.repeat(600)}${']'.repeat(600)};\n` }, ['unreadable']],
    ['a chain of thousands of calls', { 'src/a.ts': `make${'.next()'.repeat(3000)};\n` }, ['unreadable']],
    ['a sum of thousands', { 'src/a.js': `export const a = ${'x + '.repeat(5000)}1;\n` }, ['unreadable']],
  ])('refuses %s', async (_what, change, expected) => {
    expect(await rulesOf(change as Files)).toEqual(expected);
  });

  it('lets a file that names the report move, and no copy of it stand beside', async () => {
    const names = "open('/muster/report/tests', 'w');\n";
    expect(await rulesOf({ 'test/b.test.js': names }, { 'test/a.test.js': names })).toEqual([]);
    expect(await rulesOf({ 'test/a.test.js': names, 'test/b.test.js': names }, { 'test/a.test.js': names })).toEqual(['report']); // prettier-ignore
  });

  it('lets pass links to source, links between texts, binary data and large data', async () => {
    expect(
      await rulesOf({
        'src/same.js': '->a.js',
        README: '->docs/notes.txt',
        'logo.png': '\u0000\u0001',
        // Nested as deeply as tables of code points are by their tools.
        'src/wide.js': `export const wide = (c) => ${Array.from({ length: 200 }, (_each, n) => `c === ${n}`).join(' || ')};\n`,
        'data.json': `"${'x'.repeat(3 * 1024 * 1024)}"`,
      }),
    ).toEqual([]);
  });
});
