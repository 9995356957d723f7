import { describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const folder = join(import.meta.dirname, 'planted-bugs');
const root = join(import.meta.dirname, '../..');

describe('a planted bug', () => {
  it.each(readdirSync(folder).filter((file) => file.endsWith('.patch')))(
    '%s still fits the code that it breaks',
    async (file) => {
      await expect(
        promisify(execFile)('git', ['apply', '--check', join(folder, file)], { cwd: root }),
      ).resolves.toBeDefined();
    },
  );
});
