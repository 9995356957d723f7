import { probed } from '../source/probes.ts';
import { isProductSource, isPython, isScript } from '../source/paths.ts';
import { mostSourceBytes } from '../source/fresh.ts';
import { breathe } from '../breath.ts';
import { findingOf, outcome, type Check } from './check.ts';

/** So few lines may go unseen, whatever share of a small change they are. */
const forgiven = 2;

const runsOf = (lines: readonly number[]): string => {
  const parts: string[] = [];
  for (let at = 0; at < lines.length;) {
    let end = at;
    while (end + 1 < lines.length && lines[end + 1]! - lines[end]! <= 1) end++;
    parts.push(lines[at] === lines[end] ? String(lines[at]) : `${lines[at]}–${lines[end]}`);
    at = end + 1;
  }
  return parts.slice(0, 20).join(', ');
};

/**
 * Which of the lines that the change brings are run by a test? Counted in lines, not in shares of files. The gate marks those lines
 * itself, so it works the same under every runner and asks the project for no tool.
 */
export const coverageCheck: Check = {
  name: 'coverage',
  category: 'tests',
  languages: ['typescript', 'javascript', 'python'],
  needs: ['sandbox', 'installed'],
  purposes: ['admission', 'landing'],
  async run({ policy, candidate, changes, candidateFacts, run, driver, workDir }) {
    if (!policy.checks.coverage) return outcome('not_run', 'switched off in muster.yaml');
    const touched = changes.filter(
      ({ path, status, addedLines }) =>
        status !== 'removed' &&
        addedLines.size > 0 &&
        isProductSource(path) &&
        (candidate.text(path)?.length ?? Infinity) < mostSourceBytes,
    );
    if (touched.length === 0) return outcome('passed', 'no line of the product was added or changed');
    if (run === null || candidateFacts?.tests == null || driver === null)
      return outcome('not_run', 'there are no tests that could reach the lines');
    const into = `${driver.paths({ workDir, reportDir: workDir }).report}/lines`;
    if (driver.name === 'none-i-accept-the-risk')
      return outcome('not_run', 'without a sandbox there is no fixed place to write lines down');
    const overrides = new Map<string, string>();
    const executable = new Map<string, Set<number>>();
    for (const { path, addedLines } of touched.filter((each) => isScript(each.path))) {
      await breathe();
      const { text, executable: lines } = probed(path, candidate.text(path) ?? '', addedLines, into);
      if (lines.size === 0) continue;
      overrides.set(path, text);
      executable.set(path, lines);
    }
    const traced = touched.map((each) => each.path).filter((path) => isPython(path));
    if (overrides.size === 0 && traced.length === 0)
      return outcome('passed', 'no line that the change brings can be run');
    const suite = await run.tests({ overrides, ...(traced.length > 0 ? { traced } : {}) });
    const reached = new Map<string, Set<number>>();
    const addedIn = new Map(changes.map((each) => [each.path, each.addedLines]));
    for (const line of (suite?.lines ?? '').split('\n')) {
      const match = /^(?:([ER]) )?(.+):(\d+)$/.exec(line);
      if (match === null) continue;
      const into = match[1] === 'E' ? executable : reached;
      if (addedIn.get(match[2]!)?.has(Number(match[3])) !== true) continue;
      into.set(match[2]!, (into.get(match[2]!) ?? new Set()).add(Number(match[3])));
    }
    const total = [...executable.values()].reduce((sum, lines) => sum + lines.size, 0);
    if (total === 0)
      return outcome(
        traced.length > 0 && suite?.lines == null ? 'inconclusive' : 'passed',
        'no line that the change brings can be run',
      );
    if (reached.size === 0 && suite?.ok !== true)
      return outcome('inconclusive', 'the tests did not run with marked lines');
    const missed = new Map(
      [...executable].map(([path, lines]) => [
        path,
        [...lines].filter((line) => reached.get(path)?.has(line) !== true).sort((a, b) => a - b),
      ]),
    );
    const unseen = [...missed.values()].reduce((sum, lines) => sum + lines.length, 0);
    const allowed = Math.max(forgiven, Math.floor((total * (100 - policy.coverage.changedLines)) / 100));
    const summary = `tests run ${total - unseen} of ${total} changed lines that can be run`;
    const findings = [...missed]
      .filter(([, lines]) => lines.length > 0)
      .map(([path, lines]) =>
        findingOf({
          check: 'coverage',
          rule: 'coverage.unseen_lines',
          level: unseen > allowed ? 'error' : 'note',
          message: `No test runs ${lines.length} of the ${executable.get(path)?.size} changed lines of ${path}: ${runsOf(lines)}.`,
          path,
          line: lines[0] ?? null,
          remedy: `Add tests that reach these lines; at most ${allowed} may go unseen here.`,
          key: path,
        }),
      );
    const lcov = [...executable]
      .map(([path, lines]) => {
        const hit = (line: number): boolean => reached.get(path)?.has(line) === true;
        const sorted = [...lines].sort((a, b) => a - b);
        const seen = sorted.map((line) => `DA:${line},${hit(line) ? 1 : 0}`).join('\n');
        return `TN:changed lines\nSF:${path}\n${seen}\nLF:${sorted.length}\nLH:${sorted.filter(hit).length}\nend_of_record\n`;
      })
      .join('');
    return {
      ...outcome(unseen > allowed ? 'failed' : 'passed', summary, findings, { lines: total, covered: total - unseen }),
      artefacts: [{ name: 'coverage.lcov', mediaType: 'text/plain', text: lcov }],
    };
  },
};
