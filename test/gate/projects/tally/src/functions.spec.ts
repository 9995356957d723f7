import { describe, expect, it } from 'vitest';
import { show } from './format';
import { functions } from './functions';
import { cellsBetween, nameOf, placeOf } from './references';

describe('functions', () => {
  it('work on numbers and lists of numbers', () => {
    expect(functions['SUM']!(1, [2, null, 'x'], 3)).toBe(6);
    expect(functions['COUNT']!(1, [2, null, 'x'], 3)).toBe(3);
    expect(functions['AVERAGE']!([2, 4])).toBe(3);
    expect(functions['MIN']!(3, [1, 2])).toBe(1);
    expect(functions['MAX']!(3, [1, 2])).toBe(3);
    expect(functions['MEDIAN']!([5, 1, 3])).toBe(3);
    expect(functions['MEDIAN']!([4, 1, 3, 2])).toBe(2.5);
    expect(functions['MEDIAN']!([])).toBeNaN();
    expect(functions['ROUND']!(2.345, 1)).toBe(2.3);
    expect(functions['ROUND']!(2.5)).toBe(3);
  });

  it('work on text and conditions', () => {
    expect(functions['IF']!(true, 'yes', 'no')).toBe('yes');
    expect(functions['IF']!(false, 'yes')).toBe(false);
    expect(functions['LEN']!('four')).toBe(4);
    expect(functions['UPPER']!('loud')).toBe('LOUD');
    expect(functions['TRIM']!('  a   b ')).toBe('a b');
  });
});

describe('references', () => {
  it('count columns beyond Z', () => {
    expect(placeOf('A1')).toEqual({ column: 0, row: 0 });
    expect(placeOf('AB12')).toEqual({ column: 27, row: 11 });
    expect(nameOf({ column: 27, row: 11 })).toBe('AB12');
    expect(nameOf({ column: 25, row: 0 })).toBe('Z1');
    expect(() => placeOf('1A')).toThrow(RangeError);
  });

  it('list the cells of a range from either corner', () => {
    expect(cellsBetween('B2', 'A1')).toEqual(['A1', 'B1', 'A2', 'B2']);
  });
});

describe('show', () => {
  it('prints numbers as asked', () => {
    expect(show(1234567.891, { decimals: 2, thousands: true })).toBe('1 234 567.89');
    expect(show(0.256, { percent: true, decimals: 1 })).toBe('25.6 %');
    expect(show(12)).toBe('12');
  });

  it('prints what is no number', () => {
    expect([null, true, false, 'text', Number.NaN, Infinity].map((each) => show(each))).toEqual(['', 'TRUE', 'FALSE', 'text', '#VALUE!', '#DIV/0!']);
  });
});
