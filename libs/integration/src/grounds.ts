import { Injectable } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import type { ProjectPolicy } from '@muster/contracts';
import { FindProject, ReadPolicy } from '#messages/projects';
import { Repositories } from '#platform/git';
import { Candidates } from './candidates.ts';
import { CrashPoints } from './crash-points.ts';
import { placeOf } from './domain/line.ts';
import type { SubmissionRow } from './domain/submission.ts';
import { LandingLine } from './landing-line.ts';

/** What a submission is verified on. */
export interface Ground {
  readonly commit: string;
  readonly tree: string;
  /** The head of the branch: the rules are read from there and from nowhere else. */
  readonly landed: string;
  readonly policy: ProjectPolicy;
  /** The submission that `commit` stands for; null: it has landed. */
  readonly on: string | null;
  /** Nothing can come in between any more: the verdict counts. */
  readonly final: boolean;
  readonly withinWindow: boolean;
}

export type Head = Pick<Ground, 'commit' | 'tree' | 'landed' | 'policy'>;

/** What submissions have to be verified on: the head of their branch, or somebody ahead of them in its queue. */
@Injectable()
export class Grounds {
  constructor(
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly candidates: Candidates,
    private readonly line: LandingLine,
    private readonly crash: CrashPoints,
  ) {}

  /** What has landed; null: the branch is gone. */
  async headOf(row: SubmissionRow): Promise<Head | null> {
    const project = await this.queries.execute(new FindProject(row.project_id));
    const head = project === null ? null : await this.repositories.resolve(row.project_id, `refs/heads/${row.branch}`);
    if (head === null) return null;
    const { policy } = await this.queries.execute(new ReadPolicy(row.project_id, head));
    return { commit: head, tree: await this.repositories.treeOf(row.project_id, head), landed: head, policy };
  }

  /**
   * What it has to be verified on now: at the front what has landed, behind others the nearest of them that is expected to land.
   * `open`: that one has no candidate yet.
   */
  async of(row: SubmissionRow): Promise<Ground | 'open'> {
    const landed = await this.headOf(row);
    const line = await this.line.of(row.project_id, row.branch);
    const place = placeOf(line, row.id);
    if (landed === null || place === null) return 'open';
    const { window } = landed.policy.landing;
    const withinWindow = place.depth < (await this.line.window(row.project_id, row.branch, window));
    const { ahead, front } = place;
    if (ahead === null) return { ...landed, on: null, final: front, withinWindow };
    const { candidate_tree: tree, candidate_head: head } = ahead;
    if (tree === null) return 'open';
    // As long as it stands on the same tree, nothing has to be made.
    if (row.candidate_head !== null && row.candidate_base === tree) {
      return { ...landed, commit: row.candidate_head, tree, on: ahead.id, final: false, withinWindow };
    }
    if (head === null) return 'open';
    const commit = withinWindow ? await this.candidates.keepBase(ahead, tree, head) : head;
    this.crash.reach('queue.base_kept');
    return { ...landed, commit, tree, on: ahead.id, final: false, withinWindow };
  }
}
