import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { Config } from '#platform/config';

export type Shelf = 'tasks' | 'verifications';

/** Large bytes by their SHA-256: logs, reports, artefacts. The same bytes are kept once. */
@Injectable()
export class Blobs {
  constructor(private readonly config: Config) {}

  /**
   * Durable when it returns.
   * @param shelf of a room that decides by itself what goes: the same content on another shelf stays there
   */
  async put(bytes: Uint8Array, shelf: Shelf = 'tasks'): Promise<string> {
    const digest = createHash('sha256').update(bytes).digest('hex');
    const path = this.#path(digest, shelf);
    if (await exists(path)) return digest;
    await mkdir(dirname(path), { recursive: true });
    const draft = `${path}.${randomUUID()}`;
    try {
      const file = await open(draft, 'wx', 0o600);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(draft, path);
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
    return digest;
  }

  /** Null when there is no such blob. */
  async get(digest: string, shelf: Shelf = 'tasks'): Promise<Buffer | null> {
    if (!/^[0-9a-f]{64}$/.test(digest)) return null;
    try {
      return await readFile(this.#path(digest, shelf));
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  /** Gone when it returns, or was not there. Whoever may be storing the same content has to be kept out by the caller. */
  async remove(digest: string, shelf: Shelf = 'tasks'): Promise<void> {
    if (/^[0-9a-f]{64}$/.test(digest)) await rm(this.#path(digest, shelf), { force: true });
  }

  #path(digest: string, shelf: Shelf): string {
    // What tasks refer to was there before there were shelves.
    const folder = shelf === 'tasks' ? [] : [shelf];
    return join(this.config.sharedDir, 'blobs', ...folder, digest.slice(0, 2), digest);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

const isMissing = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT';
