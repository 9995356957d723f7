import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { copyTree, discard } from '../source/tree.ts';

/** Copies of one folder for runs that write into them: one for each, which nobody sees again. */
export class Copies {
  private readonly from: string;
  private readonly folder: string;
  private removing: Promise<void> = Promise.resolve();

  constructor(from: string, folder: string) {
    this.from = from;
    this.folder = folder;
  }

  /** Work on a copy; `overrides` replaces the text of files in it. */
  async use<T>(overrides: ReadonlyMap<string, string>, work: (folder: string) => Promise<T>): Promise<T> {
    // Removing takes longer than copying where files are many: it goes on beside the next run, and no more than that piles up.
    await this.removing;
    const folder = join(this.folder, `copy-${randomUUID()}`);
    try {
      await copyTree(this.from, folder, overrides);
      return await work(folder);
    } finally {
      this.removing = this.removing.then(() => discard(folder));
    }
  }

  async dispose(): Promise<void> {
    await this.removing;
  }
}
