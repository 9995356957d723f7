import { describe, expect, it } from '@jest/globals';
import { floorOf } from './memory.ts';

describe('the floor under a heap', () => {
  it('is what is left after each collection, so that garbage in between does not look like growth', () => {
    const sawtooth = Array.from({ length: 60 }, (_, x) => ({ x, y: 100 + (x % 5) * 10 }));
    expect(floorOf(sawtooth, 12).map(({ y }) => y)).toEqual(Array.from({ length: 12 }, () => 100));
  });

  it('rises with what is kept', () => {
    const leaking = Array.from({ length: 60 }, (_, x) => ({ x, y: x + (x % 5) * 10 }));
    const floors = floorOf(leaking, 12).map(({ y }) => y);
    expect(floors.at(-1)! - floors[0]!).toBe(55);
  });
});
