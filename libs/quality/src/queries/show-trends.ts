import type { CheckTrend, trendBuckets, trendGroups, VerificationTrend } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Database, isoTime } from '#platform/database';

/** Points of one answer; a year by day of a few agents fits. */
const mostPoints = 2000;

export interface TrendFilter {
  readonly teamId: string;
  readonly visible: readonly string[] | 'all';
  readonly projectId?: string | undefined;
  readonly agent?: string | undefined;
  readonly version?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly bucket: (typeof trendBuckets)[number];
  readonly by: readonly (typeof trendGroups)[number][];
}

/** How verifications went over time. Each counts once, however many landings its evidence served; what did not come about counts nowhere. */
export class ShowVerificationTrend extends Query<VerificationTrend> {
  constructor(readonly filter: TrendFilter) {
    super();
  }
}
/** What each check saw over time. */
export class ShowCheckTrend extends Query<CheckTrend> {
  constructor(readonly filter: TrendFilter & { readonly check?: string | undefined }) {
    super();
  }
}

const grouped = (by: TrendFilter['by']): string =>
  [
    ['project', 'project_id', '"projectId"'],
    ['agent', 'agent', 'agent'],
    ['version', 'agent_version', 'version'],
  ]
    .map(([group, column, name]) => `${by.some((each) => each === group) ? column : 'null::text'} as ${name}`)
    .join(', ');

/** The last thirty days where nothing else is asked. Without a project it is what the caller may see. */
const within = `team_id = $1 and ($2::text[] is null or project_id = any ($2)) and ($3::text is null or project_id = $3)
  and ($4::text is null or agent = $4) and ($5::text is null or agent_version = $5)
  and finished_at >= coalesce($6::timestamptz, clock_timestamp() - interval '30 days') and finished_at < coalesce($7::timestamptz, 'infinity')`;

const parametersOf = (filter: TrendFilter): unknown[] => [
  filter.teamId,
  filter.visible === 'all' ? null : filter.visible,
  filter.projectId ?? null,
  filter.agent ?? null,
  filter.version ?? null,
  filter.from ?? null,
  filter.to ?? null,
  filter.bucket,
];
const begins = `date_trunc($8, finished_at, 'UTC')`;

const answer = <T>(bucket: TrendFilter['bucket'], rows: readonly T[]): { bucket: TrendFilter['bucket']; points: T[]; truncated: boolean } => ({
  bucket,
  points: rows.slice(0, mostPoints).reverse(),
  truncated: rows.length > mostPoints,
}); // prettier-ignore

@QueryHandler(ShowVerificationTrend)
export class ShowVerificationTrendHandler implements IQueryHandler<ShowVerificationTrend> {
  constructor(private readonly database: Database) {}

  async execute({ filter }: ShowVerificationTrend): Promise<VerificationTrend> {
    const rows = await this.database.sql<VerificationTrend['points'][number]>(
      `select ${isoTime('begins', 'at')}, "projectId", agent, version, count(*)::int as verifications,
         (count(*) filter (where verdict = 'accepted'))::int as accepted,
         (count(*) filter (where breaches <> '[]'))::int as breached,
         round(avg(score)::numeric, 2)::float8 as "scoreMean", min(score) as "scoreLowest",
         round(percentile_cont(0.5) within group (order by extract(epoch from finished_at - created_at))::numeric, 3)::float8 as "secondsMedian"
       from (select ${begins} as begins, ${grouped(filter.by)}, verdict, breaches, score, created_at, finished_at
             from verifications where state = 'finished' and reusable and purpose <> 'post_landing' and ${within}) seen
       group by begins, "projectId", agent, version
       order by begins desc, "projectId" desc nulls last, agent desc nulls last, version desc nulls last limit ${mostPoints + 1}`,
      parametersOf(filter),
    );
    return answer(filter.bucket, rows);
  }
}

@QueryHandler(ShowCheckTrend)
export class ShowCheckTrendHandler implements IQueryHandler<ShowCheckTrend> {
  constructor(private readonly database: Database) {}

  async execute({ filter }: ShowCheckTrend): Promise<CheckTrend> {
    const key = `begins, "projectId", agent, version, "check"`;
    const rows = await this.database.sql<CheckTrend['points'][number]>(
      `with seen as materialized (
         select ${begins} as begins, ${grouped(filter.by)}, name as "check", status, errors, warnings, ms, metrics
         from check_results where ${within} and ($9::text is null or name = $9)),
       means as (
         select ${key}, jsonb_object_agg(metric, mean) as metrics
         from (select ${key}, m.key as metric, round(avg(m.value::float8)::numeric, 3)::float8 as mean
               from seen, jsonb_each_text(metrics) m group by ${key}, m.key) each_metric
         group by ${key})
       select ${isoTime('s.begins', 'at')}, s."projectId", s.agent, s.version, s."check", s.runs, s.passed, s.failed, s."notRun", s.inconclusive,
         s.errors, s.warnings, s."secondsMedian", coalesce(m.metrics, '{}') as metrics
       from (select ${key}, count(*)::int as runs, (count(*) filter (where status = 'passed'))::int as passed,
               (count(*) filter (where status = 'failed'))::int as failed, (count(*) filter (where status = 'not_run'))::int as "notRun",
               (count(*) filter (where status = 'inconclusive'))::int as inconclusive, sum(errors)::int as errors, sum(warnings)::int as warnings,
               round((percentile_cont(0.5) within group (order by ms) / 1000)::numeric, 3)::float8 as "secondsMedian"
             from seen group by ${key}) s
       left join means m on (m.begins, m."check") = (s.begins, s."check") and m."projectId" is not distinct from s."projectId"
         and m.agent is not distinct from s.agent and m.version is not distinct from s.version
       order by s.begins desc, s."check" desc, s."projectId" desc nulls last, s.agent desc nulls last, s.version desc nulls last
       limit ${mostPoints + 1}`,
      [...parametersOf(filter), filter.check ?? null],
    );
    return answer(filter.bucket, rows);
  }
}
