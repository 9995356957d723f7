import { afterAll, describe, expect, it } from '@jest/globals';
import { GateDesk } from '../../../../test/support/gate-desk.ts';
import { exportedIn } from '../checks/documentation.ts';
import { ByContent } from './by-content.ts';
import { changesBetween } from './changes.ts';
import { importsOf } from './reached.ts';

const desk = new GateDesk();
afterAll(() => desk.clear());

describe('what follows from a text alone', () => {
  it('is worked out once for each text and kind of file', () => {
    const known = new ByContent<string[]>();
    const asked: string[] = [];
    const of = (path: string, text: string): string[] =>
      known.get(path, text, () => {
        asked.push(path);
        return [text];
      });
    expect([of('a.ts', 'x'), of('b/c.ts', 'x'), of('a.js', 'x'), of('a.ts', 'y')]).toEqual([
      ['x'],
      ['x'],
      ['x'],
      ['y'],
    ]);
    expect(asked).toEqual(['a.ts', 'a.js', 'a.ts']);
  });

  it('is no other for having been changed by whoever asked before', () => {
    const known = new ByContent<string[]>();
    known.get('a.ts', 'x', () => ['one']).push('two');
    known.get('a.ts', 'x', () => []).push('three');
    expect(known.get('a.ts', 'x', () => [])).toEqual(['one']);
  });

  it('holds no more than it may, and forgets first what was asked longest ago', () => {
    const known = new ByContent<string>(400);
    const asked: string[] = [];
    const of = (text: string): string => known.get('a.ts', text, () => (asked.push(text), 'a'.repeat(100)));
    for (const text of ['1', '2', '1', '3', '1', '2']) of(text);
    expect(asked).toEqual(['1', '2', '3', '2']);
    for (const [path, size] of [['large', 1000], ['small', 1]] as const) known.get('a.ts', path, () => 'b'.repeat(size));
    expect(known.get('a.ts', 'large', () => 'again')).toBe('again');
  }); // prettier-ignore

  it.each(['a.ts', 'a.js', 'a.tsx', 'a.mts'])('is the same when it is asked again: imports and exports of %s', (path) => {
    const text = `import type { A } from './a.js';\nexport * from './b.js';\nconst c = require('c');\n/** So. */\nexport function d() {}\n`;
    const [first, types] = [importsOf(path, text), importsOf(path, text, { types: false })];
    expect(first).toEqual(['./a.js', './b.js', 'c']);
    expect(types).toEqual(['./b.js', 'c']);
    expect([importsOf(path, text), importsOf(path, text, { types: false })]).toEqual([first, types]);
    expect([exportedIn(path, text), exportedIn(path, text)]).toEqual([exportedIn(path, text), [{ name: 'd', line: 5, documented: true, isFunction: true }]]);
  }); // prettier-ignore
});

describe('two files of one size', () => {
  it.each([1, 1000, 1024 * 1024, 1024 * 1024 + 1, 3 * 1024 * 1024])('are told apart by any of %d bytes', (size) => {
    const of = (at: number): string => `${'a'.repeat(at)}b${'a'.repeat(size - at - 1)}`;
    const changed = (one: string, other: string): string[] =>
      changesBetween(desk.tree({ 'data.bin': one }), desk.tree({ 'data.bin': other })).map(({ path }) => path);
    expect(changed(of(0), of(0))).toEqual([]);
    expect(changed('a'.repeat(size), of(size - 1))).toEqual(['data.bin']);
    expect(changed('a'.repeat(size), of(0))).toEqual(['data.bin']);
  });
});
