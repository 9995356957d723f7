import { describe, expect, it } from '@jest/globals';
import { type VerificationFacts, verificationFacts } from '@muster/contracts';
import { storable } from './storable.ts';

const facts = (more: Partial<VerificationFacts>): VerificationFacts => ({
  candidateTree: 'a'.repeat(40),
  baseTree: null,
  rulesDigest: 'rules',
  toolchain: { digest: 'x', node: '24', platform: 'linux', sandbox: 'bwrap', gate: '1' },
  sandbox: { driver: 'bwrap', proven: true, notes: [] },
  checks: [],
  baseFailures: [],
  testCases: [],
  ms: 1,
  ...more,
});
const testCase = (name: string, message: string | null): VerificationFacts['testCases'][number] => ({
  name,
  file: 'a.test.js',
  status: message === null ? 'passed' : 'failed',
  message,
  ms: 1,
});

describe('facts', () => {
  it('hold nothing that cannot be kept', () => {
    const kept = storable(
      facts({ testCases: [testCase('nul \u0000 half \ud800', 'x\udfff')], baseFailures: ['\u0000'] }),
    );
    expect(kept.testCases[0]).toMatchObject({ name: 'nul \ufffd half \ufffd', message: 'x\ufffd' });
    expect(kept.baseFailures).toEqual(['\ufffd']);
  });

  it('stay as they are where they are small', () => {
    const small = facts({ testCases: [testCase('one', 'said'), testCase('two', null)] });
    expect(storable(small)).toEqual(small);
  });

  it('fit into one answer, and keep every failure and veto that decides', () => {
    const veto = (n: number): VerificationFacts['checks'][number]['findings'][number] => ({
      check: 'tests',
      rule: 'tests.broken',
      level: 'error',
      veto: n === 4999,
      message: 'm'.repeat(4000),
      path: 'p'.repeat(1000),
      line: null,
      remedy: 'r'.repeat(500),
      fingerprint: String(n),
    });
    const large = facts({
      testCases: Array.from({ length: 20_000 }, (_, n) =>
        testCase(`${n} ${'n'.repeat(900)}`, n % 2 === 0 ? 'e'.repeat(8000) : null),
      ),
      checks: [
        {
          check: 'tests',
          category: 'tests',
          status: 'failed',
          summary: 's',
          findings: Array.from({ length: 5000 }, (_, n) => veto(n)),
          metrics: {},
          tool: null,
          ms: 1,
        },
      ],
    });
    const kept = verificationFacts.parse(storable(large));
    expect(Buffer.byteLength(JSON.stringify(kept))).toBeLessThan(3 * 1024 * 1024 + 1);
    expect(kept.checks[0]?.findings.some((each) => each.veto)).toBe(true);
    expect(kept.checks[0]?.status).toBe('failed');
  });
});
