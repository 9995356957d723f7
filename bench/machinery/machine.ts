import { closeSync, fdatasyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { nowUs } from './clock.ts';
import { tidy, type BenchDocument } from './document.ts';
import { percentile } from './statistics.ts';

/** What the figures depend on. The load at the start tells whether the machine was ours alone. */
export function machineFacts(folder: string): BenchDocument['machine'] {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: tidy(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()} ${arch()}`,
    fileSystem: fileSystemOf(folder),
    fdatasyncMs: tidy(fdatasyncMs(folder)),
    loadAtStart: tidy(loadavg()[0] ?? 0),
  };
}

/** The median of making one page durable: no commit is faster than this. */
function fdatasyncMs(folder: string): number {
  const file = join(folder, 'fdatasync');
  const page = Buffer.alloc(8192, 1);
  const handle = openSync(file, 'w');
  const took: number[] = [];
  for (let round = 0; round < 100; round += 1) {
    const start = nowUs();
    writeSync(handle, page, 0, page.length, 0);
    fdatasyncSync(handle);
    took.push((nowUs() - start) / 1000);
  }
  closeSync(handle);
  rmSync(file);
  return percentile(took, 50);
}

function fileSystemOf(folder: string): string {
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, point]) => point !== undefined && `${folder}/`.startsWith(point === '/' ? '/' : `${point}/`))
    .sort((a, b) => b[1]!.length - a[1]!.length);
  return mounts[0]?.[2] ?? 'unknown';
}

/** The version of an installed package. */
export function packageVersion(name: string): string {
  const required = createRequire(import.meta.url);
  for (const folder of required.resolve.paths(name) ?? []) {
    try {
      return (JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8')) as { version: string }).version;
    } catch {
      // not in this one
    }
  }
  throw new Error(`${name} is not installed. Run npm ci.`);
}
