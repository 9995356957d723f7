import type { Finding } from '@muster/contracts';
import { byName } from '../project/test-runner.ts';
import { isProductSource, isScript, isTestFile } from '../source/paths.ts';
import type { SourceTree } from '../source/tree.ts';
import { findingOf, type CheckContext } from './check.ts';
import {
  altersBehaviour,
  besideOf,
  contradicted,
  identifier,
  isCaseOf,
  leaf,
  losesValues,
  snapshotsOf,
  testOfSnapshot,
  valuesOutside,
  Vouchers,
  type PlacedTest,
  type Rewritten,
} from './rewritten.ts';
import { isOfTests } from './trials.ts';

/** A test whose text says that it wants something else now. */
export interface RewrittenTest {
  test: PlacedTest;
  was: string;
  is: string;
}

interface Compared {
  before: readonly PlacedTest[];
  now: readonly PlacedTest[];
  changedTests: readonly string[];
  rewritten: readonly RewrittenTest[];
  /** What tests became that have another name, and not the same body. */
  renamed: ReadonlyMap<PlacedTest, PlacedTest>;
}
interface Told extends Rewritten {
  message: string;
  path: string | null;
  line: number | null;
}

/** Is all that differs names that the product gives to other things now, each of them gone altogether? */
function isRenaming(
  { candidate, changes }: CheckContext,
  against: SourceTree,
  { was, is }: { readonly was: string; readonly is: string },
): boolean {
  const shape = (text: string): string => text.replace(identifier, 'x');
  const [old = [], now = []]: string[][] = [was, is].map((text) =>
    [...text.matchAll(identifier)].map(([name]) => name),
  );
  if (shape(was) !== shape(is) || losesValues(was, is)) return false;
  const paths = changes.map(({ path }) => path).filter(isProductSource);
  const textOf = (tree: SourceTree): string => paths.map((path) => tree.text(path) ?? '').join('\n');
  const [before, after] = [textOf(against), textOf(candidate)];
  const [namedBefore, namedAfter] = [new Set(before.match(identifier)), new Set(after.match(identifier))];
  const defines = (text: string, name: string): boolean => new RegExp(`\\b(?:class|function\\*?|const|let|var|def|enum)\\s+${name.replaceAll('$', '\\$')}(?![\\w$])`).test(text); // prettier-ignore
  return old.every((name, at) => {
    const other = now[at]!;
    return (
      name === other ||
      (defines(before, name) && !namedAfter.has(name) && defines(after, other) && !namedBefore.has(other))
    );
  });
}

/** Who changes what the code does has to change what its tests want. Somewhere it is said then, about the same thing: in a test beside it, or in words. */
export async function rewrittenExpectations(
  context: CheckContext,
  against: SourceTree,
  { before, now: nowAll, changedTests, rewritten, renamed }: Compared,
): Promise<Finding[]> {
  const { purpose, candidate, changes, candidateFacts, approvedBy } = context;
  const product = altersBehaviour(context) && purpose !== 'revert';
  const former = product ? await contradicted(context) : null;
  const formerly = new Map([...renamed].map(([then, now]) => [now, then] as const));
  const holds = (test: PlacedTest): boolean => {
    if (former === null) return false;
    const { failing, missing, goneFailing, goneMissing } = former;
    const then = formerly.get(test);
    // Under its name of before it is one that is gone; where others are called alike, they are told apart by a number.
    const broken = [...failing, ...missing, ...(then === undefined ? [] : [...goneFailing, ...goneMissing])];
    return !broken.some((key) => isCaseOf((then ?? test).name, key));
  };
  // It reads every test of the branch.
  let vouchers: Vouchers | undefined;
  const finding = ({ name, message, path, line }: Told, ending: string, level: 'note' | 'error'): Finding =>
    findingOf({
      check: 'weakened-tests',
      rule: 'weakened-tests.expectation_rewritten',
      level,
      message: `${message}${ending}`,
      path,
      line,
      remedy:
        'Put the old expectation back and correct the code; where the new answer is meant, add a test for it, or say so in the changelog.',
      key: `${name} ${message}`,
    });
  const judged = async (each: Told): Promise<Finding> => {
    const missing = await (vouchers ??= new Vouchers(context, renamed)).missing(each);
    if (missing !== null) return finding(each, `; ${missing}.`, 'error');
    return finding(each, approvedBy === null ? '.' : `. Let through by ${approvedBy}.`, 'note');
  };
  const findings: Finding[] = [];
  const told = new Set<string>();
  for (const { test, was, is } of rewritten) {
    told.add(leaf(test.name));
    const message = `The test “${test.name}” wanted ${was.slice(0, 80)} and wants ${is.slice(0, 80)} now`;
    const each = { name: test.name, is, texts: { was, is }, message, path: test.path, line: test.line };
    const stands = !product || holds(test) || (formerly.has(test) && isRenaming(context, against, { was, is }));
    findings.push(stands ? finding(each, '.', 'note') : await judged(each));
  }
  // Whatever it looks like in the text: what the test wanted before does not hold any more.
  const cases = byName(candidateFacts?.tests?.cases ?? []);
  const beside = changes.filter(
    ({ path, status }) => status !== 'added' && isOfTests(path) && !(isTestFile(path) && isScript(path)),
  );
  const inSnapshots = new Set(
    beside.flatMap(({ path }) => {
      const now = snapshotsOf(candidate, path);
      return [...snapshotsOf(against, path)]
        .filter(([name, text]) => now.has(name) && now.get(name) !== text)
        .map(([name]) => testOfSnapshot(name));
    }),
  );
  const of = (key: string): PlacedTest | undefined => before.find((each) => isCaseOf(each.name, key));
  const reshaped = [...(former?.goneFailing ?? []), ...(former?.goneMissing ?? [])].filter((key) =>
    renamed.has(of(key)!),
  );
  for (const key of [...(former?.failing ?? []), ...reshaped]) {
    const then = of(key);
    const now =
      nowAll.find((each) => isCaseOf(each.name, key) && (then === undefined || each.path === then.path)) ??
      renamed.get(then!);
    const name = now?.name ?? key;
    if (told.has(leaf(name)) || [...inSnapshots].some((each) => isCaseOf(each, key) || isCaseOf(name, each))) continue;
    const own = then !== undefined && now !== undefined && then.body === now.body && then.rows === now.rows;
    const lost =
      then === undefined || now === undefined || own
        ? beside.length > 0 ||
          changedTests.some((path) => losesValues(valuesOutside(against, path), valuesOutside(candidate, path)))
        : losesValues(`${then.body} ${then.rows}`, `${now.body} ${now.rows}`) ||
          (leaf(then.name) !== leaf(now.name) && losesValues(besideOf(against, then), besideOf(candidate, now)));
    if (!lost) continue;
    told.add(leaf(name));
    findings.push(
      await judged({
        name,
        is: now === undefined ? '' : `${now.body} ${now.rows}`,
        message: `The test “${name}” fails as it was written before; what it wants, or compares with, was replaced`,
        path: now?.path ?? cases.get(key)?.file ?? null,
        line: now?.line ?? null,
      }),
    );
  }
  return findings;
}
