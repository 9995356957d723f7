import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { different, generatedIn, isGenerated, makeGenerated, named, NotMade } from '../project/generated.ts';
import type { TreeRun } from '../project/tree-run.ts';
import { discard } from '../source/tree.ts';
import { findingOf, outcome, type Check, type CheckContext } from './check.ts';

/** The declared files of a tree that are not what its commands make, or why nothing is made. */
type Seen = { readonly other: readonly string[] } | { readonly why: string };

/** Twice where it differs: what two runs make differently says nothing about who wrote it. */
async function seenIn(run: TreeRun, context: CheckContext): Promise<Seen> {
  const { policy, driver, workDir, signal } = context;
  const folder = mkdtempSync(join(driver!.scratch ?? workDir, 'generated-'));
  const make = async (name: string) =>
    await makeGenerated(policy.generated, run.tree, join(folder, name), run.installed, { driver: driver!, signal });
  try {
    const committed = generatedIn(policy.generated, run.tree);
    const made = await make('first');
    const other = different(committed, made);
    if (other.length === 0) return { other };
    const unsteady = new Set(different(made, await make('second')));
    if (unsteady.size > 0) return { why: `two runs on the same files make different ${named([...unsteady])}` };
    return { other };
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof NotMade) return { why: error.message };
    throw error;
  } finally {
    await discard(folder);
  }
}

/** Is what the branch declares as generated, where a change touches it, what the declared commands make of the change's other files? */
export const generatedCheck: Check = {
  name: 'generated',
  category: 'honesty',
  languages: ['*'],
  needs: ['sandbox', 'installed'],
  purposes: ['admission', 'landing'],
  async run(context) {
    const { policy, changes, candidate, against, run, driver, baseRun } = context;
    const is = isGenerated(policy.generated);
    const touched = changes.map(({ path }) => path).filter((path) => is(path));
    if (touched.length === 0) return outcome('passed', 'nothing that is declared as generated is touched');
    if (run === null || driver === null) return outcome('not_run', 'the project could not be made ready to run');
    const now = await seenIn(run, context);
    const byHand = 'other' in now ? now.other.filter((path) => touched.includes(path)) : touched;
    if ('why' in now && ![...candidate.files.keys()].some((path) => is(path)))
      return outcome('passed', 'nothing is left that is declared as generated');
    if (byHand.length === 0)
      return outcome('passed', `${touched.length} generated files are what is made of their sources`);
    const before = await baseRun();
    const then = before === null ? { why: 'the branch could not be made ready to run' } : await seenIn(before, context);
    // What is not made on the branch either is not the change's to explain, but for what it brings.
    const unexplained = 'why' in then ? [...(against?.files.keys() ?? [])] : then.other;
    const news = byHand.filter((path) => !unexplained.includes(path));
    if ('why' in then && (news.length === 0 || 'why' in now)) return outcome('not_run', `on the branch: ${then.why}`);
    if (news.length === 0) return outcome('passed', 'what differs from what is made differed before');
    const commands = policy.generated.map(({ run: command }) => command).join(' && ');
    if ('why' in now) {
      const message = `The files that muster.yaml declares as generated are not made any more: ${now.why}.`;
      const remedy = `Let this run on your change as it does on the branch: ${commands}`;
      const finding = findingOf({ check: 'generated', rule: 'generated.not_made', level: 'error', message, remedy });
      return outcome('failed', 'the declared commands make nothing of the change', [finding]);
    }
    const findings = news.map((path) =>
      findingOf({
        check: 'generated',
        rule: 'generated.by_hand',
        level: 'error',
        message: `${path} is declared as generated, and the declared commands make something else of the change’s sources.`,
        path,
        remedy: `Change what it is made of, and hand in what this makes: ${commands}`,
        key: path,
      }),
    );
    return outcome('failed', `${news.length} generated files are not what is made`, findings, { byHand: news.length });
  },
};
