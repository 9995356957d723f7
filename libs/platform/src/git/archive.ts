import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { pack } from 'tar-stream';
import type { Git } from './git.ts';
import { object } from './objects.ts';
import { roomIn } from './room-in.ts';

/** What is larger goes into an archive in pieces. */
const MAX_BUFFERED_BYTES = 1024 * 1024;

/**
 * The tree as a tar stream, exactly its bytes: blobs are read one by one, large ones piece by piece. `git archive` is not used because attributes
 * inside the tree could drop or rewrite files, and what is verified must be what lands.
 */
export function archiveOf(git: Git, dir: string, tree: string): Readable {
  const archive = pack();
  void fill(archive, git, dir, object(tree)).then(
    () => archive.finalize(),
    (error: unknown) => archive.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return Readable.from(archive, { objectMode: false });
}

async function fill(archive: ReturnType<typeof pack>, git: Git, dir: string, tree: string): Promise<void> {
  const { stdout } = await git.run(dir, ['ls-tree', '-r', '-z', '--full-tree', `${tree}^{tree}`]);
  const entries = stdout
    .toString('utf8')
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => {
      const [meta = '', ...name] = line.split('\t');
      const [mode = '', type = '', oid = ''] = meta.split(' ');
      return { mode, type, oid, name: name.join('\t') };
    });
  const mtime = new Date(0);
  const add = (headers: Parameters<typeof archive.entry>[0], body: Buffer) =>
    new Promise<void>((resolve, reject) =>
      archive.entry(headers, body, (error) => (error ? reject(error) : resolve())),
    );
  const child = spawn('git', [...git.prefix(), 'cat-file', '--batch'], {
    cwd: dir,
    env: git.environment(dir),
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const failed = new Promise<never>((_, reject) => child.on('error', reject));
  failed.catch(() => undefined);
  child.stdin.on('error', () => undefined);
  archive.once('close', () => child.kill('SIGKILL'));
  try {
    const blobs = new Blobs(child.stdout);
    for (const { mode, type, oid, name } of entries) {
      // A submodule is a folder whose content lives elsewhere.
      if (type !== 'blob') {
        await add({ name: `${name}/`, type: 'directory', mode: 0o755, mtime }, Buffer.alloc(0));
        continue;
      }
      child.stdin.write(`${oid}\n`);
      const size = await Promise.race([blobs.next(), failed]);
      if (mode !== '120000' && size > MAX_BUFFERED_BYTES) {
        const headers = { name, type: 'file' as const, mode: mode === '100755' ? 0o755 : 0o644, size, mtime };
        await new Promise<void>((resolve, reject) => {
          const entry = archive.entry(headers, (error) => (error ? reject(error) : resolve()));
          void pour(blobs, size, entry).catch(reject);
        });
        continue;
      }
      const body = await blobs.whole(size);
      if (mode === '120000')
        await add(
          { name, type: 'symlink', linkname: body.toString('utf8'), mode: 0o777, mtime, size: 0 },
          Buffer.alloc(0),
        );
      else await add({ name, type: 'file', mode: mode === '100755' ? 0o755 : 0o644, size: body.length, mtime }, body);
    }
  } finally {
    child.stdin.end();
    child.kill();
  }
}

async function pour(blobs: Blobs, size: number, into: ReturnType<ReturnType<typeof pack>['entry']>): Promise<void> {
  for await (const part of blobs.parts(size)) {
    if (into.destroyed) throw new Error('nobody reads the archive any more');
    if (!into.write(part)) await roomIn(into);
  }
  into.end(null);
}

/** Reads the answers of `git cat-file --batch` one after another, without taking more from the pipe than is asked for. */
class Blobs {
  private readonly chunks: AsyncIterator<Buffer, undefined>;
  private rest: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  }

  /** The size of the next, of which every byte has to be taken. */
  async next(): Promise<number> {
    let end = this.rest.indexOf(10);
    while (end < 0) {
      await this.more();
      end = this.rest.indexOf(10);
    }
    const [oid = '', kind = '', size = ''] = this.rest.subarray(0, end).toString('latin1').split(' ');
    this.rest = this.rest.subarray(end + 1);
    if (kind !== 'blob') throw new Error(`object ${oid} is ${kind}, not a blob`);
    return Number(size);
  }

  async whole(size: number): Promise<Buffer> {
    if (this.rest.length > size) {
      const whole = this.rest.subarray(0, size);
      this.rest = this.rest.subarray(size + 1);
      return whole;
    }
    const parts: Buffer[] = [];
    for await (const part of this.parts(size)) parts.push(part);
    return Buffer.concat(parts);
  }

  async *parts(size: number): AsyncGenerator<Buffer> {
    for (let missing = size; missing > 0;) {
      if (this.rest.length === 0) await this.more();
      const part = this.rest.subarray(0, missing);
      missing -= part.length;
      this.rest = this.rest.subarray(part.length);
      yield part;
    }
    // The end of the line that it ends with.
    if (this.rest.length === 0) await this.more();
    this.rest = this.rest.subarray(1);
  }

  private async more(): Promise<void> {
    const { value, done } = await this.chunks.next();
    if (done === true) throw new Error('git cat-file ended early');
    this.rest = this.rest.length === 0 ? value : Buffer.concat([this.rest, value]);
  }
}
