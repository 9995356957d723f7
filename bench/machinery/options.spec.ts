import { describe, expect, it } from '@jest/globals';
import { optionsFrom, UsageError } from './options.ts';

describe('the command line of the benches', () => {
  it('has the counts of the promise unless others are named', () => {
    expect(optionsFrom(['dispatch'])).toMatchObject({
      rounds: 3,
      flow: 100_000,
      drains: [20_000, 200_000],
      json: false,
    });
    expect(optionsFrom(['dispatch', '--drain', '10,20', '--only', 'flow,drain', '--json'])).toMatchObject({
      drains: [10, 20],
      only: ['flow', 'drain'],
      json: true,
    });
  });

  it('is short where it is asked to be', () => {
    expect(optionsFrom(['memory', '--short'])).toMatchObject({ rounds: 1, minutes: 0.5 });
    expect(optionsFrom(['memory', '--short', '--minutes', '2'])).toMatchObject({ minutes: 2 });
  });

  it.each([
    [[], 'Name one bench'],
    [['speed'], 'Not speed'],
    [['idle', 'depth'], 'Not idle depth'],
    [['idle', '--rounds', 'many'], '--rounds many'],
    [['idle', '--rounds', '1.5'], 'no whole number'],
    [['idle', '--rounds', '0'], 'above 0'],
    [['idle', '--fast'], '--fast'],
  ])('says what is wrong with %j', (args, words) => {
    expect(() => optionsFrom(args)).toThrow(UsageError);
    expect(() => optionsFrom(args)).toThrow(words);
  });

  it('knows no options when help was asked for', () => {
    expect(optionsFrom(['--help'])).toBeNull();
  });
});
