import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generatedRule } from '@muster/contracts';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { detectSandbox } from '../sandbox/detect.ts';
import type { SandboxDriver } from '../sandbox/driver.ts';
import { rebuildGenerated } from './rebuild.ts';

let folder: string;
let driver: SandboxDriver;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'muster-rebuild-'));
  const sandbox = await detectSandbox('auto', [folder]);
  if (sandbox.driver === null) throw new Error(sandbox.notes.join('; '));
  driver = sandbox.driver;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Files = Record<string, string>;
/** An index of the parts, and beside it how many there are. */
const generator =
  "const fs = require('fs');\nconst parts = fs.readdirSync('parts').sort();\nfs.mkdirSync('gen', { recursive: true });\n" +
  "fs.writeFileSync('gen/index.js', parts.map((part) => `export * from '../parts/${part}';\\n`).join(''));\n" +
  "fs.writeFileSync('gen/count.txt', `${parts.length}\\n`);\n";
const rule = { files: ['gen/**'], run: 'node generate.cjs' };
const indexOf = (...parts: string[]): string => parts.map((part) => `export * from '../parts/${part}.js';\n`).join('');
const project = (...parts: string[]): Files => ({
  'generate.cjs': generator,
  'hand.js': 'export const hand = 1;\n',
  ...Object.fromEntries(parts.map((part) => [`parts/${part}.js`, `export const ${part} = 1;\n`])),
  'gen/index.js': indexOf(...parts),
  'gen/count.txt': `${parts.length}\n`,
});
const ours = project('a', 'b');
const theirs = project('b', 'c');
/** What git makes of both: each counted two, and agrees about it. */
const merged = {
  ...project('a', 'b', 'c'),
  'gen/index.js': '<<<<<<< ours\n=======\n>>>>>>> theirs\n',
  'gen/count.txt': '2\n',
};

const write = (files: Files): string => {
  const dir = mkdtempSync(join(folder, 'tree-'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
  return dir;
};
/** The same in all three trees besides what makes them different. */
const rebuild = (
  more: Files = {},
  rules: readonly object[] = [rule],
  trees: { ours: Files; theirs: Files; merged: Files } = { ours, theirs, merged },
  conflicts = ['gen/index.js'],
) =>
  rebuildGenerated(
    { rules: rules.map((each) => generatedRule.parse(each)), install: true, conflicts, lock: null },
    {
      merged: write({ ...trees.merged, ...more }),
      ours: write({ ...trees.ours, ...more }),
      theirs: write({ ...trees.theirs, ...more }),
    },
    { driver, workDir: folder, cacheDir: join(folder, 'cache'), registry: null, npmCache: null },
  );

describe('generated files that both sides changed', () => {
  it('are made anew from the merged sources, those too that git had merged into something that nobody makes', async () => {
    const answer = await rebuild();
    expect(answer).toEqual({
      resolved: true,
      files: expect.arrayContaining([
        { path: 'gen/index.js', encoding: 'utf8', content: indexOf('a', 'b', 'c') },
        { path: 'gen/count.txt', encoding: 'utf8', content: '3\n' },
      ]),
      lock: null,
      tool: expect.stringMatching(/^node v?\d+\./),
    });
    expect(await rebuild()).toEqual(answer);
  }, 60_000);

  it('may be bytes that are no text, and made of one another in the order of the rules', async () => {
    const second = { files: ['out.bin'], run: 'gzip -cn gen/index.js > out.bin' };
    const made = (index: string) => ({ 'out.bin': execFileSync('gzip', ['-cn'], { input: index }).toString('latin1') });
    const withOut = (files: Files): Files => ({ ...files, 'out.bin': '' });
    const trees = { ours: withOut(ours), theirs: withOut(theirs), merged: withOut(merged) };
    const dirs = { ours: write(trees.ours), theirs: write(trees.theirs), merged: write(trees.merged) };
    for (const side of ['ours', 'theirs'] as const)
      writeFileSync(join(dirs[side], 'out.bin'), made(trees[side]['gen/index.js'] ?? '')['out.bin'], 'latin1');
    const rules = [rule, second].map((each) => generatedRule.parse(each));
    const options = { driver, workDir: folder, cacheDir: join(folder, 'cache'), registry: null, npmCache: null };
    const answer = await rebuildGenerated(
      { rules, install: true, conflicts: ['gen/index.js'], lock: null },
      dirs,
      options,
    );
    const content = Buffer.from(made(indexOf('a', 'b', 'c'))['out.bin'], 'latin1').toString('base64');
    expect(answer).toMatchObject({ files: expect.arrayContaining([{ path: 'out.bin', encoding: 'base64', content }]) });
  }, 60_000);

  it('are left to whoever wrote them where somebody has written in them by hand', async () => {
    for (const side of ['ours', 'theirs'] as const) {
      const byHand = { ...{ ours, theirs }[side], 'gen/index.js': `${indexOf('b')}// do not forget me\n` };
      expect(await rebuild({}, [rule], { ours, theirs, merged, [side]: byHand })).toEqual({
        resolved: false,
        why: expect.stringMatching(/^"gen\/index.js" of the (branch|change) is not what the declared commands make/),
      });
    }
  }, 60_000);

  const anew = (run: string, more: object = {}) => [{ ...rule, run, ...more }];
  it.each([
    ['the command fails', anew('echo so bad >&2; exit 3'), {}, /failed with exit code 3: so bad$/],
    ['the command is none', anew('no-such-program'), {}, /failed with exit code 127/],
    ['it never ends', anew('sleep 1000', { timeoutSeconds: 1 }), {}, /did not end within 1 s/],
    ['it makes nothing', anew('true'), {}, /do not make "gen\/count.txt", "gen\/index.js"|do not make/],
    ['it prints a gigabyte and makes nothing', anew('head -c 1000000000 /dev/zero'), {}, /do not make/],
    ['it changes a source', anew('node generate.cjs; echo >> hand.js'), {}, /change "hand.js", which is not declared/],
    ['it takes a source away', anew('node generate.cjs; rm hand.js'), {}, /change "hand.js"/],
    ['it leaves more than is declared', anew('node generate.cjs; echo > more.js'), {}, /change "more.js"/],
    ['it makes a link', anew('node generate.cjs; ln -s /etc/passwd gen/x'), {}, /"gen\/x" is not a plain file/],
    ['it makes a pipe of it', anew('node generate.cjs; rm gen/index.js; mkfifo gen/index.js'), {}, /do not make/],
    ['it makes a path that no repository may have', anew('node generate.cjs; echo > "gen/a\nb"'), {}, /change "gen\/a\\nb"/],
    ['it makes a path that some take for git’s own', anew('node generate.cjs; echo > gen/git~1'), {}, /"gen\/git~1" is not a path that a repository may have/],
    ['a second run makes another', anew('node generate.cjs; if [ -e parts/a.js -a -e parts/c.js ]; then date +%s%N > gen/count.txt; fi'), {}, /two runs on the same files made different "gen\/count.txt"/],
    ['the sides are made another every time', anew('node generate.cjs; date +%s%N > gen/at'), {}, /is not what the declared commands make/],
    ['it asks for the network', anew('node -e "require(\'net\').connect(80, \'198.51.100.1\')" && node generate.cjs'), {}, /failed with exit code 1/],
    ['it fills the disk', anew('node generate.cjs; for i in 1 2 3 4 5; do head -c 500000000 /dev/zero > gen/$i; done'), {}, /was stopped|failed|size that can be taken/],
    ['what is declared are sources as well', [{ ...rule, files: ['**/*.js'] }], {}, /do not make "hand.js"/],
    ['the rules themselves are declared', [{ ...rule, files: ['gen/**', 'muster.yaml'] }], { 'muster.yaml': 'threshold: 85\n' }, /do not make "muster.yaml"/],
    ['dependencies cannot be had', [rule], { 'package.json': '{"dependencies":{"x":"1"}}' }, /dependencies are not installed/],
  ])('are left to whoever wrote them where %s', async (_what, rules, more, why) => {
    expect(await rebuild(more, rules)).toEqual({ resolved: false, why: expect.stringMatching(why) });
  }, 60_000); // prettier-ignore

  it('take nothing from outside, and leave nothing there', async () => {
    const outside = join(folder, 'outside');
    const run = `echo in > ${outside}; echo in > /tmp/muster-outside; node generate.cjs`;
    expect(await rebuild({}, anew(run))).toMatchObject({ resolved: true });
    expect(existsSync(outside) || existsSync('/tmp/muster-outside')).toBe(false);
  }, 60_000);

  it('may have names that look like options', async () => {
    const odd = { files: ['-rf', '--output=x'], run: 'sort ./parts/*.js > ./-rf; cp ./-rf ./--output=x' };
    const part = (name: string) => `export const ${name} = 1;\n`;
    const made = (...names: string[]) => ({ '-rf': names.map(part).join(''), '--output=x': names.map(part).join('') });
    const trees = {
      ours: { ...ours, ...made('a', 'b') },
      theirs: { ...theirs, ...made('b', 'c') },
      merged: { ...merged, ...made('b') },
    };
    const answer = await rebuild({}, [rule, odd], trees, ['-rf', '--output=x']);
    expect(answer).toMatchObject({
      files: expect.arrayContaining([{ path: '-rf', encoding: 'utf8', content: made('a', 'b', 'c')['-rf'] }]),
    });
  }, 60_000);

  it('are not made of a lock file that cannot be settled first', async () => {
    const lock = {
      path: 'package-lock.json',
      manifests: { 'package.json': '{}' },
      base: null,
      ours: 'no JSON',
      theirs: '{}',
    };
    const answer = await rebuildGenerated(
      { rules: [generatedRule.parse(rule)], install: true, conflicts: ['gen/index.js'], lock },
      { merged: write(merged), ours: write(ours), theirs: write(theirs) },
      { driver, workDir: folder, cacheDir: join(folder, 'cache'), registry: null, npmCache: null },
    );
    expect(answer).toEqual({ resolved: false, why: "the branch's lock file is not JSON" });
  });
});
