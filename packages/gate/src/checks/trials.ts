import type { Remember } from '../evidence-cache.ts';
import { breathe } from '../breath.ts';
import { withinCheck } from '../check-log.ts';
import { byName } from '../project/test-runner.ts';
import { addedLines } from '../source/changes.ts';
import { isProductSource, isTestFile } from '../source/paths.ts';
import { piecesOf } from '../source/pieces.ts';
import { valuesIn } from '../source/test-cases.ts';
import type { CheckContext, FormerTests, PieceTrial, Trials } from './check.ts';
import { noticed } from './honesty.ts';

export const noTrials: Trials = { pieces: async () => null, formerTests: async () => null };

/** Each costs a run of the suite. Which ones of more are tried, the lot decides. */
const mostPieces = 10;
const lanes = 2;
const mostNamed = 2000;

/** Files that a test needs beside it and that are no product: snapshots, fixtures, helpers in its folder. */
const besideTests = /(^|\/)(?:tests?|__tests__|__snapshots__|fixtures|__fixtures__|testdata|spec)\//;
export const isOfTests = (path: string): boolean =>
  (isTestFile(path) || besideTests.test(path) || /\.(?:snap|snapshot|ambr)$/.test(path)) && !isProductSource(path);

/** A line of a test that names a value, and does not only say where something is. */
const wants = (line: string): boolean =>
  valuesIn(line).length > 0 && !/^\s*(?:import\b|from\b|\}\s*from\b)|\brequire\(/.test(line);

export function trialsOf(context: Omit<CheckContext, 'trials'>, remember: Remember): Trials {
  const { purpose, policy, candidate, against, changes, candidateFacts, baseFacts, run, draw, signal } = context;
  const suite = candidateFacts?.tests ?? null;
  const was = baseFacts?.tests ?? null;
  if (
    against === null ||
    run === null ||
    purpose === 'revert' ||
    suite?.detailed !== true ||
    was?.detailed !== true ||
    suite.timedOut
  )
    return noTrials;
  const passed = new Set([...byName(suite.cases)].filter(([, { status }]) => status === 'passed').map(([key]) => key));
  const onceMs = suite.ms + (candidateFacts?.build?.ms ?? 0);
  const timeoutMs = Math.min(policy.timeoutSeconds * 1000, Math.max(30_000, onceMs * 4 + 10_000));

  const takeBack = async (): Promise<{ trials: PieceTrial[]; leftOut: number } | null> => {
    await breathe();
    const all = await piecesOf(changes, against, candidate);
    const lot = new Map(all.map((each) => [each, draw(`piece ${each.path} ${each.names.join(' ')}`)]));
    const drawn = all
      .sort((a, b) => Number(a.asksForNothing) - Number(b.asksForNothing) || lot.get(a)! - lot.get(b)!)
      .slice(0, mostPieces);
    const deadline = performance.now() + policy.timeoutSeconds * 1000;
    const trials: PieceTrial[] = [];
    const queue = [...drawn];
    const lane = async (): Promise<void> => {
      for (let each = queue.shift(); each !== undefined; each = queue.shift()) {
        signal?.throwIfAborted();
        const { without, ...piece } = each;
        const late = performance.now() > deadline;
        const after = late ? null : await run.tests({ overrides: without, timeoutMs });
        const told = after?.detailed === true && !after.timedOut;
        const there = told ? byName(after.cases) : new Map<string, never>();
        trials.push({
          ...piece,
          trial: after === null ? 'unknown' : noticed(suite, after),
          failing: [...passed].filter((key) => there.get(key)?.status === 'failed').slice(0, mostNamed),
        });
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    trials.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : a.line - b.line));
    return { trials, leftOut: all.length - drawn.length };
  };

  const runFormer = async (): Promise<FormerTests | null> => {
    const overrides = new Map<string, string>();
    const added = new Map<string, string>();
    let lost = false;
    for (const { path, status } of changes) {
      if (status === 'added' || !isOfTests(path)) continue;
      const [then, now] = [against.text(path), candidate.text(path)];
      if (then === null || (status !== 'removed' && now === null)) continue;
      const lines = then.split('\n');
      lost ||= [...addedLines(now ?? '', then)].some((line) => !isTestFile(path) || wants(lines[line - 1] ?? ''));
      if (status === 'removed') added.set(path, then);
      else overrides.set(path, then);
    }
    if (!lost) return null;
    const after = await run.tests({ overrides, added, timeoutMs });
    if (after?.detailed !== true || after.timedOut) return null;
    const there = byName(after.cases);
    const before = byName(was.cases);
    const now = byName(suite.cases);
    const gone = [...before].filter(([key, { status }]) => status === 'passed' && !now.has(key)).map(([key]) => key);
    const both = [...passed].filter((key) => before.get(key)?.status === 'passed');
    return {
      failing: both.filter((key) => there.get(key)?.status === 'failed').slice(0, mostNamed),
      missing: both.filter((key) => !there.has(key)).slice(0, mostNamed),
      goneFailing: gone.filter((key) => there.get(key)?.status === 'failed').slice(0, mostNamed),
      goneMissing: gone.filter((key) => !there.has(key)).slice(0, mostNamed),
    };
  };

  let pieces: ReturnType<Trials['pieces']> | undefined;
  let former: ReturnType<Trials['formerTests']> | undefined;
  return {
    pieces: () => (pieces ??= withinCheck('new-tests', () => remember('pieces', takeBack))),
    formerTests: () => (former ??= withinCheck('weakened-tests', () => remember('former-tests', runFormer))),
  };
}
