import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { refusalOf } from './program-policy.ts';

describe('which programs an operator allows', () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'muster-policy-'));
    for (const folder of ['agents', 'agents-of-others', 'links']) await mkdir(join(root, folder));
    for (const program of ['agents/one', 'agents-of-others/two']) await writeFile(join(root, program), '');
    await symlink(join(root, 'agents-of-others/two'), join(root, 'agents/two'));
    await symlink(join(root, 'agents'), join(root, 'links/agents'));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  it('is none by default, and any with a star', async () => {
    expect(await refusalOf('/bin/sh', [])).toMatch('MUSTER_SUPERVISED');
    expect(await refusalOf('anything', ['*'])).toBeNull();
  });

  it('is what is named, or lies in a folder that is named, wherever links lead', async () => {
    const allowed = [join(root, 'agents')];
    expect(await refusalOf(join(root, 'agents/one'), allowed)).toBeNull();
    expect(await refusalOf(join(root, 'agents/one'), [join(root, 'agents/one')])).toBeNull();
    expect(await refusalOf(join(root, 'agents/one'), [join(root, 'links/agents')])).toBeNull();
    expect(await refusalOf(join(root, 'agents/two'), allowed)).toMatch('is not one of the programs');
    expect(await refusalOf(join(root, 'agents-of-others/two'), allowed)).toMatch('is not one of the programs');
    expect(await refusalOf(join(root, 'agents/../agents-of-others/two'), allowed)).toMatch(
      'is not one of the programs',
    );
    expect(await refusalOf(join(root, 'agents/three'), allowed)).toMatch('does not exist');
    expect(await refusalOf('one', allowed)).toMatch('is not an absolute path');
  });
});
