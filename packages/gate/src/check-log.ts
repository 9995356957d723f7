import { AsyncLocalStorage } from 'node:async_hooks';
import { StringDecoder } from 'node:string_decoder';
import type { SandboxDriver } from './sandbox/driver.ts';

/** Told what a check prints, in whole lines, while it runs. */
export type CheckLog = (check: string, text: string) => void;

interface Writing {
  readonly check: string;
  readonly side: string | null;
}

/** Which check asked for what is being run, however far down that is. */
const writing = new AsyncLocalStorage<Writing>();

/** What is run by this work belongs to this check's log. */
export const withinCheck = <T>(check: string, work: () => T): T =>
  writing.run({ check, side: writing.getStore()?.side ?? null }, work);

/** What is run by this work is no run of the change, and has a log of its own: `tests@branch`. */
export const besideTheChange = <T>(side: string, work: () => T): T =>
  writing.run({ check: writing.getStore()?.check ?? 'setup', side }, work);

/** A line that never ends is passed on in pieces of this size. */
const longestLine = 16_000;

/** Cuts what arrives into whole lines, so that two runs at once never mix within one. */
class Lines {
  private readonly decoder = new StringDecoder('utf8');
  private rest = '';
  private readonly tell: (lines: string) => void;

  constructor(tell: (lines: string) => void) {
    this.tell = tell;
  }

  push(chunk: Buffer): void {
    this.rest += this.decoder.write(chunk);
    const end = this.rest.lastIndexOf('\n') + 1;
    if (end > 0) this.tell(this.rest.slice(0, end));
    this.rest = this.rest.slice(end);
    if (this.rest.length < longestLine) return;
    this.tell(`${this.rest}\n`);
    this.rest = '';
  }

  end(): void {
    this.rest += this.decoder.end();
    if (this.rest !== '') this.tell(`${this.rest}\n`);
    this.rest = '';
  }
}

const lineOf = (command: readonly string[] | string): string =>
  typeof command === 'string'
    ? command
    : command.map((word) => (/\s/.test(word) ? JSON.stringify(word) : word)).join(' ');

/** The same driver; what it runs, and what that prints, is told as it happens under the name of the check that asked for it. */
export function loggedDriver(driver: SandboxDriver, log: CheckLog): SandboxDriver {
  return {
    name: driver.name,
    paths: (run) => driver.paths(run),
    async run(run) {
      const { check, side } = writing.getStore() ?? { check: 'setup', side: null };
      // Beside the change's own log: two that run at once and print much would drown each other.
      const name = side === null ? check : `${check}@${side}`;
      const tell = (text: string): void => log(name, text);
      tell(`$ ${lineOf(run.command)}\n`);
      const streams = { stdout: new Lines(tell), stderr: new Lines(tell) };
      try {
        const result = await driver.run({
          ...run,
          onOutput: (chunk, stream) => {
            streams[stream].push(chunk);
            run.onOutput?.(chunk, stream);
          },
        });
        for (const each of Object.values(streams)) each.end();
        const how = result.timedOut
          ? 'ran out of time'
          : (result.stopped ?? (result.signal === null ? `exit ${result.exitCode}` : `ended by ${result.signal}`));
        tell(`[${how} after ${(result.ms / 1000).toFixed(1)} s]\n`);
        return result;
      } catch (error) {
        for (const each of Object.values(streams)) each.end();
        tell(`[not run to its end: ${error instanceof Error ? error.message : String(error)}]\n`);
        throw error;
      }
    },
  };
}
