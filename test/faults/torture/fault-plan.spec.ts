import { expect, it } from '@jest/globals';
import { planFaults } from './fault-plan.ts';

const plan = (seed: number, seconds = 60) => planFaults({ seed, seconds, leaseMs: 4000 });

it('is the same for the same seed, and another for another', () => {
  expect(plan(1)).toEqual(plan(1));
  expect(plan(2)).not.toEqual(plan(1));
});

it('has every kind of fault, one kill for each second, pauses longer than the lease, and an end', () => {
  for (const [seed, seconds] of [
    [1, 60],
    [2, 20],
    [3, 20],
  ] as const) {
    const faults = plan(seed, seconds);
    expect(new Set(faults.map(({ kind }) => kind))).toEqual(
      new Set([
        'kill',
        'pause',
        'terminate backends',
        'restart postgres',
        'step wall clock',
        'step database clock',
        'flush redis',
        'kill redis',
      ]),
    );
    expect(faults.filter(({ kind }) => kind === 'kill')).toHaveLength(seconds);
    for (const fault of faults) {
      const lasts = fault.kind === 'pause' ? fault.forMs : 0;
      if (fault.kind === 'pause') expect(lasts).toBeGreaterThan(4000);
      expect(fault.atMs + lasts).toBeLessThanOrEqual(seconds * 1000);
    }
  }
});
