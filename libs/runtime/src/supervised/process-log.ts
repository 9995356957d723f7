import { appendFile, mkdir, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessLog } from '@muster/contracts';

type Line = ProcessLog['items'][number];

const maxFileBytes = 1024 * 1024;
const maxLineLength = 8_000;
/** What waits to be written; beyond that the process is read no further until it is. */
const maxWaitingBytes = 256 * 1024;

/** What a supervised process prints, in two files of at most a megabyte each: the newer one is moved over the older one. */
export class ProcessLogFile {
  private waiting: string[] = [];
  private waitingBytes = 0;
  private writing: Promise<void> | null = null;
  private bytes = -1;

  constructor(
    private readonly folder: string,
    private readonly now: () => Date,
    private readonly failed: (error: unknown) => void,
  ) {}

  get full(): boolean {
    return this.waitingBytes > maxWaitingBytes;
  }

  add(stream: Line['stream'], line: string): void {
    const text = `${JSON.stringify({ at: this.now().toISOString(), stream, line: line.slice(0, maxLineLength) })}\n`;
    this.waiting.push(text);
    this.waitingBytes += Buffer.byteLength(text);
    this.writing ??= this.write().finally(() => (this.writing = null));
  }

  /** Until all is on disk that was added. */
  async flushed(): Promise<void> {
    while (this.writing !== null) await this.writing;
  }

  private async write(): Promise<void> {
    while (this.waiting.length > 0) {
      const text = this.waiting.join('');
      this.waiting = [];
      this.waitingBytes = 0;
      try {
        await this.rotate(Buffer.byteLength(text));
        await appendFile(logFile(this.folder), text, { mode: 0o600 });
        this.bytes += Buffer.byteLength(text);
      } catch (error) {
        // A full disk must not end an agent: its lines are lost, and the server's log says so.
        this.bytes = -1;
        this.failed(error);
      }
    }
  }

  private async rotate(more: number): Promise<void> {
    if (this.bytes < 0) {
      await mkdir(this.folder, { recursive: true, mode: 0o700 });
      this.bytes = await stat(logFile(this.folder)).then(
        ({ size }) => size,
        () => 0,
      );
    }
    if (this.bytes === 0 || this.bytes + more <= maxFileBytes) return;
    await rename(logFile(this.folder), olderLogFile(this.folder));
    this.bytes = 0;
  }
}

/** The last lines, oldest first; none when nothing was printed. */
export async function readProcessLog(folder: string, count: number): Promise<ProcessLog> {
  const texts = await Promise.all(
    [olderLogFile(folder), logFile(folder)].map((file) => readFile(file, 'utf8').catch(() => '')),
  );
  const lines = texts.flatMap((text) => text.split('\n')).flatMap((text) => lineOf(text) ?? []);
  return { items: lines.slice(-count), cut: lines.length > count || texts[0] !== '' };
}

const logFile = (folder: string): string => join(folder, 'log');
const olderLogFile = (folder: string): string => join(folder, 'log.1');

/** Null for half a line, which a killed server leaves. */
function lineOf(text: string): Line | null {
  try {
    return JSON.parse(text) as Line;
  } catch {
    return null;
  }
}
