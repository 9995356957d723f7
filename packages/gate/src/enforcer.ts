import type { Breach, CheckFacts, ProjectPolicy, VerificationFacts } from '@muster/contracts';
import type { Purpose } from './checks/check.ts';

const looked = (check: CheckFacts | undefined): boolean => check?.status === 'passed' || check?.status === 'failed';
const some = (paths: readonly string[]): string =>
  `${paths.slice(0, 5).join(', ')}${paths.length > 5 ? ' and others' : ''}`;

/**
 * Where a change stays below what its project insists on, whatever its score. A pure function of the facts, like the score. What
 * takes a landing back is judged by what it breaks, and not by this.
 */
export function breachesOf(facts: VerificationFacts, policy: ProjectPolicy, purpose: Purpose): Breach[] {
  if (purpose !== 'admission' && purpose !== 'landing') return [];
  const { enforcer } = policy;
  const by = new Map(facts.checks.map((check) => [check.check, check]));
  const pathsOf = (check: string, holds: (rule: string, level: string) => boolean): string[] =>
    [
      ...new Set(
        (by.get(check)?.findings ?? []).flatMap(({ rule, level, path }) =>
          path !== null && holds(rule, level) ? [path] : [],
        ),
      ),
    ].sort();
  const breaches: Breach[] = [];
  const coverage = by.get('coverage');
  if (enforcer.coverage && coverage?.status === 'failed')
    breaches.push({
      rule: 'coverage',
      message: `${coverage.summary}; the project insists on ${policy.coverage.changedLines} %`,
      paths: pathsOf('coverage', (_rule, level) => level === 'error'),
    });
  const placeholders = pathsOf('enforcer', (rule) => rule === 'enforcer.placeholder');
  if (enforcer.placeholders && placeholders.length > 0)
    breaches.push({ rule: 'placeholders', message: `placeholder files: ${some(placeholders)}`, paths: placeholders });
  const critical = pathsOf('enforcer', (rule) => rule === 'enforcer.critical');
  const unseen = new Set([
    ...pathsOf('coverage', () => true),
    ...pathsOf('honesty', (_rule, level) => level !== 'note'),
    ...pathsOf('mutation', (_rule, level) => level === 'error'),
  ]);
  // What could not be looked at has not been shown to be tested.
  const untested = looked(coverage) ? critical.filter((path) => unseen.has(path)) : critical;
  if (untested.length > 0)
    breaches.push({
      rule: 'critical_paths',
      message: looked(coverage)
        ? `critical paths with changed lines or functions that no test notices: ${some(untested)}`
        : `critical paths whose changed lines could not be shown to be tested: ${some(untested)}`,
      paths: untested,
    });
  return breaches.map((each) => ({ ...each, message: each.message.slice(0, 2000), paths: each.paths.slice(0, 100) }));
}
