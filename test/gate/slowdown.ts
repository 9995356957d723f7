import { projectPolicy } from '@muster/contracts';
import { checks, detectSandbox, runVerification, type Sandbox } from '@muster/gate';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';

/**
 * Plants a slowdown of 20 % in a benchmarked project and has the product's own pipeline compare, again and again; and the same with
 * a change that costs nothing. Each time must end in the right verdict.
 */
const plantedPercent = 20;

const { values } = parseArgs({
  options: {
    times: { type: 'string', default: '20' },
    json: { type: 'boolean', default: false },
  },
});
const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Joins words for so many steps; the time that it takes grows with them, and nothing can be left out of it. */
const work = (steps: number, note: string): string => `import { createHash } from 'node:crypto';
// ${note}
export function digestOf(words) {
  let digest = words;
  for (let step = 0; step < ${steps}; step++) digest = createHash('sha256').update(digest).digest('hex');
  return digest;
}
`;
const project = (steps: number, note: string): Record<string, string> => ({
  'package.json': '{ "name": "sample", "type": "module", "scripts": { "bench:json": "node bench/digest.js" } }\n',
  'src/digest.js': work(steps, note),
  'bench/digest.js': `import { digestOf } from '../src/digest.js';
const samples = [];
for (let round = 0; round < 30; round++) {
  const began = performance.now();
  digestOf('words');
  if (round >= 10) samples.push(performance.now() - began);
}
console.log(JSON.stringify({ measures: [{ name: 'digest', unit: 'ms', samples }] }));
`,
});
const steps = 1000;

function write(folder: string, files: Record<string, string>): string {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return createHash('sha1').update(JSON.stringify(files)).digest('hex');
}

interface Verdict {
  status: string;
  rounds: number;
  percent: number;
  ms: number;
}

async function judgeOnce(folder: string, sandbox: Sandbox, name: string, slower: boolean): Promise<Verdict> {
  const before = project(steps, 'as it was');
  const after = project(slower ? steps * (1 + plantedPercent / 100) : steps, `as it is now, ${name}`);
  const [baseDir, candidateDir] = [join(folder, name, 'base'), join(folder, name, 'candidate')];
  const [baseTree, candidateTree] = [write(baseDir, before), write(candidateDir, after)];
  const facts = await runVerification({
    candidateDir,
    baseDir,
    restoresDir: null,
    input: {
      purpose: 'admission',
      candidateTree,
      baseTree,
      restoresTree: null,
      policy: projectPolicy.parse({}),
      rulesDigest: 'slowdown',
    },
    workDir: join(folder, name, 'work'),
    cacheDir: join(folder, name, 'cache'),
    sandbox,
    checks: checks.filter((check) => check.name === 'benchmarks'),
  });
  rmSync(join(folder, name), { recursive: true, force: true });
  const seen = facts.checks[0]!;
  return {
    status: seen.status,
    rounds: seen.metrics['bench:json.rounds'] ?? 0,
    percent: seen.metrics['bench:json.digest.percent'] ?? 0,
    ms: seen.ms,
  };
}

const middle = (all: readonly number[]): number => [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)]!;
const roundsOf = (all: readonly Verdict[]): { median: number; most: number } => ({
  median: middle(all.map((each) => each.rounds)),
  most: Math.max(...all.map((each) => each.rounds)),
});

async function main(): Promise<number> {
  const times = Number(values.times);
  if (!Number.isInteger(times) || times < 1) {
    say(`--times ${values.times} is no whole number above 0.`);
    return 64;
  }
  const sandbox = await detectSandbox('auto');
  if (sandbox.driver === null) {
    say(`No sandbox: ${sandbox.notes.join('; ')}. Benchmarks execute code, and are not run without one.`);
    return 1;
  }
  const folder = mkdtempSync(join(tmpdir(), 'muster-slowdown-'));
  chmodSync(folder, 0o755);
  const load = loadavg()[0]!;
  const planted: Verdict[] = [];
  const clean: Verdict[] = [];
  try {
    for (let time = 1; time <= times; time++)
      for (const [kind, into] of [['planted', planted], ['clean', clean]] as const) {
        const verdict = await judgeOnce(folder, sandbox, `${kind}-${time}`, kind === 'planted');
        into.push(verdict);
        say(`${kind} ${time}: ${verdict.status} after ${verdict.rounds} rounds, ${verdict.percent} % slower, ${(verdict.ms / 1000).toFixed(1)} s`);
      } // prettier-ignore
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const count = (all: readonly Verdict[], status: string): number =>
    all.filter((each) => each.status === status).length;
  const result = {
    times,
    plantedPercent,
    found: count(planted, 'failed'),
    falselyFound: count(clean, 'failed'),
    clean: count(clean, 'passed'),
    inconclusive: count([...planted, ...clean], 'inconclusive'),
    rounds: { planted: roundsOf(planted), clean: roundsOf(clean) },
    medianSeconds: Math.round(middle([...planted, ...clean].map((each) => each.ms)) / 100) / 10,
    machine: { cores: cpus().length, cpu: cpus()[0]?.model ?? '', loadAtStart: Math.round(load * 100) / 100, sandbox: sandbox.driver.name },
    ok: count(planted, 'failed') === times && count(clean, 'passed') === times,
  }; // prettier-ignore
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : `${JSON.stringify(result, null, 2)}\n`);
  return result.ok ? 0 : 1;
}

process.exitCode = await main();
