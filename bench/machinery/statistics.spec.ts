import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { median, percentile, slope, spread, steadyRate } from './statistics.ts';

const figures = fc.array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 50 });

describe('statistics of rounds', () => {
  it('takes the middle one, or the middle between the two middle ones', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(() => median([])).toThrow('no median');
  });

  it('has half of the figures on each side of a median', () => {
    fc.assert(
      fc.property(figures, (values) => {
        const middle = median(values);
        expect(values.filter((value) => value < middle).length).toBeLessThanOrEqual(values.length / 2);
        expect(values.filter((value) => value > middle).length).toBeLessThanOrEqual(values.length / 2);
      }),
    );
  });

  it('gives a percentile that was really measured, with no more than its share above it', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
    expect(percentile(hundred, 50)).toBe(50);
    expect(percentile(hundred, 99)).toBe(99);
    expect(percentile(hundred, 100)).toBe(100);
    expect(percentile([7], 1)).toBe(7);
    fc.assert(
      fc.property(figures, fc.integer({ min: 1, max: 100 }), (values, percent) => {
        const found = percentile(values, percent);
        expect(values).toContain(found);
        expect(values.filter((value) => value > found).length).toBeLessThanOrEqual(
          values.length * (1 - percent / 100) + 1e-9,
        );
      }),
    );
    expect(() => percentile([1], 0)).toThrow('0th');
  });

  it('finds the slope of a line, and of a line with noise about it', () => {
    expect(slope([0, 1, 2, 3].map((x) => ({ x, y: 5 + 2 * x })))).toBeCloseTo(2);
    expect(slope([0, 1, 2, 3].map((x) => ({ x, y: 5 + (x % 2) })))).toBeCloseTo(0.2);
    expect(() => slope([{ x: 1, y: 1 }])).toThrow('two points');
    expect(() =>
      slope([
        { x: 1, y: 1 },
        { x: 1, y: 2 },
      ]),
    ).toThrow('lie apart');
  });

  it('says how far rounds lie apart', () => {
    expect(spread([90, 100, 110])).toBeCloseTo(0.2);
    expect(spread([0, 0])).toBe(0);
  });

  it('leaves start and end out of a steady rate', () => {
    // Nothing for a second, 1,000 a second for ten, then a long tail.
    const readings = Array.from({ length: 101 }, (_, tenth) => ({ atUs: 1e6 + tenth * 1e5, count: tenth * 100 }));
    readings[100]!.atUs = 60e6;
    expect(steadyRate(readings, 10_000)).toBeCloseTo(1000);
    expect(() => steadyRate(readings, 20_000)).toThrow('Only 10000 of 20000');
  });
});
