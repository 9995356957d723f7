import { describe, expect, it } from '@jest/globals';
import { interleaved } from './rounds.ts';

describe('interleaved rounds', () => {
  it('lets everybody play once in each round, one at a time, and another one first each time', async () => {
    const played: string[] = [];
    let under = 0;
    const results = await interleaved(['ours', 'a', 'b'], 3, async (name, round) => {
      expect((under += 1)).toBe(1);
      await Promise.resolve();
      under -= 1;
      played.push(`${name}${round}`);
      return round;
    });
    expect(played).toEqual(['ours0', 'a0', 'b0', 'a1', 'b1', 'ours1', 'b2', 'ours2', 'a2']);
    expect(results).toEqual({ ours: [0, 1, 2], a: [0, 1, 2], b: [0, 1, 2] });
  });
});
