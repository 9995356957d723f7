import {
  keptLogCharacters,
  maxArtefactBytes,
  type CheckEnded,
  type CheckFacts,
  type VerificationReport,
} from '@muster/contracts';
import type { CheckArtefact } from '@muster/gate';
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Settings } from './settings.ts';

/** Often enough to watch, seldom enough to cost nothing. */
const tellEveryMs = 700;
/** Characters of one piece, and of one report. */
const mostPiece = 32 * 1024;
const mostReport = 512 * 1024;
const tries = 4;

interface Log {
  /** Characters printed, and of these told. */
  printed: number;
  told: number;
  waiting: string;
  wholeBytes: number;
}

/**
 * Tells the server what checks print, when they end and what they leave, while the verification goes on. Nothing of it decides
 * anything, so what cannot be told costs no verdict: which checks ended, the server tells from the facts in the end.
 */
export class Teller {
  private readonly settings: Settings;
  private readonly of: { readonly verificationId: string; readonly fence: number };
  private readonly folder: string;
  private readonly signal: AbortSignal;
  private readonly logs = new Map<string, Log>();
  private ended: CheckEnded[] = [];
  private work: Promise<void> = Promise.resolve();
  private timer: NodeJS.Timeout | undefined;

  /** @param folder for whole logs, of this verification only */
  constructor(
    settings: Settings,
    of: { readonly verificationId: string; readonly fence: number },
    folder: string,
    signal: AbortSignal,
  ) {
    this.settings = settings;
    this.of = of;
    this.folder = folder;
    this.signal = signal;
  }

  printed(check: string, text: string): void {
    const log = this.logs.get(check) ?? { printed: 0, told: 0, waiting: '', wholeBytes: 0 };
    this.logs.set(check, log);
    log.printed += text.length;
    // What is not kept line by line goes into the whole log only; one piece beyond tells that there is more.
    if (log.told + log.waiting.length <= keptLogCharacters) log.waiting += text;
    const bytes = Buffer.byteLength(text);
    const room = maxArtefactBytes - 1024 - log.wholeBytes;
    log.wholeBytes += bytes;
    if (room > 0)
      this.after(() => this.appendWhole(check, bytes > room ? `${text.slice(0, room / 4)}\n[… cut here]\n` : text));
    this.soon();
  }

  checkEnded({ check, category, status, summary, findings, ms, reused }: CheckFacts): void {
    const errors = findings.filter(({ level, veto }) => veto || level === 'error').length;
    const warnings = findings.filter(({ level, veto }) => !veto && level === 'warning').length;
    this.ended.push({ check, category, status, summary, errors, warnings, ms, reused: reused != null });
    this.soon(0);
  }

  left(check: string, { name, mediaType, text }: CheckArtefact): void {
    const bytes = Buffer.from(text);
    if (bytes.length > maxArtefactBytes)
      return this.printed(check, `[${name} is too large to be kept: ${bytes.length} bytes]\n`);
    this.after(() => this.keep(check, name, mediaType, bytes));
  }

  /** Everything that is still to be told, long logs last. */
  async close(): Promise<void> {
    clearTimeout(this.timer);
    this.after(() => this.tell());
    for (const [check, { printed }] of this.logs)
      if (printed > keptLogCharacters)
        this.after(async () =>
          this.keep(
            check,
            `log-${check.toLowerCase().replaceAll(/[^a-z0-9._-]/g, '-')}.txt`,
            'text/plain',
            new Uint8Array(await readFile(this.wholeOf(check))),
          ),
        );
    await this.work;
  }

  private soon(ms = tellEveryMs): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.after(() => this.tell());
    }, ms);
  }

  /** One thing at a time, in order. */
  private after(act: () => Promise<void>): void {
    this.work = this.work.then(act).catch(() => undefined);
  }

  private wholeOf(check: string): string {
    return join(this.folder, `${encodeURIComponent(check)}.log`);
  }

  private async appendWhole(check: string, text: string): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    await appendFile(this.wholeOf(check), text);
  }

  private async tell(): Promise<void> {
    for (;;) {
      const log: VerificationReport['log'] = [];
      let room = mostReport;
      for (const [check, each] of this.logs)
        while (each.waiting !== '' && room > 0 && log.length < 200) {
          const text = each.waiting.slice(0, Math.min(mostPiece, room));
          each.waiting = each.waiting.slice(text.length);
          log.push({ check, at: each.told, text });
          each.told += text.length;
          room -= text.length;
        }
      const checks = this.ended.splice(0, 200);
      if (log.length + checks.length === 0) return;
      const body = JSON.stringify({ fence: this.of.fence, checks, log } satisfies VerificationReport);
      await this.send('POST', '/report', body, 'application/json');
    }
  }

  private async keep(check: string, name: string, mediaType: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const query = new URLSearchParams({ fence: String(this.of.fence), check, mediaType });
    await this.send('PUT', `/artefacts/${name}?${query.toString()}`, bytes, 'application/octet-stream');
  }

  private async send(
    method: string,
    path: string,
    body: string | Uint8Array<ArrayBuffer>,
    type: string,
  ): Promise<void> {
    for (let attempt = 1; !this.signal.aborted; attempt++) {
      try {
        const answer = await fetch(`${this.settings.url}/api/verifications/${this.of.verificationId}${path}`, {
          method,
          headers: { authorization: `Bearer ${this.settings.token}`, 'content-type': type },
          body,
          redirect: 'error',
          signal: AbortSignal.any([this.signal, AbortSignal.timeout(30_000)]),
        });
        await answer.body?.cancel();
        // What was refused once is refused again; a server that restarts is back in a moment.
        if (answer.ok || (answer.status < 500 && answer.status !== 429)) return;
      } catch {
        // away, or too slow
      }
      if (attempt === tries) return;
      await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** attempt));
    }
  }
}
