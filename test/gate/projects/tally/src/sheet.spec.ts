import { describe, expect, it } from 'vitest';
import { CircleError, Sheet } from './sheet';

describe('sheet', () => {
  it('computes cells from cells', () => {
    const sheet = new Sheet();
    sheet.set('A1', '2');
    sheet.set('A2', '=A1 * 21');
    expect(sheet.value('A2')).toBe(42);
    sheet.set('A1', '3');
    expect(sheet.value('A2')).toBe(63);
    expect(sheet.source('A2')).toBe('=A1 * 21');
    expect(sheet.source('Z9')).toBe('');
  });

  it('sums ranges, and forgets them when a cell of theirs changes', () => {
    const sheet = new Sheet();
    for (const [at, value] of ['1', '2', 'x', ''].entries()) sheet.set(`B${at + 1}`, value);
    sheet.set('C1', '=SUM(B1:B4)');
    sheet.set('C2', '=C1 + 1');
    expect(sheet.value('C2')).toBe(4);
    sheet.set('B3', '10');
    expect(sheet.value('C2')).toBe(14);
    sheet.clear('B1');
    expect(sheet.value('C2')).toBe(13);
    expect(sheet.dependents('B2')).toEqual(['C1']);
  });

  it('reads what is typed as what it is', () => {
    const sheet = new Sheet();
    sheet.set('A1', 'TRUE');
    sheet.set('A2', ' 1e3 ');
    sheet.set('A3', 'a word');
    expect(['A1', 'A2', 'A3', 'A4'].map((each) => sheet.value(each))).toEqual([true, 1000, 'a word', null]);
  });

  it('names the cells of a circle', () => {
    const sheet = new Sheet();
    sheet.set('A1', '=B1');
    sheet.set('B1', '=C1 + 1');
    sheet.set('C1', '=A1');
    expect(() => sheet.value('A1')).toThrow(CircleError);
    expect(() => sheet.value('A1')).toThrow('A1 → B1 → C1 → A1');
  });
});
