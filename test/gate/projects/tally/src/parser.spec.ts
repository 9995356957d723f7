import { describe, expect, test } from 'vitest';
import { cellsIn } from './ast';
import { evaluate } from './evaluate';
import { Parser } from './parser';
import { FormulaError, tokenize } from './tokens';

const result = (source: string) => evaluate(new Parser(source).parse(), (cell) => (cell === 'A1' ? 5 : null));

describe('formulas', () => {
  test.each([
    ['1 + 2 * 3', 7],
    ['(1 + 2) * 3', 9],
    ['2 ^ 3 ^ 2', 512],
    ['-2 ^ 2', -4],
    ['10 - 4 - 3', 3],
    ['50% * 8', 4],
    ['A1 / 2', 2.5],
    ['B9 + 1', 1],
    ['1 < 2', true],
    ['2 <= 1', false],
    ['3 > 3', false],
    ['3 >= 3', true],
    ['A1 = 5', true],
    ['A1 <> 5', false],
    ['"a" & 1 & "b""c"', 'a1b"c'],
    ['+1.5e2', 150],
  ])('%s', (source, expected) => {
    expect(result(source)).toBe(expected);
  });

  test('say where they are wrong', () => {
    expect(() => tokenize('1 ? 2')).toThrow(FormulaError);
    expect(() => result('1 +')).toThrow('Unexpected end (at 4)');
    expect(() => result('(1')).toThrow('Expected close');
    expect(() => result('* 2')).toThrow('Unexpected *');
    expect(() => result('NOPE(1)')).toThrow('There is no function NOPE');
    expect(() => result('A1:A2')).toThrow('A range stands only');
  });

  test('name the cells that they read', () => {
    const { cells, ranges } = cellsIn(new Parser('SUM(A1:B2, C3) - -D4').parse());
    expect(cells).toEqual(['C3', 'D4']);
    expect(ranges).toEqual([['A1', 'B2']]);
  });
});
