import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MusterClient } from '@muster/sdk';
import { checkHistory } from './check-history.ts';
import { startCreators } from './creators.ts';
import { planFaults } from './fault-plan.ts';
import { Ground, Onlooker, password } from './ground.ts';
import type { AgentOperation, History, TimeLimits } from './history.ts';
import { InstanceNames } from './instance-names.ts';
import { LeaseWatch } from './lease-watch.ts';
import { Nemesis } from './nemesis.ts';
import { follow, isAnyOpen, readLog, readTasks } from './observers.ts';
import { Random } from './random.ts';
import { Stages } from './stages.ts';

export interface TortureOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly tasks: number;
  readonly leaseSeconds: number;
  readonly limits: TimeLimits;
  readonly agents: number;
  /** Tasks that an agent works on at once. */
  readonly capacity: number;
  readonly keep: boolean;
  readonly say: (text: string) => void;
}

/** The first fifteen are what others read; the rest says how hard it was. Null: the run gave up before it was known. */
export interface Report {
  readonly seed: number;
  readonly seconds: number;
  readonly tasks: number | null;
  readonly kills: number;
  readonly pauses: number;
  readonly terminatedBackends: number;
  readonly lost: number | null;
  readonly unexpected: number | null;
  readonly duplicated: number | null;
  readonly recovered: number | null;
  readonly acceptedTwice: number | null;
  readonly staleRefused: number | null;
  readonly reclaimP99Ms: number | null;
  readonly drainedAfterMs: number | null;
  readonly ok: boolean;
  readonly [more: string]: unknown;
  /** The kinds of promises that were broken. */
  readonly reasons: readonly string[];
  readonly findings: readonly string[];
}

/** What `--json` prints. */
export const summaryOf = (report: Report): object => ({
  seed: report.seed,
  seconds: report.seconds,
  tasks: report.tasks,
  kills: report.kills,
  pauses: report.pauses,
  terminatedBackends: report.terminatedBackends,
  lost: report.lost,
  unexpected: report.unexpected,
  duplicated: report.duplicated,
  recovered: report.recovered,
  acceptedTwice: report.acceptedTwice,
  staleRefused: report.staleRefused,
  reclaimP99Ms: report.reclaimP99Ms,
  drainedAfterMs: report.drainedAfterMs,
  ok: report.ok,
});

const root = resolve(import.meta.dirname, '../../..');
/** Of all commits, and of all requests that write. */
const lostReplies = 0.01;
const costUsd = 0.01;
/** After this the run has failed, and what is open is counted as lost. */
const patienceMs = 60_000;

export async function tortureOnce(options: TortureOptions): Promise<Report> {
  const { seed, say } = options;
  const stages = new Stages();
  let ground: Ground | null = null;
  let nemesis: Nemesis | null = null;
  let keep = true;
  const onlooker = new Onlooker(() => ground?.databaseUrl ?? '');
  const watch = new LeaseWatch(onlooker);
  const timers: NodeJS.Timeout[] = [];
  try {
    const random = new Random(seed * 7919);
    const leaseMs = options.leaseSeconds * 1000;
    const there = (ground = await Ground.prepare({ ...options, random, costUsd }));
    await stages.run('servers are ready', 90_000, () => there.begin());
    const setUp = await stages.run('project, agent and keys', 30_000, () => furnish(there));
    for (let place = 1; place <= options.agents; place += 1) await ground.addAgent(place, 'worker', setUp.agentToken);
    const followDoor = await ground.openDoor();
    const follower = follow(followDoor.url, setUp.ownerToken);
    const creatorDoor = await ground.openDoor();

    const instances = new InstanceNames(() => there.agents);
    timers.push(setInterval(() => void instances.look(), 200));
    await stages.run('agents are connected', 60_000, async () => {
      while (instances.size < options.agents) await sleep(100);
    });
    watch.start();

    say(
      `seed ${seed}: ${options.tasks} tasks, ${options.seconds} s of faults, lease ${options.leaseSeconds} s, in ${ground.folder}`,
    );
    const faultsMs = options.seconds * 1000;
    const creators = startCreators({
      url: creatorDoor.url,
      token: setUp.ownerToken,
      projectId: setUp.projectId,
      tasks: options.tasks,
      withinMs: faultsMs,
      atOnce: 32,
      leaseMs,
      seed,
    });
    ground.loseReplies(lostReplies);
    ground.processors.enter('faults');
    const worst = (nemesis = new Nemesis({
      ground,
      watch,
      onlooker,
      agentOfInstance: (id) => instances.of(id),
      random,
      say,
    }));
    await stages.run('faults', faultsMs + 60_000, () =>
      worst.run(planFaults({ seed, seconds: options.seconds, leaseMs }), Date.now()),
    );
    await stages.run('last look at Redis', 5_000, async () => there.redis?.look());
    ground.loseReplies(0);
    await stages.run('last creations', 20_000, () => creators.done);

    ground.processors.enter('drain');
    const drainedAfterMs = await stages.run('drain', patienceMs + 10_000, () =>
      drained(there, setUp.ownerToken, worst.lastFaultAtMs),
    );
    ground.processors.enter('reading');
    for (const timer of timers.splice(0)) clearInterval(timer);
    await stages.run('last look at the leases', 15_000, () => watch.stop());
    await stages.run('a server to read from', 30_000, () => there.untilReady(1));
    const url = ground.directUrl() ?? '';
    const tasks = await stages.run('reading tasks', 90_000, () => readTasks(url, setUp.ownerToken));
    const head = await stages.run('the end of the log', 15_000, () =>
      onlooker.query<{ head: number }>('select coalesce(max(position), 0)::float8 as head from events'),
    );
    const upTo = head?.[0]?.head ?? Number.POSITIVE_INFINITY;
    const events = await stages.run('reading the log', 60_000, () => readLog(url, setUp.ownerToken, 15_000, upTo));
    await stages.run('the follower', 30_000, async () => {
      await follower.upTo(events.length, 15_000);
      await follower.stop();
    });
    const hidden = await stages.run('positions of other teams', 15_000, () =>
      onlooker.query<{ position: number }>('select position::float8 as position from events where team_id <> $1', [
        setUp.teamId,
      ]),
    );
    const doctor = await stages.run('doctor', 70_000, () => askDoctor(url, setUp.ownerToken));
    await stages.run('end of servers and agents', 30_000, () => there.stopServersAndAgents());

    const journals = await Promise.all(ground.agents.map(({ journal }) => readJournal(journal)));
    const history: History = {
      leaseMs,
      limits: options.limits,
      creations: creators.history,
      agents: journals.flat(),
      tasks,
      events,
      hiddenPositions: hidden?.map(({ position }) => position) ?? [],
      // What came after the log was read is in neither.
      followed: follower.ids.slice(0, events.length),
      expiries: watch.expiries,
      steppedOver: [...watch.steppedOver],
      outages: ground.outages,
      agentClockOffsetMs: Date.now() - Number(process.hrtime.bigint() / 1000n) / 1000,
      drainedAfterMs,
      costUsd,
    };
    const report = weigh(options, history, nemesis, ground, doctor, stages);
    keep = !report.ok || options.keep;
    if (keep)
      await ground.keep('history.json', { ...history, expiries: [...watch.expiries], faults: nemesis.done, report });
    return report;
  } catch (error) {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    say(`seed ${seed}: gave up while ${stages.now}: ${why}`);
    return gaveUp(options, nemesis, `gave up while ${stages.now}: ${error instanceof Error ? error.message : why}`);
  } finally {
    for (const timer of timers) clearInterval(timer);
    const ending = new Stages();
    await ending
      .run('the last processes end', 60_000, async () => {
        onlooker.forget();
        await ground?.close();
      })
      .catch((error: unknown) => say(`seed ${seed}: ${String(error)}`));
    if (ground !== null && !keep) await ground.forget();
    else if (ground !== null) say(`seed ${seed}: history and logs are in ${ground.folder}`);
  }
}

/** A run that did not come to its end proves nothing: what it did not count is unknown, and it is not ok. */
function gaveUp(options: TortureOptions, nemesis: Nemesis | null, why: string): Report {
  return {
    seed: options.seed,
    seconds: options.seconds,
    tasks: null,
    kills: nemesis?.kills ?? 0,
    pauses: nemesis?.pauses ?? 0,
    terminatedBackends: nemesis?.terminatedBackends ?? 0,
    lost: null,
    unexpected: null,
    duplicated: null,
    recovered: null,
    acceptedTwice: null,
    staleRefused: null,
    reclaimP99Ms: null,
    drainedAfterMs: null,
    ok: false,
    reasons: ['gave_up'],
    findings: [why],
  };
}

function weigh(
  options: TortureOptions,
  history: History,
  nemesis: Nemesis,
  ground: Ground,
  doctor: { readonly broken: readonly string[]; readonly asked: number },
  stages: Stages,
): Report {
  const verdict = checkHistory(history);
  const crashes = [...ground.servers, ...ground.agents].flatMap(({ keeper }) => keeper.crashes);
  const findings = [
    ...verdict.findings.map(({ reason, subject, detail }) => `${reason}: ${subject}: ${detail}`),
    ...doctor.broken.map((name) => `doctor: ${name}`),
    ...crashes.map((crash) => `crashed: ${crash}`),
    ...nemesis.failed.map((fault) => `fault_failed: ${fault}`),
  ];
  // A run in which little happened proves little, whatever it found.
  const idle =
    nemesis.kills < options.seconds / 2 || verdict.tasks < options.tasks / 10
      ? `idle: ${verdict.tasks} of ${options.tasks} tasks and ${nemesis.kills} kills in ${options.seconds} s; the machine is too busy for this`
      : null;
  if (idle !== null) findings.push(idle);
  const reasons = new Set<string>(verdict.findings.map(({ reason }) => reason));
  for (const name of doctor.broken) reasons.add(`doctor:${name.split(':')[0] ?? name}`);
  if (crashes.length > 0) reasons.add('crashed');
  if (nemesis.failed.length > 0) reasons.add('fault_failed');
  if (idle !== null) reasons.add('idle');
  const { redis } = ground;
  if (redis !== null && redis.clientsSeen === 0)
    options.say(
      '!! no server ever connected to the Redis that it was given: what was done to Redis proves nothing yet',
    );
  return {
    seed: options.seed,
    seconds: options.seconds,
    tasks: verdict.tasks,
    kills: nemesis.kills,
    pauses: nemesis.pauses,
    terminatedBackends: nemesis.terminatedBackends,
    lost: verdict.lost,
    unexpected: verdict.unexpected,
    duplicated: verdict.duplicated,
    recovered: verdict.recovered,
    acceptedTwice: verdict.acceptedTwice,
    staleRefused: verdict.staleRefused,
    reclaimP99Ms: verdict.reclaimP99Ms,
    drainedAfterMs: verdict.drainedAfterMs,
    ok: findings.length === 0,
    asked: options.tasks,
    createdTwice: verdict.createdTwice,
    leaseMs: history.leaseMs,
    limits: history.limits,
    victims: nemesis.victims,
    victimsThatHeldALease: nemesis.victims,
    leasesHit: nemesis.leasesHit,
    spared: nemesis.spared,
    serverKills: nemesis.serverKills,
    serverPauses: nemesis.serverPauses,
    postgresRestarts: nemesis.postgresRestarts,
    wallClockSteps: nemesis.clockSteps,
    databaseClockSteps: nemesis.databaseClockSteps,
    commits: ground.commits.sent,
    commitRepliesLost: ground.commits.cut,
    requests: ground.doors.reduce((sum, door) => sum + door.requests, 0),
    requestRepliesLost: ground.doors.reduce((sum, door) => sum + door.cut, 0),
    redis:
      redis === null
        ? 'not installed'
        : { flushed: redis.flushed, killed: redis.killed, clientsSeen: redis.clientsSeen },
    events: history.events.length,
    reclaims: verdict.reclaims,
    reclaimMaxMs: verdict.reclaimMaxMs,
    reclaimsAfterClockStep: verdict.reclaimsAfterClockStep,
    reclaimAfterClockStepMaxMs: verdict.reclaimAfterClockStepMaxMs,
    reclaimPhases: verdict.reclaimPhases,
    processorSeconds: ground.processors.spent,
    invariants: doctor.asked,
    tookMs: stages.tookMs,
    reasons: [...reasons],
    // The history has all of them.
    findings: findings.slice(0, 200),
  };
}

/** A project, the agent that is asked, and keys for both sides. */
async function furnish(
  ground: Ground,
): Promise<{ ownerToken: string; agentToken: string; projectId: string; teamId: string }> {
  const client = new MusterClient({
    url: ground.directUrl() ?? '',
    credentials: { email: 'admin@localhost', password },
  });
  const { teamId } = await client.whoAmI();
  await client.agents.register({
    definition: {
      metadata: { name: 'worker', version: '1.0.0' },
      skills: [{ name: 'torture.work' }],
      limits: { concurrency: 1000, timeout: '1d' },
      retry: { attempts: 20 },
    },
    publish: true,
  });
  const project = await client.projects.create({ name: 'Torture' });
  await client.projects.assign(project.id, { agent: 'worker', capabilities: ['torture.work'] });
  const owner = await client.keys.create({ name: 'clients', role: 'owner' });
  const agent = await client.keys.create({ name: 'agents' });
  return { ownerToken: owner.secret, agentToken: agent.secret, projectId: project.id, teamId };
}

async function readJournal(path: string): Promise<AgentOperation[]> {
  const lines = (await readFile(path, 'utf8')).split('\n').filter((line) => line !== '');
  return lines.flatMap((line) => {
    try {
      return [JSON.parse(line) as AgentOperation];
    } catch {
      return []; // cut off by a kill
    }
  });
}

async function drained(ground: Ground, token: string, lastFaultAtMs: number): Promise<number | null> {
  while (Date.now() < lastFaultAtMs + patienceMs) {
    const url = ground.directUrl();
    if (url !== null && (await isAnyOpen(url, token)) === false) return Math.max(0, Date.now() - lastFaultAtMs);
    // A look costs what is looked at: it may not be what the drain waits for.
    await sleep(250);
  }
  return null;
}

/** `muster doctor --invariants`, as an operator calls it. */
function askDoctor(url: string, token: string): Promise<{ broken: readonly string[]; asked: number }> {
  return new Promise((done) => {
    const args = [
      join(root, 'dist/apps/cli/src/main.js'),
      '--json',
      '--url',
      url,
      '--token',
      token,
      'doctor',
      '--invariants',
    ];
    execFile(process.execPath, args, { maxBuffer: 16 * 1024 * 1024, timeout: 60_000 }, (error, stdout, stderr) => {
      try {
        const report = JSON.parse(stdout) as {
          invariants: { name: string; ok: boolean; violations: number; examples: unknown[] }[];
        };
        const broken = report.invariants.filter(({ ok }) => !ok);
        done({
          broken: broken.map(
            ({ name, violations, examples }) =>
              `${name}: ${violations} violations, ${JSON.stringify(examples.slice(0, 3))}`,
          ),
          asked: report.invariants.length,
        });
      } catch {
        done({
          broken: [`did not answer: ${error?.message ?? ''} ${stderr.slice(0, 500)} ${stdout.slice(0, 500)}`],
          asked: 0,
        });
      }
    });
  });
}
