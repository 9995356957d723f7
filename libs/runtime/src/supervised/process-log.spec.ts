import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ProcessLogFile, readProcessLog } from './process-log.ts';

describe('the log of a process', () => {
  let folder: string;
  beforeEach(async () => {
    folder = join(await mkdtemp(join(tmpdir(), 'muster-process-log-')), 'log of it');
  });
  afterEach(() => rm(join(folder, '..'), { recursive: true, force: true }));
  const open = () =>
    new ProcessLogFile(
      folder,
      () => new Date(0),
      (error) => {
        throw error;
      },
    );

  it('is empty before anything was printed', async () => {
    expect(await readProcessLog(folder, 10)).toEqual({ items: [], cut: false });
  });

  it('gives the last lines, also over the end of a file, and says when there were more', async () => {
    const log = open();
    for (let n = 0; n < 30_000; n++) {
      log.add('stdout', `line ${n} ${'x'.repeat(60)}`);
      if (log.full) await log.flushed();
    }
    await log.flushed();
    const { items, cut } = await readProcessLog(folder, 5000);
    expect(cut).toBe(true);
    expect(items).toHaveLength(5000);
    expect(items.map(({ line }) => Number(line.split(' ')[1]))).toEqual(
      Array.from({ length: 5000 }, (_, n) => n + 25_000),
    );
    for (const file of ['log', 'log.1']) expect((await stat(join(folder, file))).size).toBeLessThanOrEqual(1024 * 1024);
  });

  it('goes on where an earlier run of the server ended, and shortens what has no end', async () => {
    const first = open();
    first.add('server', 'one');
    await first.flushed();
    const second = open();
    second.add('stderr', 'y'.repeat(100_000));
    await second.flushed();
    const { items } = await readProcessLog(folder, 10);
    expect(items.map(({ stream, line }) => [stream, line.length])).toEqual([
      ['server', 3],
      ['stderr', 8000],
    ]);
  });
});
