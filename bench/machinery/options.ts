import { parseArgs } from 'node:util';

export const benchNames = [
  'dispatch',
  'idle',
  'depth',
  'lists',
  'memory',
  'roundtrip',
  'fairness',
  'queue',
  'forecast',
  'landing',
  'strategies',
  'clone',
  'gate',
] as const;
export type BenchName = (typeof benchNames)[number];

export const usage = `Measures Muster against its peers and against the machine, in one run.

  npm run bench -- dispatch      flow, drain, create, create_bulk, latency
  npm run bench -- idle          what a thousand idle instances cost
  npm run bench -- depth         claim and creation with a million queued tasks against a thousand
  npm run bench -- lists         pages of tasks by each filter with a million of them against a thousand
  npm run bench -- memory        whether the server's memory stays flat under load
  npm run bench -- roundtrip     executing a capability over REST and waiting for its answer
  npm run bench -- fairness      how long a team's tasks wait beside a team with ten times the load
  npm run bench -- queue         twenty good changes through the landing queue on four slots
  npm run bench -- forecast      conflicts among a hundred open changes of 50,000 files
  npm run bench -- landing       what a landing takes beyond its verification
  npm run bench -- strategies    the last changes of long histories over again, by merge, squash and rebase
  npm run bench -- clone         clones against git http-backend behind nginx
  npm run bench -- gate          first look, verdict against the same tools by hand, verification again, queue

  --json             one document on stdout instead of the table; progress is on stderr either way
  --short            small counts and one round: every code path in a minute or two, the figures mean little
  --rounds N         rounds of which the median is taken (default 3)
  --only a,b         only these measures (dispatch: flow, flow_old_snapshot, drain, create_24, create_256, create_bulk, latency;
                     gate: shelf, courier, tally, gazette, stockroom, queued;
                     queue: waiting, real)
  --peers a,b        only these of graphile-worker, pg-boss, bullmq-everysec, bullmq-always, limit; "none" for ours alone
  --flow N           tasks of a flow (default 100000)
  --drain N,N        tasks of the drains (default 20000,200000)
  --seconds N        how long each create measure and latency measure runs (default 5 and 20)
  --consumers N      processes with an agent of ours (default 1)
  --instances N      idle instances (default 1000)
  --depths N,N       tasks that are compared in depth and lists (default 1000,1000000)
  --minutes N        how long the memory is watched (default 60)
  --rate N           tasks or round trips a second in memory and roundtrip (default 200)
  --repo PATH,PATH   repositories whose changes are landed over again in strategies (default: a made one of 3,000 commits)
  --changes N        changes for each repository and strategy (default 24)
  --profile FOLDER   writes a CPU profile of each Node process there
`;

export interface Options {
  readonly bench: BenchName;
  readonly json: boolean;
  readonly short: boolean;
  readonly rounds: number;
  readonly only: readonly string[] | null;
  readonly peers: readonly string[] | null;
  readonly flow: number;
  readonly drains: readonly number[];
  readonly createSeconds: number;
  readonly latencySeconds: number;
  readonly consumers: number;
  readonly instances: number;
  readonly depths: readonly number[];
  readonly minutes: number;
  readonly rate: number;
  readonly repos: readonly string[];
  readonly changes: number;
  readonly profileFolder: string | null;
}

/** Says what is wrong with the command line. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** @returns null when help was asked for */
export function optionsFrom(args: readonly string[]): Options | null {
  const { values, positionals } = parsed(args);
  if (values.help === true) return null;
  const [name, ...more] = positionals;
  const bench = benchNames.find((candidate) => candidate === name);
  if (bench === undefined || more.length > 0)
    throw new UsageError(`Name one bench: ${benchNames.join(', ')}. Not ${positionals.join(' ') || 'nothing'}.`);
  const short = values.short === true;
  const seconds = values.seconds === undefined ? null : numberOf('seconds', values.seconds);
  return {
    bench,
    json: values.json === true,
    short,
    rounds: integerOf('rounds', values.rounds ?? (short ? '1' : '3')),
    only: values.only?.split(',') ?? null,
    peers: values.peers?.split(',') ?? null,
    flow: integerOf('flow', values.flow ?? (short ? '1000' : '100000')),
    drains: (values.drain ?? (short ? '500' : '20000,200000')).split(',').map((part) => integerOf('drain', part)),
    createSeconds: seconds ?? (short ? 0.5 : 5),
    latencySeconds: seconds ?? (short ? 2 : 20),
    consumers: integerOf('consumers', values.consumers ?? '1'),
    instances: integerOf('instances', values.instances ?? (short ? '50' : '1000')),
    depths: (values.depths ?? (short ? '100,1000' : '1000,1000000'))
      .split(',')
      .map((part) => integerOf('depths', part)),
    minutes: numberOf('minutes', values.minutes ?? (short ? '0.5' : '60')),
    rate: integerOf('rate', values.rate ?? (short ? '50' : '200')),
    repos: values.repo?.split(',') ?? [],
    changes: integerOf('changes', values.changes ?? (short ? '6' : '24')),
    profileFolder: values.profile ?? null,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        json: { type: 'boolean' },
        short: { type: 'boolean' },
        rounds: { type: 'string' },
        only: { type: 'string' },
        peers: { type: 'string' },
        flow: { type: 'string' },
        drain: { type: 'string' },
        seconds: { type: 'string' },
        consumers: { type: 'string' },
        instances: { type: 'string' },
        depths: { type: 'string' },
        minutes: { type: 'string' },
        rate: { type: 'string' },
        repo: { type: 'string' },
        changes: { type: 'string' },
        profile: { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function numberOf(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new UsageError(`--${name} ${text} is no number above 0.`);
  return value;
}
function integerOf(name: string, text: string): number {
  const value = numberOf(name, text);
  if (!Number.isInteger(value)) throw new UsageError(`--${name} ${text} is no whole number.`);
  return value;
}
