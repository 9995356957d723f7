import type { CheckFacts, Finding, ProjectPolicy, VerificationFacts, VerificationView } from '@muster/contracts';
import type { Purpose } from './checks/check.ts';

type Category = CheckFacts['category'];
type Lost = VerificationView['lost'][number];

/** Points that one finding costs, by category and level. */
export const pointsPerFinding: Readonly<Record<Category, Readonly<Record<Finding['level'], number>>>> = {
  build: { error: 40, warning: 4, note: 0 },
  tests: { error: 20, warning: 4, note: 0 },
  types: { error: 5, warning: 2, note: 0 },
  style: { error: 10, warning: 2, note: 0 },
  security: { error: 30, warning: 6, note: 0 },
  honesty: { error: 15, warning: 5, note: 0 },
  integrity: { error: 8, warning: 3, note: 0 },
};

/** The most that a category can cost, so that a hundred findings of style do not weigh like a broken build. */
export const mostPerCategory: Readonly<Record<Category, number>> = {
  build: 40,
  tests: 60,
  types: 30,
  style: 15,
  security: 60,
  honesty: 45,
  integrity: 45,
};

/** Whose vetoes are told first: whoever lowers the bar has not answered for the rest yet. */
const weightiest: readonly Category[] = ['integrity', 'security', 'build', 'tests', 'honesty', 'types', 'style'];

export interface Judgement {
  score: number;
  verdict: 'accepted' | 'rejected';
  /** The weightiest first; empty when accepted. */
  reasons: string[];
  lost: Lost[];
}

const placeOf = (finding: Finding): string =>
  finding.path === null ? '' : ` [${finding.path}${finding.line === null ? '' : `:${finding.line}`}]`;
const ordered = <T>(items: readonly T[], keyOf: (item: T) => string): T[] =>
  [...items].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : keyOf(a) > keyOf(b) ? 1 : 0));

/**
 * Score and verdict from facts: pure, so that the same facts always score the same, wherever and in whatever order they were found.
 *
 * score = 100 − Σ over categories of min(mostPerCategory, Σ pointsPerFinding), rounded down, at least 0.
 * Refused when any finding is a veto, a required check is not `passed` or is missing, or the score is below the threshold.
 */
export function judge(facts: VerificationFacts, policy: ProjectPolicy, purpose: Purpose): Judgement {
  const perCategory = new Map<Category, number>();
  const lost: Lost[] = [];
  const vetoes: Finding[] = [];
  const checks = ordered(facts.checks, (check) => check.check);
  for (const check of checks) {
    for (const finding of ordered(
      check.findings,
      (each) => `${each.rule}\0${each.path ?? ''}\0${String(each.line ?? 0).padStart(8, '0')}\0${each.fingerprint}`,
    )) {
      if (finding.veto) vetoes.push(finding);
      const spent = perCategory.get(check.category) ?? 0;
      const points = Math.min(pointsPerFinding[check.category][finding.level], mostPerCategory[check.category] - spent);
      perCategory.set(check.category, spent + points);
      if (points > 0)
        lost.push({
          category: check.category,
          points,
          rule: finding.rule,
          path: finding.path,
          line: finding.line,
          remedy: finding.remedy,
        });
    }
  }
  const total = [...perCategory.values()].reduce((sum, points) => sum + points, 0);
  const score = Math.max(0, Math.floor(100 - total));

  const byCheck = new Map(checks.map((check) => [check.check, check]));
  const rank = (finding: Finding): number => weightiest.indexOf(byCheck.get(finding.check)?.category ?? 'style');
  vetoes.sort((a, b) => rank(a) - rank(b));
  const reasons = vetoes.map(
    (finding) => `${finding.rule}: ${finding.message.split('\n')[0] ?? ''}${placeOf(finding)}`,
  );
  for (const name of requiredFor(policy, purpose)) {
    const check = byCheck.get(name);
    if (check === undefined) reasons.push(`${name}: this check is required and there is no such check`);
    else if (check.status === 'not_run' || check.status === 'inconclusive')
      reasons.push(
        `${name}: required, and ${check.status === 'not_run' ? 'not run' : 'inconclusive'}: ${check.summary}`,
      );
    else if (check.status === 'failed' && purpose !== 'base' && !check.findings.some((each) => each.veto))
      reasons.push(`${name}: required, and failed: ${check.summary}`);
  }
  if (purpose !== 'post_landing' && score < policy.threshold) {
    const worst = [...lost]
      .sort((a, b) => b.points - a.points)
      .slice(0, 3)
      .map((each) => each.rule);
    reasons.push(
      `score: ${score} is below the threshold of ${policy.threshold}${worst.length > 0 ? `, most of it lost to ${[...new Set(worst)].join(', ')}` : ''}`,
    );
  }
  return { score, verdict: reasons.length === 0 ? 'accepted' : 'rejected', reasons, lost };
}

/** What must have passed. A base verification only looks; after a landing only the project's own command speaks. */
function requiredFor(policy: ProjectPolicy, purpose: Purpose): string[] {
  switch (purpose) {
    case 'base':
      return [];
    case 'post_landing':
      return ['post-landing'];
    case 'admission':
    case 'landing':
    case 'revert': {
      const always = policy.required.filter((name) => !(purpose === 'revert' && name === 'honesty'));
      return [...new Set(always)].sort();
    }
  }
}
