import { describe, expect, it } from '@jest/globals';
import { shareOut } from './dispatcher.ts';

const receiver = (team: string, room: number, load = 0) => ({ room, load, instance: { team_id: team } });
const roomOf = ({ room }: { room: number }): number => room;
const countOf = (slots: readonly number[], index: number): number => slots.filter((slot) => slot === index).length;

describe('slots of a round', () => {
  it('are shared between teams evenly, whatever room one of them has', () => {
    const slots = shareOut([receiver('large', 1_000), receiver('large', 1_000), receiver('small', 100)], 64, roomOf);
    expect(countOf(slots, 2)).toBe(32);
    expect(slots).toHaveLength(64);
  });

  it('that one team has no use for are the others’', () => {
    const slots = shareOut([receiver('large', 1_000), receiver('small', 5)], 64, roomOf);
    expect([countOf(slots, 0), countOf(slots, 1)]).toEqual([59, 5]);
    // Every second one until it has all that it can use, so that it is not the last of the batch.
    expect(slots.slice(0, 10).filter((slot) => slot === 1)).toHaveLength(5);
  });

  it('go to the least loaded first, and to each in turn', () => {
    const slots = shareOut([receiver('a', 2, 0.9), receiver('a', 2, 0.1)], 3, roomOf);
    expect(slots).toEqual([1, 0, 1]);
  });
});
