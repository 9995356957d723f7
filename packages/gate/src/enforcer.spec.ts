import { afterAll, describe, expect, it } from '@jest/globals';
import { projectPolicy, type CheckFacts, type Finding, type VerificationFacts } from '@muster/contracts';
import { GateDesk, type Files } from '../../../test/support/gate-desk.ts';
import { enforcerCheck, placeholderIn } from './checks/enforcer.ts';
import { findingOf } from './checks/check.ts';
import { breachesOf } from './enforcer.ts';
import { judge } from './judge.ts';

const desk = new GateDesk();
afterAll(() => desk.clear());

describe('a placeholder file', () => {
  it.each([
    ['src/pay.ts', ''],
    ['src/pay.ts', '// TODO\n'],
    ['src/pay.ts', "export function pay() {\n  throw new Error('not implemented');\n}\n"],
    ['src/pay.ts', '// TODO: charge the card\nexport const pay = (): null => {\n  // TODO\n  return null;\n};\n'],
    ['src/pay.py', 'def pay():\n    """Charges the card."""\n    raise NotImplementedError("not implemented")\n'],
    ['docs/billing.md', '# Billing\n\nComing soon.\n'],
    ['README.md', '# Muster\n\nTODO: describe the project.\n'],
  ])('is %s with %j', (path, text) => {
    expect(placeholderIn(path, text)).not.toBeNull();
  });

  it.each([
    ['src/pay.ts', 'export const price = 3;\n'],
    ['src/pay.ts', "// TODO: later, a discount\nexport const pay = (n: number) => n * 3;\nexport const later = () => {\n  throw new Error('not implemented');\n};\n"],
    ['src/port.ts', 'export abstract class Port {\n  abstract pay(): void;\n  later(): void {\n    throw new Error("not implemented");\n  }\n}\n'],
    ['src/nothing.ts', 'export const nothing = () => undefined;\n'],
    ['src/__init__.py', ''],
    ['src/port.py', 'class Port(ABC):\n    def pay(self):\n        raise NotImplementedError("not implemented")\n'],
    ['docs/billing.md', '# Billing\n\nCards are charged at night.\n'],
    ['docs/plan.md', `# Plan\n\n${'What is to be done, step by step, with its reasons. '.repeat(5)}TODO: the rest.\n`],
    ['test/pay.test.ts', '// TODO\n'],
  ])('is not %s with %j', (path, text) => {
    expect(placeholderIn(path, text)).toBeNull();
  }); // prettier-ignore

  it('is noted where a change brings it, and not where it was one before', async () => {
    const stub: Files = { 'src/pay.ts': '// TODO\n' };
    const seen = await desk.run(enforcerCheck, {}, stub);
    expect(seen).toMatchObject({ status: 'failed', findings: [{ rule: 'enforcer.placeholder', level: 'note', path: 'src/pay.ts' }] });
    expect((await desk.run(enforcerCheck, stub, { 'src/pay.ts': '// TODO: soon\n' })).findings).toEqual([]);
  }); // prettier-ignore
});

const critical = projectPolicy.parse({ enforcer: { critical: ['src/billing/**'] } });
const finding = (rule: string, path: string, level: Finding['level'] = 'note'): Finding =>
  findingOf({ check: rule.split('.')[0]!, rule, level, message: rule, path });
const check = (name: string, status: CheckFacts['status'], findings: Finding[] = []): CheckFacts => ({
  check: name, category: 'tests', status, summary: 'tests run 3 of 9 changed lines', findings, metrics: {}, tool: null, ms: 1,
}); // prettier-ignore
const factsOf = (...checks: CheckFacts[]): VerificationFacts => ({
  candidateTree: 'a'.repeat(40), baseTree: 'b'.repeat(40), rulesDigest: 'r', toolchain: { digest: 'd', node: '24', platform: 'linux-x64', sandbox: 'bwrap', gate: '1' },
  sandbox: { driver: 'bwrap', proven: true, notes: [] }, checks: ['tests', 'secrets', 'tampering'].map((name) => check(name, 'passed')).concat(checks),
  baseFailures: [], testCases: [], ms: 1,
}); // prettier-ignore
const touched = check('enforcer', 'passed', [finding('enforcer.critical', 'src/billing/pay.ts')]);

describe('the enforcer', () => {
  it('names the critical files that a change touches', async () => {
    const pay = 'export const pay = () => 3;\n';
    const seen = await desk.run(
      enforcerCheck,
      {},
      { 'src/billing/pay.ts': pay, 'src/other.ts': pay },
      { policy: critical },
    );
    expect(seen.findings.map(({ rule, path }) => [rule, path])).toEqual([['enforcer.critical', 'src/billing/pay.ts']]);
  });

  it.each([
    ['every changed line of them is run', check('coverage', 'passed'), []],
    ['one of their lines is not run, however well the rest is', check('coverage', 'passed', [finding('coverage.unseen_lines', 'src/billing/pay.ts')]), ['critical_paths']],
    ['it could not be looked at', check('coverage', 'not_run'), ['critical_paths']],
    ['a line of another file is not run', check('coverage', 'passed', [finding('coverage.unseen_lines', 'src/other.ts')]), []],
  ])('holds critical paths to their tests when %s', (_when, coverage, rules) => {
    expect(breachesOf(factsOf(touched, coverage), critical, 'admission').map(({ rule }) => rule)).toEqual(rules);
  }); // prettier-ignore

  it('refuses, whatever the score, or leaves it to a maintainer, as the policy says', () => {
    const facts = factsOf(check('enforcer', 'failed', [finding('enforcer.placeholder', 'src/pay.ts')]));
    const strict = judge(facts, projectPolicy.parse({}), 'admission');
    expect(strict).toMatchObject({ verdict: 'rejected', score: 100, reasons: ['enforcer.placeholders: placeholder files: src/pay.ts'] });
    const asking = judge(facts, projectPolicy.parse({ enforcer: { onBreach: 'review' } }), 'admission');
    expect(asking).toMatchObject({ verdict: 'accepted', breaches: [{ rule: 'placeholders', paths: ['src/pay.ts'] }] });
    const off = projectPolicy.parse({ enforcer: { placeholders: false, coverage: false } });
    expect(breachesOf(facts, off, 'landing')).toEqual([]);
    expect(breachesOf(facts, projectPolicy.parse({}), 'revert')).toEqual([]);
  }); // prettier-ignore

  it('insists on the share of changed lines even where coverage costs no points', () => {
    const unseen = check('coverage', 'failed', [finding('coverage.unseen_lines', 'src/a.ts', 'error')]);
    const policy = projectPolicy.parse({ weights: { tests: 0 } });
    expect(judge(factsOf(unseen), policy, 'admission')).toMatchObject({
      verdict: 'rejected',
      score: 100,
      reasons: ['enforcer.coverage: tests run 3 of 9 changed lines; the project insists on 80 %'],
    });
  });
});
