import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import type { SubmissionView, VerificationFacts, VerificationView } from '@muster/contracts';
import { MusterClient } from '@muster/sdk';
import { startApp, type TestServer } from '#test/app';
import { SmallRegistry } from '#test/small-registry';
import { startVerifier } from '#test/verifier-at-work';
import { main } from '../../apps/cli/src/program.ts';

jest.setTimeout(300_000);

const run = promisify(execFile);
const head = "import test from 'node:test';\nimport assert from 'node:assert/strict';\n";
const sample: Readonly<Record<string, string>> = {
  'package.json': JSON.stringify({ name: 'sample', type: 'module', scripts: { test: 'node --test' } }),
  'src/sum.js': '// SPDX-License-Identifier: MIT\nexport function sum(a, b) {\n  return a + b;\n}\n',
  'test/sum.test.js': `${head}import { sum } from '../src/sum.js';\ntest('adds', () => {\n  assert.equal(sum(1, 2), 3);\n});\n`,
};
const doubled = (licence: string, body: string): Readonly<Record<string, string>> => ({
  'src/double.js': `${licence}export function double(n) {\n  ${body}\n}\n`,
  'test/double.test.js': `${head}import { double } from '../src/double.js';\ntest('doubles', () => {\n  assert.equal(double(2), 4);\n  assert.equal(double(-3), -6);\n});\n`,
});
const licence = '// SPDX-License-Identifier: MIT\n';
/** What lands comes last, so that all are compared with the same branch. */
const changes: readonly [string, Readonly<Record<string, string>>][] = [
  ['Break the sum', { 'src/sum.js': `${licence}export function sum(a, b) {\n  return a - b;\n}\n` }],
  ['Fail the sum’s test less often', { 'test/sum.test.js': `${head}import { sum } from '../src/sum.js';\ntest.skip('adds', () => {\n  assert.equal(sum(1, 2), 3);\n});\n` }],
  ['Add double without a licence', doubled('', 'return 2 * n;')],
  ['Add a key', { ...doubled(licence, 'return 2 * n;'), 'src/key.js': `${licence}export const key = 'AKIA${'QWERTYUIOPASDFGH'}';\n` }],
  ['Add double', doubled(licence, 'return 2 * n;')],
]; // prettier-ignore

/** The same with a package of npm's kind, locked by pnpm, and one of Python's, locked by uv; its test needs both. */
async function withPackages(registry: SmallRegistry, wheels: string): Promise<Readonly<Record<string, string>>> {
  const about = 'tiny-1.0.0.dist-info';
  const made = join(folder, 'made');
  await write(made, {
    'tiny/__init__.py': 'three = 3\n',
    [`${about}/METADATA`]: 'Metadata-Version: 2.1\nName: tiny\nVersion: 1.0.0\n',
    [`${about}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    [`${about}/RECORD`]: `tiny/__init__.py,,\n${about}/METADATA,,\n${about}/WHEEL,,\n${about}/RECORD,,\n`,
  });
  const wheel = join(wheels, 'tiny-1.0.0-py3-none-any.whl');
  await run('python3', ['-m', 'zipfile', '-c', wheel, 'tiny', about], { cwd: made });
  const hash = createHash('sha256').update(await readFile(wheel)).digest('hex');
  const files = {
    ...sample,
    'package.json': JSON.stringify({ name: 'sample', type: 'module', scripts: { test: 'node --test' }, dependencies: { three: '1.0.0' } }),
    'test/three.test.js': `${head}import { execFileSync } from 'node:child_process';\nimport three from 'three';\nimport { sum } from '../src/sum.js';\ntest('adds what packages say', () => {\n  assert.equal(sum(three, Number(execFileSync('python3', ['-c', 'import tiny; print(tiny.three)']))), 6);\n});\n`,
    'pyproject.toml': '[project]\nname = "sample"\nversion = "0.1.0"\ndependencies = ["tiny"]\n',
    'uv.lock': `version = 1\nrevision = 3\nrequires-python = ">=3.9"\n\n[[package]]\nname = "sample"\nversion = "0.1.0"\nsource = { virtual = "." }\ndependencies = [\n    { name = "tiny" },\n]\n\n[package.metadata]\nrequires-dist = [{ name = "tiny" }]\n\n[[package]]\nname = "tiny"\nversion = "1.0.0"\nsource = { registry = "https://pypi.org/simple" }\nwheels = [\n    { url = "https://files.pythonhosted.org/packages/tiny-1.0.0-py3-none-any.whl", hash = "sha256:${hash}", size = 1 },\n]\n`,
  };
  const locked = join(folder, 'locked');
  await write(locked, files);
  const pnpm = join(createRequire(import.meta.url).resolve('pnpm'), '..', 'bin', 'pnpm.cjs');
  await run(process.execPath, [pnpm, 'install', '--lockfile-only', `--registry=${registry.url}/`, `--store-dir=${join(folder, 'store')}`, `--config.cache-dir=${join(folder, 'pnpm')}`], { cwd: locked });
  return { ...files, 'pnpm-lock.yaml': await readFile(join(locked, 'pnpm-lock.yaml'), 'utf8') };
} // prettier-ignore

let folder: string;
let policy: string;
let npmCache: string;
let wheels: string;
let server: TestServer;
let muster: MusterClient;
let stopVerifier: () => Promise<void>;
const { HOME } = process.env;

async function write(dir: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), text);
  }
}
async function git(dir: string, ...args: string[]): Promise<string> {
  const { stdout } = await run('git', ['-c', 'user.name=P', '-c', 'user.email=p@example.org', ...args], {
    cwd: dir,
    env: { PATH: process.env['PATH'], HOME: folder, GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0' },
  });
  return stdout.trim();
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-same-'));
  await chmod(folder, 0o755);
  const tools = join(folder, 'tools');
  await write(tools, {
    // A program of the operator's, and a check from a package of somebody else's.
    'header.mjs': `import { readFileSync } from 'node:fs';
const { changes } = JSON.parse(readFileSync(process.env.MUSTER_REQUEST, 'utf8'));
const bare = changes.filter(({ path, status }) => status === 'added' && path.startsWith('src/') &&
  !readFileSync(process.env.MUSTER_CANDIDATE + '/' + path, 'utf8').startsWith('// SPDX'));
console.log(JSON.stringify({ status: bare.length > 0 ? 'failed' : 'passed', summary: bare.length + ' without a licence',
  findings: bare.map(({ path }) => ({ rule: 'missing', level: 'error', message: 'It has no licence.', path, line: 1 })) }));
`,
    'package/index.mjs': `export default { name: 'wording', category: 'documentation', languages: ['*'], needs: [], purposes: ['admission', 'landing'],
  run: ({ changes }) => ({ status: 'passed', summary: changes.length + ' files', findings: [], metrics: { files: changes.length } }) };
`,
  });
  policy = join(folder, 'policy.yaml');
  const checks = [
    { name: 'header', category: 'style', command: ['node', '{tool}/header.mjs'], tool: tools, mayVeto: false },
    { name: 'wording', category: 'documentation', package: join(tools, 'package', 'index.mjs') },
  ];
  await writeFile(policy, JSON.stringify({ checks, required: ['header'] }));
  npmCache = join(folder, 'npm-cache');
  wheels = join(folder, 'wheels');
  await mkdir(wheels);
  const registry = new SmallRegistry(folder);
  await registry.open([
    { manifest: { name: 'three', version: '1.0.0' }, files: { 'index.js': 'module.exports = 3;\n' } },
  ]);
  await registry.fill(npmCache, 'three@1.0.0');
  for (const [name, files] of [
    ['source', sample],
    ['packaged', await withPackages(registry, wheels)],
  ] as const) {
    const source = join(folder, name);
    await write(source, files);
    await git(source, 'init', '--quiet', '-b', 'main');
    await git(source, 'add', '.');
    await git(source, 'commit', '--quiet', '-m', 'Begin');
  }
  registry.close();
  server = await startApp({ env: { MUSTER_IMPORT_PATHS: folder, MUSTER_GATE_POLICY: policy } });
  stopVerifier = await startVerifier(server, { npmCache, pythonWheels: wheels });
  muster = new MusterClient({ url: server.url, token: server.admin.token, retryForMs: 0 });
  await muster.agents.register({
    definition: { metadata: { name: 'author', version: '1.0.0' }, skills: [{ name: 'code.change' }] },
    publish: true,
  });
  process.env['HOME'] = folder;
});
afterAll(async () => {
  process.env['HOME'] = HOME;
  process.exitCode = 0;
  await stopVerifier?.();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

async function ended(submissionId: string): Promise<VerificationView> {
  for (;;) {
    const submission: SubmissionView = await muster.submissions.get(submissionId);
    if (['landed', 'rejected', 'failed', 'conflicted'].includes(submission.state))
      return (await server.request('GET', `/api/verifications/${submission.verificationId}`)).body;
    await new Promise((wake) => setTimeout(wake, 200));
  }
}

async function verifiedHere(dir: string, ...args: string[]): Promise<unknown> {
  let out = '';
  jest.spyOn(process.stdout, 'write').mockImplementation((chunk) => ((out += String(chunk)), true));
  await main(['verify', dir, ...args, '--json']);
  jest.restoreAllMocks();
  const { verdict, score, reasons, facts } = JSON.parse(out) as Pick<VerificationView, 'verdict' | 'score' | 'reasons'> & { facts: VerificationFacts }; // prettier-ignore
  return { verdict, score, reasons, checks: seenIn(facts) };
}

/** What was seen, without how long that took, and without the numbers of lots. */
const seenIn = (facts: VerificationFacts | null): unknown =>
  (facts?.checks ?? []).map(({ check, status, findings }) => ({
    check,
    status,
    findings: findings.map(({ rule, level, veto, path, line, fingerprint }) => ({ rule, level, veto, path, line, fingerprint })), // prettier-ignore
  }));

/** What server and author's machine say of these changes to a repository; each the same of every one. */
async function verdictsOf(
  source: string,
  given: typeof changes,
  ...options: readonly string[]
): Promise<{ verdict: string; tests: string | undefined }[]> {
  const project = await muster.projects.create({ name: source, source: { path: join(folder, source) } });
  await muster.projects.assign(project.id, { agent: 'author', capabilities: ['code.change'] });
  const { secret: token } = await muster.keys.create({ name: `author-${source}`, role: 'agent' });
  const post = async <T>(path: string, body: unknown): Promise<T> =>
    (await server.request('POST', path, body, { token })).body;
  const hello = { agent: 'author', capabilities: ['code.change'], capacity: 1 };
  const { instanceId } = await post<{ instanceId: string }>('/api/runtime/instances', hello);
  const base = await git(join(folder, source), 'rev-parse', 'HEAD');
  const verdicts: { verdict: string; tests: string | undefined }[] = [];
  for (const [title, files] of given) {
    await muster.tasks.create({ projectId: project.id, capability: 'code.change', title });
    const { tasks } = await post<{ tasks: { taskId: string; fence: number }[] }>(
      `/api/runtime/instances/${instanceId}/claim`,
      { waitSeconds: 20, count: 1 },
    );
    const { taskId, fence } = tasks[0]!;
    const listed = Object.entries(files).map(([path, content]) => ({ path, content }));
    const { id } = await post<{ id: string }>('/api/submissions', {
      taskId,
      fence,
      base,
      message: title,
      files: listed,
    });
    const { verdict, score, reasons, facts } = await ended(id);
    await server.request('POST', `/api/tasks/${taskId}/cancel`, {});
    const clone = join(folder, `clone-${source}-${verdicts.length}`);
    await git(folder, 'clone', '--quiet', join(folder, source), clone);
    await write(clone, files);
    const draw = /--draw (\S+)/.exec(JSON.stringify(facts))?.[1];
    const here = await verifiedHere(clone, '--base', base, '--policy', policy, ...options, '--title', `${title}\n${title}`, ...(draw === undefined ? [] : ['--draw', draw])); // prettier-ignore
    expect({ title, ...(here as object) }).toEqual({ title, verdict, score, reasons, checks: seenIn(facts) });
    verdicts.push({ verdict: `${verdict}`, tests: facts?.checks.find(({ check }) => check === 'tests')?.status });
  }
  return verdicts;
}

it('says of a change on its author’s machine what the server’s gate says of it', async () => {
  const verdicts = await verdictsOf('source', changes);
  expect(verdicts.map(({ verdict }) => verdict)).toEqual(['rejected', 'rejected', 'rejected', 'rejected', 'accepted']);
});

it('says the same with packages that locks of pnpm and uv pin, from the operator’s cache and wheels', async () => {
  const some = changes.filter(([title]) => ['Break the sum', 'Add double'].includes(title));
  expect(await verdictsOf('packaged', some, '--npm-cache', npmCache, '--python-wheels', wheels)).toEqual([
    { verdict: 'rejected', tests: 'failed' },
    { verdict: 'accepted', tests: 'passed' },
  ]);
});
