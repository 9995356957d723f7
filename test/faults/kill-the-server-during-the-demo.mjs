// Plays the demo while its server is killed outright at random moments, and asks for the result of an undisturbed run:
// every step as expected, and nothing left behind. The same seed kills at the same moments.
//   npm run torture:demo -- [--rounds 3] [--kills 6] [--seed 1] [--within 90] [--keep]
import { spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    kills: { type: 'string', default: '6' },
    seed: { type: 'string', default: '1' },
    /** The seconds from the first server's start that the kills are spread over; an undisturbed demo takes about as long. */
    within: { type: 'string', default: '90' },
    keep: { type: 'boolean', default: false },
  },
});
const whole = (name, least) => {
  const number = Number(values[name]);
  if (Number.isInteger(number) && number >= least) return number;
  console.error(`--${name} is a whole number, at least ${least}.`);
  process.exit(64);
};
const rounds = whole('rounds', 1);
const kills = whole('kills', 0);
const firstSeed = whole('seed', 0);
const within = whole('within', 1);
/** Far beyond what a demo takes, kills included: a round that hangs has failed. */
const roundLimitMs = 15 * 60_000;
const program = fileURLToPath(new URL('../../dist/apps/cli/src/demo/main.js', import.meta.url));
const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

/** Mulberry32: small, and the same everywhere. */
const random = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
};

const pids = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name));
const textOf = (pid, file) => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return ''; // ended meanwhile, or somebody else's
  }
};
const statOf = (pid) => {
  const stat = textOf(pid, 'stat');
  const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state, parent: Number(parent) };
};
const lineOf = (pid) => textOf(pid, 'cmdline').replaceAll('\0', ' ').trim();
const processes = () =>
  pids()
    .filter((pid) => !['', 'Z'].includes(statOf(pid).state))
    .map((pid) => ({ pid: Number(pid), line: lineOf(pid), environment: textOf(pid, 'environ') }));
const serverOf = (demo) => {
  const found = pids().find((pid) => statOf(pid).parent === demo && lineOf(pid).includes('apps/server/src/main.js'));
  return found === undefined ? undefined : Number(found);
};

/** Kills the server at the given seconds after its first start; a moment at which there is none waits for the next one. */
async function killAt(moments, demo, ended, say) {
  let startedAt = 0;
  const killed = [];
  for (const moment of moments) {
    for (;;) {
      if (ended()) return killed;
      const pid = serverOf(demo);
      if (pid !== undefined && startedAt === 0) startedAt = Date.now();
      if (pid !== undefined && Date.now() - startedAt >= moment * 1_000) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          continue;
        }
        const at = (Date.now() - startedAt) / 1_000;
        killed.push(at);
        say(`SIGKILL to the server (process ${pid}) after ${at.toFixed(1)} s`);
        break;
      }
      await sleep(50);
    }
  }
  return killed;
}

async function round(seed, folder) {
  const draw = random(seed);
  const moments = Array.from({ length: kills }, () => draw() * within).sort((left, right) => left - right);
  console.log(
    `seed ${seed}: kills planned at ${moments.map((moment) => moment.toFixed(1)).join(', ') || 'no moment'} s`,
  );
  const log = createWriteStream(join(folder, `seed-${seed}.log`));
  // A temporary folder of its own, and a mark in the environment: what is left behind is known by them.
  const temporary = mkdtempSync(join(folder, 'tmp-'));
  const mark = `TORTURE_ROUND=${seed}-${process.pid}`;
  const demo = spawn(process.execPath, [program, '--json'], {
    env: { ...process.env, TMPDIR: temporary, TORTURE_ROUND: mark.split('=')[1] },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const startedAt = Date.now();
  let document = '';
  let exitCode;
  demo.stdout.on('data', (chunk) => (document += chunk));
  demo.stderr.pipe(log);
  const limit = setTimeout(() => demo.kill('SIGTERM'), roundLimitMs);
  const gone = new Promise((resolve) => demo.once('close', (code, signal) => resolve((exitCode = code ?? signal))));
  const killed = await killAt(
    moments,
    demo.pid,
    () => exitCode !== undefined,
    (text) => log.write(`        >>> ${text}\n`),
  );
  await gone;
  clearTimeout(limit);
  log.end();

  const problems = [];
  if (exitCode !== 0) problems.push(`the demo ended with ${exitCode}`);
  let report = { steps: [], ok: false };
  try {
    report = JSON.parse(document);
  } catch {
    problems.push(`what it printed is no JSON document: ${document.slice(0, 300)}`);
  }
  if (report.error) problems.push(report.error);
  for (const step of report.steps)
    if (!step.ok || step.skipped) problems.push(`${step.name}: expected ${step.expected}; actual ${step.actual}`);
  if (!report.ok) problems.push('the report says ok: false');
  if (kills > 0 && killed.length === 0) problems.push('the server was never killed');

  for (let tries = 0; tries < 50 && processes().some(({ environment }) => environment.includes(mark)); tries += 1)
    await sleep(100);
  for (const { pid, line, environment } of processes())
    if (environment.includes(mark)) problems.push(`process ${pid} is left behind: ${line.slice(0, 160)}`);
  for (const { pid, line } of processes())
    if (line.includes(temporary)) problems.push(`process ${pid} still uses the demo's folder: ${line.slice(0, 160)}`);
  for (const name of readdirSync(temporary)) problems.push(`${name} is left behind in the temporary folder`);
  const mounted = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  for (const line of mounted) if (line.includes(temporary)) problems.push(`a mount is left behind: ${line}`);

  const seconds = ((Date.now() - startedAt) / 1_000).toFixed(0);
  console.log(
    `seed ${seed}: ${problems.length === 0 ? 'as undisturbed' : 'NOT as undisturbed'}; ` +
      `${report.steps.filter((step) => step.ok && !step.skipped).length} of ${report.steps.length} steps as expected, ` +
      `${killed.length} kills, ${seconds} s`,
  );
  for (const problem of problems) console.log(`    ${problem}`);
  return problems.length === 0;
}

const folder = mkdtempSync(join(tmpdir(), 'muster-torture-'));
let good = 0;
for (let seed = firstSeed; seed < firstSeed + rounds; seed += 1) if (await round(seed, folder)) good += 1;
console.log(`${good} of ${rounds} rounds came out as an undisturbed run.`);
if (good === rounds && !values.keep) rmSync(folder, { recursive: true, force: true });
else console.log(`The logs are in ${folder}.`);
process.exit(good === rounds ? 0 : 1);
