import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { missingPrograms, needing } from '../../../../test/support/needing.ts';
import { bwrapDriver } from './bwrap.ts';
import { detectSandbox } from './detect.ts';
import { type SandboxDriver, sandboxPaths } from './driver.ts';
import { proveSandbox } from './proof.ts';
import { readReport } from './report.ts';
import { unshareDriver } from './unshare.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'gate-sandbox-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const work = (): string => mkdtempSync(join(root, 'work-'));
const alive = (marker: string): string[] =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(marker);
    } catch {
      return false;
    }
  });

const drivers: readonly [SandboxDriver, string][] = [
  [unshareDriver, 'unshare'],
  [bwrapDriver, 'bwrap'],
];
for (const [driver, program] of drivers) {
  const { describe: suite } = needing(`the escapes from ${driver.name}`, missingPrograms(program));
  suite(`the ${driver.name} sandbox`, () => {
    it('withstands every escape that is tried at start', async () => {
      expect(await proveSandbox(driver, [root])).toEqual({ proven: true, notes: [] });
    });

    it('reaches a work folder below a folder that only its owner may enter, and nothing beside it', async () => {
      const closed = join(root, `closed-${driver.name}`);
      mkdirSync(join(closed, 'work'), { recursive: true });
      writeFileSync(join(closed, 'beside'), 'secret');
      chmodSync(closed, 0o700);
      const result = await driver.run({ command: 'echo hello > made; cat ../beside', workDir: join(closed, 'work') });
      expect(result.exitCode).not.toBe(0);
      expect(result.stdout).not.toContain('secret');
      expect(readFileSync(join(closed, 'work', 'made'), 'utf8')).toBe('hello\n');
    });

    it('keeps read-only mounts read-only and gives a fresh folder over them', async () => {
      const modules = join(root, `modules-${driver.name}`);
      mkdirSync(join(modules, '.cache'), { recursive: true });
      writeFileSync(join(modules, 'index.js'), 'x');
      const workDir = work();
      mkdirSync(join(workDir, 'node_modules'));
      const result = await driver.run({
        command: 'touch node_modules/planted; touch node_modules/.cache/fine && ls node_modules/.cache',
        workDir,
        mounts: [
          { from: modules, to: `${sandboxPaths.work}/node_modules`, mode: 'ro' },
          { from: '', to: `${sandboxPaths.work}/node_modules/.cache`, mode: 'tmpfs' },
        ],
      });
      expect(result.stdout).toBe('fine\n');
      expect(readdirSync(modules)).toEqual(['.cache', 'index.js']);
      expect(readdirSync(join(modules, '.cache'))).toEqual([]);
    });

    it('ends at its time limit with everything that it started', async () => {
      const marker = `9${process.pid}.${Date.now() % 1000}`;
      const result = await driver.run({
        command: `setsid sleep ${marker} & (trap '' TERM; sleep ${marker}) & sleep ${marker}`,
        workDir: work(),
        limits: { timeoutMs: 700 },
      });
      expect(result).toMatchObject({ timedOut: true, exitCode: null });
      for (let tries = 0; alive(marker).length > 0 && tries < 50; tries++)
        await new Promise((resolve) => setTimeout(resolve, 50));
      expect(alive(marker)).toEqual([]);
    });

    it('leaves nothing behind when its caller is killed', async () => {
      const marker = `8${process.pid}.${Date.now() % 1000}`;
      const script = join(root, `caller-${driver.name}.mjs`);
      writeFileSync(
        script,
        `const { ${driver.name}Driver } = await import(${JSON.stringify(new URL(`./${driver.name}.ts`, import.meta.url).href)});
         setTimeout(() => process.kill(process.pid, 'SIGKILL'), 1500);
         await ${driver.name}Driver.run({ command: 'sleep ${marker}', workDir: ${JSON.stringify(work())} });`,
      );
      expect(spawnSync(process.execPath, ['--conditions=muster-source', script]).signal).toBe('SIGKILL');
      for (let tries = 0; alive(marker).length > 0 && tries < 50; tries++)
        await new Promise((resolve) => setTimeout(resolve, 50));
      expect(alive(marker)).toEqual([]);
    });

    it('is stopped by a signal, keeps the end of what is printed, and answers exit codes', async () => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(new Error('enough')), 300);
      await expect(driver.run({ command: 'sleep 60', workDir: work(), signal: controller.signal })).rejects.toThrow(
        'enough',
      );
      const loud = await driver.run({
        command: 'yes | head -c 3000000; echo end; exit 7',
        workDir: work(),
        limits: { outputBytes: 10_000 },
      });
      expect(loud.exitCode).toBe(7);
      expect(loud.stdout.length).toBeLessThan(80_000);
      expect(loud.stdout).toMatch(/end\n$/);
    });

    it('holds the limits on memory, processes and file sizes', async () => {
      const memory = await driver.run({
        command: ['node', '-e', 'const a=[];for(;;)a.push(Buffer.alloc(1<<24,1))'],
        workDir: work(),
        limits: { memoryMb: 700, timeoutMs: 20_000 },
      });
      expect(memory.exitCode).not.toBe(0);
      expect(memory.timedOut).toBe(false);
      const forks = await driver.run({
        command: 'i=0; while [ $i -lt 200 ]; do sleep 5 & i=$((i+1)); done; wait',
        workDir: work(),
        limits: { processes: 40, timeoutMs: 8000 },
      });
      expect(forks.stderr).toMatch(/fork|Resource temporarily unavailable/i);
      const file = await driver.run({
        command: 'head -c 20000000 /dev/zero > big',
        workDir: work(),
        limits: { fileMb: 1 },
      });
      expect(file.exitCode).not.toBe(0);
    });

    it('ends a run whose processes together hold more memory than they may, and says so', async () => {
      const one =
        'const a=[];const t=setInterval(()=>{a.push(Buffer.alloc(1<<24,1));if(a.length>24)clearInterval(t)},20);setTimeout(()=>{},30000)';
      const result = await driver.run({
        command: `for n in 1 2 3; do node -e '${one}' & done; wait`,
        workDir: work(),
        limits: { memoryMb: 1000, totalMemoryMb: 500, timeoutMs: 30_000 },
      });
      expect(result).toMatchObject({
        exitCode: null,
        timedOut: false,
        stopped: expect.stringMatching(/^its processes together held \d+ MB of memory, and may hold 500 MB$/),
      });
      expect(result.stderr).toContain('stopped by the sandbox');
    });

    it('ends a run that writes more than it may in many files, and leaves one alone that found as much', async () => {
      const flood = 'i=0; while [ $i -lt 400 ]; do head -c 1000000 /dev/zero > file-$i; i=$((i+1)); done; sleep 20';
      const full = work();
      const result = await driver.run({
        command: flood,
        workDir: full,
        limits: { fileMb: 2, diskMb: 100, timeoutMs: 30_000 },
      });
      expect(result).toMatchObject({
        exitCode: null,
        timedOut: false,
        stopped: expect.stringMatching(/^it wrote \d+ MB to the disk, and may write 100 MB$/),
      });
      const next = await driver.run({ command: 'sleep 1; echo well', workDir: full, limits: { diskMb: 100 } });
      expect(next).toMatchObject({ exitCode: 0, stopped: null, stdout: 'well\n' });
    });

    it('ends a run that makes files without end, though they hold nothing', async () => {
      const flood = 'for (let n = 0; n < 40000; n++) require("fs").closeSync(require("fs").openSync(`f${n}`, "w")); setTimeout(() => {}, 60000)'; // prettier-ignore
      const result = await driver.run({
        command: ['node', '-e', flood],
        workDir: work(),
        limits: { diskMb: 100, timeoutMs: 50_000 },
      });
      expect(result).toMatchObject({
        exitCode: null,
        timedOut: false,
        stopped: expect.stringMatching(/^it wrote \d+ MB/),
      });
    });

    it('gives no more of its temporary folders than their size', async () => {
      const { stdout } = await driver.run({
        command:
          'for at in /tmp /dev/shm; do head -c 1500000000 /dev/zero > $at/big; wc -c < $at/big; rm -f $at/big; done 2>/dev/null',
        workDir: work(),
        limits: { fileMb: 2000 },
      });
      const [temporary, shared] = stdout.trim().split('\n').map(Number);
      expect(temporary).toBeLessThanOrEqual(1024 ** 3);
      expect(shared).toBeLessThanOrEqual(256 * 1024 ** 2);
    });
  });
}

describe('a sandbox', () => {
  it('is found on this machine without installing anything', async () => {
    const { driver, proven } = await detectSandbox('unshare');
    expect([driver?.name, proven]).toEqual(['unshare', true]);
  });

  it('is never claimed where the operator asked for none', async () => {
    expect(await detectSandbox('none-i-accept-the-risk')).toMatchObject({
      proven: false,
      notes: [expect.stringContaining('without a sandbox')],
    });
  });

  it('hands over no report that is a link, a pipe, shared or too large', () => {
    const folder = work();
    writeFileSync(join(folder, 'plain'), 'report');
    symlinkSync('/etc/passwd', join(folder, 'link'));
    writeFileSync(join(folder, 'other'), 'x');
    linkSync(join(folder, 'other'), join(folder, 'shared'));
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    expect(existsSync(join(folder, 'pipe'))).toBe(true);
    expect(readReport(join(folder, 'plain'))).toBe('report');
    expect(readReport(join(folder, 'plain'), 3)).toBeNull();
    for (const name of ['link', 'pipe', 'shared', 'none']) expect(readReport(join(folder, name))).toBeNull();
  });
});
