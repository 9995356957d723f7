import { describe, expect, it } from '@jest/globals';
import { afterEnd, restartDelayMs, steadyMs } from './restart-rules.ts';

describe('a process that ended by itself', () => {
  it('is started again after pauses that double, up to a minute', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8, 9, 1000].map((failures) => restartDelayMs(failures, 1))).toEqual([
      500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000,
    ]);
  });

  it('is started at a moment of its own, in the upper half of the pause', () => {
    expect([0, 0.5, 1].map((random) => restartDelayMs(3, random))).toEqual([1000, 1500, 2000]);
  });

  it('is given up when it was started again as often as its definition allows', () => {
    const end = { restarts: 2, ranMs: 10, random: 1 };
    expect([0, 1, 2].map((failures) => afterEnd({ ...end, failures }).kind)).toEqual(['restart', 'restart', 'error']);
    expect(afterEnd({ ...end, restarts: 0, failures: 0 }).kind).toBe('error');
  });

  it('has its failures forgiven when it ran for a minute', () => {
    expect(afterEnd({ failures: 9, restarts: 10, ranMs: steadyMs, random: 1 })).toEqual({
      kind: 'restart',
      failures: 1,
      afterMs: 500,
    });
  });
});
