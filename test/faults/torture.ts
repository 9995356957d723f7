// Proves that dispatch loses nothing: real servers on a real PostgreSQL, agents on the SDK, and a nemesis that kills, stops and
// cuts them off while clients outside of all that write down what they were told. README.md says what is done and demanded.
//   npm run torture -- [--seconds 60] [--seed 1] [--tasks 10000] [--seeds 1] [--short] [--json [--details]] [--keep]
import { parseArgs } from 'node:util';
import { buildIsThere } from './torture/ground.ts';
import { summaryOf, type Report, tortureOnce } from './torture/run.ts';
import { summaryOfSeeds } from './torture/summary.ts';
import { faketimeLibrary } from './torture/wall-clock.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    /** So many seeds, one after another, from the first one on. */
    seeds: { type: 'string', default: '1' },
    tasks: { type: 'string' },
    lease: { type: 'string', default: '4' },
    agents: { type: 'string', default: '8' },
    capacity: { type: 'string', default: '24' },
    short: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    /** With `--json`: also what was done, how long it took and what was found. */
    details: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});
const number = (name: string, text: string, least: number): number => {
  const value = Number(text);
  if (Number.isFinite(value) && value >= least) return value;
  console.error(`--${name} is a number, at least ${least}.`);
  process.exit(64);
};
const say = (text: string): void => console.error(text);
const seconds = number('seconds', values.seconds ?? (values.short ? '20' : '60'), 5);
const options = {
  seconds,
  tasks: number('tasks', values.tasks ?? (values.short ? '1500' : '10000'), 10),
  leaseSeconds: number('lease', values.lease, 1),
  agents: number('agents', values.agents, 2),
  capacity: number('capacity', values.capacity, 1),
  // The short one runs on machines that others use as well: it is strict about what must never happen, and patient about time.
  limits: values.short ? { reclaimP99Ms: 10_000, drainLeases: 10 } : { reclaimP99Ms: 1000, drainLeases: 2 },
  keep: values.keep,
  say,
};

if (!buildIsThere()) {
  console.error('There is no built server. Run npm run build first.');
  process.exit(66);
}
if (faketimeLibrary() === null) {
  say('!! libfaketime is not installed: no wall clock is stepped in this run. On Debian: apt-get install libfaketime');
  if (process.env['CI'] === 'true') process.exit(69);
}

const reports: Report[] = [];
const first = number('seed', values.seed, 0);
const seeds = number('seeds', values.seeds, 1);
const documentOf = (report: Report): object => (values.details ? report : summaryOf(report));
/** A pipe takes its time; what is not written when the process exits is lost. */
const print = (text: string): Promise<void> => new Promise((done) => process.stdout.write(`${text}\n`, () => done()));
for (let seed = first; seed < first + seeds; seed += 1) {
  const report = await tortureOnce({ ...options, seed });
  reports.push(report);
  say(
    `seed ${seed}: ${report.ok ? 'ok' : 'NOT OK'} ${JSON.stringify({ ...report, reasons: undefined, findings: undefined })}`,
  );
  for (const finding of report.findings.slice(0, 20)) say(`    ${finding}`);
  // Many take long: each is printed when it is over, so that a run that is broken off has said what it knew.
  if (values.json && seeds > 1) await print(JSON.stringify(documentOf(report)));
}
if (values.json) {
  const [only] = reports;
  if (seeds > 1) await print(JSON.stringify({ summary: summaryOfSeeds(reports) }));
  else if (only !== undefined) await print(JSON.stringify(documentOf(only), null, 2));
}
process.exit(reports.every(({ ok }) => ok) ? 0 : 1);
