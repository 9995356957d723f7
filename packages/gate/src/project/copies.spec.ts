import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Copies } from './copies.ts';

describe('copies for runs', () => {
  let folder: string;
  let copies: Copies;
  const read = (copy: string, path: string): string => readFileSync(join(copy, path), 'utf8');
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'copies-'));
    for (const [path, text] of [
      ['tree/src/index.js', 'real'],
      ['tree/fixtures/evil/index.js', 'evil'],
    ] as const) {
      mkdirSync(join(folder, path, '..'), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    mkdirSync(join(folder, 'runs'));
    copies = new Copies(join(folder, 'tree'), join(folder, 'runs'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('hold nothing of what an earlier run did, not even a folder that it put in the place of another', async () => {
    await copies.use(new Map(), (copy) => {
      renameSync(join(copy, 'src'), join(copy, 'aside'));
      renameSync(join(copy, 'fixtures/evil'), join(copy, 'src'));
      renameSync(join(copy, 'aside'), join(copy, 'fixtures/evil'));
      return Promise.resolve(expect(read(copy, 'src/index.js')).toBe('evil'));
    });
    await copies.use(new Map(), (copy) => {
      expect(read(copy, 'src/index.js')).toBe('real');
      return Promise.resolve(expect(read(copy, 'fixtures/evil/index.js')).toBe('evil'));
    });
  });

  it('hold what is to stand there instead for one run only, and are gone at the end', async () => {
    const instead = new Map([['src/index.js', 'other']]);
    await copies.use(instead, (copy) => Promise.resolve(expect(read(copy, 'src/index.js')).toBe('other')));
    await expect(copies.use(new Map(), (copy) => Promise.reject(new Error(read(copy, 'src/index.js'))))).rejects.toThrow('real'); // prettier-ignore
    await copies.dispose();
    expect(readdirSync(join(folder, 'runs'))).toEqual([]);
    expect(read(join(folder, 'tree'), 'src/index.js')).toBe('real');
  });
});
