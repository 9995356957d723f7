import type {
  Breach,
  CheckFacts,
  Finding,
  ProjectPolicy,
  VerificationFacts,
  VerificationView,
} from '@muster/contracts';
import type { Purpose } from './checks/check.ts';
import { breachesOf } from './enforcer.ts';

type Category = CheckFacts['category'];
type Lost = VerificationView['lost'][number];

/** Points that one finding costs, by category and level, as long as a project does not weigh the category otherwise. */
export const pointsPerFinding: Readonly<Record<Category, Readonly<Record<Finding['level'], number>>>> = {
  build: { error: 40, warning: 4, note: 0 },
  tests: { error: 20, warning: 4, note: 0 },
  types: { error: 20, warning: 2, note: 0 },
  style: { error: 16, warning: 2, note: 0 },
  structure: { error: 16, warning: 3, note: 0 },
  dependencies: { error: 16, warning: 4, note: 0 },
  performance: { error: 16, warning: 4, note: 0 },
  security: { error: 30, warning: 5, note: 0 },
  documentation: { error: 16, warning: 3, note: 0 },
  honesty: { error: 16, warning: 4, note: 0 },
  integrity: { error: 16, warning: 3, note: 0 },
};

/** The most that a category can cost, so that a hundred findings of style do not weigh like a broken build. */
export const mostPerCategory: Readonly<Record<Category, number>> = {
  build: 40,
  tests: 60,
  types: 40,
  style: 20,
  structure: 40,
  dependencies: 40,
  performance: 40,
  security: 60,
  documentation: 20,
  honesty: 48,
  integrity: 48,
};

/** Warnings are hints: all of one category together cost less than one error would have to. */
const mostForWarnings = 12;

/** Whose vetoes are told first: whoever lowers the bar has not answered for the rest yet. */
const weightiest: readonly Category[] = [
  'integrity',
  'security',
  'build',
  'tests',
  'honesty',
  'types',
  'dependencies',
  'performance',
  'structure',
  'documentation',
  'style',
];

export interface Judgement {
  score: number;
  verdict: 'accepted' | 'rejected';
  /** The weightiest first; empty when accepted. */
  reasons: string[];
  lost: Lost[];
  /** What the project insists on and this change has not. */
  breaches: Breach[];
}

const placeOf = (finding: Finding): string =>
  finding.path === null ? '' : ` [${finding.path}${finding.line === null ? '' : `:${finding.line}`}]`;
const ordered = <T>(items: readonly T[], keyOf: (item: T) => string): T[] =>
  items
    .map((item) => ({ item, key: keyOf(item) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ item }) => item);
const hundredths = (points: number): number => Math.round(points * 100) / 100;
const levels: readonly Finding['level'][] = ['error', 'warning', 'note'];

export interface Charge {
  readonly finding: Finding;
  readonly category: Category;
  /** What it costs. */
  readonly points: number;
  /** What it would cost if nothing else of its category did. */
  readonly full: number;
}

/** The most that a category can cost under a project's weights, and what scales with it. */
export const weightOf = (
  policy: Pick<ProjectPolicy, 'weights'>,
  category: Category,
): { cap: number; scale: number } => {
  const cap = policy.weights[category] ?? mostPerCategory[category];
  return { cap, scale: cap / mostPerCategory[category] };
};

/** What each finding costs, the weightiest first. Order of checks and findings changes nothing. */
export function chargesOf(facts: Pick<VerificationFacts, 'checks'>, policy: Pick<ProjectPolicy, 'weights'>): Charge[] {
  const spent = new Map<Category, { all: number; warnings: number }>();
  const checks = ordered(facts.checks, (check) => check.check);
  const all = ordered(
    checks.flatMap((check) => check.findings.map((finding) => ({ finding, category: check.category }))),
    ({ finding: each }) =>
      [
        levels.indexOf(each.level),
        each.check,
        each.rule,
        each.path ?? '',
        String(each.line ?? 0).padStart(8, '0'),
        each.fingerprint,
      ].join('\0'),
  );
  return all.map(({ finding, category }) => {
    const { cap, scale } = weightOf(policy, category);
    const so = spent.get(category) ?? { all: 0, warnings: 0 };
    const room =
      finding.level === 'warning' ? Math.min(cap - so.all, mostForWarnings * scale - so.warnings) : cap - so.all;
    const full = hundredths(pointsPerFinding[category][finding.level] * scale);
    const points = hundredths(Math.max(0, Math.min(full, room)));
    spent.set(category, {
      all: so.all + points,
      warnings: so.warnings + (finding.level === 'warning' ? points : 0),
    });
    return { finding, category, points, full };
  });
}

/**
 * `score = 100 − Σ over categories of min(cap, Σ points of its findings)`, rounded down, at least 0. A project's weight for a
 * category is its cap, and the points of its findings scale with it. Refused when any finding is a veto, a required check is not
 * `passed` or is missing, or the score is below the threshold. Order of checks and findings changes nothing.
 */
export function judge(facts: VerificationFacts, policy: ProjectPolicy, purpose: Purpose): Judgement {
  const checks = ordered(facts.checks, (check) => check.check);
  const charges = chargesOf(facts, policy);
  const vetoes = charges.map(({ finding }) => finding).filter(({ veto }) => veto);
  const lost = charges
    .filter(({ points }) => points > 0)
    .map(({ finding: { rule, path, line, remedy }, category, points }): Lost => ({
      ...{ category, points, rule, path, line, remedy },
    }));
  const total = hundredths(charges.reduce((sum, { points }) => sum + points, 0));
  const score = Math.max(0, Math.floor(100 - total));

  const byCheck = new Map(checks.map((check) => [check.check, check]));
  const rank = (finding: Finding): number => weightiest.indexOf(byCheck.get(finding.check)?.category ?? 'style');
  vetoes.sort((a, b) => rank(a) - rank(b));
  const reasons = vetoes.map(
    (finding) => `${finding.rule}: ${finding.message.split('\n')[0] ?? ''}${placeOf(finding)}`,
  );
  for (const name of requiredChecks(policy, purpose)) {
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
    const byRule = new Map<string, number>();
    for (const each of lost) byRule.set(each.rule, (byRule.get(each.rule) ?? 0) + each.points);
    const worst = [...byRule].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 3);
    const mostly = worst.map(([rule]) => rule).join(', ');
    reasons.push(
      `score: ${score} is below the threshold of ${policy.threshold}${mostly === '' ? '' : `, most of it lost to ${mostly}`}`,
    );
  }
  const breaches = breachesOf(facts, policy, purpose);
  if (policy.enforcer.onBreach === 'refuse')
    reasons.push(...breaches.map(({ rule, message }) => `enforcer.${rule}: ${message}`));
  return { score, verdict: reasons.length === 0 ? 'accepted' : 'rejected', reasons, lost, breaches };
}

/** What must have passed. A base verification only looks; after a landing only the project's own command speaks. */
export function requiredChecks(policy: ProjectPolicy, purpose: Purpose): string[] {
  switch (purpose) {
    case 'base':
      return [];
    case 'post_landing':
      return ['post-landing'];
    case 'admission':
    case 'landing':
    case 'revert': {
      // What takes a landing back is judged by what it breaks, not by what it adds.
      const notForReverts = ['honesty', 'coverage', 'mutation', 'new-tests'];
      const always = policy.required.filter((name) => !(purpose === 'revert' && notForReverts.includes(name)));
      return [...new Set(always)].sort();
    }
  }
}
