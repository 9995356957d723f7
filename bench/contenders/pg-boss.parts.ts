import { PgBoss } from 'pg-boss';
import { sleep } from '../machinery/clock.ts';
import type { ConsumerEvents, Parts, Payload, Plan } from './parts.ts';

export const queue = 'bench';

const bossOf = async (plan: Plan, max: number, worker: boolean): Promise<PgBoss> => {
  const boss = new PgBoss({
    connectionString: plan.url,
    max,
    // Where more is asked than it can do, its calls wait as everybody's do.
    connectionTimeoutMillis: 300_000,
    // Maintenance is somebody else's job in a producer, as its documentation recommends for many instances.
    supervise: worker,
    schedule: false,
    useListenNotify: worker && plan.tuning === 'latency',
  });
  boss.on('error', (error: Error) => process.stderr.write(`pg-boss: ${error.message}\n`));
  await boss.start();
  return boss;
};

export async function prepare(url: string): Promise<void> {
  const boss = await bossOf({ url, tuning: 'throughput', callers: 1 }, 2, true);
  // Woken by NOTIFY where latency is measured; see `wake`.
  await boss.createQueue(queue);
  await boss.stop({ graceful: false });
}

/** NOTIFY on insert costs throughput and buys latency: on for the one, off for the other. */
const wake = (boss: PgBoss, tuning: Plan['tuning']): Promise<void> =>
  boss.updateQueue(queue, { notify: tuning === 'latency' });

const batch = 500;
const fetchers = 2;

export const parts: Parts = {
  async producer(plan) {
    const boss = await bossOf(plan, Math.min(plan.callers, 24), false);
    await wake(boss, plan.tuning);
    return {
      one: async (payload) => void (await boss.send(queue, payload)),
      many: async (payloads) =>
        void (await boss.insert(
          queue,
          payloads.map((data) => ({ data })),
        )),
      close: () => boss.stop({ graceful: false }),
    };
  },

  async consumer(plan) {
    const boss = await bossOf(plan, 10, true);
    await wake(boss, plan.tuning);
    let running = true;
    const loops: Promise<void>[] = [];
    // Its quickest documented way is fetch and complete by hand, 500 at a time: work() pauses between short batches.
    const fetchLoop = async (events: ConsumerEvents): Promise<void> => {
      while (running) {
        const jobs = await boss.fetch<Payload>(queue, { batchSize: batch });
        if (jobs.length === 0) {
          await sleep(2);
          continue;
        }
        for (const job of jobs) events.started(job.data);
        await boss.complete(
          queue,
          jobs.map((job) => job.id),
        );
        events.accepted(jobs.length);
      }
    };
    return {
      async start(events) {
        if (plan.tuning === 'throughput') {
          for (let loop = 0; loop < fetchers; loop += 1) loops.push(fetchLoop(events));
          return;
        }
        await boss.work<Payload>(
          queue,
          { batchSize: 50, localConcurrency: 4, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true },
          async (jobs) => {
            for (const job of jobs) events.started(job.data);
            events.accepted(jobs.length);
          },
        );
      },
      settled: () => Promise.resolve(),
      async stop() {
        running = false;
        await Promise.all(loops);
        if (plan.tuning === 'latency') await boss.offWork(queue);
        await boss.stop({ graceful: false });
      },
    };
  },
};
