import { lstat, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { DiskFull, Git } from './git.ts';
import { Repositories } from './repositories.ts';

/** How a repository lies on its disk. */
export interface Stored {
  /** Objects with a file of their own: each costs a file, and nothing of it is shared with the next one. */
  readonly looseObjects: number;
  readonly packs: number;
  readonly looseRefs: number;
  readonly bytes: number;
}

/** Everything that writes here has ended long before: pushes and fetches have minutes. */
const LEFT_BEHIND_MS = 24 * 3_600_000;
const TIMEOUT_MS = 30 * 60_000;
/** As much again as what is there, and a little: in the worst case all of it is written anew before anything old goes. */
const ROOM = 1.1;
/** What git calls its unfinished files and folders. */
const UNFINISHED = /^(tmp_|\.tmp-)|\.lock$/;

/**
 * Puts what a repository has gathered into few files. No object is ever taken away, also those that no ref leads to: a candidate that is
 * being verified, and the tree of evidence that somebody may ask about again, have none.
 */
@Injectable()
export class Packing {
  private readonly running = new Map<string, { readonly stop: AbortController; readonly end: Promise<void> }>();

  constructor(
    private readonly git: Git,
    private readonly repositories: Repositories,
  ) {}

  /** Reads folders and starts no process: it is asked of every repository again and again. */
  async look(projectId: string): Promise<Stored> {
    const dir = this.repositories.path(projectId);
    let [looseObjects, packs, bytes] = [0, 0, 0];
    for (const folder of await namesIn(join(dir, 'objects'))) {
      if (!/^([0-9a-f]{2}|pack)$/.test(folder)) continue;
      for (const name of await namesIn(join(dir, 'objects', folder))) {
        if (folder === 'pack') packs += Number(name.endsWith('.pack'));
        else looseObjects += 1;
        bytes += (await lstat(join(dir, 'objects', folder, name)).catch(() => null))?.size ?? 0;
      }
    }
    const refs = await readdir(join(dir, 'refs'), { recursive: true, withFileTypes: true }).catch(() => []);
    return { looseObjects, packs, looseRefs: refs.filter((entry) => entry.isFile()).length, bytes };
  }

  /**
   * Safe beside clones, pushes and landings: git adds the new file before it takes the old ones, and refs stay under their locks for
   * moments.
   * @throws DiskFull before anything was written, when there may be too little room
   */
  async pack(projectId: string, signal?: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const end = this.packNow(projectId, AbortSignal.any(signal === undefined ? [stop.signal] : [stop.signal, signal]));
    const entry = { stop, end };
    this.running.set(projectId, entry);
    try {
      await end;
    } finally {
      if (this.running.get(projectId) === entry) this.running.delete(projectId);
    }
  }

  /** Before a repository goes. */
  async stop(projectId: string): Promise<void> {
    const running = this.running.get(projectId);
    running?.stop.abort();
    await running?.end.catch(() => undefined);
  }

  private async packNow(projectId: string, signal: AbortSignal): Promise<void> {
    const dir = this.repositories.path(projectId);
    await this.clearUnfinished(dir);
    const { bytes } = await this.look(projectId);
    const disk = await statfs(dir);
    if (disk.bavail * disk.bsize < bytes * ROOM)
      throw new DiskFull(
        new Error(
          `packing ${dir} may need ${Math.ceil(bytes * ROOM)} bytes, and there are ${disk.bavail * disk.bsize}`,
        ),
      );
    const options = { apart: true, timeoutMs: TIMEOUT_MS, signal };
    await this.git.run(dir, ['pack-refs', '--all'], options);
    // Each pack is at least twice as large as all smaller ones together: there are few, and large ones are seldom written again.
    // One thread and little memory: nobody waits for it, and others wait for the processor.
    const little = ['--threads=1', '--window-memory=128m'];
    await this.git.run(dir, ['repack', '-d', '-n', '-q', '--geometric=2', ...little], options);
    await this.git.run(dir, ['commit-graph', 'write', '--reachable', '--split', '--no-progress'], options);
    // What they know of packs is of before.
    this.git.forget(dir);
  }

  /** What killed processes of git were writing. Nothing else ever takes it away. */
  private async clearUnfinished(dir: string): Promise<void> {
    const objects = join(dir, 'objects');
    const folders = (await namesIn(objects)).map((name) => join(objects, name));
    for (const folder of [objects, ...folders, join(objects, 'info', 'commit-graphs')])
      for (const name of await namesIn(folder)) {
        if (!UNFINISHED.test(name)) continue;
        const found = await lstat(join(folder, name)).catch(() => null);
        if (found !== null && Date.now() - found.mtimeMs > LEFT_BEHIND_MS)
          await rm(join(folder, name), { recursive: true, force: true });
      }
  }
}

/** Empty where there is no such folder. */
const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);
