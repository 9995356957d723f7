import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pack, type Header } from 'tar-stream';
import { lineOf } from '../project/scripts.ts';
import { addedLines } from './changes.ts';
import { extractTree } from './extract.ts';
import { complexityOf } from '../checks/structure.ts';
import { scriptSecurity } from '../checks/security-script.ts';
import { functionsIn, readScript, reworded } from './functions.ts';
import { isProductSource, isTestFile } from './paths.ts';
import { callsIn, valuesIn, writtenTests } from './test-cases.ts';
import { unitsOf } from './units.ts';

type Entry = Partial<Header> & { name: string };

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'gate-source-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('paths', () => {
  it.each(['types/index.tst.ts', 'index.test-d.ts', 'test-d/shapes.test-d.tsx'])(
    'know a test of types, which no test run could cover: %s',
    (path) => expect([isTestFile(path), isProductSource(path)]).toEqual([true, false]),
  );

  it.each(['src/tst.ts', 'src/first.ts', 'src/test-d/shapes.ts'])(
    'take for the product what only looks like one: %s',
    (path) => expect([isTestFile(path), isProductSource(path)]).toEqual([false, true]),
  );

  it.each(['examples/server.js', 'typing-examples/baseline.py', 'docs/conf.py'])(
    'take for no part of the product what only shows it: %s',
    (path) => expect(isProductSource(path)).toBe(false),
  );

  it.each(['src/example-server.js', 'counterexamples/find.py', 'packages/plugin-example/src/index.ts'])(
    'take for the product what is called alike: %s',
    (path) => expect(isProductSource(path)).toBe(true),
  );
});

describe('functions of a file', () => {
  it('are found with their names, and what cannot be emptied is left out', () => {
    const text = `
      export interface Shape { area(): number }
      export declare function declared(): void;
      export function over(a: string): string;
      export function over(a: unknown): string { return String(a); }
      abstract class Base { abstract go(): void; constructor(private readonly x: number) {} }
      class Sub extends Base { constructor() { super(1); } go(): void { this.y = 2; } get y() { return 1; } set y(v) { console.log(v); } y2 = () => this.y; }
      export const arrow = (a: number) => a + 1;
      const table = { run() { return arrow(1); }, call: async function () { return await x(); } };
      [1].map((each) => each * 2);
      export const wrapped = wrap(async () => { await x(); });
      export default function () { return table.run(); }
    `;
    expect(functionsIn('a.ts', text).map((each) => each.name)).toEqual([
      'over',
      'Sub.go',
      'Sub.y',
      'Sub.y',
      'Sub.y2',
      'arrow',
      'run',
      'call',
      'wrapped',
      'default',
    ]);
  });

  it('are emptied one at a time, ready to run', () => {
    const [first, second] = functionsIn(
      'a.ts',
      '#!/usr/bin/env node\nexport const f = (a: number) => ({ a });\nexport function g() {\n  return 1;\n}\n',
    );
    expect(first?.emptied).toBe(
      '#!/usr/bin/env node\n// @ts-nocheck\nexport const f = (a: number) => { return undefined as never; };\nexport function g() {\n  return 1;\n}\n',
    );
    expect(second).toMatchObject({ shape: 'constant', line: 3 });
    expect(functionsIn('a.js', 'function h() {}')[0]).toMatchObject({
      shape: 'empty',
      emptied: "function h() { throw new Error('emptied'); }",
    });
    expect(functionsIn('a.js', "function h() { throw new Error('Not implemented'); }")[0]?.placeholder).toMatch(
      /Not implemented/,
    );
  });

  it('stay the same when comments and layout change', () => {
    const [before] = functionsIn('a.js', 'function f(a) { return a; }');
    const [after] = functionsIn('a.js', '/** Says. */\nfunction f(a) {\n  // why\n  return a;\n}');
    expect(after?.tokens).toBe(before?.tokens);
  });

  it('are found in Python by their indentation', () => {
    const found = functionsIn(
      'a.py',
      'class A:\n    def f(self,\n          x):\n        """Doc."""\n        return x + 1\n\ndef g():\n    pass\n',
    );
    expect(found.map((each) => [each.name, each.line, each.shape])).toEqual([
      ['A.f', 2, 'full'],
      ['g', 7, 'empty'],
    ]);
    expect(found[0]?.emptied).toContain('          x):\n        return None\n\ndef g');
  });

  const declaration = (head: string, body: string, imports: string): string =>
    `${imports}\n\n\n${head}\n    \"\"\"Keeps things.\"\"\"\n\n${body}`;
  const method = (code: string, mark = ''): string =>
    `${mark === '' ? '' : `    ${mark}\n`}    def save(self, item: str) -> None:\n        """Keeps it."""\n        ${code}\n`;

  it.each([
    ['of a protocol', declaration('class Kept(Protocol):', method('...'), 'from typing import Protocol')],
    [
      'of a generic protocol',
      declaration('class Kept(Protocol[T]):', method('...'), 'from typing import Protocol, TypeVar'),
    ],
    [
      'that is abstract',
      declaration(
        'class Kept(ABC):',
        method('raise NotImplementedError', '@abstractmethod'),
        'from abc import ABC, abstractmethod',
      ),
    ],
    [
      'of a metaclass',
      declaration('class Kept(metaclass=abc.ABCMeta):', method('pass', '@abc.abstractmethod'), 'import abc'),
    ],
  ])('hold no method %s in Python, which is only declared', (_what, text) => {
    expect(functionsIn('a.py', text)).toEqual([]);
  });

  it.each([
    ['a class that only calls itself so', declaration('class Protocol:', method('...'), '')],
    ['a base that is no protocol', declaration('class Kept(Protocol):', method('...'), 'from ours import Protocol')],
    [
      'a mark that nothing holds it to',
      declaration('class Kept:', method('...', '@abstractmethod'), 'from abc import abstractmethod'),
    ],
    ['no mark', declaration('class Kept(ABC):', method('...'), 'from abc import ABC, abstractmethod')],
    ['a body that answers', declaration('class Kept(Protocol):', method('return 1'), 'from typing import Protocol')],
    [
      'nothing to say that it is one',
      declaration('class Kept(Protocol):', method('pass'), 'from typing import Protocol'),
    ],
  ])('hold a method with %s', (_what, text) => {
    expect(functionsIn('a.py', text).map(({ name }) => name)).toEqual([expect.stringMatching(/\.save$/)]);
  });
});

describe('what emptying takes away', () => {
  const work = (text: string): string[] => functionsIn('src/a.ts', text).map((each) => each.work);
  const error = (words: string, rest = 'this.name = name;', given = 'name: string'): string =>
    `class E extends Error {\n  constructor(${given}) {\n    super(${words});\n    ${rest}\n  }\n}`;

  it('is the same where a constructor only calls super in other words', () => {
    expect(work(error("'gone'"))).toEqual(work(error("'gone for good'")));
    expect(work(error("'gone'"))).not.toEqual(work(error("'gone'", 'this.name = other;')));
    expect(work(error("'gone'"))).not.toEqual(work(error("'gone'", 'this.name = name;', 'name = 1')));
  });
});

describe('a script that is nested thousands of levels deep', () => {
  const deep = `export function g(a) {\n  return ${'f('.repeat(20_000)}a${')'.repeat(20_000)};\n}\n`;

  it('holds nothing for whoever takes scripts apart, and says so to whoever asks', () => {
    expect(readScript('a.ts', deep)).toBeNull();
    expect(functionsIn('a.ts', deep)).toEqual([]);
    expect(complexityOf('a.ts', deep)).toEqual([]);
    expect(scriptSecurity('a.ts', deep)).toEqual([]);
    expect(writtenTests('a.test.ts', deep)).toEqual([]);
    expect(unitsOf('a.ts', deep)?.units).toEqual([]);
    expect(reworded('a.ts', deep)).toContain(deep.trim());
  });

  it('is taken apart as far as anybody nests', () => {
    const much = `export function g(a) {\n  return ${'f('.repeat(400)}a${')'.repeat(400)};\n}\n`;
    expect(functionsIn('a.ts', much)).toMatchObject([{ name: 'g', shape: 'full' }]);
    expect(complexityOf('a.ts', much)).toEqual([{ name: 'g', line: 1, paths: 1, depth: 0 }]);
  });
});

describe('an assertion', () => {
  const countsOf = (line: string, path = 'a.test.js'): number[] => {
    const text = path.endsWith('.py') ? `def test_a():\n    ${line}\n` : `test('a', () => {\n  ${line}\n});\n`;
    return writtenTests(path, text).flatMap(({ assertions, trivialAssertions }) => [assertions, trivialAssertions]);
  };

  it.each([
    "expect(name || 'anonymous').toBe('anonymous');",
    'expect(list.length >= 0).toBe(false);',
    'expect(f(1) || true).not.toBe(true);',
    'assert.equal(f(1) || 1, 2);',
  ])('may fail: %s', (line) => expect(countsOf(line)).toEqual([1, 0]));

  it.each([
    'expect(f(1) === 2 || true).toBe(true);',
    'expect(list.length >= 0).toBeTruthy();',
    'expect(f(1) || true).to.be.ok;',
    'expect(true).toBe(true);',
    'assert(f(1) === 2 || true);',
    "assert.ok(list.length >= 0, 'so long');",
    'assert.equal(list.length >= 0, true);',
    'const none = [];\n  for (const each of none) expect(f(each)).toBe(2);',
  ])('is always right: %s', (line) => expect(countsOf(line)).toEqual([0, 1]));

  it.each([
    'assert n == (c.retries or 1)',
    'assert f(a or True)',
    'assert f(1) == "x or True"',
    'assert a if b else c or True',
  ])('may fail in Python: %s', (line) => expect(countsOf(line, 'test_a.py')).toEqual([1, 0]));

  it.each([
    'assert True',
    'assert f(1) == 2 or True',
    'assert (f(1) == 2 or True), "why, so"',
    'assert len(f(1)) >= 0  # so long',
    "assert 'a text'",
  ])('is always right in Python: %s', (line) => expect(countsOf(line, 'test_a.py')).toEqual([0, 1]));
});

describe('a test file of lines that nobody writes', () => {
  const much = 50_000;
  const many = (line: (n: number) => string, count = 15_000): string => Array.from({ length: count }, (_each, n) => line(n)).join('\n'); // prettier-ignore

  // Each of these took minutes or more, as long as each assertion or each place of a line was asked for all the others.
  it.each([
    ['a loop for each assertion', 'a.test.js', `test('a', () => {\n${many(() => 'for(const a of b)expect(c);')}\n});\n`],
    ['a loop over another list for each', 'a.test.js', `test('a', () => {\nconst b1 = [];\n${many((n) => `for(const a of b${n})expect(c);`)}\n});\n`],
    ['much in one catch', 'a.test.js', `test('a', () => {\ntry {\n${many(() => 'expect(f(1)).toBe(2);', 8000)}\n} catch {\n${many(() => 'go(1);', 8000)}\n}\n});\n`],
    ['loops and blank lines in Python', 'test_a.py', `def test_a():\n${many(() => '    for x in y:\n        assert x == 1', 5000)}\n${'\n'.repeat(much)}    y = 1\n`],
    ['tests in tests and blank lines in Python', 'test_a.py', `${many((n) => `${' '.repeat(n)}def test_a():`, 500)}\n${'\n'.repeat(much)}${' '.repeat(501)}assert a\n`],
    ['spaces after assert', 'test_a.py', `def test_a():\n    assert${' '.repeat(much)}x\n    assert x${' '.repeat(much)}y\n`],
    ['a long number', 'test_a.py', `def test_a():\n    assert f(1) == approx(${'1'.repeat(much)}\n`],
    ['numbers that end nowhere', 'test_a.py', `def test_a():\n    assert f(1) == ${'approx(1 '.repeat(much / 9)}\n`],
    ['assertions that end nowhere', 'test_a.py', `def test_a():\n    ${'self.assertA('.repeat(much / 10)}${')'.repeat(much)}x\n`],
    ['commas', 'test_a.py', `def test_a():\n    self.assertA(${','.repeat(much)})\n`],
  ])('is read at once: %s', (_what, path, text) => {
    expect(writtenTests(path, text).length).toBeGreaterThan(0);
  }); // prettier-ignore

  it.each([
    ['spaces', ' '.repeat(much)],
    ['a word', 'a'.repeat(much)],
    ['a text that ends nowhere', `"${'\\d'.repeat(much)}`],
    ['texts that end nowhere', '\\"'.repeat(much)],
    ['patterns', '=/'.repeat(much)],
  ])('is asked at once for what it names: %s', (_what, text) => {
    expect([valuesIn(`${text}\n"kept"`).includes('kept'), callsIn(`${text}\nkept (`).has('kept')]).toEqual([
      true,
      true,
    ]);
  });
});

describe('what is added', () => {
  it('is told line by line', () => {
    expect([...addedLines('a\nb\nc\nd', 'a\nX\nb\nc\nY\nd')]).toEqual(expect.arrayContaining([2, 5]));
    expect(addedLines('a\nb\nc', 'a\nc').size).toBe(0);
    expect([...addedLines('', 'a\nb')]).toEqual([1, 2]);
    expect([...addedLines('a\nb\nc\na\nb\nb\na', 'c\nb\na\nb\na\nc')].length).toBe(2);
  });
});

describe('a package script', () => {
  it('is written out with what it runs', () => {
    const scripts = {
      pretest: 'clean',
      test: 'npm run -s unit && npm run missing; yarn lint',
      unit: 'jest',
      lint: 'eslint .',
    };
    expect(lineOf(scripts, 'test')).toBe('clean && jest && npm run missing; eslint .');
    expect(lineOf({ test: 'npm test' }, 'test')).toBe('npm test');
    expect(lineOf({}, 'test')).toBeNull();
  });
});

describe('an archive', () => {
  const unpack = async (entries: [Entry, string?][]): Promise<string> => {
    const into = mkdtempSync(join(root, 'into-'));
    const archive = pack();
    for (const [header, text] of entries) archive.entry(header, text ?? '');
    archive.finalize();
    await extractTree(Readable.from(archive as AsyncIterable<Buffer>), into);
    return into;
  };

  it('is unpacked with its links as links', async () => {
    const into = await unpack([
      [{ name: 'a/b.sh', mode: 0o755 }, 'x'],
      [{ name: 'link', type: 'symlink', linkname: '/etc/passwd' }],
    ]);
    expect(readFileSync(join(into, 'a/b.sh'), 'utf8')).toBe('x');
    expect(readlinkSync(join(into, 'link'))).toBe('/etc/passwd');
  });

  it.each<[string, [Entry, string?][]]>([
    ['leads out', [[{ name: '../out' }, 'x']]],
    ['is absolute', [[{ name: '/tmp/gate-out' }, 'x']]],
    ['is git’s own', [[{ name: '.git/hooks/pre-commit' }, 'x']]],
    ['writes through a link', [[{ name: 'l', type: 'symlink', linkname: '/tmp' }], [{ name: 'l/gate-out' }, 'x']]],
    ['overwrites a link', [[{ name: 'l', type: 'symlink', linkname: '/tmp/gate-out' }], [{ name: 'l' }, 'x']]],
    ['is a hard link', [[{ name: 'h', type: 'link', linkname: '/etc/passwd' }]]],
    ['is a device', [[{ name: 'd', type: 'character-device' }]]],
  ])('is refused when an entry %s', async (_what, entries) => {
    await expect(unpack(entries)).rejects.toThrow();
    expect(existsSync('/tmp/gate-out')).toBe(false);
  });
});

describe('a test that asks in the chain of what it sends', () => {
  const ask = (chain: string): ReturnType<typeof writtenTests> =>
    writtenTests('a.test.js', `it('answers', (done) => {\n  request(app).get('/').${chain};\n});\n`);

  it('asserts as often as the chain asks', () => {
    const [test] = ask(`expect(200).expect('Content-Type', /json/).expect('hello', done)`);
    expect(test).toMatchObject({ assertions: 3, trivialAssertions: 0 });
    expect(test!.asserted.map(({ subject, strength }) => [subject, strength])).toEqual([
      ["request ( app ) . get ( '/' )", 3],
      ["request ( app ) . get ( '/' ) 'Content-Type'", 2],
      ["request ( app ) . get ( '/' )", 3],
    ]);
    expect(ask('end(done)')[0]).toMatchObject({ assertions: 0 });
  });

  it('is the same with a comma behind the last of a list', () => {
    const [one] = writtenTests('a.test.js', "it('a', () => { expect(f(1)).toEqual({ a: [1, 2] }); });");
    const [other] = writtenTests(
      'a.test.js',
      "it('a', () => {\n  expect(f(1)).toEqual({\n    a: [\n      1,\n      2,\n    ],\n  });\n});",
    );
    expect(other).toMatchObject({ body: one!.body, asserted: one!.asserted });
  });
});
