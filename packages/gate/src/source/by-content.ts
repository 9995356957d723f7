import { createHash } from 'node:crypto';
import { posix } from 'node:path';

/**
 * What follows from a text and the kind of its file alone, worked out once for as long as this process lives: a change is verified again on a tree of which
 * most files have been read before. It is the gate's own reading, and nothing that runs can put anything here. What was asked longest ago leaves first.
 */
export class ByContent<T> {
  /** As JSON: each who asks gets one of their own, and no piece of a text holds the whole of it in memory. */
  private readonly known = new Map<string, string>();
  private held = 0;
  private readonly most: number;

  /** @param most characters in all */
  constructor(most = 8 * 1024 * 1024) {
    this.most = most;
  }

  get(path: string, text: string, work: () => T): T {
    const key = createHash('sha256')
      .update(`${posix.extname(path)}\0${text}`)
      .digest('base64url');
    const before = this.known.get(key);
    const found = before ?? JSON.stringify(work());
    if (before !== undefined) this.known.delete(key);
    else this.held += key.length + found.length;
    this.known.set(key, found);
    for (const [oldest, answer] of this.known) {
      if (this.held <= this.most) break;
      this.known.delete(oldest);
      this.held -= oldest.length + answer.length;
    }
    return JSON.parse(found) as T;
  }
}
