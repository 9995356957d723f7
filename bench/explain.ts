import { mkdtemp, chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { defineAgent } from '@muster/sdk';
import { format } from 'prettier';
import { parts } from './contenders/muster.parts.ts';
import type { Plan } from './contenders/parts.ts';
import { Cleanup } from './machinery/cleanup.ts';
import { sleep, until } from './machinery/clock.ts';
import { withClient } from './machinery/postgres.ts';
import { ServerUnderTest } from './machinery/server.ts';
import { say } from './machinery/stage.ts';

/**
 * Writes the statements of the hot path, with the plans that PostgreSQL really ran them by, into docs/dispatch.md: from the
 * log of a server under load, so that nobody has to copy them by hand.
 */

const page = resolve(import.meta.dirname, '../docs/dispatch.md');
const begin = '<!-- plans: written by npm run bench:explain -->';
const end = '<!-- end of plans -->';

const tasks = 5_000;
const inACall = 500;

/** How each is told from the others, and what the page calls it. */
const statements = [
  { title: 'Create', holds: `select m.lane, m.ready_seq, m.id` },
  { title: 'Create one that begins', holds: 'select $1::text as id' },
  { title: 'Create some that all begin', holds: '= $9::int' },
  { title: 'Claim', holds: 'delete from task_ready r where r.ctid' },
  { title: 'Report', holds: 'insert into task_costs' },
  { title: 'Complete', holds: `'task.succeeded', t.team_id` },
  { title: 'Heartbeat', holds: 'update instances i set last_seen_at' },
] as const;

interface Run {
  readonly text: string;
  readonly plan: string;
  /** Rows that came out of what it was given or what it locked: how large the batch was. */
  readonly rows: number;
}

/** The entries of auto_explain in a PostgreSQL log. */
function runsOf(log: string): Run[] {
  return log
    .split(/^(?=\S)/m)
    .map(
      (entry) =>
        /plan:\n\tQuery Text: (?<text>[\s\S]*?)\n\t(?<plan>(?:Query Parameters|[A-Z]).*\(cost=[\s\S]*)/.exec(entry)
          ?.groups,
    )
    .filter((groups) => groups !== undefined)
    .map(({ text = '', plan = '' }) => ({
      text: text.replaceAll('\n\t', '\n'),
      plan: plan.replaceAll('\n\t', '\n').trimEnd(),
      rows: Math.max(...[...plan.matchAll(/actual time=\S+ rows=([\d.]+)/g)].map(([, rows]) => Number(rows)), 0),
    }));
}

/** Less indentation; what stays is as it was sent. */
function trimmed(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !/^\s*--/.test(line));
  const indent = Math.min(...lines.slice(1).map((line) => line.length - line.trimStart().length));
  return lines.map((line, n) => (n === 0 ? line.trimStart() : line.slice(indent))).join('\n');
}

/** Without the planner's guesses, which say little about statements that take arrays, and with the time of the last row alone. */
const readable = (plan: string): string =>
  plan
    .replaceAll(/ {2}\(cost=\S+ rows=\d+ width=\d+\)/g, '')
    .replaceAll(/actual time=\S+\.\.(\S+) rows=/g, '$1 ms, rows=');

async function load(server: ServerUnderTest): Promise<void> {
  const lane = await server.lane('explain');
  const plan: Plan = {
    url: server.url,
    tuning: 'throughput',
    callers: 4,
    producerToken: server.producerToken,
    agentToken: server.agentToken,
    ...lane,
  };
  let accepted = 0;
  const consumer = await parts.consumer({ ...plan, capacity: 1000 });
  const producer = await parts.producer(plan);
  await consumer.start({ started: () => undefined, accepted: (count) => (accepted += count) });
  for (let made = 0; made < tasks; made += 4 * inACall)
    await Promise.all(
      Array.from({ length: 4 }, () => producer.many(Array.from({ length: inACall }, (_, n) => ({ n, at: 0 })))),
    );
  await until('the last acceptance', 120, () => accepted >= tasks, 50);
  // Alone and with nothing before it, one begins with the commit that makes it.
  for (let alone = 1; alone <= 20; alone += 1) {
    await producer.one({ n: 0, at: 0 });
    await until('the acceptance of one', 20, () => accepted >= tasks + alone, 10);
  }
  // Until the agent has beaten, too.
  await sleep(8_000);
  await consumer.stop();
  await talk(plan, () => producer.many(Array.from({ length: inACall }, (_, n) => ({ n, at: 0 }))));
  await producer.close();
}

/** An agent that says something of its tasks while it works on them. */
async function talk(plan: Plan, createTasks: () => Promise<void>): Promise<void> {
  let ended = 0;
  const agent = await defineAgent({
    name: plan.agent ?? '',
    capacity: 1000,
    capabilities: {
      [plan.capability ?? '']: async (_task, ctx) => {
        await Promise.all([
          ctx.progress('half of it', 0.5),
          ctx.checkpoint({ at: 1 }),
          ctx.cost({ key: 'work', usd: 0.01 }),
        ]);
      },
    },
  }).connect({
    url: plan.url,
    token: plan.agentToken ?? '',
    onEvent: ({ type }) => void (ended += type === 'task_ended' ? 1 : 0),
  });
  await createTasks();
  await until('the end of the last that reported', 60, () => ended >= inACall, 50);
  await agent.stop({ drainMs: 5_000 });
}

async function explain(cleanup: Cleanup): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'muster-explain-'));
  cleanup.add(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  await chmod(folder, 0o755);
  const server = await ServerUnderTest.start(folder, null, {});
  cleanup.add(() => server.stop());
  await withClient(server.postgres.url, async (client) => {
    for (const [name, value] of Object.entries({
      session_preload_libraries: 'auto_explain',
      'auto_explain.log_min_duration': '0',
      'auto_explain.log_analyze': 'on',
      'auto_explain.log_buffers': 'on',
      'auto_explain.log_parameter_max_length': '0',
    }))
      await client.query(`alter system set ${name} = '${value}'`);
    await client.query('select pg_reload_conf()');
    // Only new connections load it.
    await client.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname is not null',
    );
  });
  await sleep(2_000);
  await load(server);
  const runs = runsOf(await readFile(join(server.dataFolder, 'postgres', 'log'), 'utf8'));
  return statements
    .map(({ title, holds }) => {
      const all = runs.filter(({ text }) => text.includes(holds));
      const largest = Math.max(...all.map(({ rows }) => rows));
      // The last of the large ones: its connection had settled on a plan by then.
      const shown = all.findLast(({ rows }) => rows >= largest / 2);
      if (shown === undefined) throw new Error(`${title} does not stand in PostgreSQL's log.`);
      say(`${title}: ${all.length} runs, ${largest} rows at most`);
      return `### ${title}\n\n\`\`\`sql\n${trimmed(shown.text)}\n\`\`\`\n\n\`\`\`text\n${readable(shown.plan)}\n\`\`\``;
    })
    .join('\n\n');
}

const cleanup = new Cleanup();
try {
  const plans = await explain(cleanup);
  const before = await readFile(page, 'utf8');
  const [head, tail] = [before.indexOf(begin), before.indexOf(end)];
  if (head < 0 || tail < head) throw new Error(`${page} has no place for plans.`);
  const text = `${before.slice(0, head)}${begin}\n\n${plans}\n\n${before.slice(tail)}`;
  await writeFile(page, await format(text, { parser: 'markdown', printWidth: 120, proseWrap: 'preserve' }));
} finally {
  await cleanup.run();
}
