import type { Finding } from '@muster/contracts';
import { byName } from '../project/test-runner.ts';
import type { SuiteOutcome } from '../project/tree-run.ts';
import { mostSourceBytes } from '../source/fresh.ts';
import { functionsIn, reworded, type SourceFunction } from '../source/functions.ts';
import { isProductSource } from '../source/paths.ts';
import { reachedFiles } from '../source/reached.ts';
import type { SourceTree } from '../source/tree.ts';
import { breathe } from '../breath.ts';
import { findingOf, outcome, type Check } from './check.ts';

/** More would keep a large change in the gate for hours; what was left out is said. */
const mostFunctions = 25;
const lanes = 2;

interface Suspect extends SourceFunction {
  path: string;
}

/** A method that only says that it has to be written, in a class of which another one writes it: a promise, and no placeholder. */
function isKeptElsewhere(tree: SourceTree, name: string): boolean {
  const [method, holder] = name.split('.').reverse();
  if (holder === undefined || !/^\w+$/.test(holder) || !/^\w+$/.test(method ?? '')) return false;
  const heir = new RegExp(
    `class\\s+\\w+\\s*(?:\\([^)]*\\b${holder}\\b[^)]*\\)|(?:<[^>]*>)?\\s*extends\\s+${holder}\\b)`,
    'g',
  );
  const writes = new RegExp(`^\\s+(?:(?:async|def|override|public|protected)\\s+)*${method}\\s*[(<]`, 'm');
  return [...tree.files.keys()].some((path) => {
    const text = isProductSource(path) ? (tree.text(path) ?? '') : '';
    return [...text.matchAll(heir)].some((match) => {
      const rest = text.slice(match.index + match[0].length);
      const end = rest.search(/^(?:export\s+)?(?:abstract\s+)?class\s/m);
      return writes.test(end < 0 ? rest : rest.slice(0, end));
    });
  });
}

/** Where members of classes and objects of each name are written, in the whole product, as `path:line`. */
async function membersOf(tree: SourceTree): Promise<ReadonlyMap<string, readonly string[]>> {
  const written =
    /^[ \t]+(?:(?:async|def|override|public|protected|static|get)[ \t]+)*([\w$]+)[ \t]*(?:\(|=[ \t]*(?:async[ \t]*)?\(|:[ \t]*(?:async[ \t]*)?(?:function\b|\())/;
  const found = new Map<string, string[]>();
  for (const path of tree.files.keys()) {
    if (!isProductSource(path)) continue;
    await breathe();
    const text = tree.text(path) ?? '';
    if (text.length > mostSourceBytes) continue;
    for (const [at, line] of text.split('\n').entries()) {
      const name = written.exec(line.slice(0, 200))?.[1];
      if (name === undefined) continue;
      const places = found.get(name);
      if (places === undefined) found.set(name, [`${path}:${at + 1}`]);
      else places.push(`${path}:${at + 1}`);
    }
  }
  return found;
}

/** A method that others have under the same name as well: one of several that are called alike, of which one may have nothing to do. */
const isWrittenElsewhere = (members: ReadonlyMap<string, readonly string[]>, { name, path, line }: Suspect): boolean =>
  name.includes('.') && (members.get(name.split('.').at(-1)!) ?? []).some((place) => place !== `${path}:${line}`);

/** Test scripts that also check how the source is written; they notice every other spelling, and honestly so. */
const looksAtText = /lint|prettier|biome|standard|\bxo\b|format|tsc|types|check|coverage|c8|nyc/;

type Trial = 'noticed' | 'unnoticed' | 'unknown';

/** A test noticed when one fails that did not fail without the mutation, or the suite no longer ends. */
export function noticed(before: SuiteOutcome, after: SuiteOutcome): Trial {
  if (after.timedOut) return 'noticed';
  if (!before.detailed) return !before.ok ? 'unknown' : after.ok ? 'unnoticed' : 'noticed';
  if (!after.detailed) return after.ok ? 'unnoticed' : before.ok ? 'noticed' : 'unknown';
  const known = byName(before.cases);
  const failing = [...byName(after.cases)].some(
    ([key, test]) => test.status === 'failed' && known.get(key)?.status !== 'failed',
  );
  return failing ? 'noticed' : 'unnoticed';
}

/**
 * Does the change do what it claims? Its words are not asked. Every function that it adds or changes is emptied, one at a time,
 * and the project's own tests must notice: a stub, and real code that no test looks at, read the same from outside.
 */
export const honestyCheck: Check = {
  name: 'honesty',
  category: 'honesty',
  languages: ['typescript', 'javascript', 'python'],
  needs: ['sandbox', 'installed'],
  purposes: ['admission', 'landing'],
  async run({ policy, candidate, against, changes, candidateFacts, baseFacts, run, draw, signal, progress }) {
    if (!policy.checks.honesty) return outcome('not_run', 'switched off in muster.yaml');
    const suspects: Suspect[] = [];
    const hollowBefore = new Set<string>();
    const reached = reachedFiles(candidate);
    for (const { path, status } of changes) {
      await breathe();
      if (/\.json$/.test(path) || !(isProductSource(path) || reached.has(path))) continue;
      const earlier = functionsIn(path, against?.text(path) ?? '');
      // Wherever: what has moved was hollow before.
      for (const each of earlier) if (each.hollow) hollowBefore.add(each.name);
      const text = status === 'removed' ? null : candidate.text(path);
      if (text === null) continue;
      const before = new Set(earlier.map((each) => `${each.name} ${each.work}`));
      suspects.push(
        ...functionsIn(path, text)
          .filter((each) => !before.has(`${each.name} ${each.work}`))
          .map((each) => ({ ...each, path })),
      );
    }
    if (suspects.length === 0) return outcome('passed', 'no function was added or changed');
    const findings: Finding[] = [];
    const members = suspects.some((each) => each.hollow) ? await membersOf(candidate) : new Map<string, string[]>();
    for (const each of suspects) {
      if (each.placeholder !== null && !isKeptElsewhere(candidate, each.name)) {
        findings.push(
          findingOf({
            check: 'honesty',
            rule: 'honesty.placeholder',
            level: 'error',
            message: `${each.name} says itself that it is not done: ${each.placeholder}`,
            path: each.path,
            line: each.line,
            remedy: 'Write the function, or leave it out of the change.',
            key: each.name,
          }),
        );
      }
      const isHollow = each.hollow && !hollowBefore.has(each.name) && !isWrittenElsewhere(members, each);
      if (each.shape !== 'full' || isHollow) {
        const what =
          each.shape === 'empty'
            ? 'has an empty body'
            : each.shape === 'constant' || !isHollow
              ? 'answers a constant whatever it is given'
              : 'does nothing with what it is given';
        findings.push(
          findingOf({
            check: 'honesty',
            rule: 'honesty.stub',
            level: isHollow ? 'error' : 'warning',
            message: `${each.name} ${what}${isHollow ? ', and its name says otherwise' : ''}.`,
            path: each.path,
            line: each.line,
            remedy: isHollow
              ? 'Write the function; where this is all it is meant to do, say it as a constant, or by its name (always…, no…, …All).'
              : 'Write the function, or say it as a constant.',
            key: each.name,
          }),
        );
      }
    }
    const metrics: Record<string, number> = { functions: suspects.length };
    const suite = candidateFacts?.tests ?? null;
    if (suite === null || run === null)
      return outcome('not_run', 'there are no tests that could notice an emptied function', findings, metrics);
    if (!suite.detailed && !suite.ok)
      return outcome(
        'inconclusive',
        'the tests fail as they are, so they cannot show which function they look at',
        findings,
        metrics,
      );

    const beforeChange = byName(baseFacts?.tests?.cases ?? []);
    if (
      [...byName(suite.cases)].some(
        ([key, test]) => test.status === 'failed' && beforeChange.get(key)?.status !== 'failed',
      )
    ) {
      return outcome(
        'inconclusive',
        'tests fail because of this change; functions are emptied once they pass',
        findings,
        metrics,
      );
    }

    // Stubs first: where there are more functions than runs, they are what this is for. Which of the others are tried nobody can
    // foresee, so that none can be hidden behind many.
    const dice = new Map(
      suspects.map((each) => [
        each,
        suspects.length > mostFunctions ? draw(`emptied ${each.path} ${each.name} ${each.line}`) : 0,
      ]),
    );
    const order = [...suspects].sort(
      (a, b) => Number(a.shape === 'full') - Number(b.shape === 'full') || dice.get(a)! - dice.get(b)!,
    );
    const tried = order.slice(0, mostFunctions);
    // Every trial builds again before it tests.
    const onceMs = suite.ms + (candidateFacts?.build?.ms ?? 0);
    const timeoutMs = Math.min(policy.timeoutSeconds * 1000, Math.max(30_000, onceMs * 4 + 10_000));
    const deadline = performance.now() + policy.timeoutSeconds * 1000;
    // A control first: the same program in other letters. Where that already counts as noticed, it is the way of running that is
    // noticed, a flag that this runner does not know for instance, or a test that looks at the text of the source; the trials are
    // then compared with the control, so that only what else fails counts.
    const again = async (edit: (path: string, text: string) => string, stop: boolean): Promise<SuiteOutcome | null> => {
      const overrides = new Map(tried.map(({ path }) => [path, edit(path, candidate.text(path) ?? '')]));
      return await run.tests({ overrides, stopAtFirst: stop, timeoutMs });
    };
    const quiet = (control: SuiteOutcome | null): boolean =>
      control !== null && noticed(suite, control) === 'unnoticed';
    // Where something fails anyway, a runner that stops at the first failure stops there, before any test that could notice.
    const stopAtFirst = suite.ok && quiet(await again(reworded, true));
    let ground = suite;
    if (!stopAtFirst) {
      const control = await again(reworded, false);
      if (!quiet(control)) {
        if (!quiet(await again((_path, text) => text, false))) {
          return outcome(
            'inconclusive',
            'the tests fail when they are run once more with nothing changed, so they cannot show which function they look at',
            findings,
            metrics,
          );
        }
        if (control?.detailed === true) ground = control;
        else if (!looksAtText.test(run.commands.tests?.line('', false) ?? '')) {
          const message =
            'The tests end without a report when an empty comment is added to the change: they look at the text of the source.';
          const rule = 'honesty.reads_source';
          const remedy = 'Test what the code does, not how it is written.';
          findings.push(findingOf({ check: 'honesty', rule, level: 'error', veto: true, message, remedy }));
          return outcome('failed', message, findings, metrics);
        }
      }
    }
    const trials = new Map<Suspect, Trial>();
    const queue = [...tried];
    const lane = async (): Promise<void> => {
      for (let each = queue.shift(); each !== undefined; each = queue.shift()) {
        signal?.throwIfAborted();
        if (performance.now() > deadline) return;
        const overrides = new Map([[each.path, each.emptied]]);
        let after = await run.tests({ overrides, stopAtFirst, timeoutMs });
        // A busy machine is no test: only a suite that never ends has noticed.
        if (after?.timedOut === true)
          after = await run.tests({
            overrides,
            stopAtFirst,
            timeoutMs: Math.min(policy.timeoutSeconds * 1000, timeoutMs * 3),
          });
        trials.set(each, after === null ? 'unknown' : noticed(ground, after));
        progress(trials.size / tried.length, `emptied ${trials.size} of ${tried.length} changed functions`);
      }
    };
    await Promise.all(Array.from({ length: Math.min(lanes, tried.length) }, lane));

    const unnoticed = tried.filter((each) => trials.get(each) === 'unnoticed');
    for (const each of unnoticed) {
      const what =
        each.shape === 'empty'
          ? `has an empty body, and nothing notices when it throws`
          : `can be emptied and every test still passes`;
      findings.push(
        findingOf({
          check: 'honesty',
          rule: 'honesty.untested_function',
          level: 'error',
          veto: true,
          message: `${each.name} (${each.path}:${each.line}) ${what}.`,
          path: each.path,
          line: each.line,
          remedy: `Add a test that fails when ${each.name} does nothing, and make it pass with real code.`,
          key: each.name,
        }),
      );
    }
    const unknown = suspects.length - [...trials.values()].filter((each) => each !== 'unknown').length;
    metrics['emptied'] = trials.size;
    metrics['unnoticed'] = unnoticed.length;
    metrics['left_out'] = unknown;
    const rest =
      unknown > 0
        ? `; ${unknown} of ${suspects.length} could not be tried within ${mostFunctions} runs and ${policy.timeoutSeconds} s`
        : '';
    if (unnoticed.length > 0) {
      return outcome(
        'failed',
        `no test notices when ${unnoticed
          .slice(0, 5)
          .map((each) => each.name)
          .join(', ')} ${unnoticed.length === 1 ? 'is' : 'are'} emptied${rest}`,
        findings,
        metrics,
      );
    }
    const placeholders = findings.some((each) => each.level === 'error');
    const nothingTried = ![...trials.values()].some((each) => each !== 'unknown');
    return outcome(
      placeholders ? 'failed' : nothingTried ? 'inconclusive' : 'passed',
      `a test notices each of ${trials.size} emptied function${trials.size === 1 ? '' : 's'}${rest}`,
      findings,
      metrics,
    );
  },
};
