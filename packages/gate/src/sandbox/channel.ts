import { execFile, type ExecFileException } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, closeSync, constants, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** What came through a channel, told apart by its seals. */
export interface Heard {
  /** Records that carry the seal, in order. */
  records: unknown[];
  /** Lines that do not: somebody other than the reporter wrote them. */
  foreign: number;
  /** The reporter began, which it says as soon as it is loaded. */
  begun: boolean;
  /** The reporter said its last word, and no record before it is missing. */
  ended: boolean;
}

const mostBytes = 64 * 1024 * 1024;
const sealLength = 32;
const mostStarts = 5;

/** The seal of the n-th record: only who read the key can make it. The same is written into each reporter. */
export const sealOf = (key: string, n: number, text: string): string =>
  createHash('sha256').update(`${key}${n}${text}`).digest('hex').slice(0, sealLength);

export function readChannel(text: string, key: string): Heard {
  const heard: Heard = { records: [], foreign: 0, begun: false, ended: false };
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const n = heard.records.length + (heard.begun ? 1 : 0);
    const body = line.slice(sealLength + 1);
    if (heard.ended || line[sealLength] !== ' ' || line.slice(0, sealLength) !== sealOf(key, n, body)) {
      heard.foreign++;
      continue;
    }
    const record = JSON.parse(body) as unknown;
    if (n === 0) heard.begun = true;
    else if (record === 'end') heard.ended = true;
    else heard.records.push(record);
  }
  return heard;
}

/** Whoever ends it from outside, as a machine short of memory does, has said nothing about the tests: it is started again. */
async function makePipes(paths: readonly string[]): Promise<void> {
  for (let starts = 1; ; starts += 1) {
    try {
      await promisify(execFile)('mkfifo', ['-m', '600', ...paths]);
      return;
    } catch (error) {
      if (starts === mostStarts || (error as ExecFileException).signal == null) throw error;
      for (const path of paths) rmSync(path, { force: true });
    }
  }
}

/**
 * How results leave the sandbox: a pipe that can be written to and not be read, emptied, replaced or taken back, and a key that can be
 * read once. The reporter, which is loaded before the tests, reads the key and seals each record with it; so whoever else
 * writes is heard as a stranger, and who takes the key first leaves the reporter without one.
 */
export class Channel {
  /** To be mounted read-only: pipes can be written to all the same. */
  readonly folder: string;
  private readonly key = randomBytes(32).toString('hex');
  private readonly chunks: Buffer[] = [];
  private size = 0;
  private readonly socket: Socket;
  private readonly kept: number[];
  private readonly finished: Promise<void>;
  private heard: Promise<Heard> | undefined;

  private constructor(folder: string) {
    this.folder = folder;
    const [results, key] = [join(folder, 'results'), join(folder, 'key')];
    const reading = openSync(results, constants.O_RDONLY | constants.O_NONBLOCK);
    // As long as this end is open, the pipe has not ended, whether or not the reporter has come yet.
    const writing = openSync(results, constants.O_WRONLY | constants.O_NONBLOCK);
    const keyhole = openSync(key, constants.O_RDWR | constants.O_NONBLOCK);
    writeSync(keyhole, this.key);
    chmodSync(results, 0o222);
    chmodSync(key, 0o444);
    this.kept = [writing, keyhole];
    this.socket = new Socket({ fd: reading, readable: true, writable: false });
    this.finished = new Promise((resolve) => this.socket.once('close', () => resolve()));
    this.socket.on('error', () => undefined);
    this.socket.on('data', (chunk: Buffer) => {
      // What is over the bound is swallowed: a writer that is not listened to would wait for ever.
      this.size += chunk.length;
      if (this.size <= mostBytes) this.chunks.push(chunk);
    });
  }

  static async open(folder: string): Promise<Channel> {
    mkdirSync(folder);
    await makePipes([join(folder, 'results'), join(folder, 'key')]);
    chmodSync(folder, 0o755);
    return new Channel(folder);
  }

  /** To be called when nothing inside lives any more; answers the same each time. */
  close(): Promise<Heard> {
    return (this.heard ??= this.finish());
  }

  private async finish(): Promise<Heard> {
    for (const file of this.kept.splice(0)) closeSync(file);
    const timer = setTimeout(() => this.socket.destroy(), 2000);
    await this.finished;
    clearTimeout(timer);
    return readChannel(Buffer.concat(this.chunks).toString('utf8'), this.key);
  }
}
