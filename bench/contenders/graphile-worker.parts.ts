import { Logger, makeWorkerUtils, run, runMigrations, type Runner } from 'graphile-worker';
import pg from 'pg';
import type { ConsumerEvents, Parts, Payload, Plan } from './parts.ts';

const quiet = new Logger(() => () => {});
export const schema = 'graphile_worker';

/**
 * Its performance page: 24 jobs at a time in each process, a local queue of 500, completions batched without a pause. With few
 * jobs at a time the local queue only moves them between workers, so that latency is measured without it.
 */
const presetOf = (plan: Plan) => ({
  worker: {
    connectionString: plan.url,
    schema,
    concurrentJobs: 24,
    maxPoolSize: 12,
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
    logger: quiet,
    ...(plan.tuning === 'throughput' ? { localQueue: { size: 500 } } : {}),
  },
});

export const prepare = (url: string): Promise<void> => runMigrations({ connectionString: url, schema, logger: quiet });

export const parts: Parts = {
  async producer(plan) {
    const utils = await makeWorkerUtils({
      connectionString: plan.url,
      schema,
      maxPoolSize: Math.min(plan.callers, 24),
      logger: quiet,
    });
    return {
      one: async (payload) => void (await utils.addJob('noop', payload)),
      many: async (payloads) =>
        void (await utils.addJobs(payloads.map((payload) => ({ identifier: 'noop', payload })))),
      close: async () => void (await utils.release()),
    };
  },

  async consumer(plan) {
    // Its own documentation names it for benchmarks: one log line for each job is not written.
    process.env['NO_LOG_SUCCESS'] = '1';
    const pool = new pg.Pool({ connectionString: plan.url, max: 1 });
    let runner: Runner | null = null;
    return {
      async start(events: ConsumerEvents) {
        runner = await run({
          preset: presetOf(plan),
          noHandleSignals: true,
          taskList: {
            noop: (payload) => {
              events.started(payload as Payload);
              events.accepted(1);
            },
          },
        });
      },
      // Completed jobs are deleted, in batches after their handlers.
      async settled() {
        for (;;) {
          const { rows } = await pool.query<{ left: boolean }>(
            `select exists (select 1 from ${schema}._private_jobs) as left`,
          );
          if (rows[0]?.left !== true) return;
        }
      },
      async stop() {
        await runner?.stop();
        runner = null;
        await pool.end();
      },
    };
  },
};
