import { randomInt } from 'node:crypto';
import ts from 'typescript';
import type { TestRunner } from '../project/test-runner.ts';
import { parseScript } from './functions.ts';
import { isPython } from './paths.ts';
import { pythonLines } from './python.ts';
import { testCallsIn } from './test-cases.ts';

/** Answers a whole number from `from` up to, not including, `to`. Nobody who wrote the change may foresee it. */
export type Lot = (from: number, to: number) => number;
export const byLot: Lot = (from, to) => randomInt(from, to);

/** A test of the gate's own among the tests of a file. */
export interface Canary {
  name: string;
  /** What has to go wrong in it, in words; null for one that has to be there and does nothing. */
  fails: string | null;
}

export interface Planted {
  /** The file with canaries, its own tests as they are but for a question that is always answered with no. */
  quiet: string;
  /** The same, the question answered with yes: every test of the file that is named below has to fail. */
  sabotaged: string;
  canaries: Canary[];
  /** Names of the file's own tests, groups joined by a space. */
  own: string[];
}

type Failing = Readonly<Record<string, string>>;

/** Arguments with which an assertion has to fail. */
const assertFails: Failing = {
  '': 'false',
  ok: '0',
  equal: '1, 2',
  strictEqual: '1, 2',
  notEqual: '1, 1',
  notStrictEqual: '1, 1',
  deepEqual: '[1], [2]',
  deepStrictEqual: '[1], [2]',
  notDeepEqual: '[1], [1]',
  notDeepStrictEqual: '[1], [1]',
  partialDeepStrictEqual: '{ a: 1 }, { a: 2 }',
  match: '"a", /b/',
  doesNotMatch: '"a", /a/',
  throws: '() => undefined',
  doesNotThrow: '() => { throw new Error("thrown"); }',
  rejects: 'async () => undefined',
  doesNotReject: 'async () => { throw new Error("rejected"); }',
  fail: '"failed"',
  isTrue: 'false',
  isFalse: 'true',
  isNull: '1',
  isUndefined: '1',
  isDefined: 'undefined',
  lengthOf: '[1], 2',
  include: '[1], 2',
};

/** What is expected of what, so that it has to fail. */
const expectFails: Readonly<Record<string, readonly [string, string]>> = {
  toBe: ['1', '2'],
  toEqual: ['[1]', '[2]'],
  toStrictEqual: ['[1]', '[2]'],
  toMatchObject: ['{ a: 1 }', '{ a: 2 }'],
  toContain: ['[1]', '2'],
  toContainEqual: ['[1]', '2'],
  toHaveLength: ['[1]', '2'],
  toHaveProperty: ['{}', '"a"'],
  toMatch: ['"a"', '/b/'],
  toBeDefined: ['undefined', ''],
  toBeUndefined: ['1', ''],
  toBeNull: ['1', ''],
  toBeTruthy: ['0', ''],
  toBeFalsy: ['1', ''],
  toBeNaN: ['1', ''],
  toBeGreaterThan: ['1', '2'],
  toBeGreaterThanOrEqual: ['1', '2'],
  toBeLessThan: ['2', '1'],
  toBeLessThanOrEqual: ['2', '1'],
  toBeCloseTo: ['1', '2'],
  toBeInstanceOf: ['{}', 'Array'],
  toThrow: ['() => undefined', ''],
  toThrowError: ['() => undefined', ''],
};

const unittestFails: Failing = {
  Equal: '1, 2',
  NotEqual: '1, 1',
  True: 'False',
  False: 'True',
  Is: '1, None',
  IsNone: '1',
  IsNotNone: 'None',
  In: '1, [2]',
  NotIn: '1, [1]',
  IsInstance: '1, str',
  Greater: '1, 2',
  Less: '2, 1',
  AlmostEqual: '1, 2',
  DictEqual: '{}, {1: 1}',
  ListEqual: '[1], [2]',
};

const mostPerFile = 16;

/** Names like those that stand there already, and not the same. */
function namesLike(text: string, known: readonly string[], lot: Lot, join: string): () => string {
  const all = known.join(' ').match(/[a-z]{3,}/g) ?? [];
  const words = all.length > 1 ? all : ['keeps', 'order', 'value', 'answers'];
  const word = (): string => words[lot(0, words.length)]!;
  const given = new Set<string>();
  return () => {
    for (;;) {
      const name = [word(), word(), String(lot(100, 100_000))].join(join);
      if (given.has(name) || text.includes(name)) continue;
      given.add(name);
      return name;
    }
  };
}

/** Two numbers, the same or not: the question that every test is given, and the answer to it. */
function question(lot: Lot, sabotaged: boolean): readonly [number, number] {
  const one = lot(1000, 90_000);
  return [one, sabotaged ? one + lot(1, 9000) : one];
}

/** The names that a file gives at its top, by import or declaration, with the module that an import takes them from. */
function namesAtTheTop(file: ts.SourceFile): Map<string, string | null> {
  const names = new Map<string, string | null>();
  const bind = (name: ts.BindingName, from: string | null): void => {
    if (ts.isIdentifier(name)) names.set(name.text, from);
    else for (const each of name.elements) if (ts.isBindingElement(each)) bind(each.name, from);
  };
  for (const each of file.statements) {
    if (ts.isImportDeclaration(each)) {
      const from = ts.isStringLiteral(each.moduleSpecifier) ? each.moduleSpecifier.text : null;
      const clause = each.importClause;
      if (clause?.name !== undefined) names.set(clause.name.text, from);
      const bindings = clause?.namedBindings;
      if (bindings === undefined) continue;
      if (ts.isNamespaceImport(bindings)) names.set(bindings.name.text, from);
      else for (const { name } of bindings.elements) names.set(name.text, from);
    } else if (ts.isVariableStatement(each)) {
      for (const { name, initializer } of each.declarationList.declarations)
        bind(name, /^require\(\s*['"]([^'"]+)['"]\s*\)/.exec(initializer?.getText(file) ?? '')?.[1] ?? null);
    } else if (ts.isFunctionDeclaration(each) && each.name !== undefined) names.set(each.name.text, null);
  }
  return names;
}

const assertModule = /^(?:node:)?assert(?:\/strict)?$|^chai$/;

/** One statement for each way in which the file's own tests assert, made to fail; by the file's own names for them. */
function failingAssertions(file: ts.SourceFile, top: ReadonlyMap<string, string | null>, globals: boolean): string[] {
  const found = new Set<string>();
  const there = (name: string): boolean => top.has(name) || globals;
  const visit = (node: ts.Node): void => {
    ts.forEachChild(node, visit);
    if (!ts.isCallExpression(node)) return;
    const callee = node.expression.getText(file).replace(/\s+/g, '');
    const named = /^(assert)(?:\.(?:strict\.)?(\w+))?$/.exec(callee);
    const imported = assertModule.test(top.get(callee) ?? '') ? callee : null;
    const given = named === null ? assertFails[imported ?? '-'] : assertFails[named[2] ?? ''];
    if (given !== undefined && there(named?.[1] ?? callee)) found.add(`await ${callee}(${given});`);
    const ofContext = /^(?:t|ctx|context)\.assert\.(\w+)$/.exec(callee);
    if (ofContext !== null && assertFails[ofContext[1]!] !== undefined)
      found.add(`await t.assert.${ofContext[1]}(${assertFails[ofContext[1]!]});`);
    const expected = /^expect(?:<[^>]*>)?\(.*\)((?:\.(?:not|resolves|rejects))*)\.(\w+)$/s.exec(callee);
    const values = expected === null ? undefined : expectFails[expected[2]!];
    if (expected === null || !there('expect')) return;
    if (values !== undefined && expected[1] === '') found.add(`expect(${values[0]}).${expected[2]}(${values[1]});`);
    if (expected[1] === '.not') found.add('expect([1]).not.toEqual([1]);');
    if (expected[1] === '.resolves') found.add('await expect(Promise.resolve(1)).resolves.toBe(2);');
    if (expected[1] === '.rejects') found.add('await expect(Promise.resolve(1)).rejects.toThrow();');
    const chained = /\)\.(to(?:\.\w+)*)\.(\w+)$/.exec(callee);
    if (chained === null) return;
    if (/^(?:equals?|eq)$/.test(chained[2]!) && !chained[1]!.includes('deep')) found.add('expect(1).to.equal(2);');
    if (chained[2] === 'eql' || chained[1]!.includes('deep')) found.add('expect([1]).to.eql([2]);');
    if (/^throws?$/.test(chained[2]!)) found.add('expect(() => undefined).to.throw();');
  };
  visit(file);
  if (there('expect') && /\)\.to\.be\.true\b/.test(file.text)) found.add('expect(false).to.be.true;');
  return [...found];
}

function inScript(path: string, text: string, runner: TestRunner, lot: Lot): Planted | null {
  const file = parseScript(path, text);
  const calls = testCallsIn(file);
  // A test that is alone keeps every other from being run, canaries as well.
  if (calls.length === 0 || calls.some((each) => each.only)) return null;
  const globals = runner !== 'node:test';
  const top = namesAtTheTop(file);
  const how = calls
    .map(({ callee }) => /^(?:test|it|specify)\b/.exec(callee)?.[0])
    .find((name) => name !== undefined && (globals || top.has(name)));
  if (how === undefined) return null;
  const own = calls.filter(({ body, skipped }) => body !== undefined && !skipped && body.asteriskToken === undefined);
  const edits = (sabotaged: boolean): string => {
    const inserts: { at: number; text: string; order: number }[] = [];
    for (const { body } of own) {
      const [is, wanted] = question(lot, sabotaged);
      const ask = `if (+"${is}" !== +"${wanted}") throw new Error("expected ${wanted}, got ${is}");`;
      if (ts.isBlock(body!.body)) {
        const directive = body!.body.statements.findLast(
          (each, index) => index < 3 && ts.isExpressionStatement(each) && ts.isStringLiteral(each.expression),
        );
        inserts.push({ at: directive?.getEnd() ?? body!.body.getStart(file) + 1, text: ` ${ask}`, order: 0 });
      } else {
        inserts.push({ at: body!.body.getFullStart(), text: ` { ${ask} return (`, order: 0 });
        inserts.push({ at: body!.body.getEnd(), text: '); }', order: 1 });
      }
    }
    let out = '';
    let from = 0;
    for (const { at, text: more } of inserts.sort((a, b) => a.at - b.at || b.order - a.order)) {
      out += text.slice(from, at) + more;
      from = at;
    }
    return out + text.slice(from);
  };
  const nameLike = namesLike(
    text,
    calls.map(({ name }) => name),
    lot,
    ' ',
  );
  const canaries: Canary[] = [];
  let appended = '';
  const add = (body: string, fails: string | null): void => {
    const name = nameLike();
    canaries.push({ name, fails });
    appended += `\n${how}(${JSON.stringify(name)}, ${body});`;
  };
  add(`() => { throw new Error(${JSON.stringify(nameLike())}); }`, 'an error thrown');
  add(`async () => { throw new Error(${JSON.stringify(nameLike())}); }`, 'a promise rejected');
  for (const each of failingAssertions(file, top, globals).slice(0, mostPerFile))
    add(`async (${/\bt\./.test(each) ? 't' : ''}) => { ${each} }`, each.replace(/^await /, ''));
  add('() => undefined', null);
  const [quiet, sabotaged] = [edits(false), edits(true)].map((each) => `${each}\n;${appended}\n`) as [string, string];
  return { quiet, sabotaged, canaries, own: own.map(({ name }) => name.replaceAll(' > ', ' ')) };
}

function inPython(text: string, lot: Lot): Planted | null {
  const lines = text.split('\n');
  const logical = pythonLines(text).filter(({ indent }) => indent >= 0);
  const code = logical.map(({ bare }) => bare).join('\n');
  const places: { at: number; indent: string; name: string }[] = [];
  for (const [index, each] of logical.entries()) {
    const name = /^(?:async\s+)?def\s+(test\w*)\s*\(.*:$/s.exec(each.bare)?.[1];
    const body = logical[index + 1];
    if (name === undefined || body === undefined || body.indent <= each.indent) continue;
    let decorators = '';
    for (let above = index - 1; logical[above]?.bare.startsWith('@') === true; above--)
      decorators += logical[above]!.text;
    if (/skip|xfail/.test(decorators)) continue;
    places.push({ at: body.line - 1, indent: /^\s*/.exec(lines[body.line - 1]!)![0], name });
  }
  if (places.length === 0) return null;
  const ask = (sabotaged: boolean): string[] => {
    const out = [...lines];
    for (const { at, indent } of [...places].reverse()) {
      const [is, wanted] = question(lot, sabotaged);
      out.splice(at, 0, `${indent}if int("${is}") != int("${wanted}"): raise AssertionError("expected ${wanted}")`);
    }
    return out;
  };
  const nameLike = namesLike(
    text,
    places.map(({ name }) => name.replace(/^test_?/, '').replaceAll('_', ' ')),
    lot,
    '_',
  );
  const canaries: Canary[] = [];
  let appended = '';
  const add = (body: string, fails: string | null, within: string | null = null): void => {
    const name = `test_${nameLike()}`;
    canaries.push({ name, fails });
    appended +=
      within === null
        ? `\n\ndef ${name}():\n    ${body}\n`
        : `\n\nclass Test${nameLike().replaceAll('_', '')}(${within}):\n    def ${name}(self):\n        ${body}\n`;
  };
  const [left, right] = question(lot, true);
  add(`assert ${left} == ${right}`, 'assert 1 == 2');
  add(`raise ValueError("${left}")`, 'an error raised');
  if (/^import pytest\b/m.test(code) && /pytest\.raises\(/.test(code))
    add('with pytest.raises(ValueError): pass', 'pytest.raises without an error');
  const unittest = /^import unittest\b/m.test(code)
    ? 'unittest.TestCase'
    : /^from unittest import (?:.*, )?TestCase\b/m.test(code)
      ? 'TestCase'
      : null;
  if (unittest !== null)
    for (const name of new Set([...code.matchAll(/self\.assert(\w+)\(/g)].map((match) => match[1]!)))
      if (unittestFails[name] !== undefined)
        add(`self.assert${name}(${unittestFails[name]})`, `self.assert${name}`, unittest);
  add('pass', null);
  return {
    quiet: ask(false).join('\n') + appended,
    sabotaged: ask(true).join('\n') + appended,
    canaries,
    own: places.map(({ name }) => name),
  };
}

/** Plants canaries in a test file; null where there is no place for them. */
export function planted(path: string, text: string, runner: TestRunner, lot: Lot = byLot): Planted | null {
  if (isPython(path) !== (runner === 'pytest')) return null;
  return isPython(path) ? inPython(text, lot) : inScript(path, text, runner, lot);
}
