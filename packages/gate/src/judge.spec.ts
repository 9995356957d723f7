import { describe, expect, it } from '@jest/globals';
import {
  checkCategories,
  projectPolicy,
  type CheckFacts,
  type Finding,
  type VerificationFacts,
} from '@muster/contracts';
import { readFileSync } from 'node:fs';
import { findingOf } from './checks/check.ts';
import { judge, mostPerCategory, pointsPerFinding } from './judge.ts';

const finding = (rule: string, level: Finding['level'], more: Partial<Finding> = {}): Finding => ({
  ...findingOf({
    check: rule.split('.')[0]!,
    rule,
    level,
    message: rule,
    path: 'src/a.ts',
    line: 3,
    remedy: 'Mend it.',
  }),
  ...more,
});
const check = (name: string, category: CheckFacts['category'], findings: Finding[] = []): CheckFacts => ({
  check: name,
  category,
  status: findings.some((each) => each.level === 'error') ? 'failed' : 'passed',
  summary: 'said',
  findings,
  metrics: {},
  tool: null,
  ms: 1,
});
const facts = (...checks: CheckFacts[]): VerificationFacts => ({
  candidateTree: 'a'.repeat(40),
  baseTree: 'b'.repeat(40),
  rulesDigest: 'r',
  toolchain: { digest: 'd', node: '24', platform: 'linux-x64', sandbox: 'bwrap', gate: '1' },
  sandbox: { driver: 'bwrap', proven: true, notes: [] },
  checks: [check('tests', 'tests'), check('secrets', 'security'), check('tampering', 'integrity'), ...checks],
  baseFailures: [],
  testCases: [],
  ms: 1,
});
const policy = projectPolicy.parse({});

describe('the score', () => {
  it('is what the table in the README says', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    const rows = [...readme.matchAll(/^\| (\w+) +\| (\d+) +\| (\d+) +\| (\d+) +\|$/gm)];
    const table = new Map(rows.map(([, name, ...numbers]) => [name ?? '', numbers.map(Number)]));
    for (const category of checkCategories) {
      const { error, warning } = pointsPerFinding[category];
      expect([category, table.get(category)]).toEqual([category, [error, warning, mostPerCategory[category]]]);
    }
  });

  it('costs an error of any category its place at the default threshold, and hints alone never', () => {
    for (const category of checkCategories) {
      const one = judge(facts(check('x', category, [finding('x.y', 'error')])), policy, 'admission');
      expect([category, one.verdict]).toEqual([category, 'rejected']);
      const many = Array.from({ length: 50 }, (_each, line) => finding('x.y', 'warning', { line: line + 1 }));
      expect(judge(facts(check('x', category, many)), policy, 'admission').reasons).toEqual([]);
    }
  });

  it('says for every lost point which rule, where, and how to win it back', () => {
    const { score, lost } = judge(
      facts(
        check('x', 'structure', [finding('x.a', 'error'), finding('x.b', 'warning'), finding('x.c', 'note')]),
        check('y', 'documentation', [finding('y.a', 'warning', { path: null, line: null })]),
      ),
      policy,
      'admission',
    );
    expect(100 - lost.reduce((sum, each) => sum + each.points, 0)).toBe(score);
    expect(lost).toContainEqual({
      category: 'structure',
      points: 16,
      rule: 'x.a',
      path: 'src/a.ts',
      line: 3,
      remedy: 'Mend it.',
    });
    expect(lost.map((each) => each.rule)).not.toContain('x.c');
  });

  it('is the same ten times over, in whatever order checks and findings come', () => {
    const levels: Finding['level'][] = ['error', 'warning', 'note'];
    const many = Array.from({ length: 40 }, (_each, at) =>
      finding(`x.r${at % 7}`, levels[at % 3]!, { line: (at % 5) + 1 }),
    );
    const given = facts(
      check('x', 'style', many),
      check('y', 'types', many.slice(3)),
      check('z', 'honesty', many.slice(9)),
    );
    const first = judge(given, policy, 'admission');
    for (let round = 1; round <= 10; round++) {
      const turned = <T>(list: readonly T[]): T[] => [
        ...list.slice(round % list.length),
        ...list.slice(0, round % list.length),
      ];
      const checks = turned(given.checks).map((each) => ({ ...each, findings: turned(each.findings).reverse() }));
      expect(judge({ ...given, checks }, policy, 'admission')).toEqual(first);
    }
  });

  it('weighs as the project asks', () => {
    const given = facts(
      check('x', 'style', [finding('x.a', 'error')]),
      check('y', 'structure', [finding('y.a', 'error')]),
    );
    const scoreWith = (weights: object): number => judge(given, projectPolicy.parse({ weights }), 'admission').score;
    expect(scoreWith({})).toBe(68);
    expect(scoreWith({ style: 0 })).toBe(84);
    expect(scoreWith({ style: 10, structure: 100 })).toBe(52);
  });
});

describe('the verdict', () => {
  it('lets no weight and no score outvote a veto', () => {
    const lenient = projectPolicy.parse({ threshold: 0, weights: { security: 0 } });
    const { score, verdict, reasons } = judge(
      facts(check('x', 'security', [finding('x.leak', 'error', { veto: true })])),
      lenient,
      'admission',
    );
    expect({ score, verdict }).toEqual({ score: 100, verdict: 'rejected' });
    expect(reasons).toEqual(['x.leak: x.leak [src/a.ts:3]']);
  });

  it.each(['not_run', 'inconclusive'] as const)(
    'refuses a required check that is %s, and only a required one',
    (status) => {
      const given = facts({ ...check('extra', 'style'), status });
      expect(judge(given, policy, 'admission').verdict).toBe('accepted');
      const strict = projectPolicy.parse({ required: ['tests', 'extra'] });
      expect(judge(given, strict, 'admission').reasons[0]).toMatch(
        /^extra: required, and (not run|inconclusive): said/,
      );
      expect(judge(facts(), strict, 'admission').reasons[0]).toMatch(/^extra: this check is required and there is no/);
    },
  );
});
