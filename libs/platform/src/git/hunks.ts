import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ConflictHunk } from '@muster/contracts';
import { contents, type Difference } from './answers.ts';
import { hunksOf, MARKER_SIZE, parseMarkers, type ConflictedPath, type MergeMessage } from './conflicts.ts';
import type { Git } from './git.ts';
import { infoOf, NOTHING, object, objects } from './objects.ts';

/** What a three-way comparison shows line by line; larger files are named only. */
const MAX_COMPARED_BYTES = 1024 * 1024;

/** Whether both have the same change at the same place of the file that they started from. */
export async function shareHunk(git: Git, dir: string, one: Difference, other: Difference): Promise<boolean> {
  // A file that both made is merged line by line without a common start.
  if (one.before !== other.before || one.before === NOTHING) return false;
  for (const oid of [one.before, one.oid, other.oid])
    if (((await infoOf(git, dir, object(oid)))?.size ?? 0) > MAX_COMPARED_BYTES) return false;
  const hunks = async ({ before, oid }: Difference): Promise<string[]> => {
    const options = ['--unified=0', '--no-color', '--no-ext-diff', '--no-textconv', '--no-indent-heuristic'];
    const { stdout } = await git.run(dir, ['diff', ...options, object(before), object(oid), '--']);
    return hunksOf(stdout.toString('latin1'));
  };
  const known = new Set(await hunks(one));
  return (await hunks(other)).some((hunk) => known.has(hunk));
}

/**
 * What each side wrote where they conflict in one path; what cannot be shown line by line is named.
 * @param scratch makes an empty folder, which is removed here
 */
export async function conflictHunks(
  git: Git,
  dir: string,
  scratch: () => Promise<string>,
  { path, stages }: ConflictedPath,
  messages: readonly MergeMessage[],
): Promise<ConflictHunk[]> {
  const side = async (stage: number): Promise<Buffer | 'none' | 'large' | 'other'> => {
    const entry = stages.get(stage);
    if (!entry) return 'none';
    if (!entry.mode.startsWith('100')) return 'other';
    const size = (await infoOf(git, dir, object(entry.oid)))?.size ?? 0;
    if (size > MAX_COMPARED_BYTES) return 'large';
    return (await git.ask(dir, objects, `contents ${entry.oid}\0`, contents))?.bytes ?? 'none';
  };
  const [base, ours, theirs] = [await side(1), await side(2), await side(3)];
  const plain = (x: typeof base): x is Buffer => Buffer.isBuffer(x) && !x.subarray(0, 8000).includes(0);
  if (plain(ours) && plain(theirs) && (base === 'none' || plain(base))) {
    const folder = await scratch();
    try {
      await writeFile(join(folder, 'base'), base === 'none' ? '' : base);
      await writeFile(join(folder, 'ours'), ours);
      await writeFile(join(folder, 'theirs'), theirs);
      // The exit code counts the conflicts, up to 127.
      const { stdout } = await git.run(
        folder,
        ['merge-file', '-p', '--diff3', `--marker-size=${MARKER_SIZE}`, 'ours', 'base', 'theirs'],
        { ok: Array.from({ length: 128 }, (_, code) => code) },
      );
      const found = parseMarkers(path, stdout.toString('utf8'));
      if (found.length > 0) return found;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  const describe = (x: typeof base, stage: number): string => {
    if (x === 'none') return stage === 1 ? '' : '[not there]';
    if (x === 'other')
      return `[${stages.get(stage)?.mode === '120000' ? 'a symbolic link' : 'a submodule'} ${stages.get(stage)?.oid ?? ''}]`;
    if (plain(x)) return x.toString('utf8');
    return `[${x === 'large' ? 'a large file' : 'a binary file'} ${stages.get(stage)?.oid ?? ''}]`;
  };
  const text = messages.find((m) => m.type.startsWith('CONFLICT') && m.paths.includes(path))?.text.trim();
  return [
    {
      path,
      startLine: 1,
      base: describe(base, 1),
      ours: describe(ours, 2) || text || '',
      theirs: describe(theirs, 3),
    },
  ];
}
