import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

/** Of this environment what npm needs to reach its registry, and nothing that a run of npm leaves in it. */
const wayToTheRegistry = Object.fromEntries(
  Object.entries(process.env).filter(([name]) =>
    /^(?:PATH|HOME|\w+_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE)$/i.test(name),
  ),
);

describe('the SDK as its users get it', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-tarball-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('works from its tarballs in an empty folder', async () => {
    await run(process.execPath, [join(root, 'tools', 'build.mjs')], { cwd: root });
    for (const name of ['contracts', 'sdk'])
      await run('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: join(root, 'packages', name) });
    const tarballs = (await readdir(folder)).filter((file) => file.endsWith('.tgz'));
    expect(tarballs.sort()).toEqual(['muster-contracts-0.1.0.tgz', 'muster-sdk-0.1.0.tgz']);
    const { dependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    await writeFile(join(folder, 'package.json'), '{ "name": "empty", "private": true, "type": "module" }');
    await run(
      'npm',
      [
        'install',
        '--prefer-offline',
        '--no-audit',
        '--no-fund',
        '--ignore-scripts',
        ...tarballs.map((file) => `./${file}`),
        `zod@${dependencies['zod']}`,
      ],
      { cwd: folder, env: wayToTheRegistry },
    );
    await writeFile(
      join(folder, 'agent.js'),
      `import { defineAgent, MusterClient, runAgent, StaleLeaseError } from '@muster/sdk';
       const agent = defineAgent({ name: 'tiny', capabilities: { 'text.count': (task) => task.input.text.length } });
       console.log(JSON.stringify([agent.definition('1.0.0').skills, typeof runAgent, new StaleLeaseError('t', 1).code,
         await new MusterClient({ url: 'http://127.0.0.1:9', retryForMs: 0 }).isReady()]));
       await agent.connect({}).catch((error) => console.log(error.message));`,
    );
    const { stdout } = await run(process.execPath, ['agent.js'], {
      cwd: folder,
      env: { PATH: process.env['PATH'] },
    });
    const [facts, message] = stdout.trim().split('\n');
    expect(JSON.parse(facts!)).toEqual([[{ name: 'text.count' }], 'function', 'runtime.stale_lease', false]);
    expect(message).toMatch(/MUSTER_URL/);
    // Sources, tests and the rooms of the server stay at home.
    const files = await readdir(join(folder, 'node_modules', '@muster', 'sdk'), { recursive: true });
    expect(files.some((file) => file.includes('spec'))).toBe(false);
    expect(files).toEqual(expect.arrayContaining(['README.md', join('dist', 'index.js'), join('dist', 'index.d.ts')]));
  }, 180_000);
});
