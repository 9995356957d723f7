import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '#platform/config';
import { Blobs } from './index.ts';

describe('blobs', () => {
  let folder: string;
  let blobs: Blobs;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-blobs-'));
    blobs = new Blobs(loadConfig({ MUSTER_DATA_DIR: folder }));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('come back by the hash of their bytes, however many put them at once', async () => {
    const digests = await Promise.all(Array.from({ length: 5 }, () => blobs.put(Buffer.from('hello'))));
    expect(new Set(digests)).toEqual(new Set(['2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824']));
    expect(await blobs.get(digests[0] ?? '')).toEqual(Buffer.from('hello'));
  });

  test('are null when there is none, or when the name is not a digest', async () => {
    expect(await blobs.get('0'.repeat(64))).toBeNull();
    expect(await blobs.get('../../etc/passwd')).toBeNull();
  });
});
