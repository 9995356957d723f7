import { gatePolicy, projectPolicy, verificationFacts, type VerificationFacts } from '@muster/contracts';
import { detectSandbox, judge, runVerification } from '@muster/gate';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { admissionOf, plantTree, type PlantedTree } from './handed-in.ts';

/**
 * Hands in what nobody should hand in, through the product's own pipeline. Each has to end in a verdict, within its time, that says
 * what could not be looked at; and the process that judges may not grow with it.
 */
interface HostileCase {
  name: string;
  /** What the branch holds besides, and what the change makes of it. */
  base?: Record<string, string | Buffer>;
  files: Record<string, string | Buffer>;
  /** Files of so many bytes, all of them nothing. */
  sparse?: Record<string, number>;
  timeoutSeconds?: number;
  /** Programs of the operator's, as checks. */
  tools?: Record<string, string[]>;
  /** By check: how it has to end. */
  ends?: Record<string, string>;
  /** A rule that has to have found something. */
  found?: string;
}

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, short: { type: 'boolean' }, only: { type: 'string' } },
});
const head = "import test from 'node:test';\nimport assert from 'node:assert/strict';\n";
const project: Record<string, string> = {
  'package.json': JSON.stringify({ name: 'sample', type: 'module', scripts: { test: 'node --test' } }),
  'src/sum.js': 'export function sum(a, b) {\n  return a + b;\n}\n',
  'test/sum.test.js': `${head}import { sum } from '../src/sum.js';\ntest('adds', () => {\n  assert.equal(sum(1, 2), 3);\n});\n`,
};
const many = values.short === true ? 5_000 : 50_000;
const notRun = { tests: 'not_run', canaries: 'not_run' };
const cases: HostileCase[] = [
  { name: 'no package file', files: { 'src/a.js': 'export const a = 1;\n' }, ends: notRun },
  { name: 'a broken package file', files: { 'package.json': '{ "name": ' }, ends: notRun },
  { name: 'an unknown language', files: { 'a.zig': 'const x = 1;\n', 'b.unknown': 'what\n' }, ends: notRun },
  { name: 'nothing but bytes', files: { 'a.bin': randomBytes(100_000), 'b.js': Buffer.alloc(1000) }, ends: notRun },
  { name: 'nothing at all', files: {}, ends: { tests: 'not_run' } },
  { name: 'a path with a new line', files: { ...project, 'a\nb.js': 'export const a = 1;\n', '\r\n': 'x' } },
  {
    name: `${many} files`,
    base: project,
    files: {
      ...project,
      ...Object.fromEntries(
        Array.from({ length: many }, (_each, n) => [`data/d${n % 500}/f${n}.js`, `export const v${n} = ${n};\n`]),
      ),
    },
    timeoutSeconds: 60,
  },
  {
    name: 'a file of 2 GB',
    base: project,
    files: project,
    sparse: { 'data.bin': 2 * 1024 ** 3 + 1 },
    ends: notRun,
    found: 'concealment.too_large',
  },
  {
    name: 'a file of 300 MB that is there already',
    base: project,
    files: { ...project, 'README.md': 'words\n' },
    sparse: { 'data.bin': 300 * 1024 ** 2 },
    ends: notRun,
  },
  {
    name: 'a test that never ends',
    base: project,
    files: { ...project, 'test/more.test.js': `${head}test('waits', () => { for (;;); });\n` },
    timeoutSeconds: 5,
    ends: { tests: 'failed' },
  },
  {
    name: 'a test that prints a gigabyte',
    base: project,
    files: {
      ...project,
      'test/more.test.js': `${head}import fs from 'node:fs';\ntest('prints', () => {\n  const line = 'x'.repeat(1024 * 1024) + '\\n';\n  for (let i = 0; i < ${values.short === true ? 100 : 1024}; i++) fs.writeSync(2, line);\n});\n`,
    },
    timeoutSeconds: 20,
  },
  {
    name: 'a report without end',
    base: project,
    files: {
      ...project,
      'test/more.test.js': `${head}import fs from 'node:fs';\ntest('writes', () => {\n  const at = ['', 'muster', 'reporters', 'channel', 'results'].join('/');\n  for (let i = 0; i < 300; i++) fs.writeFileSync(at, 'x'.repeat(1024 * 1024));\n});\n`,
    },
    timeoutSeconds: 30,
    found: 'tampering.forged_report',
  },
  {
    name: 'tools that crash, hang, say nonsense or flood',
    base: project,
    files: { ...project, 'README.md': 'words\n' },
    tools: {
      crashes: ['/bin/sh', '-c', 'kill -SEGV $$'],
      hangs: ['sleep', '600'],
      nonsense: ['echo', '{"status":"passed","summary":7'],
      floods: ['/bin/sh', '-c', 'yes | head -c 300000000'],
      missing: ['no-such-tool'],
    },
    ends: {
      crashes: 'inconclusive',
      hangs: 'inconclusive',
      nonsense: 'inconclusive',
      floods: 'inconclusive',
      missing: 'inconclusive',
    },
  },
];

const root = mkdtempSync(join(tmpdir(), 'gate-hostile-'));
chmodSync(root, 0o755);

function write(files: HostileCase['files'], sparse: Record<string, number> = {}): PlantedTree {
  const planted = plantTree(root, files);
  for (const [path, bytes] of Object.entries(sparse)) {
    writeFileSync(join(planted.dir, path), '');
    truncateSync(join(planted.dir, path), bytes);
  }
  return planted;
}

/** Above this the judging process grows with what it is handed. */
const mostMemoryMb = 1500;
/** Fifty thousand files are copied and read for every run of the suite. */
const mostMs = values.short === true ? 240_000 : 1_800_000;

interface Seen {
  name: string;
  verdict: string;
  problems: string[];
  ms: number;
}

try {
  const sandbox = await detectSandbox('auto');
  const all: Seen[] = [];
  for (const each of cases.filter(({ name }) => values.only === undefined || name.includes(values.only))) {
    const started = performance.now();
    const problems: string[] = [];
    const policy = projectPolicy.parse({ timeoutSeconds: each.timeoutSeconds ?? 30 });
    const already = each.name.includes('already') ? each.sparse : {};
    let facts: VerificationFacts | null = null;
    try {
      facts = await runVerification({
        ...admissionOf(write(each.files, each.sparse), write(each.base ?? { 'README.md': 'x\n' }, already), {
          policy,
          server: gatePolicy.parse({
            checks: Object.entries(each.tools ?? {}).map(([name, command]) => ({
              name,
              category: 'style',
              command,
              timeoutSeconds: 5,
            })),
          }),
        }),
        workDir: mkdtempSync(join(root, 'work-')),
        cacheDir: join(root, 'cache'),
        sandbox,
        signal: AbortSignal.timeout(mostMs),
      });
      verificationFacts.parse(facts);
    } catch (error) {
      problems.push(`no verdict: ${error instanceof Error ? error.message : String(error)}`);
    }
    const checks = new Map(facts?.checks.map((check) => [check.check, check]));
    for (const [name, status] of Object.entries(each.ends ?? {}))
      if (checks.get(name)?.status !== status)
        problems.push(`${name} is ${checks.get(name)?.status}: ${checks.get(name)?.summary.slice(0, 200)}`);
    const found = facts?.checks.flatMap((check) => check.findings.map(({ rule }) => rule)) ?? [];
    if (each.found !== undefined && !found.includes(each.found)) problems.push(`${each.found} was not found`);
    const verdict = facts === null ? 'none' : judge(facts, policy, 'admission').verdict;
    const ms = Math.round(performance.now() - started);
    all.push({ name: each.name, verdict, problems, ms });
    console.error(
      `${problems.length === 0 ? 'ok    ' : 'FAILED'}  ${each.name}  ${verdict}  ${ms} ms  ${problems.join('; ')}`,
    );
  }
  const peakMemoryMb = Math.round(process.resourceUsage().maxRSS / 1024);
  const failed = all.filter(({ problems }) => problems.length > 0);
  const summary = {
    cases: all.length,
    verdicts: all.filter(({ verdict }) => verdict !== 'none').length,
    failed: failed.map(({ name, problems }) => ({ name, problems })),
    peakMemoryMb,
    ok: all.length > 0 && failed.length === 0 && peakMemoryMb <= mostMemoryMb,
  };
  console.log(values.json === true ? JSON.stringify({ ...summary, results: all }) : summary);
  if (!summary.ok) process.exitCode = 1;
} finally {
  rmSync(root, { recursive: true, force: true });
}
