import { describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, loadConfig } from './index.ts';

describe('the configuration', () => {
  test('needs nothing', () => {
    expect(loadConfig({})).toMatchObject({
      role: 'all',
      port: 3000,
      publicUrl: 'http://localhost:3000',
      databaseUrl: null,
      leaseSeconds: 30,
      importHosts: ['*'],
      retryDelaysSeconds: [5, 15, 30],
      bodyLimitBytes: 25 * 1024 * 1024,
      verifiers: 1,
    });
    expect(loadConfig({}).dataDir).toMatch(/^\/.*\/\.muster$/);
  });

  test('names everything that is wrong at once, unknown names too', () => {
    const wrong = () =>
      loadConfig({
        MUSTER_PORT: 'abc',
        MUSTER_IMPORT_PATHS: '/a:b',
        MUSTER_RETRY_DELAYS: '5,x',
        MUSTER_COLOUR: 'red',
        DATABASE_URL: 'mysql://db',
        REDIS_URL: 'nonsense',
      });
    expect(wrong).toThrow(ConfigError);
    for (const name of [
      'MUSTER_PORT',
      'MUSTER_IMPORT_PATHS',
      'MUSTER_RETRY_DELAYS',
      'MUSTER_COLOUR',
      'DATABASE_URL',
      'REDIS_URL',
    ]) {
      expect(wrong).toThrow(name);
    }
  });

  test('reads lists and treats an empty value as not set', () => {
    const config = loadConfig({
      MUSTER_IMPORT_PATHS: '/a:/b',
      MUSTER_IMPORT_HOSTS: 'one.example, two.example',
      MUSTER_RETRY_DELAYS: '1,2',
      MUSTER_PORT: '',
    });
    expect(config).toMatchObject({
      importPaths: ['/a', '/b'],
      importHosts: ['one.example', 'two.example'],
      retryDelaysSeconds: [1, 2],
      port: 3000,
    });
  });

  test('reads how long events are kept, with its unit', () => {
    const kept = (text: string) => loadConfig({ MUSTER_EVENTS_RETENTION: text }).eventsRetentionMs;
    expect([kept(''), kept('45s'), kept('12h'), kept('forever')]).toEqual([90 * 86_400_000, 45_000, 43_200_000, null]);
    for (const wrong of ['90', 'd', '1w', '-1d']) expect(() => kept(wrong)).toThrow('MUSTER_EVENTS_RETENTION');
  });

  test('describes itself with secrets masked', () => {
    const described = loadConfig({
      MUSTER_ADMIN_PASSWORD: 'long enough',
      DATABASE_URL: 'postgres://me:hidden@db:5432/muster',
    }).describe();
    const values = Object.fromEntries(described.map(({ name, value }) => [name, value]));
    expect(values['MUSTER_ADMIN_PASSWORD']).toBe('********');
    expect(values['DATABASE_URL']).toBe('postgres://me:********@db:5432/muster');
    expect(values['MUSTER_RETRY_DELAYS']).toBe('5,15,30');
    expect(JSON.stringify(described)).not.toMatch(/hidden|long enough/);
  });

  test("reads the operator's rules for the gate, hides their seed, and says what is wrong with them", () => {
    const folder = mkdtempSync(join(tmpdir(), 'muster-config-'));
    const file = join(folder, 'gate.yaml');
    try {
      writeFileSync(
        file,
        'required: [header]\nseed: unguessable\nchecks: [{ name: header, category: style, command: [x] }]\n',
      );
      const config = loadConfig({ MUSTER_GATE_POLICY: file });
      expect(config.gatePolicy).toMatchObject({
        required: ['header'],
        checks: [{ name: 'header', timeoutSeconds: 120 }],
      });
      expect(JSON.stringify(config.describe())).not.toContain('unguessable');
      writeFileSync(file, 'checks: [{ name: header, category: style }]\n');
      expect(() => loadConfig({ MUSTER_GATE_POLICY: file })).toThrow(
        /MUSTER_GATE_POLICY: .*either a command or a package/,
      );
      expect(() => loadConfig({ MUSTER_GATE_POLICY: join(folder, 'none') })).toThrow(
        /MUSTER_GATE_POLICY: .*cannot be read/,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
