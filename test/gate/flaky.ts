import { projectPolicy } from '@muster/contracts';
import { checks, detectSandbox, judge, runVerification, type SandboxDriver } from '@muster/gate';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { admissionOf, plantTree } from './handed-in.ts';

/**
 * Verifies changes to a project whose suite fails by chance one time in twenty, on the branch as on the change. Every other change is
 * broken as well. A verdict is wrong where chance blames a good change, or excuses a broken one. The chance comes in by the
 * environment of each run, from a seed, so that what failed can be played again.
 */
const { values } = parseArgs({
  options: {
    verifications: { type: 'string', default: '500' },
    seed: { type: 'string', default: '1' },
    lanes: { type: 'string', default: '2' },
    json: { type: 'boolean' },
  },
});
const share = 0.05;
const tests = 20;
const [count, seed] = [Number(values.verifications), Number(values.seed)];
if (!Number.isInteger(count) || count < 1 || !Number.isInteger(seed)) {
  console.error('Say --verifications and --seed as whole numbers.');
  process.exit(2);
}

const root = mkdtempSync(join(tmpdir(), 'gate-flaky-'));
chmodSync(root, 0o755);
const suite = `import test from 'node:test';
import assert from 'node:assert/strict';
import { sum } from '../src/sum.js';
const chance = Number(process.env.CHANCE);
const unlucky = chance < ${share} ? Math.floor((chance / ${share}) * ${tests}) : -1;
${Array.from({ length: tests }, (_each, n) => `test('adds ${n}', () => {\n  assert.equal(sum(${n}, 1), ${n + 1});\n  assert.notEqual(unlucky, ${n});\n});\n`).join('')}`;
const filesOf = (round: string, broken: boolean): Record<string, string> => ({
  'package.json': JSON.stringify({
    name: 'sample',
    type: 'module',
    scripts: { test: 'node --test --test-isolation=none' },
  }),
  'src/sum.js': `/** Round ${round}. */\nexport function sum(a, b) {\n  return ${broken ? 'a === 7 ? b : a + b' : 'a + b'};\n}\n`,
  'test/sum.test.js': suite,
});
const sandbox = await detectSandbox('auto');
const { driver } = sandbox;
if (driver === null) throw new Error(`no sandbox withstands here: ${sandbox.notes.join('; ')}`);

interface Round {
  broken: boolean;
  verdict: string;
  reasons: string[];
  /** Runs of a suite in which a test failed by chance. */
  flaked: number;
  runs: number;
}

async function verify(round: number): Promise<Round> {
  const broken = round % 2 === 1;
  let runs = 0;
  let flaked = 0;
  const unlucky: SandboxDriver = {
    name: driver!.name,
    paths: (run) => driver!.paths(run),
    run: (run) => {
      const drawn = createHash('sha256').update(`${seed} ${round} ${runs++}`).digest().readUInt32BE(0) / 2 ** 32;
      if (drawn < share) flaked++;
      return driver!.run({ ...run, env: { ...run.env, CHANCE: String(drawn) } });
    },
  };
  const base = plantTree(root, filesOf(`${round} before`, false));
  const candidate = plantTree(root, filesOf(String(round), broken));
  const policy = projectPolicy.parse({ timeoutSeconds: 60 });
  try {
    const facts = await runVerification({
      ...admissionOf(candidate, base, { policy }),
      workDir: mkdtempSync(join(root, 'work-')),
      cacheDir: join(root, 'cache'),
      sandbox: { ...sandbox, driver: unlucky },
      // Those that run the suite and refuse by what it says, and those without which nothing is accepted.
      checks: checks.filter(({ name }) =>
        ['build', 'tests', 'canaries', 'weakened-tests', 'secrets', 'tampering', 'concealment'].includes(name),
      ),
    });
    const { verdict, reasons } = judge(facts, policy, 'admission');
    return { broken, verdict, reasons, flaked, runs };
  } finally {
    for (const { dir } of [base, candidate]) rmSync(dir, { recursive: true, force: true });
  }
}

const started = performance.now();
const all: { round: number; seen: Round }[] = [];
try {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let round = next++; round < count; round = next++) {
      all.push({ round, seen: await verify(round) });
      if (all.length % 50 === 0) console.error(`${all.length} of ${count}`);
    }
  };
  await Promise.all(Array.from({ length: Number(values.lanes) }, lane));
} finally {
  rmSync(root, { recursive: true, force: true });
}
const blamed = all.filter(({ seen }) => !seen.broken && seen.verdict !== 'accepted');
const excused = all.filter(
  ({ seen }) => seen.broken && !seen.reasons.some((reason) => /^tests\.broken: .*“adds 7”/.test(reason)),
);
const sum = (of: (round: Round) => number): number => all.reduce((total, { seen }) => total + of(seen), 0);
const summary = {
  seed,
  verifications: all.length,
  broken: all.filter(({ seen }) => seen.broken).length,
  suiteRuns: sum(({ runs }) => runs),
  runsThatFlaked: sum(({ flaked }) => flaked),
  innocentBlamed: blamed.length,
  brokenExcused: excused.length,
  wrongVerdicts: blamed.length + excused.length,
  seconds: Math.round((performance.now() - started) / 1000),
};
for (const { round, seen } of [...blamed, ...excused])
  console.error(`WRONG in round ${round}: ${seen.reasons.join('; ')}`);
console.log(values.json === true ? JSON.stringify(summary) : summary);
if (summary.wrongVerdicts > 0) process.exitCode = 1;
