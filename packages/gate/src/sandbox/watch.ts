import { lstatSync, lutimesSync, readdirSync, type BigIntStats } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';

/** What a run has seen of its work folder, by paths in it; the folder itself is `.`. */
export interface Reads {
  /** Files and links that were read, or changed in any way. */
  readonly read: readonly string[];
  /** Folders whose entries were listed, or have changed. */
  readonly listed: readonly string[];
}

/** What an entry costs beside its content, also an empty file or a folder: file systems run out of these as well. */
export const bytesPerEntry = 4096;

/** Older than whatever is written today, so that the kernel notes the first access. In seconds. */
const longAgo = 946_684_800;
const unread = BigInt(longAgo) * 1_000_000_000n;

interface Known {
  readonly inode: bigint;
  /** The moment of the last change, which nobody can set. */
  readonly changed: bigint;
  readonly folder: boolean;
}

/**
 * Lets the kernel say what a run has read: before it, everything in its work folder was last read long ago, and afterwards whatever was
 * read was read since. Who sets these times back changes the time of the last change, which then says so. That somebody asked whether
 * something is there, or how large it is, leaves no trace.
 *
 * To be made when the folder belongs to whom it is for, and before anything of theirs runs.
 */
export class Watch {
  private readonly dir: string;
  private readonly known = new Map<string, Known>();

  constructor(dir: string) {
    this.dir = dir;
    this.prime('.');
  }

  private at(path: string): string {
    return path === '.' ? this.dir : join(this.dir, path);
  }

  private prime(path: string): void {
    const at = this.at(path);
    const about = lstatSync(at);
    if (about.isDirectory()) for (const name of readdirSync(at)) this.prime(path === '.' ? name : `${path}/${name}`);
    lutimesSync(at, longAgo, about.mtimeMs / 1000);
    const { ino, ctimeNs, atimeNs } = lstatSync(at, { bigint: true });
    // Where times cannot be set, nothing is known to be unread.
    this.known.set(path, { inode: ino, changed: atimeNs === unread ? ctimeNs : -1n, folder: about.isDirectory() });
  }

  private lookAt(path: string): BigIntStats | undefined {
    try {
      return lstatSync(this.at(path), { bigint: true, throwIfNoEntry: false });
    } catch {
      return undefined; // below something that is no folder any more
    }
  }

  /** To be asked when nothing of the run lives any more. */
  reads(): Reads {
    const read: string[] = [];
    const listed: string[] = [];
    for (const [path, { inode, changed, folder }] of this.known) {
      const now = this.lookAt(path);
      const same = now !== undefined && now.ino === inode && now.ctimeNs === changed && now.atimeNs === unread;
      if (!same) (folder ? listed : read).push(path);
    }
    return { read, listed };
  }

  /**
   * What was written since a moment, in bytes of the disk. Lists only folders whose entries have changed, which count as listed anyway:
   * looking for ourselves must not look like the run's looking.
   * @param below counts what lies in a folder that was not there before
   */
  async written(sinceMs: number, below: (folder: string) => Promise<number>): Promise<number> {
    let bytes = 0;
    for (const [path, { changed, folder }] of this.known) {
      const at = this.at(path);
      const about = await lstat(at, { bigint: true }).catch(() => null);
      if (about === null) continue;
      if (!folder) {
        if (Number(about.ctimeNs / 1_000_000n) >= sinceMs) bytes += Number(about.blocks) * 512;
        continue;
      }
      if (about.ctimeNs === changed) continue;
      const entries = await opendir(at).catch(() => null);
      if (entries === null) continue;
      for await (const entry of entries) {
        const inside = path === '.' ? entry.name : `${path}/${entry.name}`;
        if (this.known.has(inside)) continue;
        if (entry.isDirectory()) bytes += bytesPerEntry + (await below(join(at, entry.name)));
        else bytes += Math.max((lstatSync(join(at, entry.name), { throwIfNoEntry: false })?.blocks ?? 0) * 512, bytesPerEntry); // prettier-ignore
      }
    }
    return bytes;
  }
}
