import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { test } from '@jest/globals';

export interface TestRedis {
  readonly url: string;
  /** As `kill -9` does it. */
  kill(): Promise<void>;
  /** On the same port, with nothing in it. */
  restart(): Promise<void>;
  /** It keeps its connections and answers nothing. */
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
}

export const redisIsThere = spawnSync('redis-server', ['--version']).status === 0;

/** Fails where everything must be there, and says so where it is left out. */
export function redisTest(name: string, work: () => Promise<void>): void {
  if (redisIsThere || process.env['CI'] === 'true') test(name, work);
  else {
    console.warn(`SKIPPED, because redis-server is not on the PATH: ${name}`);
    test.skip(name, work);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('No port was given.');
  return address.port;
}

/** A real Redis of its own, on loopback, that keeps nothing on disk. */
export async function startRedis(): Promise<TestRedis> {
  const port = await freePort();
  let child: ChildProcess;
  const start = async (): Promise<void> => {
    const program = spawn(
      'redis-server',
      ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', '/tmp'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    child = program;
    await new Promise<void>((resolve, reject) => {
      program.once('error', reject);
      program.once('exit', (code) => reject(new Error(`redis-server ended with ${code}.`)));
      program.stdout.on('data', (text: Buffer) => {
        if (text.includes('Ready to accept connections')) resolve();
      });
    });
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  };
  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    kill: () => end('SIGKILL'),
    restart: start,
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    stop: () => end('SIGTERM'),
  };
}
