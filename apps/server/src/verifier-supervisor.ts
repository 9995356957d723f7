import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type INestApplication, Logger } from '@nestjs/common';
import { Authenticator } from '#messages/auth';
import { childEnvironment, type Config } from '#platform/config';

const program = fileURLToPath(new URL('../../agents/src/verifier/main.js', import.meta.url));
/** How long a verifier may take to hand its task back before it is killed with everything that it started. */
const stopMs = 4000;

/**
 * Starts role `all`'s verifiers as processes of their own, agents like any other, and starts them again when they end.
 * Each is the leader of a process group, so that what it runs dies with it, and ends by itself when its stdin closes.
 */
export class VerifierSupervisor {
  readonly #log = new Logger('verifiers');
  readonly #children = new Map<number, ChildProcess>();
  #stopping = false;

  constructor(
    private readonly app: INestApplication,
    private readonly config: Config,
    private readonly port: number,
  ) {}

  start(): void {
    for (let number = 1; number <= this.config.verifiers; number++) void this.#keep(number);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    const ended = [...this.#children.values()].map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const child of this.#children.values()) child.kill('SIGTERM');
    const patience = setTimeout(() => this.#children.forEach((child) => killGroup(child)), stopMs);
    await Promise.all(ended);
    clearTimeout(patience);
  }

  async #keep(number: number): Promise<void> {
    for (let failures = 0; !this.#stopping;) {
      const start = Date.now();
      try {
        const ended = await this.#run(number);
        if (this.#stopping) return;
        this.#log.warn(`Verifier ${number} ended with ${ended} and is started again.`);
      } catch (error) {
        this.#log.error(`Verifier ${number} could not be started: ${String(error)}`);
      }
      failures = Date.now() - start > 60_000 ? 0 : failures + 1;
      await new Promise((wake) => setTimeout(wake, Math.min(250 * 2 ** failures, 30_000)).unref());
    }
  }

  async #run(number: number): Promise<string> {
    const folder = join(this.config.dataDir, 'verifiers', String(number));
    await mkdir(folder, { recursive: true, mode: 0o711 });
    const token = await this.app.get(Authenticator, { strict: false }).issueSystemKey(`verifier ${number}`);
    if (this.#stopping) return 'nothing';
    const settings: Record<string, string> = {
      MUSTER_URL: `http://127.0.0.1:${this.port}`,
      MUSTER_TOKEN: token,
      MUSTER_VERIFIER_DIR: folder,
      MUSTER_SANDBOX: this.config.sandbox,
    };
    if (this.config.sandboxCommand !== null) settings['MUSTER_SANDBOX_COMMAND'] = this.config.sandboxCommand;
    if (this.config.sandboxKubernetes !== null) settings['MUSTER_SANDBOX_KUBERNETES'] = this.config.sandboxKubernetes;
    if (this.config.npmRegistry !== null) settings['MUSTER_NPM_REGISTRY'] = this.config.npmRegistry;
    if (this.config.npmCache !== null) settings['MUSTER_NPM_CACHE'] = this.config.npmCache;
    if (this.config.pythonWheels !== null) settings['MUSTER_PYTHON_WHEELS'] = this.config.pythonWheels;
    const child = spawn(process.execPath, [program], {
      env: childEnvironment(settings),
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    this.#children.set(number, child);
    const line = (text: unknown): void => {
      for (const part of String(text).split('\n'))
        if (part.trim() !== '') this.#log.log(`${number}: ${part.trimEnd().slice(0, 2000)}`);
    };
    child.stdout.on('data', line);
    child.stderr.on('data', line);
    child.stdin.on('error', () => {});
    return new Promise((resolve, reject) => {
      child.once('error', (error) => {
        this.#children.delete(number);
        reject(error);
      });
      child.once('exit', (code, signal) => {
        this.#children.delete(number);
        // Whatever it had started.
        killGroup(child);
        resolve(signal ?? `code ${code}`);
      });
    });
  }
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // all gone
  }
}
