import { spawn, spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { needing } from '../../../../test/support/needing.ts';

const told = (more: string): string[] => [
  '--input-type=module',
  '-e',
  `import { ownFolder } from ${JSON.stringify(join(import.meta.dirname, 'own-folder.ts'))};\nconsole.log(ownFolder('trial'));\n${more}`,
];

const asRoot = needing('what root gives to users of sandboxes', process.getuid?.() === 0 ? [] : ['root']);

describe('a folder of our own', () => {
  let base: string;
  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), 'own-folder-'));
  });
  afterEach(() => rmSync(base, { recursive: true, force: true }));
  const env = (): NodeJS.ProcessEnv => ({ ...process.env, TMPDIR: base });
  /** Of a process that was killed. */
  const another = (): string =>
    spawnSync(process.execPath, told("process.kill(process.pid, 'SIGKILL');"), {
      env: env(),
      encoding: 'utf8',
    }).stdout.trim();

  it('stays while its process lives, and goes when the next one comes after it was killed', async () => {
    const child = spawn(process.execPath, told('setInterval(() => {}, 1000);'), { env: env() });
    const folder = String((await child.stdout.take(1).toArray())[0]).trim();
    mkdirSync(join(folder, 'full'));
    expect(existsSync(another())).toBe(true);
    expect(existsSync(folder)).toBe(true);
    const gone = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await gone;
    const last = another();
    expect(readdirSync(base)).toEqual([basename(last)]);
  });

  it('goes with its process when that is told to end while it is in use', () => {
    const use = "import { mkdirSync } from 'node:fs';\nmkdirSync(`${ownFolder('use')}/full`);\nprocess.exit(1);";
    const { status, stdout } = spawnSync(process.execPath, told(use), { env: env(), encoding: 'utf8' });
    expect({ status, told: stdout.trim().startsWith(base), left: readdirSync(base) }).toEqual({
      status: 1,
      told: true,
      left: [],
    });
  });

  asRoot.it('goes with the next one of root as well when a user of a sandbox was given it', () => {
    const [start, end] = /^(.*-\d+-\d+-)\d+(-.*)$/.exec(basename(another()))!.slice(1) as [string, string];
    const given = join(base, `${start}1${end}`);
    mkdirSync(given);
    chownSync(given, 61_000, 61_000);
    const last = another();
    expect(readdirSync(base)).toEqual([basename(last)]);
  });

  it('is known by more than a number: a pid given out again keeps nothing, and what others made stays', () => {
    const [before, after] = /^(.*-\d+-\d+-)\d+(-.*)$/.exec(basename(another()))!.slice(1) as [string, string];
    const ours = before.replace(/-\d+-$/, `-${process.pid}-`);
    mkdirSync(join(base, `${ours}1${after}`));
    mkdirSync(join(base, 'muster-gate-1-999999999-1-trial-abc'));
    mkdirSync(join(base, 'elsewhere'));
    symlinkSync(join(base, 'elsewhere'), join(base, `${ours}2${after}`));
    const last = another();
    expect(readdirSync(base).sort()).toEqual(
      [basename(last), 'elsewhere', 'muster-gate-1-999999999-1-trial-abc'].sort(),
    );
  });
});
