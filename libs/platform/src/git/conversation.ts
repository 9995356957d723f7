import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import type { Socket } from 'node:net';

/**
 * Reads one answer from the start of what has come so far: the answer and where it ends, or how many bytes there have to be at
 * least before it is worth another look.
 */
export type Reader<T> = (come: Buffer) => { readonly answer: T; readonly end: number } | number;

/** How a git process ended that was still to answer. */
export interface Ended {
  readonly code: number;
  readonly stderr: string;
}
export class ConversationEnded extends Error {
  constructor(readonly ended: Ended) {
    super(`git ended with ${ended.code}: ${ended.stderr}`);
  }
}

const MOST_STDERR = 64 * 1024;

/**
 * A git process that is asked again and again: starting one costs many times what most answers do. One question at a time. Keeps
 * nobody's event loop alive while nothing is asked, and ends by itself when its standard input does, so also when we are killed.
 */
export class Conversation {
  asked = 0;
  private come: Buffer[] = [];
  private bytes = 0;
  private wanted = 0;
  private stderr = '';
  private ended: Ended | null = null;
  private look: (() => void) | null = null;

  constructor(
    private readonly child: ChildProcessWithoutNullStreams,
    private readonly kill: () => void,
  ) {
    child.stdout.on('data', (chunk: Buffer) => {
      this.come.push(chunk);
      this.bytes += chunk.length;
      if (this.bytes >= this.wanted) this.look?.();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      if (this.stderr.length < MOST_STDERR) this.stderr += chunk.toString('utf8');
    });
    // Its exit says why it reads no more.
    child.stdin.on('error', () => undefined);
    child.on('error', (cause) => this.end({ code: -1, stderr: String(cause) }));
    child.on('close', (code) => this.end({ code: code ?? -1, stderr: this.stderr }));
    this.holdLoop(false);
  }

  get over(): boolean {
    return this.ended !== null || this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** @throws ConversationEnded when git ends instead of answering, which is how it says no to some questions */
  async ask<T>(question: string | Buffer, read: Reader<T>, timeoutMs: number): Promise<T> {
    this.asked += 1;
    this.holdLoop(true);
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        this.wanted = 1;
        this.look = () => {
          try {
            const found = this.take(read);
            if (found !== null) resolve(found.answer);
            else if (this.ended !== null) reject(new ConversationEnded(this.ended));
          } catch (error) {
            // Whatever comes next would be taken for the answer to something else.
            this.kill();
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        };
        timer = setTimeout(() => {
          this.stderr += `\nstopped after ${timeoutMs} ms`;
          this.kill();
        }, timeoutMs);
        this.child.stdin.write(question);
        // What an earlier answer left behind may be all that is needed; or it is over already.
        if (this.bytes > 0 || this.ended !== null) this.look();
      });
    } finally {
      clearTimeout(timer);
      this.look = null;
      this.holdLoop(false);
    }
  }

  close(): void {
    this.child.stdin.end();
  }

  private take<T>(read: Reader<T>): { readonly answer: T } | null {
    const come = this.come.length === 1 ? (this.come[0] ?? Buffer.alloc(0)) : Buffer.concat(this.come);
    this.come = [come];
    const found = read(come);
    if (typeof found === 'number') {
      this.wanted = Math.max(found, come.length + 1);
      return null;
    }
    this.come = [come.subarray(found.end)];
    this.bytes = come.length - found.end;
    return found;
  }

  private end(ended: Ended): void {
    this.ended ??= ended;
    this.look?.();
  }

  private holdLoop(hold: boolean): void {
    const how = hold ? 'ref' : 'unref';
    this.child[how]();
    for (const stream of [this.child.stdin, this.child.stdout, this.child.stderr]) (stream as Socket)[how]();
  }
}
