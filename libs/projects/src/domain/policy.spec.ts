import { describe, expect, it } from '@jest/globals';
import { policyOf } from './policy.ts';

const bounds = { minThreshold: 50, maxTimeoutSeconds: 900, landingStrategies: ['squash', 'merge'] as const };

describe('a policy', () => {
  it('is the default where there is none', () => {
    expect(policyOf(null, bounds)).toMatchObject({ source: 'default', problem: null, policy: { threshold: 85 } });
  });
  it('is what muster.yaml says, within what the server allows', () => {
    expect(policyOf('threshold: 10\ntimeoutSeconds: 3000\npostLanding: npm test\n', bounds)).toMatchObject({
      source: 'muster.yaml',
      problem: null,
      policy: { threshold: 50, timeoutSeconds: 900, postLanding: 'npm test' },
    });
    expect(policyOf('', bounds).source).toBe('muster.yaml');
  });
  it('lets changes land as the project says, in a way that the server allows', () => {
    const landingOf = (source: string) => policyOf(`landing: ${source}`, bounds).policy.landing;
    expect(landingOf('{}')).toEqual({
      strategy: 'squash',
      mode: 'automatic',
      protectedBranches: [],
      quietHours: [],
    });
    expect(landingOf('{ strategy: merge, mode: person }')).toMatchObject({ strategy: 'merge', mode: 'person' });
    expect(landingOf('{ strategy: rebase }')).toMatchObject({ strategy: 'squash' });
  });
  it.each([
    ['threshold: [', 'not valid YAML'],
    ['threshhold: 3', 'does not say valid rules'],
    ['checks: { secrets: false }', 'does not say valid rules'],
    ['landing: { strategy: octopus }', 'does not say valid rules'],
    ['landing: { quietHours: [{ from: "25:00", to: "06:00" }] }', 'does not say valid rules'],
    ['landing: { quietHours: [{ from: "22:00", to: "06:00", timeZone: Moon/Base }] }', 'does not say valid rules'],
    ['- a\n- b', 'does not say valid rules'],
    [`a: &a [1]\nb: [${'*a,'.repeat(50)}]`, 'not valid YAML'],
  ])('is the default, and says so, where muster.yaml is %j', (source, problem) => {
    const view = policyOf(source, bounds);
    expect(view).toMatchObject({ source: 'default', policy: { threshold: 85, checks: { secrets: true } } });
    expect(view.problem).toContain(problem);
  });
});
