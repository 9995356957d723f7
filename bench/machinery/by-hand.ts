import { spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type SandboxDriver, sandboxPaths, type SandboxRun } from '@muster/gate';
import { nowUs } from './clock.ts';

/** One command that a verification ran, with the folder as it found it. */
export interface Step {
  readonly line: string;
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** Where the packages are that it saw. */
  readonly packages: string | null;
  readonly exitCode: number | null;
}

/** A driver that does what another does, and keeps what a person would need to do the same by hand. */
export function recording(driver: SandboxDriver, folder: string, steps: Step[]): SandboxDriver {
  let count = 0;
  return {
    name: driver.name,
    paths: (run) => driver.paths(run),
    async run(run) {
      const own = join(folder, String(count++));
      const here = { work: join(own, 'work'), report: join(own, 'report'), reporters: join(own, 'reporters') };
      for (const path of Object.values(here)) mkdirSync(path, { recursive: true });
      const placed = (text: string): string =>
        text
          .replaceAll(sandboxPaths.reporters, here.reporters)
          .replaceAll(sandboxPaths.report, here.report)
          .replaceAll(sandboxPaths.node, dirname(process.execPath));
      copyPlain(run.workDir, here.work, placed);
      const told = run.mounts?.find(({ to }) => to === sandboxPaths.reporters)?.from;
      if (told !== undefined) {
        copyPlain(told, here.reporters, (text) => text);
        mkdirSync(join(here.reporters, 'channel'), { recursive: true });
        for (const pipe of ['key', 'results']) writeFileSync(join(here.reporters, 'channel', pipe), '');
      }
      const packages = run.mounts?.find(({ to }) => to === `${sandboxPaths.work}/node_modules`)?.from ?? null;
      const outcome = await driver.run(run);
      const env = Object.entries(run.env ?? {}).map(
        ([name, value]) => [name, placed(value.replaceAll(`${sandboxPaths.work}/`, `${here.work}/`))] as const,
      );
      steps.push({
        line: placed(lineOf(run.command)),
        folder: own,
        env: { HOME: own, CI: 'true', LANG: 'C.UTF-8', ...Object.fromEntries(env) },
        timeoutMs: run.limits?.timeoutMs ?? 120_000,
        packages,
        exitCode: outcome.exitCode,
      });
      return outcome;
    },
  };
}

const lineOf = (command: SandboxRun['command']): string => {
  if (typeof command !== 'string') throw new Error(`By hand only lines can be run, not ${command.join(' ')}.`);
  return command;
};

/** Files as they are, but for pipes, links to nowhere and packages; texts that name a place of the sandbox name ours. */
function copyPlain(from: string, to: string, placed: (text: string) => string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.name === 'node_modules') continue;
    if (entry.isDirectory()) copyPlain(source, target, placed);
    else if (entry.isFile() && /\.(?:[cm]?[jt]sx?|py)$/.test(entry.name))
      writeFileSync(target, placed(readFileSync(source, 'utf8')));
    else if (entry.isFile()) copyFileSync(source, target);
  }
}

/** Runs all of them, one after another, outside of any sandbox; each once, since it uses up its folder. */
export async function byHand(steps: readonly Step[], copy: string): Promise<{ seconds: number; otherEnds: string[] }> {
  const otherEnds: string[] = [];
  let spent = 0;
  for (const [at, step] of steps.entries()) {
    const work = join(step.folder, 'work');
    const kept = join(copy, String(at));
    copyPlain(work, kept, (text) => text);
    if (step.packages !== null && !existsSync(join(work, 'node_modules')))
      symlinkSync(step.packages, join(work, 'node_modules'));
    const began = nowUs();
    const code = await ended(step, work);
    spent += nowUs() - began;
    if (code !== step.exitCode && code !== null && step.exitCode !== null)
      otherEnds.push(`${step.line.slice(0, 200)}: ${code} by hand, ${step.exitCode} in the sandbox`);
    rmSync(work, { recursive: true, force: true });
    copyPlain(kept, work, (text) => text);
    rmSync(kept, { recursive: true, force: true });
  }
  return { seconds: spent / 1e6, otherEnds };
}

const ended = ({ line, env, timeoutMs }: Step, cwd: string): Promise<number | null> =>
  new Promise((done, fail) => {
    const child = spawn('/bin/sh', ['-c', line], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    child.stdout.resume();
    child.stderr.resume();
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, timeoutMs);
    child.once('error', fail).once('close', (code) => {
      clearTimeout(timer);
      done(code);
    });
  });
