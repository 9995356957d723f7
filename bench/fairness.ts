import { randomBytes } from 'node:crypto';
import { defineAgent, MusterClient, type RunningAgent } from '@muster/sdk';
import { Pool } from 'undici';
import { nowUs, until } from './machinery/clock.ts';
import { measureOf, type Measure } from './machinery/document.ts';
import { say, type Stage } from './machinery/stage.ts';
import { percentile } from './machinery/statistics.ts';
import { paced } from './roundtrip.ts';

/** Tasks a second of the team that is watched; the other one has ten times as many. */
const tasksPerSecond = 30;
const timesAsMuch = 10;
const capability = 'bench.fairness';

interface Team {
  /** Milliseconds from the call that asks for a task to the first line of its handler. */
  readonly one: () => Promise<number>;
  readonly stop: () => Promise<void>;
}

/** How long a team's tasks wait with nobody else there, and beside a team with ten times the load. */
export async function fairness(stage: Stage): Promise<Measure[]> {
  const { options, server } = stage;
  const teams: Team[] = [];
  const alone: number[] = [];
  const beside: number[] = [];
  try {
    const large = await equip(server.url, server.client);
    teams.push(large);
    const small = await equip(server.url, await newTeam(stage));
    teams.push(small);
    say('warming up');
    await Promise.all([paced(tasksPerSecond, 3, small.one), paced(tasksPerSecond, 3, large.one)]);
    for (let round = 0; round < options.rounds; round += 1) {
      const quiet = await paced(tasksPerSecond, options.latencySeconds, small.one);
      const [busy] = await Promise.all([
        paced(tasksPerSecond, options.latencySeconds, small.one),
        paced(timesAsMuch * tasksPerSecond, options.latencySeconds, large.one),
      ]);
      alone.push(percentile(quiet, 95));
      beside.push(percentile(busy, 95));
      say(
        `  ${tasksPerSecond}/s: p95 ${percentile(quiet, 95).toFixed(1)} ms alone, ${percentile(busy, 95).toFixed(1)} ms beside ${timesAsMuch * tasksPerSecond}/s`,
      );
    }
  } finally {
    for (const team of teams) await team.stop();
  }
  const growth = beside.map((busy, round) => busy / (alone[round] ?? Number.NaN));
  return [
    measureOf({ name: 'fairness_p95_alone', unit: 'ms', better: 'lower', ours: alone }),
    measureOf({ name: 'fairness_p95_beside', unit: 'ms', better: 'lower', ours: beside }),
    measureOf({ name: 'fairness_p95_growth', unit: 'times', better: 'lower', ours: growth }),
  ];
}

/** Another team of the same server, by the client of its owner. */
async function newTeam({ server }: Stage): Promise<MusterClient> {
  const credentials = { email: 'fair@muster.example', password: randomBytes(24).toString('base64url') };
  const { secret } = await server.client.keys.create({ name: 'bench operator', role: 'owner' });
  const answer = await fetch(`${server.url}/api/teams`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'Fair', slug: 'fair', owner: credentials }),
  });
  if (!answer.ok) throw new Error(`The second team was refused: ${answer.status} ${await answer.text()}`);
  return new MusterClient({ url: server.url, credentials, retryForMs: 60_000 });
}

async function equip(url: string, client: MusterClient): Promise<Team> {
  const started = new Map<number, (at: number) => void>();
  const agent = defineAgent({
    name: 'bench-fairness',
    capacity: 100,
    capabilities: {
      [capability]: ({ input }) => {
        started.get(input['n'] as number)?.(nowUs());
      },
    },
  });
  const definition = { ...agent.definition('1.0.0'), limits: { concurrency: 100 } };
  await client.agents.register({ definition, publish: true });
  const project = await client.projects.create({ name: 'Bench fairness', slug: 'bench-fairness' });
  await client.projects.assign(project.id, { agent: 'bench-fairness', capabilities: [capability] });
  const token = (await client.keys.create({ name: 'bench agent', role: 'agent' })).secret;
  const creator = (await client.keys.create({ name: 'bench creator', role: 'developer' })).secret;
  const running: RunningAgent = await agent.connect({ url, token });
  const pool = new Pool(url, { connections: 64, pipelining: 1 });
  let last = 0;
  const one = async (): Promise<number> => {
    const n = (last += 1);
    const from = nowUs();
    const begun = new Promise<number>((resolve) => started.set(n, resolve));
    const answer = await pool.request({
      method: 'POST',
      path: '/api/tasks',
      headers: { authorization: `Bearer ${creator}`, 'content-type': 'application/json' },
      body: JSON.stringify({ projectId: project.id, capability, input: { n } }),
    });
    const text = await answer.body.text();
    if (answer.statusCode !== 201) throw new Error(`A task was refused with ${answer.statusCode}: ${text}`);
    const at = await begun;
    started.delete(n);
    return (at - from) / 1000;
  };
  return {
    one,
    stop: async () => {
      await until('the last tasks', 30, () => started.size === 0);
      await running.stop({ drainMs: 5_000 });
      await pool.close();
    },
  };
}
