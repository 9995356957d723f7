import { Queue, Worker, type Job } from 'bullmq';
import type { Parts, Payload, Plan } from './parts.ts';

const name = 'bench';

const connectionOf = (plan: Plan) => {
  const { hostname, port } = new URL(plan.url);
  return { host: hostname, port: Number(port), maxRetriesPerRequest: null };
};

/** One connection that pipelines, a worker with much concurrency, and nothing kept of what is done. */
export const parts: Parts = {
  async producer(plan) {
    const queue = new Queue<Payload>(name, {
      connection: connectionOf(plan),
      defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
    });
    await queue.waitUntilReady();
    return {
      one: async (payload) => void (await queue.add('noop', payload)),
      many: async (payloads) => void (await queue.addBulk(payloads.map((data) => ({ name: 'noop', data })))),
      close: () => queue.close(),
    };
  },

  async consumer(plan) {
    let worker: Worker<Payload> | null = null;
    return {
      async start(events) {
        worker = new Worker<Payload>(
          name,
          (job: Job<Payload>) => {
            events.started(job.data);
            return Promise.resolve();
          },
          { connection: connectionOf(plan), concurrency: 200 },
        );
        worker.on('completed', () => events.accepted(1));
        worker.on('error', (error) => process.stderr.write(`bullmq: ${error.message}\n`));
        await worker.waitUntilReady();
      },
      settled: () => Promise.resolve(),
      async stop() {
        await worker?.close();
      },
    };
  },
};
