import { Pool } from 'undici';
import { nowUs, sleep } from './machinery/clock.ts';
import { measureOf, type Measure } from './machinery/document.ts';
import { say, type Stage } from './machinery/stage.ts';
import { mean, percentile } from './machinery/statistics.ts';

/** Executing a capability over REST and waiting in the same request for the answer of an agent that answers at once. */
export async function roundtrip(stage: Stage): Promise<Measure[]> {
  const { options } = stage;
  const muster = await stage.muster('roundtrip');
  const averages: number[] = [];
  const p99s: number[] = [];
  await muster.whileConsuming('latency', async () => {
    const { url, producerToken, projectId, capability } = muster.options.plan;
    const pool = new Pool(url, { connections: 256, pipelining: 1 });
    const execute = async (): Promise<number> => {
      const start = nowUs();
      const answer = await pool.request({
        method: 'POST',
        path: `/api/projects/${projectId}/capabilities/${capability}/execute`,
        headers: { authorization: `Bearer ${producerToken}`, 'content-type': 'application/json' },
        body: JSON.stringify({ input: { n: 1, at: start }, waitSeconds: 30 }),
      });
      const task = (await answer.body.json()) as { state?: string };
      if (answer.statusCode !== 201 || task.state !== 'succeeded')
        throw new Error(`An execution ended with ${answer.statusCode}: ${JSON.stringify(task).slice(0, 500)}`);
      return (nowUs() - start) / 1000;
    };
    try {
      say('warming up');
      await paced(options.rate, 2, execute);
      for (let round = 0; round < options.rounds; round += 1) {
        const took = await paced(options.rate, options.latencySeconds, execute);
        averages.push(mean(took));
        p99s.push(percentile(took, 99));
        say(
          `  ${options.rate}/s: average ${mean(took).toFixed(1)} ms, p50 ${percentile(took, 50).toFixed(1)} ms, p99 ${percentile(took, 99).toFixed(1)} ms`,
        );
      }
    } finally {
      await pool.close();
    }
  });
  return [
    measureOf({ name: `roundtrip_average_${options.rate}`, unit: 'ms', better: 'lower', ours: averages }),
    measureOf({ name: `roundtrip_p99_${options.rate}`, unit: 'ms', better: 'lower', ours: p99s }),
  ];
}

/** Begins so many a second, whether earlier ones have ended or not; how long each took. */
export async function paced(rate: number, seconds: number, one: () => Promise<number>): Promise<number[]> {
  const start = nowUs();
  const total = Math.round(rate * seconds);
  const under: Promise<number>[] = [];
  while (under.length < total) {
    const due = Math.min(total, Math.floor(((nowUs() - start) / 1e6) * rate) + 1);
    while (under.length < due) under.push(one());
    await sleep(1);
  }
  return Promise.all(under);
}
