import { Injectable } from '@nestjs/common';
import type { LandingStrategy, ResolvedFile } from '@muster/contracts';
import { Changes, type MergeResult, Repositories } from '#platform/git';
import { agentIdentity, MUSTER, plainMessage } from './domain/commit-message.ts';
import { queueRef, type SubmissionRow, toolMade } from './domain/submission.ts';

/** What lands, told completely: the same words make the same commits, whoever makes them and however often. */
export interface Recipe {
  readonly projectId: string;
  readonly strategy: LandingStrategy;
  readonly before: string;
  /** The submission's commit and what it was made on. */
  readonly handedIn: { readonly commit: string; readonly base: string };
  /** What became of files that both sides had changed. */
  readonly resolved: readonly ResolvedFile[];
  readonly message: string;
  readonly author: string;
  readonly committedAt: Date;
}
export type Made =
  | {
      readonly clean: true;
      readonly tree: string;
      readonly commit: string;
      /** Below it and new as well, oldest first. */
      readonly below: readonly string[];
    }
  | (MergeResult & { readonly clean: false });

/** Makes the trees and commits of what may land, without a checkout. */
@Injectable()
export class Candidates {
  constructor(
    private readonly repositories: Repositories,
    private readonly changes: Changes,
  ) {}

  /**
   * How this submission can land, where the project wants `wanted`. History that nobody has verified stays outside: where the
   * commits below the one handed in hold content that is gone from it, or cannot be replayed one by one, it is squashed.
   */
  async strategyFor(
    wanted: LandingStrategy,
    { project_id: projectId, kind, base, commit }: Pick<SubmissionRow, 'project_id' | 'kind' | 'base' | 'commit'>,
  ): Promise<LandingStrategy> {
    if (wanted === 'squash' || kind === 'revert') return 'squash';
    const commits = await this.changes.commitsOf(projectId, base, commit);
    if (commits === null) return 'squash';
    if (commits.length === 1) return wanted === 'rebase' ? 'squash' : wanted;
    if (wanted === 'rebase' && commits.some(({ parents }) => parents.length !== 1)) return 'squash';
    return (await this.changes.holdsUnseen(projectId, base, commit)) ? 'squash' : wanted;
  }

  /** The tree that comes out, or where it conflicts. */
  async tree(
    projectId: string,
    strategy: LandingStrategy,
    on: string,
    handedIn: Recipe['handedIn'],
    resolved: Recipe['resolved'],
  ): Promise<MergeResult> {
    if (strategy !== 'rebase' || toolMade(resolved).length > 0)
      return await this.merge(projectId, on, handedIn.commit, resolved);
    const replayed = await this.replay(projectId, on, handedIn);
    return replayed.clean ? { clean: true, tree: replayed.tree } : replayed;
  }

  async make(recipe: Recipe): Promise<Made> {
    const { projectId, strategy, before, handedIn, resolved } = recipe;
    if (strategy !== 'rebase') {
      const merged = await this.merge(projectId, before, handedIn.commit, resolved);
      if (!merged.clean) return merged;
      const parents = strategy === 'merge' ? [before, handedIn.commit] : [before];
      return { clean: true, tree: merged.tree, commit: await this.commit(recipe, merged.tree, parents), below: [] };
    }
    const replayed = await this.replay(projectId, before, handedIn);
    if (!replayed.clean) return replayed;
    const below: string[] = [];
    for (const step of replayed.steps.slice(0, -1)) {
      const message = plainMessage(step.message);
      below.push(await this.commit({ ...recipe, message }, step.tree, [below.at(-1) ?? before]));
    }
    const commit = await this.commit(recipe, replayed.tree, [below.at(-1) ?? before]);
    return { clean: true, tree: replayed.tree, commit, below };
  }

  private async merge(
    projectId: string,
    on: string,
    commit: string,
    resolved: Recipe['resolved'],
  ): Promise<MergeResult> {
    const made = toolMade(resolved);
    const blobs = new Map(made.map(({ path, blob }) => [path, blob]));
    // What is made of the merged sources may be another file than git's merge of what was made of each side's.
    const rebuilt = new Set(made.filter(({ how }) => how === 'generated').map(({ path }) => path));
    const tree = made.length === 0 ? null : await this.repositories.mergeWith(projectId, on, commit, blobs, rebuilt);
    return tree === null ? await this.repositories.mergeTree(projectId, on, commit) : { clean: true, tree };
  }

  /** Where both sides made the same change at the same place; with what git made of it. */
  async identicalIn(projectId: string, on: string, commit: string, tree: string): Promise<ResolvedFile[]> {
    const found = await this.repositories.sameChanges(projectId, on, commit, tree);
    if (found.length === 0) return [];
    const tool = await this.repositories.gitVersion(projectId);
    return found.map(({ path, blob }) => ({ path, how: 'identical-hunks', tool, blob, taskId: null }));
  }

  /** What those behind in the queue are put on: this submission as it will be once landed, kept under a ref of its own. */
  async keepBase(row: SubmissionRow, tree: string, on: string): Promise<string> {
    const parents = row.strategy === 'merge' ? [on, row.commit] : [on];
    const commit = await this.repositories.commitTree(row.project_id, {
      tree,
      parents,
      message: `Speculative: ${row.id}\n\nNot landed. Others are verified on top of it.`,
      author: MUSTER,
      committer: MUSTER,
      date: new Date(row.created_at),
    });
    await this.repositories.setRef(row.project_id, queueRef(row.id), commit);
    return commit;
  }

  async forget(projectId: string, submissionId: string): Promise<void> {
    await this.repositories.setRef(projectId, queueRef(submissionId), null);
  }

  private async replay(projectId: string, on: string, { base, commit }: Recipe['handedIn']) {
    const commits = await this.changes.commitsOf(projectId, base, commit);
    if (commits === null) throw new Error(`${commit} has too many commits to be replayed.`);
    return await this.changes.replay(projectId, on, commits);
  }

  private commit(
    { projectId, message, author, committedAt }: Recipe,
    tree: string,
    parents: string[],
  ): Promise<string> {
    return this.repositories.commitTree(projectId, {
      tree,
      parents,
      message,
      author: author === MUSTER.name ? MUSTER : agentIdentity(author),
      committer: MUSTER,
      date: committedAt,
    });
  }
}
