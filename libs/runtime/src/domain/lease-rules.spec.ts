import { describe, expect, it } from '@jest/globals';
import { afterFailure, heartbeatMsFor, isReserved, secondsOf, silentAfterSeconds } from './lease-rules.ts';

const rules = { maxAttempts: 5, retryable: true, delaysSeconds: [5, 15, 30], capability: 'code.change' };

describe('after a failure', () => {
  it('tries again after 5, 15 and 30 seconds, then by another instance, then asks a person', () => {
    expect([1, 2, 3, 4, 5].map((failures) => afterFailure({ ...rules, failures }))).toEqual([
      { kind: 'retry', afterSeconds: 5 },
      { kind: 'retry', afterSeconds: 15 },
      { kind: 'retry', afterSeconds: 30 },
      { kind: 'another_instance' },
      { kind: 'person' },
    ]);
  });

  it('asks earlier where fewer attempts are allowed', () => {
    expect(afterFailure({ ...rules, failures: 2, maxAttempts: 2 })).toEqual({ kind: 'person' });
  });

  it('ends what nobody should retry', () => {
    expect(afterFailure({ ...rules, failures: 1, retryable: false })).toEqual({ kind: 'failed' });
  });

  it('never leaves a task of the system to a person: it fails, and who asked for it acts', () => {
    const system = { ...rules, capability: 'muster.verify' };
    expect(afterFailure({ ...system, failures: 4 })).toEqual({ kind: 'retry', afterSeconds: 30 });
    expect(afterFailure({ ...system, failures: 5 })).toEqual({ kind: 'failed' });
  });
});

it('fits several heartbeats into a lease, and calls an instance silent before its lease is over', () => {
  for (const leaseSeconds of [1, 2, 3, 10, 30, 3600]) {
    expect(heartbeatMsFor(leaseSeconds) * 3).toBeLessThanOrEqual(leaseSeconds * 1000);
    expect(silentAfterSeconds(leaseSeconds)).toBeLessThanOrEqual(leaseSeconds);
  }
});

it('reads durations as people write them', () => {
  expect(['250ms', '30s', '5m', '2h', '1d', 7].map(secondsOf)).toEqual([0.25, 30, 300, 7200, 86_400, 7]);
  expect(() => secondsOf('soon')).toThrow(RangeError);
});

it('knows the capabilities of the system', () => {
  expect(['muster.verify', 'muster', 'mustering.sheep', 'code.change'].map(isReserved)).toEqual([
    true,
    true,
    false,
    false,
  ]);
});
