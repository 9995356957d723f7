import type { Finding } from '@muster/contracts';
import { noticed } from './honesty.ts';
import { functionsIn } from '../source/functions.ts';
import { movedLines } from '../source/moved.ts';
import { mutantsOf, type Mutant } from '../source/mutants.ts';
import { isProductSource } from '../source/paths.ts';
import { mostSourceBytes } from '../source/fresh.ts';
import { breathe } from '../breath.ts';
import { findingOf, outcome, type Check, type Trials } from './check.ts';

/** Enough to tell tests that look from tests that do not; each costs a run of the suite. */
const tried = 6;
/** So many of one function have to go unnoticed before it is said of that function; more are drawn where the first did. */
const perFunction = 3;
const mostTried = 15;
const lanes = 2;

interface Placed extends Mutant {
  path: string;
  /** The function that it stands in; null beside all of them. */
  within: string | null;
}

const placeOf = ({ path, within }: Pick<Placed, 'path' | 'within'>): string => `${path} ${within ?? ''}`;

/** The functions that were there before, and without whose change tests fail. */
const askedFor = (pieces: Awaited<ReturnType<Trials['pieces']>>): Set<string> =>
  new Set(
    (pieces?.trials ?? [])
      .filter(({ trial, failing }) => trial === 'noticed' && failing.length > 0)
      .flatMap(({ path, names }) => names.map((within) => placeOf({ path, within }))),
  );

/** In turn one from each function, as the lot has it: a function that nothing looks at cannot hide behind others. */
function inTurns(drawn: readonly Placed[]): Placed[] {
  const turns = new Map<string, number>();
  return drawn
    .map((each, at) => {
      const turn = turns.get(placeOf(each)) ?? 0;
      turns.set(placeOf(each), turn + 1);
      return { each, turn, at };
    })
    .sort((a, b) => a.turn - b.turn || a.at - b.at)
    .map(({ each }) => each);
}

/** Small things done otherwise on changed lines: do the tests notice? A sample, drawn by lot, the same for the same change. */
export const mutationCheck: Check = {
  name: 'mutation',
  category: 'tests',
  languages: ['typescript', 'javascript', 'python'],
  needs: ['sandbox', 'installed'],
  purposes: ['admission', 'landing'],
  async run({ policy, against, candidate, changes, candidateFacts, run, draw, trials: takenBack, signal }) {
    if (!policy.checks.mutation) return outcome('not_run', 'switched off in muster.yaml');
    const all: Placed[] = [];
    // What only moved is neutral: nobody has to show anew what it does.
    const isMoved = movedLines(changes, against, candidate, isProductSource, (line) => line.trim());
    for (const { path, status, addedLines } of changes) {
      const text = candidate.text(path);
      if (status === 'removed' || !isProductSource(path) || text === null || text.length >= mostSourceBytes) continue;
      await breathe();
      const functions = functionsIn(path, text);
      const within = (line: number): string | null => functions.findLast((each) => each.line <= line)?.name ?? null;
      const lines = text.split('\n');
      const written = new Set([...addedLines].filter((line) => !isMoved(lines[line - 1] ?? '')));
      for (const each of mutantsOf(path, text, written)) all.push({ ...each, path, within: within(each.line) });
    }
    if (all.length === 0) return outcome('passed', 'nothing on the changed lines could be done otherwise');
    const suite = candidateFacts?.tests ?? null;
    if (suite === null || run === null) return outcome('not_run', 'there are no tests that could notice');
    if (!suite.ok) return outcome('inconclusive', 'the tests fail as they are');
    const lot = all.map((each, index) => ({ each, lot: draw(`mutant ${index} ${each.path} ${each.line} ${each.is}`) }));
    const drawn = inTurns(lot.sort((a, b) => a.lot - b.lot).map(({ each }) => each));
    const onceMs = suite.ms + (candidateFacts?.build?.ms ?? 0);
    // Mutants of loops never end. The suite's own time was taken on this machine a moment ago, as busy as it is now.
    const timeoutMs = Math.min(policy.timeoutSeconds * 1000, Math.max(8_000, onceMs * 4 + 5_000));
    const deadline = performance.now() + policy.timeoutSeconds * 1000;
    const survived: Placed[] = [];
    const noticedIn = new Set<string>();
    let killed = 0;
    const trials: unknown[] = [];
    const attempt = async (sample: readonly Placed[]): Promise<void> => {
      const queue = [...sample];
      const lane = async (): Promise<void> => {
        for (let each = queue.shift(); each !== undefined; each = queue.shift()) {
          signal?.throwIfAborted();
          if (performance.now() > deadline) return;
          const after = await run.tests({ overrides: new Map([[each.path, each.text]]), stopAtFirst: true, timeoutMs });
          const trial = after === null ? 'unknown' : noticed(suite, after);
          const { path, line, was, is } = each;
          trials.push({ path, line, was, is, trial });
          if (trial === 'noticed') {
            killed++;
            noticedIn.add(placeOf(each));
          } else if (trial === 'unnoticed') survived.push(each);
        }
      };
      await Promise.all(Array.from({ length: lanes }, lane));
    };
    await attempt(drawn.slice(0, tried));
    // Where the first of a function went unnoticed, more of it are tried before anything is said about it.
    const rest = drawn.slice(tried);
    const unnoticedIn = (place: string): Placed[] => survived.filter((each) => placeOf(each) === place);
    const suspects = [...new Set(survived.filter(({ within }) => within !== null).map(placeOf))].filter(
      (place) => !noticedIn.has(place),
    );
    const more = suspects.flatMap((place) =>
      rest.filter((each) => placeOf(each) === place).slice(0, Math.max(0, perFunction - unnoticedIn(place).length)),
    );
    await attempt(more.slice(0, mostTried - tried));
    const planned = Math.min(drawn.length, tried) + Math.min(more.length, mostTried - tried);
    const told = killed + survived.length;
    const metrics = { mutants: all.length, tried: told, killed };
    if (told < planned)
      return outcome('inconclusive', `only ${told} of ${planned} could be tried in time`, [], metrics);
    const findings = survived
      .sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : a.line - b.line))
      .map((each): Finding =>
        findingOf({
          check: 'mutation',
          rule: 'mutation.survived',
          level: 'note',
          message: `No test notices when \`${each.was}\` is \`${each.is}\`.`,
          path: each.path,
          line: each.line,
          remedy: 'Add a test whose answer depends on it.',
          key: `${each.was} ${each.is} ${each.line}`,
        }),
      );
    const unseen = suspects.filter((place) => !noticedIn.has(place) && unnoticedIn(place).length >= perFunction);
    const weak = told >= 3 && killed * 2 < told;
    // What a function does now may be asked for though chance drew only what is beside it: then tests fail when it is taken back.
    const asked = unseen.length > 0 || (weak && killed === 0) ? askedFor(await takenBack.pieces()) : new Set<string>();
    const blind = unseen.filter((place) => !asked.has(place));
    for (const place of blind) {
      const [first] = unnoticedIn(place);
      findings.unshift(
        findingOf({
          check: 'mutation',
          rule: 'mutation.weak',
          level: 'error',
          message: `Tests notice none of ${unnoticedIn(place).length} small mistakes in ${first?.within}.`,
          path: first?.path ?? null,
          line: first?.line ?? null,
          remedy: 'Assert what the code answers for inputs on both sides of each decision.',
          key: `blind ${place}`,
        }),
      );
    }
    if (weak && blind.length === 0) {
      const [first] = survived;
      findings.unshift(
        findingOf({
          check: 'mutation',
          rule: 'mutation.weak',
          level: killed === 0 && !survived.some((each) => asked.has(placeOf(each))) ? 'error' : 'warning',
          message: `Tests notice ${killed} of ${told} small mistakes on the changed lines.`,
          path: first?.path ?? null,
          line: first?.line ?? null,
          remedy: 'Assert what the code answers for inputs on both sides of each decision.',
        }),
      );
    }
    const failed = findings.some((each) => each.level === 'error');
    return {
      ...outcome(
        failed ? 'failed' : 'passed',
        `tests notice ${killed} of ${told} small mistakes on the changed lines`,
        findings,
        metrics,
      ),
      artefacts: [
        { name: 'mutants.json', mediaType: 'application/json', text: JSON.stringify({ mutants: trials }, null, 2) },
      ],
    };
  },
};
