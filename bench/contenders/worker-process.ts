import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { processSeconds } from '../machinery/processor-time.ts';
import type { Answer, Progress, Wish } from './orders.ts';

const program = fileURLToPath(new URL('./process.ts', import.meta.url));

/** A process of a contender, seen from the bench: orders go out, answers and progress come back. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  readonly #ready: Promise<void>;
  #orders = 0;
  #gone: Error | null = null;
  onProgress: (progress: Progress) => void = () => {};

  constructor(contender: string, part: 'producer' | 'consumer', profileFolder: string | null) {
    const profile =
      profileFolder === null
        ? []
        : [
            '--cpu-prof',
            `--cpu-prof-dir=${profileFolder}`,
            `--cpu-prof-name=${contender}-${part}-${process.hrtime.bigint()}.cpuprofile`,
          ];
    this.#child = fork(program, [contender, part], {
      execArgv: profile,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    let isReady: () => void = () => {};
    this.#ready = new Promise((resolve) => (isReady = resolve));
    this.#child.on('message', (message: Answer | Progress | { kind: 'ready' }) => {
      if (message.kind === 'ready') return isReady();
      if (message.kind === 'progress') return this.onProgress(message);
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error === undefined) waiting?.resolve(message.result);
      else waiting?.reject(new Error(`${contender} ${part}: ${message.error}`));
    });
    this.#child.once('exit', (code, signal) => {
      this.#gone = new Error(`The ${part} of ${contender} ended with ${signal ?? `code ${code}`}.`);
      isReady();
      for (const waiting of this.#waiting.values()) waiting.reject(this.#gone);
      this.#waiting.clear();
    });
  }

  async do<T>(wish: Wish): Promise<T> {
    await this.#ready;
    if (this.#gone !== null) throw this.#gone;
    const id = (this.#orders += 1);
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: (result) => resolve(result as T), reject });
      this.#child.send({ id, ...wish });
    });
  }

  /** Tells a producer how many are through by now. */
  tellAccepted(count: number): void {
    if (this.#gone === null) this.#child.send({ kind: 'accepted', count });
  }

  get processorSeconds(): number {
    return processSeconds(this.#child.pid ?? 0);
  }

  async stop(): Promise<void> {
    if (this.#gone !== null) return;
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.disconnect();
    const patience = setTimeout(() => this.#child.kill('SIGKILL'), 5_000);
    await gone;
    clearTimeout(patience);
  }
}
