import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandLine, sandboxPaths, type SandboxDriver, type SandboxResult } from './driver.ts';
import { launchWalled, prepare } from './unshare.ts';
import { ownFolder } from './own-folder.ts';

/**
 * The operator's own walls: a program that is told one run as a JSON file (its last argument) and does it. It says `ready` on file
 * descriptor 3 once the walls stand, passes output through, and ends with the exit code of the command. Time and total memory, disk and
 * output are bounded from here as with every driver; whether its walls hold, the proof finds out.
 */
export const commandDriver = (program: readonly string[]): SandboxDriver => ({
  name: 'command',
  paths: () => ({ work: sandboxPaths.work, report: sandboxPaths.report }),
  async run(run): Promise<SandboxResult> {
    const prepared = prepare(run);
    const { limits, mounts, env } = prepared;
    const folder = ownFolder('run');
    const told = join(folder, 'run.json');
    chmodSync(folder, 0o755);
    try {
      return await launchWalled(run, prepared, (uid) => {
        const request = {
          protocol: 1,
          command: commandLine(run.command),
          workDir: sandboxPaths.work,
          mounts,
          env,
          limits,
          network: run.network ?? 'none',
          /** An ordinary user of the host, whose the writable folders are; null: whoever runs us. */
          uid,
        };
        writeFileSync(told, JSON.stringify(request), { mode: 0o644 });
        return [...program, told];
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
});
