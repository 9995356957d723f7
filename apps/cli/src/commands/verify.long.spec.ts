import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Finding, FirstLook, VerificationFacts } from '@muster/contracts';
import { detectSandbox, verifyFolder } from '@muster/gate';
import { main } from '../program.ts';

jest.setTimeout(240_000);

const head = "import test from 'node:test';\nimport assert from 'node:assert/strict';\n";
const before = {
  'package.json': JSON.stringify({ name: 'sample', type: 'module', scripts: { test: 'node --test' } }),
  'src/sum.js': 'export function sum(a, b) {\n  return a + b;\n}\n',
  'test/sum.test.js': `${head}import { sum } from '../src/sum.js';\ntest('adds', () => {\n  assert.equal(sum(1, 2), 3);\n});\n`,
};
/** Bad in many ways at once, so that many checks have something to say. */
const bad = {
  'src/sum.js': 'export function sum(a, b) {\n  return a - b;\n}\n',
  'src/run.js':
    "import { execSync } from 'node:child_process';\nexport function show(name) {\n  try {\n    return execSync(`ls ${name}`);\n  } catch {}\n}\n",
  'other/left.js': `export const key = 'AKIA${'QWERTYUIOPASDFGH'}';\n`,
};
/** Its tests pass and notice little. */
const unnoticed = {
  'src/grade.js':
    'export function grade(points, most) {\n  if (points > most) return "over";\n  if (points * 2 > most) return "good";\n  return "poor";\n}\n' +
    'export function half(value) {\n  return value / 2;\n}\n',
  'test/grade.test.js': `${head}import { grade } from '../src/grade.js';\ntest('grades', () => {\n  assert.ok(grade(1, 10));\n});\n`,
};
/** Calls itself a fix, and brings a test that passes without it. */
const shownByNothing = {
  'src/sum.js': 'export function sum(a, b) {\n  return b + a;\n}\n',
  'test/sum.test.js': `${before['test/sum.test.js']}test('adds more', () => {\n  assert.equal(sum(2, 2), 4);\n});\n`,
};

let root: string;
let repository: string;
const home = process.env['HOME'];
const git = (...args: string[]): string =>
  execFileSync('git', ['-c', 'user.name=S', '-c', 'user.email=s@example.org', ...args], {
    cwd: repository,
    encoding: 'utf8',
  }).trim();
const write = (files: Record<string, string>): void => {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(repository, path)), { recursive: true });
    writeFileSync(join(repository, path), text);
  }
};
const clean = (): void => {
  git('reset', '--quiet', '--hard', 'main');
  git('clean', '--quiet', '-fd');
};
let err = '';
const muster = async (...args: string[]): Promise<{ code: number; out: string }> => {
  let out = '';
  err = '';
  process.exitCode = 0;
  jest.spyOn(process.stdout, 'write').mockImplementation((chunk) => ((out += String(chunk)), true));
  jest.spyOn(process.stderr, 'write').mockImplementation((chunk) => ((err += String(chunk)), true));
  const code = await main(args);
  jest.restoreAllMocks();
  err = stripVTControlCharacters(err);
  return { code, out: stripVTControlCharacters(out) };
};

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'muster-verify-cli-'));
  repository = join(root, 'repository');
  mkdirSync(repository);
  process.env['HOME'] = root;
  git('init', '--quiet', '-b', 'main');
  write(before);
  git('add', '.');
  git('commit', '--quiet', '-m', 'Begin');
});
afterEach(() => {
  process.exitCode = 0;
  clean();
});
afterAll(() => {
  process.env['HOME'] = home;
  rmSync(root, { recursive: true, force: true });
});

describe('muster verify', () => {
  it.each([
    ['is bad in many ways', bad, ['tests', 'secrets', 'security', 'scope']],
    ['is noticed by no test', unnoticed, ['honesty', 'mutation']],
    ['is shown by nothing', shownByNothing, ['new-tests']],
  ])(
    'shows each finding on a change that %s again by the command that stands with it, and not when it is mended',
    async (_what, change: Record<string, string>, checks) => {
      write(change);
      const { facts } = await verifyFolder({
        dir: repository,
        cacheDir: join(root, 'elsewhere'),
        sandbox: await detectSandbox('auto'),
        draw: '0123456789abcdef',
        declared: { title: "Fix Ann's sum; $(touch pwned) `x`", paths: ['src/**', 'test/**'] },
      });
      const one = new Map<string, Finding>();
      for (const { check, findings } of facts.checks)
        for (const each of findings) if (!one.has(`${check} ${each.rule}`)) one.set(`${check} ${each.rule}`, each);
      expect([...new Set([...one.values()].map(({ check }) => check))]).toEqual(expect.arrayContaining(checks));
      const argumentsOf = (line: string): string[] =>
        execFileSync('sh', ['-c', `set -- ${line.replace(/^muster /, '')}; printf '%s\\0' "$@"`], { encoding: 'utf8' })
          .split('\0')
          .slice(0, -1);
      for (const finding of one.values()) {
        const args = argumentsOf(finding.reproduce ?? '');
        const again = await muster(...args, repository, '--json');
        const seen = JSON.parse(again.out) as { finding: Finding | null };
        expect({ line: finding.reproduce, code: again.code }).toEqual({ line: finding.reproduce, code: 1 });
        const { rule, level, veto, path, line, message, fingerprint } = finding;
        expect(seen.finding).toMatchObject({ rule, level, veto, path, line, message, fingerprint });
      }
      clean();
      const [some] = [...one.values()].filter(({ check }) => check === checks[0]);
      const gone = await muster(...argumentsOf(some?.reproduce ?? ''), repository);
      expect(gone).toMatchObject({ code: 0, out: expect.stringContaining('it is not there') });
    },
  );

  it('ends with 0 when accepted, 1 when refused and 2 when it could not tell, and writes SARIF beside what people read', async () => {
    const good = await muster('verify', repository, '--base', 'main');
    expect(good).toMatchObject({ code: 0, out: expect.stringContaining('accepted with 100 points') });
    write(bad);
    const sarif = join(root, 'findings.sarif');
    const refused = await muster('verify', repository, '--sarif', sarif);
    expect(refused.code).toBe(1);
    expect(refused.out).toMatch(/veto.*tests\.broken/);
    expect(refused.out).toMatch(/again: muster verify --base [0-9a-f]{40} --check tests --finding [0-9a-f]{12}/);
    expect(JSON.parse(readFileSync(sarif, 'utf8'))).toMatchObject({ version: '2.1.0' });
    const secrets = await muster('verify', repository, '--check', 'secrets', '--check', 'scope', '--json');
    const { facts } = JSON.parse(secrets.out) as { facts: VerificationFacts };
    expect(facts.checks.map(({ check }) => check).sort()).toEqual(['scope', 'secrets']);
    expect(secrets.code).toBe(1);

    clean();
    write({
      'package.json': JSON.stringify({ name: 'sample', dependencies: { 'left-pad': '1.3.0' } }),
      'x.js': 'x = 1\n',
    });
    git('add', '.');
    git('commit', '--quiet', '-m', 'Depend on something without a lock');
    const unseen = await muster('verify', repository, '--base', 'HEAD');
    git('reset', '--quiet', '--hard', 'HEAD~1');
    expect(unseen.code).toBe(2);
  });

  it('looks first at what is seen at once', async () => {
    write({ 'src/sum.js': bad['src/sum.js'] });
    const look = await muster('verify', repository, '--first-look', '--json');
    expect(look.code).toBe(1);
    expect(JSON.parse(look.out) as FirstLook).toMatchObject({ state: 'failing', testFiles: ['test/sum.test.js'] });
  });

  it('says what is wrong with the command, and does nothing else', async () => {
    expect((await muster('verify', repository, '--check', 'nonsense')).code).toBe(64);
    expect(err).toMatch(/There is no check nonsense\. There are .*tests/);
    expect((await muster('verify', repository, '--base', '--upload-pack=x')).code).toBe(64);
    expect((await muster('verify', repository, '--finding', 'xyz')).code).toBe(64);
    expect((await muster('verify', repository, '--first-look', '--check', 'tests')).code).toBe(64);
    expect((await muster('verify', root)).code).toBe(70);
  });
});
