import { execFile, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const who = ['-c', 'user.name=Bench', '-c', 'user.email=bench@muster.example'];

export async function git(folder: string, ...args: string[]): Promise<string> {
  const { stdout } = await run('git', ['-C', folder, ...who, ...args], { maxBuffer: 100_000_000 });
  return stdout.trim();
}

export interface CommitToMake {
  readonly branch: string;
  /** null: the first one. */
  readonly from: string | null;
  readonly message: string;
  readonly files: Iterable<readonly [path: string, content: string | Buffer]>;
}

/** Writes commits without a checkout, by the thousand files. */
export async function fastImport(folder: string, commits: Iterable<CommitToMake>): Promise<void> {
  const child = spawn('git', ['-C', folder, 'fast-import', '--quiet', '--force'], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const ended = new Promise<void>((done, fail) =>
    child.once('error', fail).once('close', (code) => (code === 0 ? done() : fail(new Error(`fast-import: ${code}`)))),
  );
  const write = async (piece: string | Buffer): Promise<void> => {
    if (!child.stdin.write(piece)) await new Promise((resume) => child.stdin.once('drain', resume));
  };
  for (const { branch, from, message, files } of commits) {
    await write(
      `commit refs/heads/${branch}\ncommitter Bench <bench@muster.example> 1767225600 +0000\ndata ${Buffer.byteLength(message)}\n${message}\n`,
    );
    if (from !== null) await write(`from ${from}\n`);
    for (const [path, content] of files) {
      await write(`M 100644 inline ${path}\ndata ${Buffer.byteLength(content)}\n`);
      await write(content);
      await write('\n');
    }
  }
  child.stdin.end('done\n');
  await ended;
}

/** A repository with one commit on `main`, the way a project is imported from. */
export async function repositoryOf(
  folder: string,
  files: Iterable<readonly [path: string, content: string | Buffer]>,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await git(folder, 'init', '--quiet', '-b', 'main');
  await fastImport(folder, [{ branch: 'main', from: null, message: 'Begin', files }]);
}

/** Hands a commit in, as a person does without a task. */
export async function handIn(folder: string, url: string, token: string, commit: string): Promise<void> {
  await git(
    folder,
    '-c',
    `http.extraHeader=Authorization: Bearer ${token}`,
    'push',
    '--quiet',
    url,
    `${commit}:refs/for/main`,
  );
}

/** At most so many at a time. */
export async function each<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const rest = [...items];
  const worker = async (): Promise<void> => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
