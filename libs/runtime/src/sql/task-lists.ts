import type { Tx } from '#kernel';
import { taskIdAt } from '../domain/task-ids.ts';
import type { TaskRow } from '../domain/task-row.ts';

type Sql = Pick<Tx, 'sql'>;

export interface TaskFilter {
  /** Null: that of the projects, which the caller may see. */
  readonly teamId: string | null;
  /** Null: every project of the team. */
  readonly projectIds: readonly string[] | null;
  readonly states: readonly string[] | null;
  readonly capability: string | null;
  readonly parentId: string | null;
  readonly agent: string | null;
  readonly priorities: readonly number[] | null;
  readonly createdAfter: string | null;
  readonly createdBefore: string | null;
  readonly beforeId: string | null;
  readonly limit: number;
}

/** What a filter is when nothing is asked for. */
export const anyTask = {
  states: null,
  capability: null,
  parentId: null,
  agent: null,
  priorities: null,
  createdAfter: null,
  createdBefore: null,
} as const;

export interface TaskRows {
  /** Newest first; fewer than asked for when enough was looked at. */
  readonly rows: TaskRow[];
  /** Older ones than this have not been looked at; null: there are none. */
  readonly before: string | null;
}

/**
 * So many rows of a source are looked at for a page, in two steps: most filters fill a page in the first. What fits may be
 * further down, so the page says where to go on. With many projects each of them is looked at less far.
 */
const firstLook = 250;
const secondLook = 2_000;
const leastOfEach = 25;
/** As many claimable tasks are read whole and sorted; where there are more, the newest tasks are looked through. */
const fewReady = 2_000;

/** Ids are made a moment before their rows, by the clocks of several servers. */
const clocksDifferMs = 3_600_000;

const lowestId = (q: TaskFilter): string =>
  q.createdAfter === null ? 'task_' : taskIdAt(Date.parse(q.createdAfter) - clocksDifferMs);
function highestId(q: TaskFilter): string {
  const bound = q.createdBefore === null ? 'task_~' : taskIdAt(Date.parse(q.createdBefore) + clocksDifferMs);
  return q.beforeId !== null && q.beforeId < bound ? q.beforeId : bound;
}

/** Ids in a table along an index, newest first, and which of the rows behind them are wanted. */
interface Source {
  /** `$1` the projects, `$2` and `$3` the bounds of ids, `$4` how many rows of each part; columns `part` and `id`. */
  readonly walk: string;
  /** Where the rows behind the ids are. Default: `tasks_now`. */
  readonly rows?: 'tasks_ended';
  /** `$12`, where the source has something of its own to be told. */
  readonly own?: string | readonly string[];
  /** How many parts share a look. */
  readonly parts: number;
}

const fits = `($5::text is null or n.team_id = $5) and n.project_id = any ($1) and ($6::text[] is null or n.state = any ($6)) and ($7::text is null or n.capability = $7)
  and ($8::text is null or n.agent = $8) and ($9::int[] is null or n.priority = any ($9))
  and ($10::timestamptz is null or n.created_at >= $10) and ($11::timestamptz is null or n.created_at < $11)`;

const byProject = `
  select p.id as part, w.id from unnest($1::text[]) as p(id) cross join lateral (
    select t.id from tasks t where t.project_id = p.id and t.id < $2 collate "C" and t.id >= $3 collate "C"
    order by t.id desc limit $4
  ) w`;
const byParent = `
  select 'children' as part, t.id from tasks t
  where t.parent_id = $12 and t.id < $2 collate "C" and t.id >= $3 collate "C" order by t.id desc limit $4`;
const waiting = `
  select p.id as part, w.id from unnest($1::text[]) as p(id) cross join lateral (
    select t.id from tasks t where t.project_id = p.id and t.wait_reason is not null and t.id < $2 collate "C" and t.id >= $3 collate "C"
    order by t.id desc limit $4
  ) w`;
const endedBadly = `
  select p.id || s.state as part, w.id from unnest($1::text[]) as p(id) cross join unnest($12::text[]) as s(state) cross join lateral (
    select t.id from tasks t where t.project_id = p.id and t.ended_as = s.state and t.ended_as is not null
      and t.id < $2 collate "C" and t.id >= $3 collate "C"
    order by t.id desc limit $4
  ) w`;
const byLease = `
  select 'leases' as part, r.task_id as id from task_running r
  where r.task_id < $2 collate "C" and r.task_id >= $3 collate "C"
  order by r.task_id desc limit $4`;
/** Those that are to be claimable at a moment to come. */
const byMoment = `
  select 'moments' as part, d.task_id as id from task_due d
  where d.task_id < $2 collate "C" and d.task_id >= $3 collate "C"
  order by d.task_id desc limit $4`;
const amongReady = `
  select 'ready' as part, r.id from unnest($12::text[]) as r(id)
  where r.id < $2 collate "C" and r.id >= $3 collate "C" order by r.id desc limit $4`;
/** Of what was archived, month by month. */
const archived = byProject.replace('from tasks t', 'from task_archive t');
const archivedByParent = byParent.replace('from tasks t', 'from task_archive t');
const archivedByState = endedBadly
  .replace('from tasks t', 'from task_archive t')
  .replace('t.ended_as = s.state and t.ended_as is not null', 't.state = s.state');

/**
 * Ids sort by creation. The rows that a page looks at are bounded whatever the filter and however many tasks there are: children
 * along their index, states along where their tasks are, anything else among the newest of the projects.
 */
export async function listTasks(db: Sql, q: TaskFilter): Promise<TaskRows> {
  const lanes = await lanesOf(db, q);
  const projects = [...new Set(lanes.map(({ project_id }) => project_id))];
  if (projects.length === 0) return { rows: [], before: null };
  const sources = await sourcesOf(
    db,
    q,
    projects,
    lanes.map(({ id }) => id),
  );
  const rows: TaskRow[] = [];
  const lowest = lowestId(q);
  let before: string | null = highestId(q);
  for (const look of isPlain(q) ? [null] : [firstLook, secondLook]) {
    const upTo: string = before;
    const looked = await Promise.all(
      sources.map((source) => {
        const share = look === null ? q.limit + 1 : Math.max(leastOfEach, Math.ceil(look / source.parts));
        return lookAt(db, q, { source, projects, before: upTo, lowest, depth: share });
      }),
    );
    // What one source has seen counts only as far down as all have.
    const ends = looked.map(({ end }) => end).filter((end) => end !== null);
    const edge = ends.length === 0 ? null : ends.reduce((a, b) => (a > b ? a : b));
    const found = new Map(
      looked.flatMap((one) => one.rows.filter(({ id }) => edge === null || id >= edge).map((row) => [row.id, row])),
    );
    rows.push(...[...found.values()].sort((a, b) => (a.id < b.id ? 1 : -1)));
    before = edge;
    if (rows.length >= q.limit || before === null) break;
  }
  if (rows.length <= q.limit) return { rows, before };
  const page = rows.slice(0, q.limit);
  return { rows: page, before: page.at(-1)?.id ?? null };
}

/** Nothing that a task of the project could fail to be. */
const isPlain = (q: TaskFilter): boolean =>
  q.states === null &&
  q.capability === null &&
  q.agent === null &&
  q.priorities === null &&
  q.createdAfter === null &&
  q.createdBefore === null;

/** Where tasks that are asked for can be; what has no lane is nowhere. */
const lanesOf = (db: Sql, q: TaskFilter): Promise<{ id: number; project_id: string }[]> =>
  db.sql(
    `select id, project_id from task_lanes
     where ($1::text is null or team_id = $1) and ($2::text[] is null or project_id = any ($2)) and ($3::text is null or capability = $3)
       and ($4::int[] is null or priority = any ($4))`,
    [q.teamId, q.projectIds, q.capability, q.priorities],
  );

async function sourcesOf(
  db: Sql,
  q: TaskFilter,
  projects: readonly string[],
  lanes: readonly number[],
): Promise<Source[]> {
  const everything: Source[] = [
    { walk: byProject, parts: projects.length },
    { walk: archived, rows: 'tasks_ended', parts: projects.length },
  ];
  if (q.parentId !== null)
    return [
      { walk: byParent, own: q.parentId, parts: 1 },
      { walk: archivedByParent, rows: 'tasks_ended', own: q.parentId, parts: 1 },
    ];
  if (q.states === null) return everything;
  const ended = q.states.filter((state) => state === 'succeeded' || state === 'failed' || state === 'cancelled');
  const sources: Source[] = [];
  if (ended.length > 0)
    sources.push({ walk: archivedByState, rows: 'tasks_ended', own: ended, parts: projects.length * ended.length });
  if (q.states.includes('succeeded')) return [{ walk: byProject, parts: projects.length }, ...sources];
  const badly = q.states.filter((state) => state === 'failed' || state === 'cancelled');
  if (badly.length > 0) sources.push({ walk: endedBadly, own: badly, parts: projects.length * badly.length });
  if (q.states.includes('waiting')) sources.push({ walk: waiting, parts: projects.length });
  if (q.states.includes('running')) sources.push({ walk: byLease, parts: 1 });
  if (q.states.includes('queued')) {
    const ready = await db.sql<{ task_id: string }>(
      `select task_id from task_ready where lane = any ($1::int[]) limit $2`,
      [lanes.flatMap((lane) => [lane, -lane]), fewReady + 1],
    );
    if (ready.length > fewReady) return everything;
    sources.push({ walk: amongReady, own: ready.map(({ task_id }) => task_id), parts: 1 });
    sources.push({ walk: byMoment, parts: 1 });
  }
  return sources;
}

interface Looked {
  readonly rows: TaskRow[];
  /** The last id that was looked at; null: there is nothing further down. */
  readonly end: string | null;
}

async function lookAt(
  db: Sql,
  q: TaskFilter,
  look: { source: Source; projects: readonly string[]; before: string; lowest: string; depth: number },
): Promise<Looked> {
  const { source } = look;
  const [answer] = await db.sql<{ rows: string[] | null; end: string | null }>(
    `with walked as materialized (${source.walk}),
     reached as (select part, count(*) as seen, min(id) as last from walked group by part)
     select array_agg(n.id) filter (where n.id is not null) as rows,
       (select max(last) from reached where seen >= $4::bigint) as end
     from walked w left join ${source.rows ?? 'tasks_now'} n on n.id = w.id and ${fits}`,
    [
      look.projects,
      look.before,
      look.lowest,
      look.depth,
      q.teamId,
      q.states,
      q.capability,
      q.agent,
      q.priorities,
      q.createdAfter,
      q.createdBefore,
      ...(source.own === undefined ? [] : [source.own]),
    ],
  );
  const wanted = [...new Set(answer?.rows ?? [])]
    .sort()
    .reverse()
    .slice(0, q.limit + 1);
  const rows =
    wanted.length === 0
      ? []
      : await db.sql<TaskRow>(`select * from ${source.rows ?? 'tasks_now'} where id = any ($1::text[])`, [wanted]);
  return { rows, end: answer?.end ?? null };
}
