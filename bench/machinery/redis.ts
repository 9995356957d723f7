import { execFileSync, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { until } from './clock.ts';
import { processSeconds } from './processor-time.ts';
import { freePort } from './server.ts';

export type Fsync = 'everysec' | 'always';

/** The version of the redis-server on the path, or null where there is none. */
export function redisVersion(): string | null {
  try {
    return /v=(\S+)/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' }))?.[1] ?? null;
  } catch {
    return null;
  }
}

export interface RunningRedis {
  readonly url: string;
  processorSeconds(): number;
  stop(): Promise<void>;
}

/** A Redis of our own with an append-only file, on loopback. */
export async function startRedis(folder: string, fsync: Fsync): Promise<RunningRedis> {
  const place = join(folder, `redis-${fsync}`);
  await mkdir(place);
  const port = await freePort();
  const child = spawn(
    'redis-server',
    [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      place,
      '--appendonly',
      'yes',
      '--appendfsync',
      fsync,
      '--save',
      '',
      '--maxmemory-policy',
      'noeviction',
    ],
    { stdio: 'ignore' },
  );
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await until('the start of Redis', 20, () => answers(port), 50);
  return {
    url: `redis://127.0.0.1:${port}`,
    processorSeconds: () => processSeconds(child.pid ?? 0),
    stop: async () => {
      child.kill('SIGTERM');
      await gone;
    },
  };
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    }).once('error', () => resolve(false));
  });
