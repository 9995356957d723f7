import type { Rework } from '@muster/contracts';
import type { Tx } from '#kernel';
import type { AttemptRow } from '../domain/task-row.ts';

type Sql = Pick<Tx, 'sql'>;

export interface AttemptHistoryRow extends AttemptRow {
  readonly agent_version: string;
  readonly progress_message: string | null;
  readonly log_lines: number;
  readonly last_line: string | null;
  readonly checkpoint_bytes: number | null;
  readonly reports: number;
  readonly reported_usd: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly models: string[];
}

/** The newest 200, with what they left behind counted rather than read. */
export const attemptsWithTraces = (db: Sql, taskId: string): Promise<AttemptHistoryRow[]> =>
  db.sql(
    `select a.id, a.number, a.fence, a.instance_id, a.agent, a.agent_version, a.outcome, a.error, a.progress, a.progress_message, a.cost_usd, a.started_at,
       a.ended_at, a.log_lines, octet_length(a.checkpoint::text) as checkpoint_bytes,
       (select l.line from task_log_lines_kept l where l.task_id = $1 and l.fence = a.fence order by l.number desc limit 1) as last_line,
       coalesce(c.reports, 0) as reports, coalesce(c.usd, 0)::float8 as reported_usd, coalesce(c.input_tokens, 0)::float8 as input_tokens,
       coalesce(c.output_tokens, 0)::float8 as output_tokens, coalesce(c.models, '{}') as models
     from (select * from attempts_kept where task_id = $1 order by fence desc limit 200) a
     left join (
       select fence, count(*)::int as reports, sum(usd) as usd, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
         array_agg(distinct model) filter (where model is not null) as models
       from task_costs_kept where task_id = $1 group by fence
     ) c on c.fence = a.fence
     order by a.fence desc`,
    [taskId],
  );

export const reworksOf = async (db: Sql, taskId: string): Promise<Rework[]> =>
  (
    await db.sql<{ rework: Rework }>(
      `select rework from task_reworks_kept where task_id = $1 order by round desc limit 100`,
      [taskId],
    )
  ).map(({ rework }) => rework);

/**
 * Between which moments of the event log's clock things were told of it: a task's own times are those of `muster_now()`, which
 * may have been moved since. Null: it is told of still.
 */
export async function toldBetween(
  db: Sql,
  q: { created: Date; last: Date | null },
): Promise<{ from: Date; to: Date | null }> {
  const [row] = await db.sql<{ from: Date; to: Date | null }>(
    `select least($1::timestamptz, $1::timestamptz - moved) - interval '2 seconds' as "from",
       greatest($2::timestamptz, $2::timestamptz - moved) + interval '1 minute' as "to"
     from (select muster_now() - clock_timestamp() as moved) m`,
    [q.created, q.last],
  );
  if (row === undefined) throw new Error('The database told no time.');
  return row;
}
