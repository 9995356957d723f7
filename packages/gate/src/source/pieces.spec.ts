import { afterAll, describe, expect, it } from '@jest/globals';
import { GateDesk, type Files } from '../../../../test/support/gate-desk.ts';
import { changesBetween } from './changes.ts';
import { piecesOf, type Piece } from './pieces.ts';

const desk = new GateDesk();
afterAll(() => desk.clear());

async function pieces(before: Files, after: Files): Promise<Piece[]> {
  const [was, is] = [desk.tree(before), desk.tree(after)];
  return await piecesOf(changesBetween(was, is), was, is);
}
const namesOf = (found: readonly Piece[]): string[][] => found.map(({ names }) => [...names].sort()).sort();

const source = `import { near } from './near.js';
export function first(a) {
  return a > 1 ? near(a) : 0;
}
export class Second {
  at(b) {
    return b - 1;
  }
  get all() {
    return [1];
  }
}
export const table = { ONE: (c) => c + 1, TWO: (c) => c + 2 };
`;

describe('pieces of a change', () => {
  it('are apart where they do not need one another', async () => {
    const after = source.replace('a > 1', 'a >= 1').replace('b - 1', 'b - 2').replace('c + 2', 'c * 2');
    const found = await pieces({ 'src/a.js': source }, { 'src/a.js': after });
    expect(namesOf(found)).toEqual([['Second.at'], ['first'], ['table.TWO']]);
    const without = found.find(({ names }) => names[0] === 'first')!.without.get('src/a.js');
    expect(without).toBe(after.replace('a >= 1', 'a > 1'));
    expect(found.map((each) => each.asksForNothing)).toEqual([false, false, false]);
  });

  it('are one where they share a name that the change brings, a parameter, or one that it takes away', async () => {
    const brought = source
      .replace('near(a)', 'safely(a)')
      .replace('b - 1', 'safely(b) - 2')
      .concat('const safely = (n) => n || 7;\n');
    expect(namesOf(await pieces({ 'src/a.js': source }, { 'src/a.js': brought }))).toEqual([['Second.at', 'first']]);
    const bound = source.replace('(a)', '(a, x)').replace('a > 1', 'x').replace('b - 1', 'first(b, 2)');
    expect(namesOf(await pieces({ 'src/a.js': source }, { 'src/a.js': bound }))).toEqual([['Second.at', 'first']]);
    const own = source.replace('near(a)', 'help(a)').concat('function help(n) {\n  return n + 3;\n}\n');
    const taken = await pieces({ 'src/a.js': own }, { 'src/a.js': source });
    expect(namesOf(taken)).toEqual([['first', 'help']]);
    expect(taken[0]!.without.get('src/a.js')).toContain('return n + 3');
  });

  it('are one where a type brings the name that they share', async () => {
    const before =
      'interface Way {\n  km: number;\n}\nexport const cost = (way: Way) => way.km * 2;\nexport const show = (way: Way) => way.km + 1;\n';
    const after = before
      .replace('number;', 'number;\n  from: string;')
      .replace('km * 2', 'from.length')
      .replace('km + 1', 'from');
    expect(namesOf(await pieces({ 'src/way.ts': before }, { 'src/way.ts': after }))).toEqual([['cost', 'show']]);
  });

  it('ask for nothing where the same is only said otherwise', async () => {
    const extracted = source
      .replace('a > 1 ? near(a) : 0', 'isMore(a) ? near(a) : 0')
      .concat('const isMore = (n) => n > 1;\n');
    const renamed = source.replace('first(a)', 'first(value)').replace('a > 1 ? near(a)', 'value > 1 ? near(value)');
    for (const after of [extracted, renamed, source.replace('return b', '// less one\n    return b')])
      for (const piece of await pieces({ 'src/a.js': source }, { 'src/a.js': after }))
        expect(piece).toMatchObject({ asksForNothing: true });
    const swapped = 'export const share = (whole, part) => whole / part + whole;\n';
    expect(await pieces({ 'src/b.js': swapped }, { 'src/b.js': swapped.replace('+ whole', '+ part') })).toMatchObject([
      { asksForNothing: false },
    ]);
  });

  it('take no words to people for behaviour', async () => {
    const before = 'export function f(a) {\n  if (a < 0) throw new RangeError(`no ${a}`);\n  return a;\n}\n';
    expect(
      await pieces({ 'src/a.js': before }, { 'src/a.js': before.replace('`no ${a}`', "'it is negative'") }),
    ).toEqual([]);
  });

  it('bring back the imports that they need, and find a file that has moved', async () => {
    const after = source.replace("import { near } from './near.js';\n", '').replace('near(a)', '9');
    const [piece] = await pieces({ 'src/a.js': source, 'src/near.js': '' }, { 'src/b.js': after, 'src/near.js': '' });
    expect(piece).toMatchObject({ names: ['first'], path: 'src/b.js' });
    expect(piece!.without.get('src/b.js')).toMatch(/^import \{ near \} from '.\/near.js';\n/);
  });

  it('are none where everything is new, or in tests', async () => {
    expect(
      await pieces({ 'src/a.js': source }, { 'src/a.js': source, 'src/b.js': 'export const g = (x) => x * 2;\n' }),
    ).toEqual([]);
    expect(await pieces({ 'a.test.js': source }, { 'a.test.js': source.replace('a > 1', 'a < 1') })).toEqual([]);
  });

  it('are found in Python', async () => {
    const before =
      'import math\n\nRATE = 3\n\n\nclass Box:\n    """Holds."""\n\n    size = 2\n\n    @property\n    def half(self):\n        return self.size / 2\n\n    def fits(self, n):\n        if n > self.size:\n            return False\n        return True\n\n\ndef up(x):\n    return math.ceil(x * RATE)\n';
    const after = before
      .replace('n > self', 'n >= self')
      .replace('import math\n\n', '')
      .replace('math.ceil(x * RATE)', 'int(x * RATE)');
    const found = await pieces({ 'box.py': before }, { 'box.py': after });
    expect(namesOf(found)).toEqual([['Box.fits'], ['up']]);
    expect(found.find(({ names }) => names[0] === 'Box.fits')!.without.get('box.py')).toBe(
      after.replace('n >= self', 'n > self'),
    );
    expect(found.find(({ names }) => names[0] === 'up')!.without.get('box.py')).toMatch(/^import math\n/);
    const worded = before
      .replace('"""Holds."""', '"""Holds things."""')
      .replace('def up(x)', 'def up(value)')
      .replace('ceil(x', 'ceil(value');
    for (const piece of await pieces({ 'box.py': before }, { 'box.py': worded }))
      expect(piece.asksForNothing).toBe(true);
  });

  it('are none where Python is only told of types, and some where a decorator reads them, or a default changes', async () => {
    const was = 'def up(x, by=2, *, key=lambda v: v):\n    return key(x) * by\n';
    const typed = was
      .replace('(x, by=2, *, key=', '(x: int, by: int | None = 2, *, key: Key[int, str] = ')
      .replace('):\n', ') -> dict[str, int]:\n');
    expect(await pieces({ 'a.py': was }, { 'a.py': typed })).toEqual([]);
    expect(await pieces({ 'a.py': `@cache\n${was}` }, { 'a.py': `@cache\n${typed}` })).toEqual([]);
    const read = await pieces({ 'a.py': `@app.get("/")\n${was}` }, { 'a.py': `@app.get("/")\n${typed}` });
    expect(read.map(({ asksForNothing }) => asksForNothing)).toEqual([false]);
    const other = await pieces({ 'a.py': was }, { 'a.py': typed.replace('= 2', '= 3') });
    expect(other.map(({ asksForNothing }) => asksForNothing)).toEqual([false]);
    const line = 'def f(a): return {1: a, 2: 3}\n';
    expect(await pieces({ 'a.py': line }, { 'a.py': line.replace('2: 3', '2: 4') })).toHaveLength(1);
  });

  it('are found where thousands share one new name, and none where a file is nested too deeply to be followed', async () => {
    const all = Array.from({ length: 3000 }, (_, n) => n);
    const was = all.map((n) => `export function f${n}(x) {\n  return x;\n}\n`).join('');
    const is = `import { kind } from './kind.js';\n${was.replaceAll('return x;', 'return kind(x);')}`;
    const kind = 'export const kind = (x) => x.kind;\n';
    const shared = await pieces({ 'src/a.js': was }, { 'src/a.js': is, 'src/kind.js': kind });
    expect(shared.map(({ names }) => names.length)).toEqual([3000]);
    const deep = (last: string) => `export const x = ${'('.repeat(3000)}${last}${')'.repeat(3000)};\n`;
    expect(await pieces({ 'src/a.js': deep('1') }, { 'src/a.js': deep('2') })).toEqual([]);
  });
});
