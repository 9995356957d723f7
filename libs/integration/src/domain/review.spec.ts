import { describe, expect, it } from '@jest/globals';
import { projectPolicy, reviewPolicy, type VerificationView } from '@muster/contracts';
import { codeOwners } from './code-owners.ts';
import { forAPerson, inWords, missingOf, requirementsOf } from './review.ts';

describe('a CODEOWNERS file', () => {
  const ownersOf = codeOwners(
    [
      '# comment',
      '*        @everyone a@example.org # the rest',
      '*.js     js@example.org',
      '/build/logs/ build@example.org',
      'docs/*   docs@example.org',
      'apps/    apps@example.org',
      '/scripts/a\\ b.sh space@example.org',
      '/apps/github',
      '!nobody  bad@example.org',
      '[Section] section@example.org',
      '/(group)/{x}.txt group@example.org',
    ].join('\n'),
  );
  it.each([
    ['README.md', ['@everyone', 'a@example.org']],
    ['deep/down/x.js', ['js@example.org']],
    ['build/logs/today/a.txt', ['build@example.org']],
    ['other/build/logs/a.txt', ['@everyone', 'a@example.org']],
    ['docs/start.md', ['docs@example.org']],
    ['docs/deeper/start.md', ['@everyone', 'a@example.org']],
    ['src/apps/x.ts', ['apps@example.org']],
    ['scripts/a b.sh', ['space@example.org']],
    ['apps/github/x', []],
    ['.hidden/file', ['@everyone', 'a@example.org']],
    ['(group)/{x}.txt', ['group@example.org']],
  ])('gives %s to the owners of the last line that matches', (path, owners) => {
    expect(ownersOf(path)).toEqual(owners);
  });
  it('says nothing about what no line matches', () => {
    expect(codeOwners('/only a@example.org')('else')).toBeNull();
  });
});

describe('what a change needs', () => {
  const ada = { userId: 'user_ada', email: 'Ada@example.org', role: 'maintainer' };
  const ben = { userId: 'user_ben', email: 'ben@example.org', role: 'developer' };
  const eve = { userId: 'user_eve', email: 'eve@example.org', role: 'viewer' };

  it('is the approvals of the owners of what it touches, each by the people that count for it', () => {
    const policy = reviewPolicy.parse({
      owners: [{ paths: ['deploy/**'], people: ['@maintainer', 'ben@example.org'], approvals: 2 }],
      approvals: 1,
    });
    const needs = requirementsOf(policy, null, ['deploy/x', 'src/y'], []);
    expect(missingOf(needs, [])).toEqual([
      { because: 'owners', paths: ['deploy/x'], people: ['@maintainer', 'ben@example.org'], missing: 2 },
      { because: 'quorum', paths: [], people: [], missing: 1 },
    ]);
    expect(missingOf(needs, [ada])).toMatchObject([{ because: 'owners', missing: 1 }]);
    // Saying it twice is saying it once, and who may only look has no say.
    expect(missingOf(needs, [ada, ada, eve])).toMatchObject([{ missing: 1 }]);
    expect(missingOf(needs, [ada, ben])).toEqual([]);
    expect(inWords(missingOf(needs, [ada])[0]!)).toBe(
      'waits for 1 more approval of @maintainer or ben@example.org for deploy/x',
    );
  });

  it('falls to a maintainer where the file names nobody whom the server knows, and where the file itself is changed', () => {
    const ownersOf = codeOwners('*.js @some-github-team\nCODEOWNERS ben@example.org\n');
    const needs = requirementsOf(reviewPolicy.parse({}), ownersOf, ['a.js', 'CODEOWNERS', 'free.txt'], []);
    expect(needs).toEqual([
      { because: 'owners', paths: ['a.js', 'CODEOWNERS'], people: ['@maintainer'], approvals: 1 },
    ]);
    expect(missingOf(needs, [ben])).toHaveLength(1);
    expect(missingOf(needs, [ada])).toEqual([]);
  });
});

describe('a refusal that a person may look at', () => {
  const finding = {
    check: 'tampering',
    level: 'error',
    veto: true,
    message: '',
    line: null,
    remedy: null,
    fingerprint: '',
  } as const;
  const view = (rules: readonly string[], more: Partial<VerificationView> = {}): VerificationView =>
    ({
      score: 84, threshold: 85, approvedBy: null,
      lost: rules.map((rule) => ({ category: 'integrity', points: 16, rule, path: null, line: null, remedy: null })),
      facts: {
        checks: [
          { check: 'tampering', status: 'failed', findings: rules.map((rule) => ({ ...finding, rule, path: 'deploy/x' })) },
          { check: 'tests', status: 'passed', findings: [] },
          { check: 'secrets', status: 'passed', findings: [] },
        ],
      },
      ...more,
    }) as unknown as VerificationView; // prettier-ignore
  const ask = projectPolicy.parse({ review: { rules: 'ask' } });

  it('is one about rules and protected paths, with which nothing else is wrong, where the project wants to be asked', () => {
    expect(forAPerson(view(['tampering.protected']), ask)).toEqual(['deploy/x']);
    expect(forAPerson(view(['tampering.protected']), projectPolicy.parse({}))).toBeNull();
  });
  it.each([
    ['something that no person can let through', view(['tampering.protected', 'tampering.lock_source'])],
    ['a veto of another check', view(['secrets.token'])],
    ['a score that is too low without it', view(['tampering.protected'], { score: 50 })],
    ['somebody having let it through already', view(['tampering.protected'], { approvedBy: 'Ada (user_1)' })],
  ])('is none with %s', (_, verification) => {
    expect(forAPerson(verification, ask)).toBeNull();
  });
});
