import { expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from './config.ts';

it('shows the names of forge accounts and never a token, also when the file is wrong', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'muster-forge-accounts-'));
  try {
    await writeFile(join(folder, 'token'), 'from-a-file\n');
    const path = join(folder, 'forges.yaml');
    await writeFile(
      path,
      `accounts:\n  hub: { kind: github, token: in-the-document, repositories: ['o/*'] }\n  lab: { kind: gitlab, tokenFile: ${join(folder, 'token')}, repositories: ['g/*'] }\n`,
    );
    const config = loadConfig({ MUSTER_FORGES: path });
    expect(config.forges.map(({ api, token }) => [api, token])).toEqual([
      ['https://api.github.com', 'in-the-document'],
      ['https://gitlab.com/api/v4', 'from-a-file'],
    ]);
    const shown = JSON.stringify(config.describe());
    expect(shown).toContain('hub,lab');
    expect(shown).not.toMatch(/in-the-document|from-a-file/);
    await writeFile(
      path,
      `accounts:\n  hub: { kind: gitea, token: in-the-document, repositories: [] }\n  a: [in-the-document\n`,
    );
    expect(() => loadConfig({ MUSTER_FORGES: path })).toThrow(/MUSTER_FORGES: .*cannot be read as YAML/);
    await writeFile(path, `accounts:\n  hub: { kind: gitea, token: in-the-document, repositories: [] }\n`);
    expect(() => loadConfig({ MUSTER_FORGES: path })).toThrow(/accounts\.hub\.kind/);
    expect(() => loadConfig({ MUSTER_FORGES: path })).not.toThrow(/in-the-document/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

it('takes a GitHub App by its key, and says in words when the key is none', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'muster-forge-accounts-'));
  const path = join(folder, 'forges.yaml');
  const keyFile = join(folder, 'app.pem');
  const write = (account: string): Promise<void> => writeFile(path, `accounts:\n  hub: { ${account} }\n`);
  try {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    await writeFile(keyFile, privateKey.export({ type: 'pkcs1', format: 'pem' }));
    await write(`kind: github, app: { id: 12, keyFile: '${keyFile}', installation: 34 }, repositories: ['o/*']`);
    const config = loadConfig({ MUSTER_FORGES: path });
    expect(config.forges[0]).toMatchObject({ token: null, app: { id: '12', installation: 34 } });
    expect(JSON.stringify(config.describe())).not.toContain('PRIVATE KEY');
    await write(`kind: gitlab, app: { id: 12, keyFile: '${keyFile}' }, repositories: ['o/*']`);
    expect(() => loadConfig({ MUSTER_FORGES: path })).toThrow(/github only/);
    await write(`kind: github, token: t, app: { id: 12, keyFile: '${keyFile}' }, repositories: ['o/*']`);
    expect(() => loadConfig({ MUSTER_FORGES: path })).toThrow(/a token, a tokenFile or an app/);
    await writeFile(keyFile, 'not a key');
    await write(`kind: github, app: { id: 12, keyFile: '${keyFile}' }, repositories: ['o/*']`);
    expect(() => loadConfig({ MUSTER_FORGES: path })).toThrow(/no RSA private key/);
    await write(`kind: github, app: { id: 12, keyFile: '${keyFile}.none' }, repositories: ['o/*']`);
    expect(() => loadConfig({ MUSTER_FORGES: path })).toThrow(/keyFile cannot be read: ENOENT/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
