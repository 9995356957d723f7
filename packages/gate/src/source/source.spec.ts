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
import { writtenTests } from './test-cases.ts';
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
    expect(complexityOf('a.ts', much)).toEqual([{ name: 'g', line: 1, paths: 1 }]);
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
