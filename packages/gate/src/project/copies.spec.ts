import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { bwrapDriver } from '../sandbox/bwrap.ts';
import type { SandboxDriver } from '../sandbox/driver.ts';
import { unshareDriver } from '../sandbox/unshare.ts';
import { SourceTree } from '../source/tree.ts';
import { Copies } from './copies.ts';

let root: string;
let tree: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'gate-copies-'));
  chmodSync(root, 0o755);
  tree = join(root, 'tree');
  for (const folder of ['src/deep', 'test', 'kept']) mkdirSync(join(tree, folder), { recursive: true });
  for (const path of ['a.txt', 'b.txt', 'src/one.js', 'src/deep/two.js', 'test/three.js', 'kept/four.js'])
    writeFileSync(join(tree, path), `this is ${path}\n`);
  symlinkSync('a.txt', join(tree, 'link'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Everything below a folder: where links point, what files hold, which mode they have. */
const contentsOf = (dir: string): [string, string, number][] =>
  [...new SourceTree(dir).files.keys()].sort().map((path) => {
    const at = join(dir, path);
    const { mode } = lstatSync(at);
    return lstatSync(at).isSymbolicLink()
      ? [path, readlinkSync(at), 0]
      : [path, readFileSync(at, 'utf8'), mode & 0o777];
  });

function isUsable(program: string): boolean {
  const there = spawnSync(program, ['--version']).status === 0;
  if (!there && process.env['CI'] === 'true') throw new Error(`${program} is not installed, and CI needs it`);
  return there && userInfo().uid === 0;
}
const drivers: readonly [SandboxDriver, boolean][] = [
  [bwrapDriver, isUsable('bwrap')],
  [unshareDriver, isUsable('unshare')],
];
for (const [driver, usable] of drivers) {
  const suite = usable ? describe : describe.skip;
  if (!usable)
    process.stderr.write(
      `\n*** SKIPPED: copies under ${driver.name}, which is not installed, or we are not root ***\n`,
    );
  suite(`copies for runs under ${driver.name}`, () => {
    const run = async (copies: Copies, command: string, overrides = new Map<string, string>()): Promise<string> =>
      await copies.use(overrides, async (folder) => {
        copies.ran(folder, await driver.run({ command, workDir: folder }));
        return folder;
      });
    const seenBy = async (copies: Copies, overrides = new Map<string, string>()): Promise<[string, string, number][]> =>
      await copies.use(overrides, async (folder) => await Promise.resolve(contentsOf(folder)));
    const fresh = async (): Promise<Copies> => {
      const folder = mkdtempSync(join(root, 'copies-'));
      chmodSync(folder, 0o755);
      return await Promise.resolve(new Copies(tree, folder));
    };

    it.each([
      [
        'content that keeps its size and its time',
        'cp -p a.txt /tmp/a; echo THIS > a.txt; truncate -s 14 a.txt; touch -r /tmp/a a.txt',
      ],
      ['a file taken away', 'rm src/one.js'],
      ['a folder taken away', 'rm -r src'],
      [
        'files and folders too many',
        'mkdir -p src/more/deep; echo x > src/more/deep/x; echo y > y.js; mkdir node_modules; echo z > node_modules/z.js',
      ],
      ['one file in the place of another', 'mv a.txt c.txt; mv b.txt a.txt; mv c.txt b.txt'],
      ['a folder in the place of another', 'mv src source; mv test src; mv source test'],
      ['a link in the place of a folder', 'rm -r src; ln -s test src'],
      ['a link that points elsewhere', 'ln -sf b.txt link'],
      ['a second name for a file', 'ln a.txt src/again.txt; echo more >> src/again.txt'],
      ['a file that nobody may read, and a folder that nobody may enter', 'chmod 0 a.txt src; chmod 0777 test'],
      ['a pipe in the place of a file', 'rm b.txt; mkfifo b.txt'],
      [
        'a page written to in memory',
        'python3 -c \'import mmap; f = open("a.txt", "r+b"); m = mmap.mmap(f.fileno(), 0); m[0:4] = b"THAT"; m.close()\'',
      ],
    ])('leave the next run nothing of %s', async (_what, command) => {
      const copies = await fresh();
      const first = await run(copies, command);
      const second = await copies.use(new Map(), async (folder) => {
        expect(contentsOf(folder)).toEqual(contentsOf(tree));
        expect(existsSync(join(folder, 'node_modules'))).toBe(false);
        expect(lstatSync(join(folder, 'test')).mode).toBe(lstatSync(join(tree, 'test')).mode);
        return await Promise.resolve(folder);
      });
      expect(second).toBe(first);
      await copies.dispose();
      expect(existsSync(first)).toBe(false);
    });

    it('are not made again of what a run has left alone', async () => {
      const copies = await fresh();
      const untouched = ['kept/four.js', 'a.txt', 'src/one.js'];
      const inodesIn = (folder: string): number[] => untouched.map((path) => lstatSync(join(folder, path)).ino);
      const before = await copies.use(new Map(), async (folder) => {
        // What is dated within a tick of the beginning counts as changed: a small copy is made no sooner.
        await driver.run({ command: 'true', workDir: folder });
        for (const { ctimeMs } = lstatSync(join(folder, 'a.txt')); Date.now() < ctimeMs + 100;)
          await new Promise((resolve) => setTimeout(resolve, 10));
        copies.ran(folder, await driver.run({ command: 'echo x > src/x; rm test/three.js', workDir: folder }));
        return inodesIn(folder);
      });
      await copies.use(new Map(), async (folder) => {
        expect(inodesIn(folder)).toEqual(before);
        expect(contentsOf(folder)).toEqual(contentsOf(tree));
        await Promise.resolve();
      });
      await copies.dispose();
    });

    it('hold what is to stand there instead for one run only', async () => {
      const copies = await fresh();
      const other = new Map([['src/one.js', 'another\n'], ['not/there.js', 'x']]); // prettier-ignore
      await run(copies, 'cat src/one.js', other);
      expect(await seenBy(copies)).toEqual(contentsOf(tree));
      await run(copies, 'true');
      const replaced = await seenBy(copies, other);
      expect(replaced.filter(([, text]) => text === 'another\n').map(([path]) => path)).toEqual(['src/one.js']);
      expect(replaced.map(([path]) => path)).toEqual(contentsOf(tree).map(([path]) => path));
      await copies.dispose();
    });

    it('are not used again after a run that did not end by itself', async () => {
      const copies = await fresh();
      const first = await copies.use(new Map(), async (folder) => {
        const result = await driver.run({ command: 'sleep 60', workDir: folder, limits: { timeoutMs: 300 } });
        copies.ran(folder, result);
        expect(result.begunMs).toBeUndefined();
        return folder;
      });
      await copies.use(new Map(), async (folder) => {
        expect(folder).not.toBe(first);
        await Promise.resolve();
      });
      await copies.dispose();
    });
  });
}
