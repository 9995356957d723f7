import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TaskView } from '@muster/contracts';
import { runtimeRoom, type RuntimeRoom } from '#test/runtime-room';
import { RuntimeModule } from './runtime.module.ts';
import { anyTask, listTasks, type TaskFilter } from './sql/task-lists.ts';

const many = 40_000;
let room: RuntimeRoom;
/** Of 40,000 tasks, most succeeded; of each other kind there are three, as old as can be. */
let crowded: string;
/** The same three of each kind, and as few others. */
let quiet: string;

beforeAll(async () => {
  room = await runtimeRoom(RuntimeModule);
  crowded = await room.addProject();
  quiet = await room.addProject();
  await fill(crowded, 'c', many);
  await fill(quiet, 'q', 500);
  await room.test.sql(`analyze tasks`);
}, 120_000);
afterAll(() => room.close());

/** Written as the statements of the room write them; the first of them are the rare ones. */
async function fill(project: string, letter: string, count: number): Promise<void> {
  await room.test.sql(
    `with lanes as (
       insert into task_lanes (signature, team_id, project_id, capability, priority, labels, unfit_agents)
       select $2 || n, $1, $2, case n when 2 then 'code.rare' else 'code.change' end, case n when 3 then 0 else 2 end, '{}', '[]' from generate_series(1, 3) n
       returning id, capability, priority
     ), lane as (
       select (select id from lanes where capability = 'code.rare') as rare, (select id from lanes where priority = 0) as urgent,
         (select id from lanes where capability = 'code.change' and priority = 2) as plain
     ), made as (
       insert into tasks (id, team_id, project_id, capability, title, input, priority, state, wait_reason, wait_detail, error, ended_as, lane, ready_seq, max_attempts,
         requested_by, agent, created_at, updated_at, finished_at)
       select 'task_' || $3 || lpad(n::text, 25, '0'), $1, $2, case when kind = 'rare' then 'code.rare' else 'code.change' end, kind, '{}',
         case when kind = 'urgent' then 0 else 2 end,
         case when kind in ('queued', 'running') then 'open' when kind in ('waiting', 'failed', 'cancelled') then kind else 'succeeded' end,
         case when kind = 'waiting' then 'person' end, case when kind = 'waiting' then 'look' end, case when kind in ('failed', 'cancelled') then kind end, case when kind in ('failed', 'cancelled') then kind end,
         case kind when 'rare' then rare when 'urgent' then urgent else plain end, case when kind = 'queued' then nextval('task_ready_seq') end, 5, 'test',
         case when kind = 'other agent' then 'rare' else 'coder' end, now(), now(), case when kind in ('queued', 'running', 'waiting') then null else now() end
       from lane, generate_series(1, $4::int) n cross join lateral (
         select coalesce((array['queued', 'running', 'waiting', 'failed', 'cancelled', 'rare', 'urgent', 'other agent'])[(n + 2) / 3], 'done') as kind
       ) k
       returning id, title, lane, ready_seq
     ), queued as (
       insert into task_ready (lane, seq, task_id, ready_at, attempts) select lane, ready_seq, id, now(), 0 from made where title = 'queued'
     )
     insert into task_running (task_id, fence, lane, number, attempt_id, instance_id, holder_id, agent, agent_version, max_attempts, started_at, lease_until, deadline_at)
     select id, nextval('task_fences'), lane, 1, 'try_' || id, 'inst', 'key', 'coder', '1.0.0', 5, now(), now(), now() from made where title = 'running'`,
    [room.team, project, letter, count],
  );
}

interface Page {
  readonly items: TaskView[];
  readonly nextCursor: string | null;
}
const page = async (query: string) => (await room.call<Page>(room.person, 'GET', `/tasks?${query}`)).body;

/** Buffers that a page's statements touched, as PostgreSQL counted them. */
async function buffersOf(filter: Partial<TaskFilter>): Promise<number> {
  let buffers = 0;
  await listTasks(
    {
      sql: async <Row extends object>(text: string, params: readonly unknown[] = []) => {
        const [row] = await room.test.sql<{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }>(
          `explain (analyze, buffers, format json) ${text}`,
          [...params],
        );
        const plan = row?.['QUERY PLAN'][0].Plan;
        buffers += (plan?.['Shared Hit Blocks'] ?? 0) + (plan?.['Shared Read Blocks'] ?? 0);
        return room.test.sql<Row>(text, [...params]);
      },
    },
    { ...anyTask, teamId: room.team, projectIds: null, beforeId: null, limit: 50, ...filter },
  );
  return buffers;
}

const filters: Record<string, Partial<TaskFilter>> = {
  'no filter': {},
  queued: { states: ['queued'] },
  running: { states: ['running'] },
  waiting: { states: ['waiting'] },
  failed: { states: ['failed'] },
  cancelled: { states: ['cancelled'] },
  succeeded: { states: ['succeeded'] },
  unfinished: { states: ['queued', 'running', 'waiting'] },
  'a capability': { capability: 'code.rare' },
  'an agent': { agent: 'rare' },
  'a priority': { priorities: [0] },
};

describe('a list of tasks', () => {
  it.each(Object.keys(filters))(
    'filtered by %s looks at a bounded number of rows however many tasks there are',
    async (name) => {
      const few = await buffersOf({ ...filters[name], projectIds: [quiet] });
      const all = await buffersOf({ ...filters[name], projectIds: [crowded] });
      // 2,250 rows of the walk, and what an index takes to get to them.
      expect(all - few).toBeLessThan(2_250 * 5);
      // Where the states are apart from one another, the others do not matter.
      if (['no filter', 'queued', 'running', 'waiting', 'failed', 'cancelled', 'unfinished'].includes(name))
        expect(all).toBeLessThan(few * 1.5 + 50);
    },
  );

  it.each(['queued', 'running', 'waiting', 'failed', 'cancelled'])(
    'of those that are %s holds them all at once, however old they are',
    async (state) => {
      const found = await page(`projectId=${crowded}&state=${state}`);
      expect(found.items.map(({ title, state: shown }) => [title, shown])).toEqual(Array(3).fill([state, state]));
      expect(found.nextCursor).toBeNull();
    },
  );

  it('goes on by its cursor until everything was looked at, and tells each task once and in order', async () => {
    for (const [filter, wanted] of [
      ['capability=code.rare', 'rare'],
      ['agent=rare', 'other agent'],
      ['priority=critical', 'urgent'],
    ] as const) {
      const seen: TaskView[] = [];
      let cursor: string | null = '';
      let pages = 0;
      while (cursor !== null) {
        const next: Page = await page(`projectId=${crowded}&${filter}${cursor === '' ? '' : `&cursor=${cursor}`}`);
        seen.push(...next.items);
        cursor = next.nextCursor;
        pages += 1;
      }
      expect(seen.map(({ title }) => title)).toEqual(Array(3).fill(wanted));
      expect(seen.map(({ id }) => id)).toEqual([...seen.map(({ id }) => id)].sort().reverse());
      expect(pages).toBeGreaterThan(2);
    }
  }, 60_000);

  it('over several projects and states at once is whole and in order', async () => {
    const states = 'queued,running,waiting,failed,cancelled';
    const first = await page(`state=${states}&limit=17`);
    const second = await page(`state=${states}&limit=17&cursor=${first.nextCursor ?? ''}`);
    const ids = [...first.items, ...second.items].map(({ id }) => id);
    expect(ids).toHaveLength(30);
    expect(new Set(ids).size).toBe(30);
    expect(ids).toEqual([...ids].sort().reverse());
    expect(second.nextCursor).toBeNull();
  });

  it('of tasks that are queued shows those that are not to begin yet', async () => {
    const later = await room.create({ notBefore: new Date(Date.now() + 3_600_000).toISOString() });
    expect((await page(`projectId=${room.project}&state=queued`)).items.map(({ id }) => id)).toEqual([later.id]);
  });

  it('tells another team nothing', async () => {
    const stranger = room.actor({ teamId: 'team_elsewhere' });
    for (const query of ['', 'state=queued', 'state=running,failed', 'capability=code.rare', 'agent=rare'])
      expect((await room.call<Page>(stranger, 'GET', `/tasks?${query}`)).body).toEqual({ items: [], nextCursor: null });
  });
});
