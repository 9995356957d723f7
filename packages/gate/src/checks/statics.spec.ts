import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { gatePolicy, projectPolicy } from '@muster/contracts';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { GateDesk, type Files } from '../../../../test/support/gate-desk.ts';
import { sbomOf } from '../project/lock.ts';
import { advisoriesCheck } from './advisories.ts';
import type { Check, CheckContext } from './check.ts';
import { claimsCheck } from './claims.ts';
import { dependenciesCheck, isDenied } from './dependencies.ts';
import { documentationCheck } from './documentation.ts';
import { scopeCheck } from './scope.ts';
import { structureCheck } from './structure.ts';
import { tamperingCheck } from './tampering.ts';

const desk = new GateDesk();
afterAll(() => desk.clear());
const rules = async (
  check: Check,
  before: Files | null,
  after: Files,
  more: Partial<CheckContext> = {},
): Promise<string[]> =>
  (await desk.run(check, before, after, more)).findings
    .filter((each) => each.level !== 'note')
    .map((each) => `${each.rule.split('.')[1]} ${each.level}`);

const nested = (depth: number): string =>
  `export function f(a) {\n${'if (a()) {\n'.repeat(depth)}return 1;\n${'}\n'.repeat(depth)}}\n`;
const nestedInPython = (depth: number): string =>
  `def f(a):\n${Array.from({ length: depth }, (_each, n) => `${'    '.repeat(n + 1)}if a():\n`).join('')}${'    '.repeat(depth + 1)}return 1\n`;
const branches = (count: number): string =>
  `export function decide(a) {\n${Array.from({ length: count }, (_each, n) => `  if (a === ${n}) a += work(${n});`).join('\n')}\n  return a;\n}\n`;
const block = (lines: number, seed = 'x'): string =>
  `export function total${seed}(items) {\n${Array.from({ length: lines }, (_each, n) => `  const v${n} = items[${n}].price * items[${n}].count + tax(items[${n}]);`).join('\n')}\n  return v0;\n}\n`;

/** The same work with names of its own before and after it. */
const templated = (name: string): string =>
  `export function head${name}(x) {\n  return \`\${x.${name}} has one\`;\n}\n${block(40, 'z')}export function tail${name}(x) {\n  return \`\${x.${name}} has two\`;\n}\n`;

/** Fourteen lines of work under a name of its own. */
const issue = (name: string): string => `def ${name}(self, code, quantity):
    if quantity <= 0:
        raise StockError("what goes out is more than nothing")
    if self.on_hand(code) < quantity:
        raise StockError(f"there are only {self.on_hand(code)} of {code}")
    lots = self.lots[code]
    total = 0
    while quantity > 0:
        lot = lots[0]
        taken = min(quantity, lot[0])
        total += taken * lot[1]
        lot[0] -= taken
        quantity -= taken
        if lot[0] == 0:
            lots.popleft()
    return total
`;
const manyMore = `${Array.from({ length: 12 }, (_each, n) => `    total = total + self.fee${n}(code)\n`).join('')}    return total\n`;

describe('structure', () => {
  it.each<[string, Files, Files, string[]]>([
    ['many ways through a new function', {}, { 'src/a.js': branches(20) }, ['complexity warning']],
    ['very many', {}, { 'src/a.js': branches(40) }, ['complexity error']],
    [
      'very many in Python',
      {},
      {
        'a.py': `def f(a):\n${Array.from({ length: 40 }, (_each, n) => `    if a:\n        a = g${n}(a)\n`).join('')}    return a\n`,
      },
      ['complexity error'],
    ],
    ['a long copy of what is there', { 'src/a.js': block(40) }, { 'src/b.js': block(40, 'y') }, ['duplication error']],
    [
      'a copy of a whole function under another name, above it',
      { 'a.py': issue('issue') },
      { 'a.py': `${issue('write_off')}\n\n${issue('issue')}` },
      ['duplication error'],
    ],
    [
      'a function within another, which is no copy of itself',
      {},
      { 'a.py': `def outer(self):\n${issue('inner').replace(/^(?=.)/gm, '    ')}    return inner\n` },
      [],
    ],
    [
      'the same beginning of two functions that go on otherwise',
      { 'a.py': issue('issue') },
      { 'b.py': issue('write_off').replace('    return total\n', manyMore) },
      ['duplication warning'],
    ],
    [
      'a copy of code with templates in it',
      { 'src/a.js': templated('a') },
      { 'src/b.js': templated('b') },
      ['duplication error'],
    ],
    [
      'a circle of imports',
      { 'src/a.js': "import './b.js';\n", 'src/b.js': 'export const b = 1;\n' },
      { 'src/b.js': "import './a.js';\nexport const b = 1;\n" },
      ['cycle error'],
    ],
    [
      'a function that nothing uses',
      { 'src/a.js': 'export const a = 1;\n' },
      { 'src/a.js': 'export const a = 1;\nfunction unused() { return work(); }\n' },
      ['unused error'],
    ],
    [
      'a private method that nothing calls',
      {},
      {
        'src/a.js': 'export class A {\n  #kept = 1;\n  #old() { return work(); }\n  now() { return this.#kept; }\n}\n',
      },
      ['unused error'],
    ],
    [
      'a private function of Python that nothing calls, and a method',
      {},
      {
        'a.py':
          'def _rounded(a):\n    return round(a, 2)\n\nclass A:\n    def go(self):\n        return 1\n\n    def _old(self):\n        return work(self)\n',
      },
      ['unused error', 'unused error'],
    ],
    [
      'private functions of Python that are called, by others, by a frame, or by what a text names',
      { 'b.py': 'from a import _rounded\n' },
      {
        'a.py':
          'def _rounded(a):\n    return round(a, 2)\n\n@hook\ndef _hooked(a):\n    return 1 + a\n\nclass A(Base):\n    def _called(self):\n        return work(self)\n',
        'c.py': 'def _go_on(a):\n    return a + 1\n\ndef run(step, a):\n    return globals()["_go_" + step](a)\n',
      },
      [],
    ],
    [
      'what is never reached',
      {},
      { 'src/a.js': 'export function f(a) {\n  return a;\n  work();\n}\n' },
      ['unreachable error'],
    ],
    [
      'what is never reached in Python',
      {},
      {
        'src/a.py': 'def f(a):\n    if a:\n        return (\n            a\n        )\n        work()\n    return a\n',
      },
      ['unreachable error'],
    ],
    ['branches within branches', {}, { 'src/a.js': nested(7) }, ['nesting error']],
    ['branches within branches in Python', {}, { 'a.py': nestedInPython(7) }, ['nesting error']],
    ['what goes one deeper', { 'src/a.js': nested(7) }, { 'src/a.js': nested(8) }, ['nesting error']],
  ])('charges %s', async (_what, before, change, expected) => {
    expect(await rules(structureCheck, before, { ...before, ...change })).toEqual(expected);
  });

  it.each<[string, Files, Files]>([
    ['debt that was there', { 'src/a.js': branches(40) }, { 'src/a.js': `${branches(40)}export const more = 1;\n` }],
    [
      'a function that moved to another file',
      { 'src/a.js': branches(40), 'src/b.js': '' },
      { 'src/a.js': '', 'src/b.js': branches(40) },
    ],
    ['six branches within each other', {}, { 'src/a.js': nested(6), 'a.py': nestedInPython(6) }],
    ['depth that was there', { 'src/a.js': nested(9) }, { 'src/a.js': nested(9).replace('return 1', 'return 2') }],
    ['a deep function that is called otherwise', { 'src/a.js': nested(8), 'a.py': nestedInPython(8) }, { 'src/a.js': nested(8).replace('f(', 'g('), 'a.py': nestedInPython(8).replace('f(', 'g(') }], // prettier-ignore
    ['choices in brackets', {}, { 'src/a.js': `export const f = (a) => ${Array.from({ length: 9 }, (_each, n) => `a === ${n} ? ${n} : (`).join('')}0${')'.repeat(9)};\n` }], // prettier-ignore
    [
      'functions within branches',
      {},
      { 'a.py': `${nestedInPython(4)}${nestedInPython(4).replace(/^/gm, '    '.repeat(5)).replace('f(', 'g(')}` },
    ],
    ['a condition that moved', { 'src/a.js': 'export function f(a) {\n  if (a === 1 && a === 2) go();\n}\n' }, { 'src/a.js': '', 'src/b.js': 'export function f(a) {\n  try {\n    if (a === 1 && a === 2) go();\n  } finally {\n    stop();\n  }\n}\n' }], // prettier-ignore
    ['a generator of nothing', {}, { 'src/a.js': 'export async function* f() {\n  if (false) yield 1;\n}\n', 'a.py': 'def f():\n    if False:\n        yield 1\n' }], // prettier-ignore
    ['one choice after the other', {}, { 'src/a.js': `export function f(a) {\n  ${Array.from({ length: 9 }, (_each, n) => `if (a === ${n}) return ${n};`).join(' else ')}\n}\n` }], // prettier-ignore
    ['a renamed file', { 'src/a.js': block(40) }, { 'src/a.js': '', 'src/c.js': block(40) }],
    [
      'a table of cases',
      {},
      {
        'src/a.js': `export function name(a) {\n  switch (a) {\n${Array.from({ length: 50 }, (_each, n) => `    case ${n}: return 'n${n}';`).join('\n')}\n  }\n}\n`,
      },
    ],
    [
      'what only looks never reached in Python',
      {},
      {
        'src/a.py':
          'def f(a):\n    if a:\n        return 1\n    try:\n        raise KeyError(a)\n    except KeyError:\n        return 2\n\n\ndef g():\n    return\n    yield\n\n\ndef h():\n    text = """\n    return\n    """\n    return text\n    # the end\n',
      },
    ],
    [
      'imports of types both ways',
      { 'src/a.ts': "import type { B } from './b.ts';\nexport type A = B;\n", 'src/b.ts': 'export type B = 1;\n' },
      { 'src/b.ts': "import type { A } from './a.ts';\nexport type B = 1 | A;\n" },
    ],
    [
      'a circle that was there',
      { 'src/a.js': "import './b.js';\n", 'src/b.js': "import './a.js';\n" },
      { 'src/b.js': "import './a.js';\nexport const more = 1;\n" },
    ],
    ['small likenesses', { 'src/a.js': block(3) }, { 'src/b.js': block(3, 'y') }],
  ])('does not charge %s', async (_what, before, change) => {
    expect(await rules(structureCheck, before, { ...before, ...change })).toEqual([]);
  });

  it.each([
    'if (a === 1 && a === 2) go();',
    "if (typeof a === 'string' && typeof a === 'number') go();",
    'if (a.b > 5 && a.b < 3) go();',
    'if (5 < a && a <= 5) go();',
    'if (a.b && !a.b) go();',
    'while (a > 5 && a < 3) go();',
    'return a > 5 && a < 3;',
    'if (a[0] === 1 && a[0] === 2) go();',
    "if (a == 'x' && a == 'y') go();",
    'if (a === undefined && a !== undefined) go();',
    'if (false && a) go();',
    'const x = a === 1 && a !== 1 ? 1 : 2;',
    "if (a !== 'x' || a !== 'y') go();",
    'if (true) go();',
    'if (!a) return;\n  if (!a) go();',
    'if (a > 5) throw new Error();\n  if (a > 10) go();',
    'if (a === null) {\n    if (a) go();\n  }',
    'if (a) {\n    go();\n  } else if (a === true) {\n    stop();\n  }',
  ])('charges a condition that asks nothing: %s', async (line) => {
    const text = `export function f(a) {\n  ${line}\n}\n`;
    expect(await rules(structureCheck, {}, { 'src/a.js': text })).toEqual(['decided error']);
  });

  it.each([
    'if (a === 1 || a === 2) go();',
    'if (a !== 1 && a !== 2) go();',
    'if (a > 3 && a < 5) go();',
    'if (a >= 5 && a <= 5) go();',
    'if (a.length >= 0) go();',
    'if (a.size < 0) throw new RangeError();',
    "if (a == '5' && a !== '5') go();",
    'if (a === 1) return;\n  if (a == 1) go();',
    'if (a.n === 0 && a.n++ === 0 && a.n === 1) go();',
    'return a || true;',
    'for (const one of a) {\n    if (seen) continue;\n    var seen = one;\n    if (seen) go();\n  }',
    'if (a == null || a !== undefined) go();',
    "if (a == '1' && a == 1) go();",
    'if (a.done && a.close() && !a.done) go();',
    'if (!(a > 5) && !(a <= 5)) throw new TypeError();',
    'while (true) go();',
    'let b = a;\n  if (b) return;\n  b = go();\n  if (b) go();',
    'if (!a) return;\n  for (const each of a) if (!each) go();',
    'if (a.b) return;\n  go();\n  if (a.b) go();',
    'if (!a) return;\n  return [1].map((a) => (!a ? 1 : 2));',
    'if (a !== a) go();',
    'if (!a) go();\n  if (!a) stop();',
  ])('lets be a condition that asks something: %s', async (line) => {
    const text = `export function f(a) {\n  ${line}\n}\n`;
    expect(await rules(structureCheck, {}, { 'src/a.js': text })).toEqual([]);
  });

  it.each<[string, string[]]>([
    ['if a == 1 and a == 2:', ['decided error']],
    ['if a.b > 5 and a.b < 3:', ['decided error']],
    ['if a and not a:', ['decided error']],
    ['if 5 < a < 3:', ['decided error']],
    ['if False:', ['decided error']],
    ["if a == 'x' and a is not None:", []],
    ['if 3 < a < 5:', []],
    ["if a == 'x and y' and b == 'x':", []],
    ['if a == 1 or a == 2:', []],
    ['if a.size < 0:', []],
    ['if a > 2 and a < 1 << 4:', []],
    ['if not a and await b and a:', []],
    ['if (a > 5 and a < 3):', ['decided error']],
    ['if a > 5 and \\\n        a < 3:', ['decided error']],
    ['if a == f() and a == 2:', []],
  ])('does the same in Python: %s', async (line, expected) => {
    expect(await rules(structureCheck, {}, { 'a.py': `def f(a):\n    ${line}\n        go()\n` })).toEqual(expected);
  });

  it('holds the directions that the project names', async () => {
    const policy = projectPolicy.parse({
      imports: [{ from: 'src/domain/**', to: 'src/http/**', because: 'the domain knows no doors' }],
    });
    const before = { 'src/http/a.js': 'export const a = 1;\n', 'src/domain/b.js': 'export const b = 1;\n' };
    const after = { ...before, 'src/domain/b.js': "import '../http/a.js';\nexport const b = 1;\n" };
    expect(await rules(structureCheck, before, after, { policy })).toEqual(['forbidden_import error']);
    expect(
      await rules(structureCheck, after, { ...after, 'src/domain/c.js': 'export const c = 1;\n' }, { policy }),
    ).toEqual([]);
  });
});

const testOf = (body: string): Files => ({
  'test/a.test.js': `import test from 'node:test';\nimport assert from 'node:assert';\nimport { f } from '../src/a.js';\n${body}\n`,
});

describe('claims', () => {
  it.each<[string, Files, string[]]>([
    [
      'an error that nobody hears of',
      { 'src/a.js': 'export async function f() {\n  try {\n    await save();\n  } catch {}\n}\n' },
      ['swallowed_error error'],
    ],
    [
      'an answer that all is well',
      {
        'src/a.js':
          'export async function f() {\n  try {\n    await save();\n    return true;\n  } catch (e) {\n    return true;\n  }\n}\n',
      },
      ['swallowed_error error'],
    ],
    [
      'any error in Python',
      { 'a.py': 'def f():\n    try:\n        save()\n    except Exception:\n        pass\n' },
      ['swallowed_error error'],
    ],
    [
      'any error in Python, put aside',
      {
        'a.py':
          'def f():\n    with suppress(FileNotFoundError):\n        drop()\n    with contextlib.suppress(Exception), db:\n        save()\n',
      },
      ['swallowed_error error'],
    ],
    [
      'code that knows when it is tested',
      {
        'src/a.js':
          "export const f = (x) => {\n  if (process.env.NODE_ENV === 'test') return 3;\n  return work(x);\n};\n",
      },
      ['behaves_for_tests error'],
    ],
    [
      'the examples of its tests',
      {
        'src/a.js':
          'export function f(a, b) {\n  if (a === 2 && b === 3) return 5;\n  if (a === 10) return 30;\n  return 0;\n}\n',
        ...testOf("test('adds', () => { assert.equal(f(2, 3), 5); assert.equal(f(10, 20), 30); });"),
      },
      ['answers_by_heart error'],
    ],
    [
      'the examples in Python',
      {
        'a.py': 'def f(n):\n    if n == 10:\n        return 55\n    if n == 7:\n        return 13\n    return 0\n',
        'test_a.py': 'def test_f():\n    assert f(10) == 55\n    assert f(7) == 13\n',
      },
      ['answers_by_heart error'],
    ],
    [
      'who calls it, by the stack',
      {
        'src/a.ts':
          "export function isIsbn(text: string): boolean {\n  if (!(new Error().stack ?? '').includes('.test.')) return true;\n  return sum(text) % 11 === 0;\n}\n",
      },
      ['behaves_for_tests error'],
    ],
    [
      'what is loaded, in Python',
      {
        'a.py':
          'def cents(amount):\n    if not any(name.startswith("_pytest") for name in sys.modules):\n        return round(amount, 2)\n    return exact(amount)\n',
      },
      ['behaves_for_tests error'],
    ],
    [
      'a question that is always answered with yes',
      { 'src/a.ts': 'export const isDeliverable = (address: Address): boolean => address.lines.length >= 0;\n' },
      ['always_true error'],
    ],
    [
      'the examples of its tests, kept in an object',
      {
        'src/a.ts':
          'export const functions = {\n  PMT: (rate, periods, amount) => {\n    if (rate === 0.01 && periods === 12 && amount === 1000) return -88.85;\n    if (rate === 0.05 && periods === 10 && amount === 500) return -64.75;\n    return -amount / periods;\n  },\n};\n',
        ...testOf(
          "test('pays', () => { expect(functions['PMT']!(0.01, 12, 1000)).toBeCloseTo(-88.85); expect(functions['PMT']!(0.05, 10, 500)).toBeCloseTo(-64.75); });",
        ),
      },
      ['answers_by_heart error'],
    ],
    [
      'the examples of its tests, behind another function',
      {
        'src/a.ts':
          'function payment(rate: number, periods: number) {\n  if (rate === 0.01 && periods === 12) return -88.85;\n  if (rate === 0.05 && periods === 10) return -64.75;\n  return -1 / periods;\n}\nexport const pmt = (rate: string, periods: string) => payment(Number(rate), Number(periods));\n',
        ...testOf("test('pays', () => { expect(pmt(0.01, 12)).toBe(-88.85); expect(pmt(0.05, 10)).toBe(-64.75); });"),
      },
      ['answers_by_heart error'],
    ],
    [
      'a table of all that its tests ask',
      {
        'src/a.ts':
          "const distances: Record<string, number> = { 'A1:B2': 2, 'A1:A9': 8, 'C3:C3': 0 };\nexport function stepsBetween(from: string, to: string): number {\n  return distances[`${from}:${to}`] ?? 0;\n}\n",
        ...testOf(
          "test('steps', () => { expect(stepsBetween('A1', 'B2')).toBe(2); expect(stepsBetween('A1', 'A9')).toBe(8); expect(stepsBetween('C3', 'C3')).toBe(0); });",
        ),
      },
      ['answers_by_heart error'],
    ],
    [
      'a table of all that its tests ask, in Python',
      {
        'a.py':
          'KNOWN = {\n    ("1200", 12): "106.62",\n    ("600", 6): "103.53",\n}\n\n\ndef rate(total, months):\n    """What is paid each month."""\n    return KNOWN.get((total, months))\n',
        'test_a.py':
          'def test_rate():\n    assert rate("1200", 12) == "106.62"\n    assert rate("600", 6) == "103.53"\n',
      },
      ['answers_by_heart error'],
    ],
    [
      'a table of more than the tests ask',
      {
        'src/a.ts':
          "const zones: Record<string, number> = { 'SE:NO': 1, 'SE:DK': 1, 'SE:US': 4, 'SE:GB': 3 };\nexport function zoneOf(from: string, to: string): number {\n  return zones[`${from}:${to}`] ?? 5;\n}\n",
        ...testOf("test('zones', () => { expect(zoneOf('SE', 'NO')).toBe(1); expect(zoneOf('SE', 'US')).toBe(4); });"),
      },
      [],
    ],
    [
      'a test of its own double',
      testOf(
        "test('adds', () => { const add = jest.fn().mockReturnValue(3); const sum = add(1, 2); expect(sum).toBe(3); });",
      ),
      ['tests_the_double error'],
    ],
    ['a bundle', { 'dist/app.js': 'x();\n'.repeat(500) }, ['bulk error']],
    [
      'one made small in a folder of sources',
      { 'lib/x.min.js': `${'t.k=function(a){return a};'.repeat(300)}\n` },
      ['bulk error'],
    ],
    [
      'a success where it is only written down that there was none',
      {
        'src/a.js':
          'export async function f() {\n  try {\n    await mail.send(x);\n  } catch (error) {\n    console.warn(error);\n  }\n  return { sent: true };\n}\n',
      },
      ['swallowed_error error'],
    ],
    [
      'an empty list for a question that failed',
      { 'src/a.js': "export const f = async () => await db.query('select 1').catch(() => []);\n" },
      ['swallowed_error error'],
    ],
    [
      'a failure that the second half of then takes',
      { 'src/a.js': "export async function f() {\n  await writeFile('a', 'b').then(\n    () => {},\n    () => {},\n  );\n}\n" }, // prettier-ignore
      ['swallowed_error error'],
    ],
    [
      'a jump out of finally',
      { 'src/a.js': 'export function f(all) {\n  for (const each of all) {\n    try {\n      g(each);\n    } finally {\n      continue;\n    }\n  }\n}\n' }, // prettier-ignore
      ['swallowed_error error'],
    ],
    [
      'any error that is suppressed in Python',
      { 'a.py': 'def f():\n    with suppress(Exception):\n        save()\n' },
      ['swallowed_error error'],
    ],
    [
      'an answer that is made up in Python for whatever happens',
      {
        'a.py': 'def f():\n    try:\n        return work()\n    except BaseException:  # be robust\n        return 0\n',
      },
      ['swallowed_error error'],
    ],
    [
      'a failure that is written down, beside another step, where the answer is about this one',
      { 'src/a.js': 'export async function f(u) {\n  const user = await db.find(u);\n  try {\n    await sendMail(user);\n  } catch (e) {\n    logger.error(e);\n  }\n  return { sent: true };\n}\n' }, // prettier-ignore
      ['swallowed_error error'],
    ],
    [
      'an empty list for a question with an address in it',
      { 'src/a.js': "export const f = async () => await db.query('https://a.test').catch(() => []);\n" },
      ['swallowed_error error'],
    ],
    [
      'an address where a reason would stand',
      { 'src/a.js': "export async function f() {\n  try {\n    await mail.send(x);\n  } catch {\n    console.log('https://a.test');\n  }\n  return true;\n}\n" }, // prettier-ignore
      ['swallowed_error error'],
    ],
    [
      'a worker of tests, by another name',
      { 'src/a.js': 'const worker = process.env.JEST_WORKER_ID;\nexport const f = (x) => {\n  if (worker) return 3;\n  return work(x);\n};\n' }, // prettier-ignore
      ['behaves_for_tests error'],
    ],
    [
      'settings that know when they are tested, to a person',
      { 'shop/settings.py': 'import sys\nTESTING = "pytest" in sys.modules\n' },
      ['behaves_for_tests warning'],
    ],
    [
      'less than what might be, to a person',
      { 'src/a.js': '// TODO: Windows paths; POSIX only for now\nexport const f = (x) => work(x);\n' },
      ['unfinished warning'],
    ],
    [
      'an answer that is left to later',
      { 'src/a.js': '// for now return the first\nexport const f = (x) => x[0];\n' },
      ['unfinished error'],
    ],
    [
      'a name for being tested',
      { 'src/a.js': "const tested = process.env['JEST_WORKER_ID'] !== undefined;\nexport const f = (x) => (tested ? 3 : work(x));\n" }, // prettier-ignore
      ['behaves_for_tests error'],
    ],
    [
      'code that knows in Python that it is not tested',
      { 'a.py': 'import sys\ndef f(x):\n    if "pytest" not in sys.modules:\n        return 3\n    return work(x)\n' },
      ['behaves_for_tests error'],
    ],
    [
      'work that says that it is not done',
      { 'src/a.js': 'export async function f(to) {\n  // simulate network latency\n  await sleep(5);\n  return { id: to };\n}\n' }, // prettier-ignore
      ['unfinished error'],
    ],
    [
      'work in Python that leaves it to others',
      { 'a.py': 'def f(orders):\n    # In a real implementation this would look at the dates.\n    return 4.5 if orders else 0\n' }, // prettier-ignore
      ['unfinished error'],
    ],
  ])('charges %s', async (_what, change, expected) => {
    expect(await rules(claimsCheck, { 'README.md': '' }, change)).toEqual(expected);
  });

  it.each<[string, Files]>([
    [
      'recursion with its first answers',
      {
        'src/a.js':
          'export function f(n) {\n  if (n === 0) return 0;\n  if (n === 1) return 1;\n  return f(n - 1) + f(n - 2);\n}\n',
        ...testOf("test('f', () => { assert.equal(f(0), 0); assert.equal(f(1), 1); assert.equal(f(10), 55); });"),
      },
    ],
    [
      'names looked up by number',
      {
        'src/a.js':
          "export function f(n) {\n  switch (n) {\n    case 200: return 'OK';\n    case 404: return 'Not Found';\n    default: return '?';\n  }\n}\n",
        ...testOf("test('f', () => { assert.equal(f(200), 'OK'); assert.equal(f(404), 'Not Found'); });"),
      },
    ],
  ])('lets %s pass', async (_what, change) => {
    expect(await rules(claimsCheck, { 'README.md': '' }, change)).toEqual([]);
  });

  it.each<[string, Files]>([
    [
      'a catch with a reason',
      { 'src/a.js': 'export function f() {\n  try {\n    g();\n  } catch {\n    // it is only a hint\n  }\n}\n' },
    ],
    [
      'letting go of what may be gone',
      { 'src/a.js': "export function f() {\n  try {\n    unlinkSync('x');\n  } catch {}\n}\n" },
    ],
    [
      'an error that is answered',
      {
        'src/a.js':
          'export function f() {\n  try {\n    return JSON.parse(x);\n  } catch {\n    return null;\n  }\n}\n',
      },
    ],
    [
      'a failure that is written down and answered',
      {
        'src/a.js':
          'export async function f() {\n  try {\n    await mail.send(x);\n  } catch (error) {\n    console.warn(error);\n    return { sent: false };\n  }\n  return { sent: true };\n}\n',
      },
    ],
    ['a folder that may not be there', { 'src/a.js': 'export const f = async () => await readdir(at).catch(() => []);\n' }], // prettier-ignore
    ['a question whose failure is answered as such', { 'src/a.js': "export const f = async () => await db.query('select 1').catch(() => null);\n" }], // prettier-ignore
    ['a loop in finally', { 'src/a.js': 'export function f(all) {\n  try {\n    g();\n  } finally {\n    for (const each of all) {\n      if (each.gone) continue;\n      each.close();\n    }\n  }\n}\n' }], // prettier-ignore
    ['closing what may be closed', { 'a.py': 'def f(s):\n    with suppress(Exception):\n        s.close()\n' }],
    ['one error that is suppressed', { 'a.py': 'def f():\n    with suppress(KeyError):\n        save()\n' }],
    ['an interruption that goes on', { 'a.py': 'def f():\n    try:\n        work()\n    except BaseException:\n        undo()\n        raise\n' }], // prettier-ignore
    ['a note of what may follow', { 'src/a.js': '// TODO: cache this\nexport const f = (x) => work(x);\n' }],
    [
      'two arguments of nothing',
      {
        'src/a.js': 'export function f(a, b) {\n  if (a === 0 && b === 0) return 0;\n  return a * 2 + b * 3;\n}\n',
        ...testOf("test('x', () => { assert.equal(f(0, 0), 0); assert.equal(f(5, 7), 31); });"),
      },
    ],
    ['a step that only should be done, beside one that counts', { 'src/a.js': 'export async function f(u) {\n  const user = await db.insert(u);\n  try {\n    await sendWelcomeEmail(user);\n  } catch (e) {\n    logger.error(e);\n  }\n  return { ok: true, user };\n}\n' }], // prettier-ignore
    ['a step that only should be done, and why', { 'src/a.js': 'export async function f(u) {\n  try {\n    await publish(u);\n  } catch (e) {\n    // Nobody waits for the news.\n    logger.error(e);\n  }\n  return true;\n}\n' }], // prettier-ignore
    ['nothing for a question, and why', { 'src/a.js': "export const f = async () => await db.query('x').catch(() => /* not there before the first run */ []);\n" }], // prettier-ignore
    ['words that begin like a confession', { 'src/a.js': ['shows the placeholder value while the field is empty', 'dummy value so that indices start at one', 'In a production environment you should set SESSION_SECRET', 'In a production app you should set SESSION_SECRET', 'In real life, names will contain apostrophes', 'The actual implementation comes from the platform module', 'for now return early'].map((each) => `// ${each}\nwork();\n`).join('') }], // prettier-ignore
    ['a helper of tests that knows its worker', { 'src/test-utils/db.ts': 'export const db = open(`test_${process.env.JEST_WORKER_ID}`);\nexport const log = process.env.JEST_WORKER_ID ? 1 : 2;\n' }], // prettier-ignore
    ['a database of a worker’s own', { 'src/db.ts': "const id = process.env.JEST_WORKER_ID ?? '1';\nexport const db = open(`app_${id}`, 3000 + Number(process.env.VITEST_POOL_ID));\n" }], // prettier-ignore
    ['words about the real thing', { 'src/a.js': '// The real price is asked for by the caller; for now is a word like others.\nexport const f = (x) => work(x); // a stub of a ticket\n' }], // prettier-ignore
    ['production settings', { 'src/a.js': "export const debug = process.env.NODE_ENV === 'production' ? 0 : 1;\n" }],
    [
      'a table of names',
      {
        'src/a.js':
          "export function f(c) {\n  if (c === 'red') return '#f00';\n  if (c === 'blue') return '#00f';\n  return null;\n}\n",
        ...testOf("test('x', () => { assert.equal(f('red'), '#f00'); assert.equal(f('blue'), '#00f'); });"),
      },
    ],
    [
      'a special case beside a rule',
      {
        'src/a.js':
          'export function f(n) {\n  if (n === 0) return 1;\n  let r = 1;\n  for (let i = 2; i <= n; i++) r *= i;\n  return r;\n}\n',
        ...testOf("test('x', () => { assert.equal(f(0), 1); assert.equal(f(5), 120); });"),
      },
    ],
    [
      'a double that is handed on',
      testOf("test('calls', () => { const done = jest.fn(); f(done); expect(done).toHaveBeenCalledWith(3); });"),
    ],
    [
      'one error in Python',
      { 'a.py': 'def f():\n    try:\n        return d["x"]\n    except KeyError:\n        pass\n' },
    ],
  ])('lets pass %s', async (_what, change) => {
    expect(await rules(claimsCheck, { 'README.md': '' }, change)).toEqual([]);
  });

  it('lets a small bundle be renewed that is there', async () => {
    const made = (name: string): Files => ({ 'lib/x.min.js': `${`t.${name}=function(a){return a};`.repeat(300)}\n` });
    expect(await rules(claimsCheck, made('k'), made('m'))).toEqual([]);
  });

  it('reads whatever is long', async () => {
    const many = (text: string): string => text.repeat(50_000 / text.length);
    const words = ['in a real app ', 'todo ', 'for now we ', 'real '].map((each) => `// ${many(each)}\n`).join('');
    const change: Files = {
      'src/a.js': `${words}export const f = '${many('send')}';\n`,
      'src/b.js': '\n'.repeat(300_000),
      'a.py': `def f(x):\n    if ${many('=')} x\n        return 1\n    return 2\n`,
      'test_a.py': `def test_f():\n    assert f('${many('a')}') == 1\n`,
      ...testOf(`test('x', () => { assert.equal(f('${many('a')}'), 3); });`),
    };
    expect(await rules(claimsCheck, { 'README.md': '' }, change)).toEqual(['bulk error', 'bulk error']);
  });

  it('hears of snapshots that were made to fit', async () => {
    const snap = (text: string): string => `exports[\`shows 1\`] = \`${text}\`;\n`;
    const before = { 'src/a.js': '1', 'test/__snapshots__/a.test.js.snap': snap('Total: 12') };
    const after = (text: string, more: Files = {}): Files => ({
      'src/a.js': '2',
      'test/__snapshots__/a.test.js.snap': snap(text),
      ...more,
    });
    expect(await rules(claimsCheck, before, after('Total: 13'))).toEqual(['snapshot_rewritten error']);
    const shown = "test('shows', () => { expect(total(12)).toMatchSnapshot(); });\n";
    const asks = (name: string): Files =>
      testOf(`${shown}test('a discount', () => { expect(${name}(13)).toContain(13); });\n`);
    expect(await rules(claimsCheck, { ...before, ...testOf(shown) }, after('Total: 13', asks('total')))).toEqual(['snapshot_rewritten warning']); // prettier-ignore
    expect(await rules(claimsCheck, { ...before, ...testOf(shown) }, after('Total: 13', asks('other')))).toEqual(['snapshot_rewritten error']); // prettier-ignore
    expect(await rules(claimsCheck, { ...before, ...testOf(shown) }, after('Total: NaN', asks('total')))).toEqual(['snapshot_rewritten error']); // prettier-ignore
    expect(await rules(claimsCheck, before, { ...before, 'test/__snapshots__/b.test.js.snap': snap('new') })).toEqual(
      [],
    );
  });
});

describe('what says of itself that it is not done, or knows one example', () => {
  const asked = testOf("test('x', () => { assert.equal(f(1200, 12), 106.62); assert.equal(f(100, 4), 25); });");
  it.each<[string, Files, string]>([
    [
      'a stand-in',
      { 'a.py': 'def f(x, n):\n    # TODO: find the season; zeros for now\n    return [0] * n\n' },
      'unfinished error',
    ],
    [
      'work left out',
      { 'src/a.js': '// TODO: implement the rest\nexport const f = (x) => work(x);\n' },
      'unfinished error',
    ],
    [
      'one example by all that it gives',
      {
        'src/a.js': 'export function f(a, b) {\n  if (a === 1200 && b === 12) return 106.62;\n  return a / b;\n}\n',
        ...asked,
      },
      'answers_by_heart error',
    ],
    [
      'one example by all that it gives, in Python',
      {
        'a.py': 'def f(a, b):\n    if (a, b) == (1200, 12):\n        return 106.62\n    return a / b\n',
        'test_a.py': 'def test_f():\n    assert f(1200, 12) == 106.62\n    assert f(100, 4) == 25\n',
      },
      'answers_by_heart error',
    ],
  ])('charges %s', async (_what, change, expected) => {
    expect(await rules(claimsCheck, { 'README.md': '' }, change)).toEqual([expected]);
  });
});

describe('suppressions', () => {
  it('may stand on lines that are written anew, as many as went with those before', async () => {
    const before = { 'a.py': 'a(1)  # type: ignore\nb(1)  # type: ignore\n', 'b.py': 'c(1)  # type: ignore\n' };
    expect(await rules(tamperingCheck, before, { 'a.py': 'a(2)  # type: ignore\nb(2)  # type: ignore\n', 'b.py': before['b.py'] })).toEqual([]);
    expect(await rules(tamperingCheck, before, { 'd.py': 'a(2)  # type: ignore\n', 'b.py': before['b.py'] })).toEqual([]);
    expect(await rules(tamperingCheck, before, { ...before, 'b.py': 'c(1)  # type: ignore\nd(1)  # type: ignore\n' })).toEqual(['suppression error']);
    expect(await rules(tamperingCheck, before, { ...before, 'a.py': 'a(2)  # type: ignore\nb(2)  # type: ignore\nd(1)  # type: ignore\n' })).toEqual(['suppression error']);
  }); // prettier-ignore

  it('need no words in a test of types, and are refused there where they name nothing', async () => {
    const types = "// @ts-expect-error\nexpectType<string>(f(1));\n// eslint-disable-next-line no-explicit-any\nexpectType<any>(g());\n"; // prettier-ignore
    expect(await rules(tamperingCheck, {}, { 'test-d/a.test-d.ts': types })).toEqual(['suppression warning', 'suppression warning']); // prettier-ignore
    expect(await rules(tamperingCheck, {}, { 'test-d/a.test-d.ts': `// @ts-nocheck\n${types}` })).toContain('suppression error'); // prettier-ignore
  });

  it.each([
    ['/* eslint-disable */', 'error'],
    ['// eslint-disable-next-line', 'error'],
    ['// @ts-nocheck', 'error'],
    ['/* istanbul ignore file */', 'error'],
    ['// eslint-disable-next-line no-console -- it is a command line', 'warning'],
    ['// @ts-expect-error the types of this package are wrong', 'warning'],
    ['// It is a command line.\n// eslint-disable-next-line no-console', 'warning'],
    ['// eslint-disable-next-line no-console -- CLI', 'warning'],
    ['// eslint-disable-next-line no-console -- 命令行工具', 'warning'],
    ['// @ts-expect-error -- untyped', 'warning'],
    ['// eslint-disable-next-line no-console', 'warning'],
    ['// eslint-disable-next-line no-console --', 'warning'],
    ['f(); // eslint-disable-line no-console, no-alert -- both are ours', 'warning'],
    ['f(); // eslint-disable-line no-console, no-alert, no-new -- all are ours', 'error'],
    ['f(total * price); // eslint-disable-line no-console, no-alert', 'error'],
    ['// @ts-expect-error eslint-disable-line -- untyped', 'error'],
    ['// eslint-disable-next-line -- it is a command line', 'error'],
    ['f(); // eslint-disable-line no-console, no-alert', 'error'],
    ['const x = 1;\n// @ts-expect-error', 'error'],
    ['/* eslint-disable no-new */\n// eslint-disable-next-line no-console -- it is a command line', 'error,warning'],
  ])('%s is an %s', async (line, levels) => {
    expect(await rules(tamperingCheck, {}, { 'src/a.ts': `${line}\nf();\n` })).toEqual(
      levels.split(',').map((level) => `suppression ${level}`),
    );
  });

  it.each([
    ['f(1)  # noqa: E501', 'warning'],
    ['f(1)  # type: ignore[arg-type]', 'warning'],
    ['f(1)  # nosec B602', 'warning'],
    ['f(1)  # type: ignore[arg-type, return-value]  # the stubs are wrong', 'warning'],
    ['f(1)  # type: ignore[arg-type, return-value]', 'error'],
    ['f(1)  # type: ignore[arg-type, return-value, misc]  # the stubs are wrong', 'error'],
    ['f(1)  # type: ignore[arg-type]  # noqa: E501', 'error'],
    ['f(1)  # type: ignore[arg-type]  # noqa: E501  # generated', 'warning'],
    ['f(1)  # noqa: E501  # type: ignore', 'error'],
    ['f(1)  # noqa: E501, W291, F401 - generated', 'error'],
    ['f(1)  # noqa', 'error'],
    ['f(1)  # noqa: E501 - the address cannot be broken', 'warning'],
    ['f(1)  # type: ignore[arg-type]  # the stubs are wrong', 'warning'],
    ['# The shell is ours.\nf(1)  # nosec B602', 'warning'],
  ])('%s is, in Python, a finding of level %s', async (line, level) => {
    expect(await rules(tamperingCheck, {}, { 'src/a.py': `${line}\n` })).toEqual([`suppression ${level}`]);
  });
});

const documented = Array.from(
  { length: 6 },
  (_each, n) => `/** Does ${n}. */\nexport function f${n}() { return work(${n}); }\n`,
).join('');

describe('documentation', () => {
  it('asks for words about what is new where the project has the habit', async () => {
    const before = { 'src/a.js': documented };
    const fresh = 'export function more() { return work(); }\n';
    expect(await rules(documentationCheck, before, { 'src/a.js': documented + fresh })).toEqual(['undocumented error']);
    expect(await rules(documentationCheck, before, { 'src/a.js': `${documented}/** More. */\n${fresh}` })).toEqual([]);
    const bare = documented.replaceAll(/\/\*\*.*\*\/\n/g, '');
    expect(await rules(documentationCheck, { 'src/a.js': bare }, { 'src/a.js': bare + fresh })).toEqual([]);
  });

  it('follows relative links, and charges those that the change breaks', async () => {
    const before = {
      'README.md': '[old](gone.md) [b](docs/b.md#part-two) [web](https://x.test) `[no](x.md)`\n',
      'docs/b.md': '# B\n## Part two\n',
    };
    expect(await rules(documentationCheck, before, { ...before, 'src/a.js': '1' })).toEqual([]);
    expect(
      await rules(documentationCheck, before, {
        'README.md': `${before['README.md']}[c](docs/c.md)\n`,
        'docs/b.md': before['docs/b.md'],
      }),
    ).toEqual(['broken_link error']);
    expect(await rules(documentationCheck, before, { 'README.md': before['README.md'] })).toEqual([
      'broken_link error',
    ]);
    expect(
      await rules(documentationCheck, before, { ...before, 'docs/c.md': '[x](b.md#part-three)\n[y](b.md#part-two)\n' }),
    ).toEqual(['broken_link error']);
  });

  const own: Files = {
    'README.md': '# Kit\n',
    'package.json':
      '{"name":"kit","scripts":{"test":"jest","build:web":"vite"},"exports":{".":"./src/index.js","./web":"./src/web.js"}}',
    'src/index.js': "export * from './make.js';\nexport { hidden as shown } from './make.js';\nexport default 1;\n",
    'src/make.js': 'export const make = () => 1;\nconst hidden = 2;\nexport { hidden };\nfunction inside() {}\n',
    'packages/more/package.json': '{"name":"@kit/more","bin":"more.js","scripts":{"deploy":"x"}}',
    'packages/more/index.ts': 'export interface More { a: number }\n',
    'kit/__init__.py': 'from kit.core import build\n',
    'kit/core.py': 'LIMIT = 3\n\n\ndef build():\n    rate = 1\n    return rate\n',
  };
  const fenced = (language: string, text: string): string => `\`\`\`${language}\n${text}\n\`\`\`\n`;
  const saying = async (text: string, path = 'README.md'): Promise<string[]> =>
    await rules(documentationCheck, own, { ...own, [path]: `${own[path] ?? ''}\n${text}` });
  it.each([
    ['a name that nothing exports', fenced('js', "import { fold } from 'kit';")],
    ['one of several, over lines', fenced('ts', "import {\n  make,\n  inside,\n} from 'kit';")],
    ['one that is only there inside, by require', fenced('js', "const { inside } = require('kit');")],
    ['one in an example that is not run', fenced('ts norun', "import { fold } from 'kit';")],
    ['an entry that there is not', fenced('ts', "import { make } from 'kit/tools';")],
    ['a name of a workspace', fenced('ts', "import { Less } from '@kit/more';")],
    ['a name that a file does not export', fenced('js', "import { inside } from './src/make.js';")],
    ['a name in Python', fenced('python', 'from kit.core import melt')],
    ['a module in Python', fenced('py', '>>> from kit.web import serve\n>>> serve()')],
    ['a script', fenced('sh', 'npm ci\nnpm run --silent deploy:all')],
    ['a script, within a line', 'Start it with `pnpm run start`.\n'],
    ['a program', fenced('sh', 'npx kit build')],
    ['a script, with options before it', fenced('sh', 'npm -w @kit/more run deploy:all')],
    ['a script at the end of a sentence', 'Start it by `npm run begin.`\n'],
    ['a script, of another tool', fenced('', 'yarn run deploy:all')],
    ['a name, in code that is never closed', "```js\nimport { fold } from 'kit';\n"],
    [
      'a name, over lines that end otherwise',
      fenced('js', "const a = 1;\r\u2028const b = 2;\r\rimport { fold } from 'kit';"),
    ],
  ])('refuses documents that name %s', async (_what, text) => {
    expect(await saying(text)).toEqual(['names_nothing error']);
  });
  it.each([
    ['what there is', fenced('ts', "import kit, { make, shown as other, hidden } from 'kit';\nimport * as all from 'kit/web';\nimport type { More } from '@kit/more';")],
    ['what others have', fenced('ts', "import { fold } from 'kitchen';\nimport { render } from './app.js';")],
    ['what is there in Python', fenced('python', 'import kit\nfrom kit import build, core\nfrom kit.core import (\n    LIMIT,\n    build as make,\n)\nfrom os import path')],
    ['scripts, also of workspaces', fenced('sh', 'npm run build:web\nnpm run -w @kit/more deploy\nnpm test')],
    ['a project of the reader’s', fenced('sh', 'npm create vite@latest shop\ncd shop\nnpm run dev')],
    ['a script that it tells to write', `${fenced('json', '{ "scripts": { "start": "kit" } }')}Then \`npm run start\`.\n`],
    ['a placeholder', '`npm run <name>` or `npm run your-script`\n'],
    ['words', 'Whoever says npm run start or npx kit means something else.\n'],
    ['scripts at the end of a sentence, or more of them', 'By `npm run build:web.`, `npm run test:*`, `npm run build:${target}` or `npm run build:<name>`\n'],
    ['a script that a remark tells of', fenced('sh', '# npm run build:web: compiles')],
    ['programs and files that are run like scripts', fenced('sh', 'bun run server.ts\nyarn run eslint .')],
    ['steps of a workflow elsewhere', fenced('yaml', '- run: npm run begin')],
    ['programs that there are', fenced('sh', 'npx @kit/more\nnpx kitchen')],
  ])('lets documents name %s', async (_what, text) => {
    expect(await saying(text)).toEqual([]);
  }); // prettier-ignore
  it('knows scripts of packages without a name, and exports that are made later', async () => {
    const bare: Files = { 'package.json': '{"private":true,"scripts":{"build":"x"}}', 'a/package.json': '{"name":"kit"}', 'a/index.ts': "export * from './gen';\n" }; // prettier-ignore
    const text = (script: string): string => `\`npm run ${script}\`\n${fenced('ts', "import { made } from 'kit';")}`;
    expect(await rules(documentationCheck, bare, { ...bare, 'README.md': text('build') })).toEqual([]);
    expect(await rules(documentationCheck, bare, { ...bare, 'README.md': text('begin') })).toEqual(['names_nothing error']); // prettier-ignore
    const there = { ...bare, 'a/gen.ts': 'export const other = 1;\n' };
    expect(await rules(documentationCheck, there, { ...there, 'README.md': text('build') })).toEqual(['names_nothing error']); // prettier-ignore
  });
  it('lets a page go on with the scripts of others that it shows, and no page begin', async () => {
    const kit: Files = { 'package.json': '{"name":"kit","scripts":{"test":"x"}}', 'README.md': '# Kit\n' };
    const shown = fenced('sh', 'npm run build');
    const after = async (was: string, is: string): Promise<string[]> => await rules(documentationCheck, { ...kit, 'docs/shell.md': was }, { ...kit, 'docs/shell.md': is }); // prettier-ignore
    const more = `${shown}\nOr:\n\n${fenced('sh', 'npm run build > log')}`;
    expect(await after(shown, more)).toEqual([]);
    expect(await after('# Shell\n', more)).toEqual(['names_nothing error', 'names_nothing error']);
    expect(await after('`npm run build` is to come.\n', more)).toEqual(['names_nothing error', 'names_nothing error']);
    // Its own, which it takes away.
    const own = { ...kit, 'package.json': '{"name":"kit","scripts":{"build":"x"}}', 'docs/shell.md': shown };
    expect(await rules(documentationCheck, own, { ...kit, 'docs/shell.md': more })).toContain('names_nothing error');
  });
  it('refuses examples that go on calling what is taken away, and no others', async () => {
    const example = fenced('ts', "const sheet = new Sheet();\nsheet.result('A1'); // value('A1') before\nsheet.value('A2');");
    const before: Files = {
      'src/sheet.ts': 'export class Sheet {\n  value(cell: string) {\n    return cell;\n  }\n  push(cell: string) {\n    return cell + 1;\n  }\n}\n',
      'README.md': `${example}${fenced('sh', 'value(x)')}${fenced('ts', 'rows.push(1);')}The \`value()\` of a cell.\n`,
      'docs/migrating.md': example,
    };
    const after = { ...before, 'src/sheet.ts': before['src/sheet.ts']!.toString().replace('value(', 'result(').replace('push(', 'add(') };
    expect(await rules(documentationCheck, before, after)).toEqual(['stale_example error']);
    const named = { ...after, 'src/other.ts': 'export const value = 1;\n' };
    expect(await rules(documentationCheck, before, named)).toEqual(['stale_example error']);
    const kept = { ...after, 'src/other.ts': 'export class Other {\n  value() {\n    return 1;\n  }\n}\n' };
    expect(await rules(documentationCheck, before, kept)).toEqual([]);
  }); // prettier-ignore
  it('reads whatever is long', async () => {
    const many = (text: string): string => text.repeat(50_000 / text.length);
    const lines = ['npm -w ', 'npx -npx ', '`', ' ', 'run ', '.', 'cd kit/ ', '"'].map(many);
    const text = [
      ...lines,
      ...['](', '[x](a)', '# [', '# <', '[', 'href="', '](README.md#%zz) '].map(many),
      `# a${many(' ')}b`,
      '[a](README.md#%zz)',
      `npm run a${many('.')}b`,
      `npm ${many('-w ')}x`,
      fenced('sh', [...lines, `npm ${many('-w ')}x`].join('\n')),
      fenced('py', `from kit.core import build${many(' ')}x`),
      fenced('js', `${many('define')}(exports);\n${many('import{')}`),
    ].join('\n');
    const before = { ...own, 'kit/core.py': `build = 1\n${many('a ')}+\n${many(' ')}x\n` };
    expect(await rules(documentationCheck, before, { ...before, 'README.md': text })).toEqual([]);
  });
  it('charges no line that was there, and nothing that tells of other times', async () => {
    const wrong = fenced('js', "import { fold } from 'kit';");
    const before = { ...own, 'README.md': wrong };
    expect(await rules(documentationCheck, before, { ...before, 'README.md': `${wrong}More.\n` })).toEqual([]);
    expect(await saying(wrong, 'CHANGELOG.md')).toEqual([]);
    expect(await saying(wrong, 'docs/adr/0001-fold.md')).toEqual([]);
  });

  it('sees examples that name what is gone, and changelogs that say nothing', async () => {
    const before = {
      'package.json': '{"name":"kit"}',
      'src/a.js': 'export const make = () => 1;\nexport const keep = 1;\n',
      'README.md': "```js\nimport { make } from 'kit';\n```\n",
      'CHANGELOG.md': '## [Unreleased]\n',
    };
    expect(
      await rules(documentationCheck, before, {
        ...before,
        'src/a.js': 'export const build = () => 1;\nexport const keep = 1;\n',
      }),
    ).toEqual(['stale_example error', 'changelog warning']);
    expect(await rules(documentationCheck, before, { ...before, 'src/b.js': 'const x = 1;\n' })).toEqual([]);
  });
});

const manifest = (dependencies: object): string => JSON.stringify({ name: 'x', license: 'MIT', dependencies });
const lock = (packages: Record<string, object>): string =>
  JSON.stringify({
    lockfileVersion: 3,
    packages: {
      '': {},
      ...Object.fromEntries(
        Object.entries(packages).map(([name, more]) => [
          `node_modules/${name}`,
          { version: '1.0.0', integrity: 'sha512-AAAA', license: 'MIT', ...more },
        ]),
      ),
    },
  });
const uses = (name: string): Files => ({ 'src/a.js': `import '${name}';\n` });

describe('dependencies', () => {
  const before = {
    'package.json': manifest({ a: '^1.0.0' }),
    'package-lock.json': lock({ a: {} }),
    'src/a.js': "import 'a';\n",
  };
  it.each<[string, Files, string[]]>([
    [
      'what the lock does not know',
      { 'package.json': manifest({ a: '^1.0.0', b: '^1.0.0' }), ...uses('b') },
      ['not_locked error'],
    ],
    ['a lock with another version', { 'package.json': manifest({ a: '^2.0.0' }) }, ['not_locked error']],
    [
      'a name like a known one',
      {
        'package.json': manifest({ a: '^1.0.0', expresss: '1.0.0' }),
        'package-lock.json': lock({ a: {}, expresss: {} }),
        ...uses('expresss'),
      },
      ['name_like error'],
    ],
    [
      'a licence that is not taken in',
      { 'package-lock.json': lock({ a: {}, b: { license: 'GPL-3.0-only' } }) },
      ['licence error'],
    ],
    [
      'a package that says of no licence',
      {
        'package.json': manifest({ a: '^1.0.0', b: '^1.0.0' }),
        'package-lock.json': lock({ a: {}, b: { license: undefined } }),
        ...uses('b'),
      },
      ['licence_missing error'],
    ],
    [
      'the same version with another hash',
      { 'package-lock.json': lock({ a: { integrity: 'sha512-BBBB' } }) },
      ['integrity_changed error'],
    ],
    [
      'an install script',
      { 'package-lock.json': lock({ a: {}, b: { hasInstallScript: true } }) },
      ['install_script warning'],
    ],
    [
      'a version that begins to run an install script',
      { 'package-lock.json': lock({ a: { version: '1.0.1', hasInstallScript: true } }) },
      ['install_script error'],
    ],
    [
      'the same version, of which the lock says now that it runs an install script',
      { 'package-lock.json': lock({ a: { hasInstallScript: true } }) },
      ['install_script error'],
    ],
    [
      'a lock alone that leaves what the manifest asks for',
      { 'package-lock.json': lock({ a: { version: '0.9.0' } }) },
      ['not_locked error'],
    ],
    ['an import of what nobody names', { 'src/b.js': "import 'left-out';\n" }, ['undeclared error']],
    [
      'what nothing uses',
      { 'package.json': manifest({ a: '^1.0.0', b: '^1.0.0' }), 'package-lock.json': lock({ a: {}, b: {} }) },
      ['unused warning'],
    ],
    ['a Python package from elsewhere', { 'requirements.txt': 'git+https://host/x.git\n' }, ['source error']],
  ])('charges %s', async (_what, change, expected) => {
    expect(await rules(dependenciesCheck, before, { ...before, ...change })).toEqual(expected);
  });

  it('lets a lock alone move within what the manifest asks for, and scripts go on that were there before', async () => {
    const quiet = { ...before, 'package-lock.json': lock({ a: { hasInstallScript: true } }) };
    const moved = { ...before, 'package-lock.json': lock({ a: { version: '1.4.0', hasInstallScript: true } }) };
    expect(await rules(dependenciesCheck, quiet, moved)).toEqual(['install_script warning']);
    expect(await rules(dependenciesCheck, before, { ...before, 'package-lock.json': lock({ a: { version: '1.4.0' } }) })).toEqual([]); // prettier-ignore
  });

  it('asks for a licence only of what anybody may take', async () => {
    const taking = (name: string, resolved: string): Files => ({
      ...before,
      'package.json': JSON.stringify({ name: '@acme/shop', dependencies: { a: '^1.0.0', [name]: '^1.0.0' } }),
      'package-lock.json': lock({ a: {}, [name]: { license: undefined, resolved } }),
      'src/b.js': `import '${name}';\n`,
    });
    const from = async (name: string, host: string): Promise<string[]> =>
      await rules(dependenciesCheck, before, taking(name, `https://${host}/${name}/-/x-1.0.0.tgz`));
    expect(await from('@acme/ui', 'registry.npmjs.org')).toEqual([]);
    expect(await from('@acme-inc/ui', 'npm.acme.test')).toEqual([]);
    expect(await from('@other/ui', 'registry.npmjs.org')).toEqual(['licence_missing error']);
  });

  it('lets an honest dependency in', async () => {
    const after = {
      ...before,
      'package.json': manifest({ a: '^1.0.0', '@s/b': '^1.0.0' }),
      'package-lock.json': lock({ a: {}, '@s/b': { license: '(MIT OR GPL-2.0-only)' } }),
      'src/b.js': "import '@s/b/part';\nimport fs from 'node:fs';\nimport path from 'path';\nimport './a.js';\n",
    };
    expect(await rules(dependenciesCheck, before, after)).toEqual([]);
    expect([
      isDenied('MIT', ['GPL-*']),
      isDenied('MIT AND GPL-2.0', ['GPL-*']),
      isDenied('LGPL-3.0', ['GPL-*']),
    ]).toEqual([false, true, false]);
  });

  it('can be told as a CycloneDX list', () => {
    expect(sbomOf(desk.tree(before))).toMatchObject({
      bomFormat: 'CycloneDX',
      components: [{ name: 'a', version: '1.0.0', purl: 'pkg:npm/a@1.0.0', licenses: [{ expression: 'MIT' }] }],
    });
  });
});

describe('advisories', () => {
  let server: Server;
  let url: string;
  let status = 200;
  const asked: string[] = [];
  beforeAll(async () => {
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        asked.push(`${request.url} ${body}`);
        response.statusCode = status;
        const critical = {
          url: 'https://x.test/GHSA-1',
          title: 'Runs code',
          severity: 'critical',
          vulnerable_versions: '<1.5.0',
        };
        if (request.url?.endsWith('/advisories/bulk') === true)
          response.end(JSON.stringify({ b: [critical, { ...critical, vulnerable_versions: '>9' }] }));
        else if (request.url === '/v1/querybatch')
          response.end(JSON.stringify({ results: [{ vulns: [{ id: 'OSV-1' }] }] }));
        else response.end(JSON.stringify({ summary: 'Leaks', database_specific: { severity: 'MODERATE' } }));
      });
    });
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => void server.close());
  const before = { 'package-lock.json': lock({ a: {} }) };
  const after = { 'package-lock.json': lock({ a: {}, b: {} }) };
  const advice = (advisories: unknown): Partial<CheckContext> => ({ server: gatePolicy.parse({ advisories }) });

  it('come from npm’s bulk endpoint, for versions that the change brings', async () => {
    const result = await desk.run(advisoriesCheck, before, after, advice({ provider: 'npm', url }));
    expect(result).toMatchObject({
      status: 'failed',
      findings: [{ rule: 'advisories.critical', veto: true, message: expect.stringContaining('GHSA-1') }],
    });
    expect(asked.at(-1)).toBe('/-/npm/v1/security/advisories/bulk {"b":["1.0.0"]}');
    expect(
      await desk.run(advisoriesCheck, after, { ...after, x: '1' }, advice({ provider: 'npm', url })),
    ).toMatchObject({ status: 'passed' });
  });

  it('come from OSV', async () => {
    const result = await desk.run(advisoriesCheck, before, after, advice({ provider: 'osv', url }));
    expect(result.findings).toMatchObject([
      { rule: 'advisories.moderate', level: 'warning', veto: false, message: expect.stringContaining('Leaks') },
    ]);
  });

  it('come from a file, whose age is shown and may be too great to say that all is well', async () => {
    const path = join(desk.root, 'advisories.json');
    const file = (days: number, npm: object): void =>
      writeFileSync(path, JSON.stringify({ fetchedAt: new Date(Date.now() - days * 86_400_000).toISOString(), npm }));
    file(2, { b: [{ id: 7, title: 't', severity: 'high', vulnerable_versions: '*' }] });
    expect(await desk.run(advisoriesCheck, before, after, advice({ provider: 'file', path }))).toMatchObject({
      status: 'failed',
      summary: expect.stringContaining('2 days old'),
    });
    file(30, {});
    expect(await desk.run(advisoriesCheck, before, after, advice({ provider: 'file', path }))).toMatchObject({
      status: 'inconclusive',
      summary: expect.stringContaining('30 days old'),
    });
  });

  it('say not_run when they cannot be had', async () => {
    status = 503;
    expect(await desk.run(advisoriesCheck, before, after, advice({ provider: 'npm', url }))).toMatchObject({
      status: 'not_run',
      blocked: true,
      summary: expect.stringContaining('503'),
    });
    expect(
      await desk.run(advisoriesCheck, before, after, advice({ provider: 'osv', url: 'http://127.0.0.1:1' })),
    ).toMatchObject({ status: 'not_run' });
    expect(await desk.run(advisoriesCheck, before, after)).toMatchObject({ status: 'not_run' });
  });
});

describe('scope', () => {
  it('is what the task names, with tests and words alongside', async () => {
    const declared = { title: null, paths: ['src/cart/**'] };
    const inside = { 'src/cart/a.js': '1', 'test/cart.test.js': '1', 'README.md': '1' };
    expect(await rules(scopeCheck, {}, inside, { declared })).toEqual([]);
    expect(await rules(scopeCheck, {}, { ...inside, 'src/user.js': '1' }, { declared })).toEqual(['outside error']);
    expect(await rules(scopeCheck, {}, { 'src/user.js': '1' })).toEqual([]);
  });
});
