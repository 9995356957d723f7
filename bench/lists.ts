import type { TaskState } from '@muster/contracts';
import { measureOf, type Measure } from './machinery/document.ts';
import { withClient } from './machinery/postgres.ts';
import { say, type Stage } from './machinery/stage.ts';
import { median, percentile } from './machinery/statistics.ts';

const pages = 100;
/** Of each kind that a filter asks for there are so many, the oldest of all: nothing is worse to find. */
const rare = 30;
const kinds = ['queued', 'running', 'waiting', 'failed', 'cancelled', 'urgent', 'other_agent'];

interface Filter {
  readonly state?: TaskState;
  readonly capability?: string;
  readonly agent?: string;
  readonly priority?: 'critical';
}
const filters: Record<string, Filter> = {
  none: {},
  queued: { state: 'queued' },
  running: { state: 'running' },
  waiting: { state: 'waiting' },
  failed: { state: 'failed' },
  cancelled: { state: 'cancelled' },
  succeeded: { state: 'succeeded' },
  capability: { capability: 'bench.lists' },
  priority: { priority: 'critical' },
  agent: { agent: 'other' },
};

/** What a page of each filter takes by REST, with so many tasks of the project behind it. */
export async function lists(stage: Stage): Promise<Measure[]> {
  const { client, postgres } = stage.server;
  const { projectId, capability } = await stage.server.lane('lists');
  const depths = [...stage.options.depths].sort((a, b) => a - b);
  for (let n = 0; n < pages; n += 1) await client.tasks.list({ projectId, state: 'failed' });
  const seen = new Map<string, Map<number, number>>();
  let there = 0;
  for (const depth of depths) {
    const start = Date.now();
    await fill(postgres.url, { projectId, capability, from: there + 1, to: depth });
    there = depth;
    say(`${depth} tasks after ${((Date.now() - start) / 1000).toFixed(0)} s`);
    await stage.server.settle();
    for (const [name, filter] of Object.entries(filters)) {
      const rounds: number[] = [];
      for (let round = 0; round < stage.options.rounds; round += 1) {
        const took: number[] = [];
        for (let n = 0; n < pages; n += 1) {
          const begun = performance.now();
          await client.tasks.list({ projectId, limit: 50, ...filter });
          took.push(performance.now() - begun);
        }
        rounds.push(percentile(took, 99));
      }
      const found = seen.get(name) ?? new Map<number, number>();
      seen.set(name, found.set(depth, median(rounds)));
      say(`  ${name}: p99 ${median(rounds).toFixed(1)} ms`);
    }
  }
  const [least, most] = [depths[0]!, depths.at(-1)!];
  return [...seen].flatMap(([name, found]) => [
    ...depths.map((depth) =>
      measureOf({ name: `list_${name}_p99_${depth}`, unit: 'ms', better: 'lower', ours: [found.get(depth)!] }),
    ),
    measureOf({
      name: `list_${name}_growth`,
      unit: `times from ${least} to ${most}`,
      better: 'lower',
      ours: [found.get(most)! / found.get(least)!],
    }),
  ]);
}

/** Rows as creations, claims and ends leave them; made by SQL, so that a million are there in a minute. */
const fill = (url: string, q: { projectId: string; capability: string; from: number; to: number }): Promise<void> =>
  withClient(url, async (sql) => {
    await sql.query(
      `with lanes as (
         insert into task_lanes (signature, team_id, project_id, capability, priority, labels, unfit_agents)
         select 'bench ' || p, team_id, id, $2, p, '{}', '[]' from projects, unnest(array[0, 2]) p where id = $1 and $3 = 1
         returning id, team_id, priority
       ), lane as (
         select * from lanes union all
         select id, team_id, priority from task_lanes where signature in ('bench 0', 'bench 2') and $3 > 1
       ), made as (
         insert into tasks (id, team_id, project_id, capability, title, input, priority, state, wait_reason, wait_detail, error, ended_as, output, lane, ready_seq,
           max_attempts, attempt, requested_by, agent, created_at, updated_at, finished_at)
         select 'task_0' || lpad(n::text, 25, '0'), l.team_id, $1, $2, kind, '{"file":"a.ts"}', l.priority,
           case when kind in ('queued', 'running') then 'open' when kind in ('waiting', 'failed', 'cancelled') then kind else 'succeeded' end,
           case when kind = 'waiting' then 'person' end, case when kind = 'waiting' then 'look' end, case when kind in ('failed', 'cancelled') then kind end, case when kind in ('failed', 'cancelled') then kind end,
           '{"ok":true}', l.id, case when kind = 'queued' then nextval('task_ready_seq') end, 5, 1, 'bench', case kind when 'other_agent' then 'other' else 'bench' end,
           now(), now(), case when kind not in ('queued', 'running', 'waiting') then now() end
         from generate_series($3::int, $4::int) n
         cross join lateral (select coalesce(($5::text[])[(n + $6 - 1) / $6], 'done') as kind) k
         join lane l on l.priority = case when kind = 'urgent' then 0 else 2 end
         order by n
         returning id, title, lane, ready_seq
       ), queued as (
         insert into task_ready (lane, seq, task_id, ready_at, attempts) select lane, ready_seq, id, now(), 0 from made where title = 'queued'
       )
       insert into task_running (task_id, fence, lane, number, attempt_id, instance_id, holder_id, agent, agent_version, max_attempts, started_at,
         lease_until, deadline_at)
       select id, nextval('task_fences'), lane, 1, 'try_' || id, 'nobody', 'nobody', 'bench', '1.0.0', 5, now(), 'infinity', 'infinity'
       from made where title = 'running'`,
      [q.projectId, q.capability, q.from, q.to, kinds, rare],
    );
    await sql.query('vacuum analyze tasks');
  });
