import { type IQueryHandler, Query, QueryBus, QueryHandler } from '@nestjs/cqrs';
import type { QueueView, ReviewNeed } from '@muster/contracts';
import { FindProject, ReadPolicy } from '#messages/projects';
import { Clock } from '#kernel';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { inWords } from '../domain/review.ts';
import { urgencies } from '../domain/line.ts';
import { predictedLandings } from '../domain/prediction.ts';
import { NotFound } from '../integration.errors.ts';
import { type InLine, LandingLine } from '../landing-line.ts';

const names = Object.keys(urgencies) as (keyof typeof urgencies)[];

type Held = Omit<QueueView['waiting'][number], 'why'> & { readonly needs: ReviewNeed[] };

const whyHeld = (held: Held['for'], needs: readonly ReviewNeed[]): string => {
  switch (held) {
    case 'review':
      return needs.map(inWords).join('; ') || 'approvals are being counted';
    case 'set':
      return 'waits for the other changes of its set';
    case 'person':
      return 'waits until a person releases it';
    case 'quiet_hours':
      return 'waits for the end of quiet hours';
    case 'conflict':
      return 'waits for another change to the same files that is being redone';
  }
};

/** Who stands where, what is tested on top of what and since when, and when it will probably have landed. */
export class ShowQueue extends Query<QueueView> {
  constructor(readonly projectId: string) {
    super();
  }
}

@QueryHandler(ShowQueue)
export class ShowQueueHandler implements IQueryHandler<ShowQueue> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly line: LandingLine,
    private readonly clock: Clock,
  ) {}

  async execute({ projectId }: ShowQueue): Promise<QueueView> {
    const project = await this.queries.execute(new FindProject(projectId));
    if (project === null) throw new NotFound('project', projectId);
    const { branch } = project;
    const head = await this.repositories.resolve(projectId, `refs/heads/${branch}`);
    const bound =
      head === null ? undefined : (await this.queries.execute(new ReadPolicy(projectId, head))).policy.landing.window;
    const window = await this.line.window(projectId, branch, bound);
    const line = await this.line.of(projectId, branch);
    const held = await this.database.sql<Held>(
      `select id as "submissionId", task_id as "taskId", held as "for", review_needs as needs from submissions
       where project_id = $1 and branch = $2 and held is not null and state in ('received', 'verifying', 'queued') order by id limit 500`,
      [projectId, branch],
    );
    const waiting = held.map(({ needs, ...row }) => ({ ...row, why: whyHeld(row.for, needs) }));
    const predicted = predictedLandings(line, window, await this.lastOnes(projectId, branch), this.clock.now());
    const entries = line.map((row, at) => ({
      submissionId: row.id,
      taskId: row.task_id,
      agent: row.agent,
      kind: row.kind,
      position: at + 1,
      state: row.state,
      urgency: names[row.urgency] ?? 'normal',
      testedOn: groundOf(row, line),
      since: row.candidate_since,
      verificationId: row.verification_id,
      setAside: row.suspect,
      predictedLanding: predicted[at]?.toISOString() ?? null,
    }));
    return { projectId, branch, head, window, entries, waiting };
  }

  /** Seconds from a candidate to its landing, of the last ones. */
  private async lastOnes(projectId: string, branch: string): Promise<number[]> {
    const rows = await this.database.sql<{ seconds: number }>(
      `select extract(epoch from l.landed_at - s.candidate_since)::float8 as seconds
       from landings l join submissions s on s.id = l.submission_id
       where l.project_id = $1 and l.branch = $2 and l.landed_at is not null and s.candidate_since is not null
       order by l.id desc limit 20`,
      [projectId, branch],
    );
    return rows.map(({ seconds }) => seconds);
  }
}

function groundOf(row: InLine, line: readonly InLine[]): QueueView['entries'][number]['testedOn'] {
  if (row.candidate_head === null || row.candidate_base === null) return null;
  const submissions: string[] = [];
  const byId = new Map(line.map((other) => [other.id, other]));
  for (
    let on = row.candidate_on;
    on !== null && byId.has(on) && !submissions.includes(on);
    on = byId.get(on)?.candidate_on ?? null
  )
    submissions.push(on);
  return { commit: row.candidate_head, tree: row.candidate_base, landed: submissions.length === 0, submissions };
}
