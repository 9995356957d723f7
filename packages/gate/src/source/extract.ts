import { createWriteStream, lstatSync, mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { repositoryPath } from '@muster/contracts';
import tar from 'tar-stream';

export interface ExtractLimits {
  files: number;
  bytes: number;
}

/**
 * Unpacks a tree that others wrote into an empty folder of ours. Every path must be one that a repository can have; links are made
 * as links and nothing is ever written through one; anything that is neither file, folder nor link is refused.
 */
export async function extractTree(
  archive: Readable,
  into: string,
  limits: ExtractLimits = { files: 200_000, bytes: 4 * 1024 ** 3 },
): Promise<void> {
  mkdirSync(into, { recursive: true });
  const extract = tar.extract();
  const folders = new Set<string>(['.', '']);
  let files = 0;
  let bytes = 0;
  /** Folders are made by us, one by one; where a link of the archive stands in the way, it is not walked through. */
  const folder = (path: string): void => {
    if (folders.has(path)) return;
    folder(dirname(path));
    mkdirSync(join(into, path), { recursive: false });
    folders.add(path);
  };
  const filling = pipeline(archive, extract);
  const reading = (async () => {
    for await (const entry of extract) {
      const { header } = entry;
      const path = header.name.replace(/^\.\//, '').replace(/\/$/, '');
      if (path === '' || path === '.') {
        entry.resume();
        continue;
      }
      if (!repositoryPath.safeParse(path).success)
        throw new Error(`the archive holds a path that no repository may have: ${path.slice(0, 200)}`);
      if (++files > limits.files || (bytes += header.size ?? 0) > limits.bytes)
        throw new Error('the archive is larger than allowed');
      if (header.type === 'directory') {
        folder(path);
        entry.resume();
        continue;
      }
      folder(dirname(path));
      if (lstatSync(join(into, path), { throwIfNoEntry: false }) !== undefined)
        throw new Error(`the archive holds ${path.slice(0, 200)} twice`);
      if (header.type === 'symlink') {
        symlinkSync(header.linkname ?? '', join(into, path));
        entry.resume();
      } else if (header.type === 'file' || header.type === 'contiguous-file') {
        await pipeline(
          entry,
          createWriteStream(join(into, path), {
            flags: 'wx',
            mode: ((header.mode ?? 0o644) & 0o111) !== 0 ? 0o755 : 0o644,
          }),
        );
      } else {
        throw new Error(
          `the archive holds ${path.slice(0, 200)} of a kind that no repository may have: ${header.type ?? 'unknown'}`,
        );
      }
    }
  })();
  await Promise.all([filling, reading]);
}
