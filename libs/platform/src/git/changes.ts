import { Injectable } from '@nestjs/common';
import { Git } from './git.ts';
import { type MergeResult, type NewCommit, Repositories } from './repositories.ts';

/** One commit of a change, as it was handed in. */
export interface HandedCommit {
  readonly commit: string;
  readonly tree: string;
  readonly parents: readonly string[];
  readonly message: string;
}
export type Replay =
  | {
      readonly clean: true;
      readonly tree: string;
      /** One for each commit that still changes something, oldest first. */
      readonly steps: ReadonlyArray<{ readonly tree: string; readonly message: string }>;
    }
  | (MergeResult & { readonly clean: false });

/** More commits than this in one change are not replayed one by one. */
const MOST_COMMITS = 200;
/** Longer ones are left to git. */
const LONGEST_CHAIN = 20;
const nobody: NewCommit['author'] = { name: 'Muster', email: 'muster@localhost' };
const hex = (id: string): string => {
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(id)) throw new Error(`not a full object id: ${id}`);
  return id;
};

/** What a change consists of, commit by commit, and how two changes get along. Objects only, like everything here. */
@Injectable()
export class Changes {
  constructor(
    private readonly git: Git,
    private readonly repositories: Repositories,
  ) {}

  /** The commits that `tip` has and `base` has not, oldest first; null when there are too many to look at. */
  async commitsOf(projectId: string, base: string, tip: string): Promise<HandedCommit[] | null> {
    const chain = await this.chainOf(projectId, hex(base), hex(tip));
    if (chain !== null) return chain;
    const { stdout } = await this.git.run(this.repositories.path(projectId), [
      'log', '-z', '--topo-order', '--reverse', '--no-show-signature', '--no-color', '--no-notes', `--max-count=${MOST_COMMITS + 1}`,
      '--format=%H%n%T%n%P%n%B', '--end-of-options', hex(tip), `^${hex(base)}`, '--',
    ]); // prettier-ignore
    const commits = stdout
      .toString('utf8')
      .split('\0')
      .filter((record) => record !== '')
      .map((record) => {
        const [commit = '', tree = '', parents = '', ...message] = record.split('\n');
        return { commit, tree, parents: parents === '' ? [] : parents.split(' '), message: message.join('\n') };
      });
    return commits.length > MOST_COMMITS ? null : commits;
  }

  /** The usual case, a few commits on one another, without a search of the history; null when it is another. */
  private async chainOf(projectId: string, base: string, tip: string): Promise<HandedCommit[] | null> {
    const chain: HandedCommit[] = [];
    for (let commit = tip; commit !== base;) {
      const { tree, parents, message } = await this.repositories.commit(projectId, commit);
      const [parent] = parents;
      if (parent === undefined || parents.length > 1 || message === null || chain.length === LONGEST_CHAIN) return null;
      chain.unshift({ commit, tree, parents, message });
      commit = parent;
    }
    return chain;
  }

  /**
   * Is there content in the commits below `tip` that neither `tip` nor the history of `base` holds? Whoever looks at `tip` alone
   * has not seen it.
   */
  async holdsUnseen(projectId: string, base: string, tip: string): Promise<boolean> {
    const dir = this.repositories.path(projectId);
    const listed = await this.git.text(dir, [
      'rev-list', '--objects', '--no-object-names', '--end-of-options', hex(tip), `^${hex(base)}`, '--',
    ]); // prettier-ignore
    const held = await this.git.text(dir, ['ls-tree', '-r', '-t', '--full-tree', '--object-only', hex(tip)]);
    const seen = new Set(held.split('\n'));
    const others = listed.split('\n').filter((object) => object !== '' && !seen.has(object));
    if (others.length === 0) return false;
    const kinds = await this.git.text(dir, ['cat-file', '--batch-check=%(objecttype)'], {
      input: `${others.join('\n')}\n`,
    });
    return kinds.split('\n').includes('blob');
  }

  /** Puts the commits of a change on another commit, one after another, without a checkout. */
  async replay(projectId: string, onto: string, commits: readonly HandedCommit[]): Promise<Replay> {
    let tree = await this.repositories.treeOf(projectId, onto);
    const steps: { tree: string; message: string }[] = [];
    for (const { commit, tree: theirs, parents, message } of commits) {
      const [parent] = parents;
      if (parent === undefined || parents.length > 1)
        throw new Error(`${commit} cannot be replayed: it is no single step.`);
      const before = await this.repositories.treeOf(projectId, parent);
      // This git cannot be told a merge base; a commit beside the one to replay, on the same parent, stands in.
      const merged =
        tree === before
          ? { clean: true as const, tree: theirs }
          : await this.repositories.mergeTree(projectId, await this.standIn(projectId, tree, parent), commit);
      if (!merged.clean) return merged;
      if (merged.tree !== tree) steps.push({ tree: merged.tree, message });
      tree = merged.tree;
    }
    return { clean: true, tree, steps };
  }

  private standIn(projectId: string, tree: string, parent: string): Promise<string> {
    const made = { message: 'replay', author: nobody, committer: nobody, date: new Date(0) };
    return this.repositories.commitTree(projectId, { tree, parents: [parent], ...made });
  }
}
