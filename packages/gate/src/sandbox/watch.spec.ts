import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bwrapDriver } from './bwrap.ts';
import { detectSandbox } from './detect.ts';
import type { SandboxDriver, SandboxResult } from './driver.ts';
import { unshareDriver } from './unshare.ts';
import { proveWatching } from './watch-proof.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'watch-'));
  chmodSync(root, 0o755);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Runs a line in a folder with `a`, `b`, `sub/c`, and a link `to-a`. */
async function watched(command: string, driver: SandboxDriver = bwrapDriver): Promise<SandboxResult> {
  const workDir = mkdtempSync(join(root, 'work-'));
  chmodSync(workDir, 0o755);
  mkdirSync(join(workDir, 'sub'));
  for (const file of ['a', 'b', 'sub/c']) writeFileSync(join(workDir, file), `the text of ${file}\n`);
  symlinkSync('a', join(workDir, 'to-a'));
  return await driver.run({ command, workDir, watched: true });
}
const node = (code: string): string => `node -e '${code}'`;
const python = (code: string): string => `python3 -I -c '${code}'`;

describe('what a run has read', () => {
  it('is told by the kernel, and nothing else is', async () => {
    const { reads } = await watched('cat sub/c');
    expect(reads).toEqual({ read: ['sub/c'], listed: [] });
  });

  it.each([
    ['through a link, by both names', 'cat to-a', ['a', 'to-a'], []],
    ['by mapping it into memory', python('import mmap,os; mmap.mmap(os.open("b",0),0,prot=mmap.PROT_READ)'), ['b'], []],
    ['by running it', 'sh ./a; true', ['a'], []],
    ['by copying it', 'cp a /tmp/x', ['a'], []],
    ['under another name', 'mv a x && cat x && mv x a', ['a'], ['.']],
    ['through a second name', 'ln a x && cat x', ['a'], ['.']],
    ['and set back as if it had not been', python('import os; open("a").read(); os.utime("a",(946684800,os.stat("a").st_mtime))'), ['a'], []],
    ['and put back as it was', 'cp a /tmp/x && rm a && cp /tmp/x a', ['a'], ['.']],
    ['after its time of access was switched off', 'chattr +A a; cat a', ['a'], []],
    ['from a folder that was listed', 'ls sub; true', [], ['sub']],
    ['from a folder that was listed and set back', python('import os; os.listdir("sub"); os.utime("sub",(946684800,os.stat("sub").st_mtime))'), [], ['sub']],
    ['after it was written to', 'echo more >> b', ['b'], []],
  ])('is seen when it is read %s', async (_how, command, read, listed) => {
    const { reads, exitCode } = await watched(command);
    expect(exitCode).toBe(0);
    expect([...reads!.read].sort()).toEqual(read);
    expect(reads!.listed).toEqual(listed);
  }); // prettier-ignore

  it('cannot be read without a trace: opening so is refused, early and late, and so is sharing contents', async () => {
    const { stdout, reads } = await watched(
      node(`const fs = require("node:fs"); const attempt = (work) => { try { work(); console.log("done"); } catch ({ code }) { console.log(code); } };
        attempt(() => fs.openSync("a", fs.constants.O_RDONLY | fs.constants.O_NOATIME));
        attempt(() => fs.copyFileSync("a", "copy", fs.constants.COPYFILE_FICLONE_FORCE));`) +
        '; ' +
        python(`
import ctypes, fcntl, os
libc = ctypes.CDLL(None, use_errno=True)
file = os.open("b", os.O_RDONLY)
try:
    fcntl.fcntl(file, fcntl.F_SETFL, os.O_NOATIME)
    print("done")
except OSError as error:
    print(error.strerror)
for call in [425, 437]:
    print(libc.syscall(call, 1, 0, 0, 0), os.strerror(ctypes.get_errno()))
`),
    );
    expect(stdout.trim().split('\n')).toEqual([
      'EPERM',
      expect.stringMatching(/ENOTSUP|EOPNOTSUPP/),
      'Operation not permitted',
      '-1 Function not implemented',
      '-1 Function not implemented',
    ]);
    expect(reads!.read).toEqual([]);
  });

  it('does not take the looks of the verifier, which counts what is written, for those of the run', async () => {
    const { reads, writtenMb } = await watched('head -c 8000000 /dev/zero > sub/d; sleep 1.2; echo > sub/d');
    expect(reads).toEqual({ read: [], listed: ['sub'] });
    expect(writtenMb).toBeGreaterThan(6);
  });

  it('is not told by drivers whose walls let files be read without a trace', async () => {
    expect((await watched('cat a', unshareDriver)).reads).toBeUndefined();
    expect(await proveWatching(unshareDriver)).toBe(false);
  });
});

describe('a driver that tells what runs read', () => {
  it('is believed when it was seen to tell of every way of reading', async () => {
    const { driver, tellsReads } = await detectSandbox('bwrap');
    expect(driver?.name).toBe('bwrap');
    expect(tellsReads).toBe(true);
  });

  it('is not believed where one way does not show', async () => {
    const blind: SandboxDriver = {
      ...bwrapDriver,
      run: async (run) => {
        const result = await bwrapDriver.run(run);
        const read = result.reads!.read.filter((path) => path !== 'set-back');
        return { ...result, reads: { ...result.reads!, read } };
      },
    };
    expect(await proveWatching(blind)).toBe(false);
  });

  it('is not believed where somebody got hold of a file that is not told of', async () => {
    const open: SandboxDriver = {
      ...bwrapDriver,
      run: async (run) => {
        const result = await bwrapDriver.run({ ...run, watched: false });
        return { ...result, reads: { read: [], listed: [] } };
      },
    };
    expect(await proveWatching(open)).toBe(false);
  });
});
