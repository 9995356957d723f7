import pg from 'pg';
import { sleep } from '../machinery/clock.ts';
import type { ConsumerEvents, Parts, Payload } from './parts.ts';

/**
 * What the machine allows: the life of a task in the fewest statements that keep it durable, each a transaction of its own,
 * with nobody's rights, events, retries or priorities. Rows move (ready → running → done), so that nothing piles up in front of the claim.
 */
export const tables = `
  create table if not exists ready (id bigint generated always as identity primary key, payload jsonb not null);
  create table if not exists running (id bigint primary key, payload jsonb not null, lease_until timestamptz not null);
  create table if not exists done (id bigint not null, payload jsonb not null, finished_at timestamptz not null);
`;

export async function prepare(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(tables);
  await client.end();
}

const claim = {
  name: 'claim',
  text: `with picked as (
      delete from ready where id = any (array(select id from ready order by id limit 500 for update skip locked)) returning id, payload
    )
    insert into running select id, payload, clock_timestamp() + interval '30 s' from picked returning id, payload`,
};
const finish = {
  name: 'finish',
  text: `with ended as (delete from running where id = any ($1::bigint[]) returning id, payload)
    insert into done select id, payload, clock_timestamp() from ended`,
};
/** As many clients as were seen to bring the most on two cores. */
const claimers = 4;
const writers = 32;

export const parts: Parts = {
  async producer(plan) {
    const pool = new pg.Pool({ connectionString: plan.url, max: Math.min(plan.callers, writers) });
    return {
      one: async (payload) =>
        void (await pool.query({ name: 'one', text: 'insert into ready (payload) values ($1)', values: [payload] })),
      many: async (payloads) =>
        void (await pool.query({
          name: 'many',
          text: 'insert into ready (payload) select * from jsonb_array_elements($1::jsonb)',
          values: [JSON.stringify(payloads)],
        })),
      close: () => pool.end(),
    };
  },

  async consumer(plan) {
    const pool = new pg.Pool({ connectionString: plan.url, max: claimers });
    let running = true;
    const loops: Promise<void>[] = [];
    const loop = async (events: ConsumerEvents): Promise<void> => {
      const client = await pool.connect();
      while (running) {
        const { rows } = await client.query<{ id: string; payload: Payload }>(claim);
        if (rows.length === 0) {
          await sleep(1);
          continue;
        }
        for (const row of rows) events.started(row.payload);
        await client.query({ ...finish, values: [rows.map((row) => row.id)] });
        events.accepted(rows.length);
      }
      client.release();
    };
    return {
      start(events) {
        for (let number = 0; number < claimers; number += 1) loops.push(loop(events));
        return Promise.resolve();
      },
      settled: () => Promise.resolve(),
      async stop() {
        running = false;
        await Promise.all(loops);
        await pool.end();
      },
    };
  },
};
