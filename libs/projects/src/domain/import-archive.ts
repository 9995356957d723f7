import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { repositoryPath } from '@muster/contracts';
import { extract, type Header } from 'tar-stream';
import { MusterError } from '#kernel';
import { type Git, killGroup, roomIn } from '#platform/git';
import { ArchiveInvalid, SourceTooLarge } from '../projects.errors.ts';

export interface ArchiveLimits {
  readonly maxBytes: number;
  readonly maxFiles: number;
}
export const ARCHIVE_LIMITS: ArchiveLimits = { maxBytes: 1024 * 1024 * 1024, maxFiles: 200_000 };
const GIT_NAME_ADVICE = 'leave .git out with `git archive` or `tar --exclude=.git`';

interface Entry {
  readonly mode: '100644' | '100755' | '120000';
  readonly mark: number;
}

/**
 * A tar or tar.gz straight into git objects, through `git fast-import`: nothing is unpacked to a file system, so no name or
 * link in the archive can reach one. Ends with one commit on `branch`.
 */
export async function importArchive(
  git: Git,
  dir: string,
  archive: Readable,
  commit: { readonly branch: string; readonly message: string; readonly date: Date; readonly strip: number },
  limits: ArchiveLimits = ARCHIVE_LIMITS,
): Promise<void> {
  const child = spawn(
    'git',
    [...git.prefix(), '-c', 'fastimport.unpackLimit=0', 'fast-import', '--quiet', '--done', '--date-format=raw'],
    {
      cwd: dir,
      env: git.environment(dir),
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
    },
  );
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString('utf8')).slice(0, 4000)));
  child.stdin.on('error', () => undefined);
  const ended = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  ended.catch(() => undefined);
  const write = async (data: Buffer | string) => {
    if (child.stdin.destroyed) throw new Error(`git fast-import ended early: ${stderr}`);
    if (!child.stdin.write(data)) await roomIn(child.stdin);
  };

  try {
    const entries = await readEntries(archive, commit.strip, limits, write);
    const message = Buffer.from(`${commit.message}\n`);
    await write(
      `commit refs/heads/${commit.branch}\ncommitter Muster <muster@localhost> ${Math.floor(commit.date.getTime() / 1000)} +0000\n`,
    );
    await write(`data ${message.length}\n`);
    await write(message);
    for (const [path, { mode, mark }] of entries) await write(`\nM ${mode} :${mark} "${path.replaceAll('"', '\\"')}"`);
    await write('\n\ndone\n');
    child.stdin.end();
    const code = await ended;
    if (code !== 0) throw new Error(`git fast-import ended with ${code}: ${stderr}`);
  } finally {
    killGroup(child);
    archive.resume();
  }
}

async function readEntries(
  archive: Readable,
  strip: number,
  limits: ArchiveLimits,
  write: (data: Buffer | string) => Promise<void>,
): Promise<Map<string, Entry>> {
  const entries = new Map<string, Entry>();
  const byOriginalName = new Map<string, Entry>();
  const plain = await unpacked(archive, limits.maxBytes);
  const tar = extract();
  const feeding = pump(plain, tar);
  let bytes = 0;
  let marks = 0;
  try {
    for await (const part of tar) {
      const header: Header = part.header;
      const place = placeOf(header.name, strip);
      const isFolder = header.type === 'directory';
      if (place === null || isFolder) {
        part.resume();
        continue;
      }
      if (header.type === 'link') {
        // A second name for a file that came before: the same content here.
        const target = byOriginalName.get(cleaned(header.linkname ?? ''));
        if (target === undefined)
          throw new ArchiveInvalid(`${shown(header.name)} is a hard link to something that is not in it`);
        entries.set(place, target);
        part.resume();
        continue;
      }
      if (header.type !== 'file' && header.type !== 'contiguous-file' && header.type !== 'symlink')
        throw new ArchiveInvalid(
          `${shown(header.name)} is a ${header.type ?? 'special file'}; only files, folders and links can be kept`,
        );
      marks += 1;
      if (marks > limits.maxFiles) throw new SourceTooLarge(`${limits.maxFiles} files`);
      const link = header.type === 'symlink' ? Buffer.from(header.linkname ?? '') : null;
      const size = link?.length ?? header.size ?? 0;
      bytes += size;
      if (bytes > limits.maxBytes) throw new SourceTooLarge(`${limits.maxBytes} bytes unpacked`);
      await write(`blob\nmark :${marks}\ndata ${size}\n`);
      if (link === null) for await (const chunk of part) await write(chunk as Buffer);
      else {
        await write(link);
        part.resume();
      }
      await write('\n');
      const executable = ((header.mode ?? 0) & 0o111) !== 0;
      const entry: Entry = { mark: marks, mode: link !== null ? '120000' : executable ? '100755' : '100644' };
      entries.set(place, entry);
      byOriginalName.set(cleaned(header.name), entry);
    }
    await feeding;
  } catch (error) {
    plain.destroy();
    throw known(error);
  }
  if (entries.size === 0) throw new ArchiveInvalid('there is no file in it');
  for (const path of entries.keys())
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1))
      if (entries.has(path.slice(0, slash)))
        throw new ArchiveInvalid(`${shown(path.slice(0, slash))} is a file and a folder at once`);
  return entries;
}

async function pump(source: Readable, tar: ReturnType<typeof extract>): Promise<void> {
  try {
    for await (const chunk of source) if (!tar.write(chunk as Buffer)) await roomIn(tar);
    tar.end(null);
  } catch (error) {
    tar.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}

const shown = (name: string) => JSON.stringify(name.slice(0, 200));
const cleaned = (name: string) => name.replace(/^(\.\/)+/, '').replace(/\/+$/, '');

/** Where an entry goes, null for what the stripped folders themselves are. */
function placeOf(name: string, strip: number): string | null {
  const path = cleaned(name);
  if (path === '' || path === '.') return null;
  const parts = path.split('/');
  if (parts.some((part) => /^(\.git|git~1)$/i.test(part)))
    throw new ArchiveInvalid(`it holds ${shown(name)}; ${GIT_NAME_ADVICE}`);
  if (!repositoryPath.safeParse(path).success)
    throw new ArchiveInvalid(`${shown(name)} is not a plain path inside the project`);
  const rest = parts.slice(strip).join('/');
  return rest === '' ? null : rest;
}

/** What zlib and tar-stream say about bytes that they cannot read is the sender's to correct. */
function known(error: unknown): unknown {
  if (error instanceof MusterError) return error;
  const { code, message } = error as { readonly code?: string; readonly message?: string };
  const broken =
    code?.startsWith('Z_') === true ||
    /tar header|unexpected end|incorrect header|aborted|checksum/i.test(message ?? '');
  return broken ? new ArchiveInvalid(message ?? 'it is damaged') : error;
}

/** Looks at the first bytes; a gzip is unpacked on the way. What comes out is counted, against bombs. */
async function unpacked(archive: Readable, maxBytes: number): Promise<Readable> {
  const iterator = archive[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  let start: Buffer = Buffer.alloc(0);
  try {
    while (start.length < 4) {
      const { value, done } = await iterator.next();
      if (done === true) break;
      start = Buffer.concat([start, value]);
    }
  } catch (error) {
    throw known(error);
  }
  if (start.length === 0) throw new ArchiveInvalid('the body is empty');
  if (start.subarray(0, 2).toString('latin1') === 'PK') throw new ArchiveInvalid('it is a zip file');
  const whole = Readable.from(
    (async function* () {
      yield start;
      for (;;) {
        const { value, done } = await iterator.next();
        if (done === true) return;
        yield value;
      }
    })(),
    { objectMode: false },
  );
  const gzipped = start[0] === 0x1f && start[1] === 0x8b;
  const source: Readable = gzipped ? whole.pipe(createGunzip()) : whole;
  if (gzipped) whole.on('error', (error) => source.destroy(error));
  // Headers and padding of many small files come on top of their content.
  const limit = maxBytes + 1024 * 1024 * 1024;
  let bytes = 0;
  return Readable.from(
    (async function* () {
      try {
        for await (const chunk of source) {
          bytes += (chunk as Buffer).length;
          if (bytes > limit) throw new SourceTooLarge(`${maxBytes} bytes unpacked`);
          yield chunk as Buffer;
        }
      } catch (error) {
        throw known(error);
      }
    })(),
    { objectMode: false },
  );
}
