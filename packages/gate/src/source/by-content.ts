import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { LRUCache } from 'lru-cache';

/**
 * What follows from a text and the kind of its file alone, worked out once for as long as this process lives: a change is verified again on a tree of which
 * most files have been read before. It is the gate's own reading, and nothing that runs can put anything here. What was asked longest ago leaves first.
 */
export class ByContent<T> {
  /** As JSON: each who asks gets one of their own, and no piece of a text holds the whole of it in memory. */
  private readonly known: LRUCache<string, string>;

  /** @param most characters in all */
  constructor(most = 8 * 1024 * 1024) {
    this.known = new LRUCache({ maxSize: most, sizeCalculation: (found, key) => key.length + found.length });
  }

  get(path: string, text: string, work: () => T): T {
    const key = createHash('sha256')
      .update(`${posix.extname(path)}\0${text}`)
      .digest('base64url');
    let found = this.known.get(key);
    if (found === undefined) {
      found = JSON.stringify(work());
      this.known.set(key, found);
    }
    return JSON.parse(found) as T;
  }
}
