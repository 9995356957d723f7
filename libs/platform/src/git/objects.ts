import { contents, infos, parseTree, written, type ObjectInfo, type TreeEntry } from './answers.ts';
import { NotAnObject } from './git.errors.ts';
import { type Git, GitFailed } from './git.ts';

/** The old value of a ref that must not exist yet, and the new value of one that is to go. */
export const NOTHING = '0'.repeat(40);
/** Questions to processes that stay: see `Git.ask`. */
export const objects = ['cat-file', '--batch-command', '-z'];
const trees = ['mktree', '-z', '--batch'];

/** A full object id, which no command can take for an option or an expression. */
export const object = (id: string): string => {
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(id)) throw new NotAnObject();
  return id;
};

/** @param expression made of full object ids */
export async function infoOf(git: Git, dir: string, expression: string): Promise<ObjectInfo | null> {
  const [info = null] = await git.ask(dir, objects, `info ${expression}\0`, infos(1));
  return info;
}

export async function entriesOf(git: Git, dir: string, tree: string): Promise<TreeEntry[]> {
  const found = await git.ask(dir, objects, `contents ${tree}\0`, contents);
  if (found === null) throw new GitFailed('cat-file', 128, `${tree} is not here`, Buffer.alloc(0));
  return parseTree(found.bytes, found.oid.length / 2);
}

export async function makeTree(git: Git, dir: string, entries: readonly TreeEntry[]): Promise<string> {
  const kind = (mode: string) => (mode === '40000' ? 'tree' : mode === '160000' ? 'commit' : 'blob');
  const lines = entries.map(({ mode, name, oid }) => `${mode} ${kind(mode)} ${oid}\t${name}\0`);
  const question = Buffer.from(`${lines.join('')}\0`, 'latin1');
  const ask = () => git.ask(dir, trees, question, written(1));
  // One that stands knows the packs of when it was started, and no newer ones. The next one does.
  const [tree = ''] = await ask().catch((error: unknown) => {
    if (error instanceof GitFailed) return ask();
    throw error;
  });
  return object(tree);
}
