import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { wherePossible } from '../../../../test/support/needing.ts';
import { detectCgroups, type Cgroups } from './cgroup.ts';
import { detectSandbox } from './detect.ts';
import { isRoot } from './driver.ts';
import { unshareDriver } from './unshare.ts';

const groups = await detectCgroups();
const { describe: suite } = wherePossible('limits by control groups', typeof groups === 'string' ? groups : null);

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'gate-groups-'));
  chmodSync(root, 0o755);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));
const work = (): string => mkdtempSync(join(root, 'work-'));

/** Where a group's lists of processes are. */
const listsOf = (cgroups: Cgroups): { lists: string[]; end: () => Promise<void> } => {
  const group = cgroups.create({ totalMemoryMb: 64, processes: 8, cpus: 1 });
  return { lists: group.enter.filter((word) => word.endsWith('cgroup.procs')), end: () => group.remove() };
};

suite('a run in a control group', () => {
  const cgroups = groups as Cgroups;

  it('is ended when its processes together want more memory than they may, by the kernel and not by looking', async () => {
    // Each of them wants less than one may, and all of it at once.
    const one = 'head -c 60m /dev/zero | tail > /dev/null';
    const result = await unshareDriver.run({
      command: `for n in 1 2 3 4 5 6; do (${one}) & done; wait; sleep 30`,
      workDir: work(),
      limits: { totalMemoryMb: 100, timeoutMs: 20_000 },
      groups: cgroups,
    });
    expect(result).toMatchObject({
      exitCode: null,
      timedOut: false,
      stopped: 'its processes together wanted more memory than the 100 MB that they may hold',
    });
    expect(result.stderr).toContain('stopped by the sandbox');
  });

  it('starts no more processes than it may, whoever they run as', async () => {
    const group = cgroups.create({ totalMemoryMb: 512, processes: 20, cpus: 1 });
    const [program, ...words] = [
      ...group.enter,
      ...['sh', '-c', 'n=0; while [ $n -lt 200 ]; do sleep 61.5 & n=$((n+1)); done'],
    ];
    const child = spawn(program!, words, { stdio: 'ignore' });
    await new Promise((resolve) => child.once('close', resolve));
    expect(group.refusedProcesses()).toBeGreaterThan(0);
    const [list = ''] = group.enter.filter((word) => word.includes('pids') || word.endsWith('cgroup.procs')).reverse();
    expect(readFileSync(list, 'utf8').split('\n').filter(Boolean).length).toBeLessThanOrEqual(52);
    await group.remove();
    expect(existsSync(dirname(list))).toBe(false);
  });

  it('gets no more of the cores than it may, however many processes want them', async () => {
    const busy = `const end = performance.now() + 1500; while (performance.now() < end); const { userCPUTime, systemCPUTime } = process.resourceUsage(); console.log(userCPUTime + systemCPUTime);`;
    const result = await unshareDriver.run({
      command: ['sh', '-c', `for n in 1 2 3; do node -e '${busy}' & done; wait`],
      workDir: work(),
      limits: { cpus: 0.3 },
      groups: cgroups,
    });
    expect(result.exitCode).toBe(0);
    const used = result.stdout.trim().split('\n').map(Number);
    expect(used).toHaveLength(3);
    // The kernel gives it 0.3 cores for as long as all of it took, and a few slices more at the edges.
    expect(used.reduce((sum, each) => sum + each, 0) / 1000).toBeLessThan(result.ms * 0.3 * 1.5);
  });

  it('is as before where it stays within its limits, and leaves no group behind', async () => {
    const { lists, end } = listsOf(cgroups);
    await end();
    const result = await unshareDriver.run({
      command: 'echo well; sleep 62.5 & exit 3',
      workDir: work(),
      groups: cgroups,
    });
    expect(result).toMatchObject({ exitCode: 3, stdout: 'well\n', stopped: null });
    for (const list of lists)
      expect(
        readdirSync(dirname(dirname(list))).filter((name) => name.startsWith(`muster-run-${process.pid}-`)),
      ).toEqual([]);
  });

  it('finds nothing of the tree of groups inside', async () => {
    const look = 'cat /proc/self/cgroup; ls /sys/fs/cgroup; mkdir -p /tmp/g && mount -t cgroup2 none /tmp/g';
    const sandbox = await detectSandbox('unshare');
    const result = await sandbox.driver!.run({ command: look, workDir: work() });
    expect(result.exitCode).not.toBe(0);
    expect(result.stderr).toMatch(/\/sys\/fs\/cgroup.*No such file/);
  });

  it('is what every run is in once the sandbox was chosen, and a killed verifier’s groups are taken away', async () => {
    const sandbox = await detectSandbox('unshare');
    expect(sandbox).toMatchObject({ proven: true, notes: [] });
    const result = await sandbox.driver!.run({
      command: 'head -c 200m /dev/zero | tail > /dev/null',
      workDir: work(),
      limits: { totalMemoryMb: 80 },
    });
    expect(result.stopped).toContain('80 MB');
    const { lists, end } = listsOf(cgroups);
    const left = dirname(lists[0]!).replace(`-${process.pid}-`, '-4194999-');
    const { mkdirSync } = await import('node:fs');
    mkdirSync(left);
    await detectCgroups();
    expect(existsSync(left)).toBe(false);
    expect(existsSync(dirname(lists[0]!))).toBe(true);
    await end();
  });
});

describe('control groups', () => {
  it('are said to be missing, and why, to whoever may not make any', async () => {
    if (!isRoot()) return expect(typeof (await detectCgroups())).toMatch(/string|object/);
    const script = join(root, 'ask.mjs');
    const at = new URL('./cgroup.ts', import.meta.url).href;
    writeFileSync(
      script,
      `const { detectCgroups } = await import(${JSON.stringify(at)}); console.log(JSON.stringify(await detectCgroups()));`,
    );
    const child = spawn(process.execPath, ['--conditions=muster-source', script], {
      uid: 65_534,
      gid: 65_534,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {},
    });
    let out = '';
    child.stdout.on('data', (chunk) => (out += String(chunk)));
    await new Promise((resolve) => child.once('close', resolve));
    expect(JSON.parse(out)).toMatch(/is not ours to write to|there is no/);
  });
});
