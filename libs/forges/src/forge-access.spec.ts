import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { Clock } from '#kernel';
import type { ForgeAccount } from '#platform/config';
import { ForgeHere, refuse } from '../../../test/support/forge-here.ts';
import { ForgeAccess } from './forge-access.ts';
import { ForgeFailed } from './forges.errors.ts';

class MovableClock extends Clock {
  at = Date.parse('2026-05-01T12:00:00Z');
  now(): Date {
    return new Date(this.at);
  }
}
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = (key: typeof privateKey): string => String(key.export({ type: 'pkcs1', format: 'pem' }));
const PATH = '/repos/apps/one/collaborators/ada/permission';
const MINUTE_MS = 60_000;

let forge: ForgeHere;
let clock: MovableClock;
let account: ForgeAccount;
beforeEach(async () => {
  forge = new ForgeHere();
  clock = new MovableClock();
  forge.app = { publicKey: String(publicKey.export({ type: 'spki', format: 'pem' })), now: () => clock.now() };
  account = {
    name: 'app', kind: 'github', api: await forge.listen(), token: null, repositories: ['apps/*'], teams: null,
    app: { id: '12', key: pem(privateKey), installation: null },
  }; // prettier-ignore
});
afterEach(() => forge.close());

it('a GitHub App shows a JWT of its own for a token, which serves everybody until shortly before it ends', async () => {
  const access = new ForgeAccess(clock);
  const call = (): Promise<unknown> => access.api(account, 'apps/one').call('GET', PATH);
  await Promise.all([call(), call(), call()]);
  expect(forge.asked.filter((one) => one !== `GET ${PATH}`)).toEqual([
    'GET /repos/apps/one/installation',
    'POST /app/installations/34/access_tokens',
  ]);
  clock.at += 54 * MINUTE_MS;
  await call();
  expect(forge.installationTokens).toHaveLength(1);
  clock.at += 2 * MINUTE_MS;
  await Promise.all([call(), call()]);
  expect(forge.installationTokens).toHaveLength(2);
  // For another repository it is another token, that can do nothing here.
  await access.api(account, 'apps/two').call('GET', '/repos/apps/two/collaborators/ada/permission');
  expect(forge.installationTokens).toHaveLength(3);
});

it('a token that the forge has taken back is replaced once, within the same call', async () => {
  const access = new ForgeAccess(clock);
  const api = access.api({ ...account, app: { id: '12', key: pem(privateKey), installation: 34 } }, 'apps/one');
  await api.call('GET', PATH);
  expect(forge.asked).not.toContain('GET /repos/apps/one/installation');
  forge.installationTokens.length = 0;
  await api.call('GET', PATH);
  expect(forge.installationTokens).toHaveLength(1);
});

it('an app whose key the forge does not know, or whose token it will not make, is said so, and nothing of it is kept', async () => {
  const other = pem(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey);
  const access = new ForgeAccess(clock);
  const wrong = access.api({ ...account, app: { id: '12', key: other, installation: 34 } }, 'apps/one');
  const failed = await wrong.call('GET', PATH).catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(ForgeFailed);
  expect(failed).toMatchObject({ passing: false, message: expect.stringContaining('answered 401') });
  expect(String(failed)).not.toContain('eyJ');
  forge.moods.push(refuse(503, 'later', { 'retry-after': '20' }));
  const api = access.api(account, 'apps/one');
  await expect(api.call('GET', PATH)).rejects.toMatchObject({ passing: true, pauseMs: 20_000 });
  await api.call('GET', PATH);
  expect(forge.installationTokens).toHaveLength(1);
});
