import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { MusterError, type FieldError } from '#kernel';
import { checkDefinition } from './check-definition.ts';
import { contentHash } from './content-hash.ts';
import { asSent, readSource } from './read-source.ts';

const valid = `metadata:
  name: reviewer
  version: 1.0.0
skills:
  - name: code.review
`;

function refusal(source: string): MusterError {
  try {
    readSource(source).map((sent) => checkDefinition(sent));
  } catch (error) {
    if (error instanceof MusterError) return error;
    throw error;
  }
  throw new Error('It was accepted.');
}
const errorsOf = (source: string): readonly FieldError[] => refusal(source).errors;

describe('a definition in YAML', () => {
  it('is taken with its defaults filled in', () => {
    const [sent] = readSource(valid);
    expect(sent && checkDefinition(sent)).toMatchObject({
      apiVersion: 'muster/v1',
      retry: { attempts: 5 },
      skills: [{ name: 'code.review', input: { type: 'object' } }],
    });
  });

  it('may share parts by aliases, and may hold several documents', () => {
    const shared = `${valid}    input: &in { type: object }\n  - name: code.read\n    input: *in\n---\n${valid}`;
    expect(readSource(shared).map((sent) => checkDefinition(sent).skills.length)).toEqual([2, 1]);
  });

  const places: [what: string, source: string, path: string, line: number, column: number][] = [
    ['broken syntax', 'metadata:\n  name: [a, b\nskills: x\n', '', 3, 1],
    ['a tab for indentation', 'metadata:\n\tname: a\n', '', 2, 1],
    ['a key that is written twice', `${valid}goals: []\ngoals: []\n`, 'goals', 7, 1],
    ['a nested key that is written twice', valid.replace('  version', '  name: b\n  version'), 'metadata.name', 3, 3],
    ['an unknown field', `${valid}nonsense: 1\n`, 'nonsense', 6, 1],
    ['an unknown field deep inside', `${valid}limits:\n  concurrency: 1\n  memory: 2\n`, 'limits.memory', 8, 3],
    ['a wrong type', valid.replace('1.0.0', '[1]'), 'metadata.version', 3, 12],
    ['a version that is none', valid.replace('1.0.0', '01.0.0'), 'metadata.version', 3, 12],
    ['a missing field', valid.replace('  version: 1.0.0\n', ''), 'metadata.version', 2, 3],
    ['a wrong duration', `${valid}limits: { timeout: soon }\n`, 'limits.timeout', 6, 20],
    [
      'a trigger without its skill',
      `${valid}triggers:\n  - event: a.b\n    capability: code.x\n`,
      'triggers.0.capability',
      8,
      17,
    ],
    [
      'a trigger on what every task tells',
      `${valid}triggers:\n  - event: task.succeeded\n    capability: code.review\n`,
      'triggers.0.event',
      7,
      12,
    ],
    ['a broken JSON Schema', `${valid}    input:\n      type: objekt\n`, 'skills.0.input.type', 7, 13],
    ['an unknown keyword', `${valid}    output:\n      tipe: object\n`, 'skills.0.output', 7, 7],
    ['a reference to nowhere', `${valid}    output:\n      $ref: https://example.com/x\n`, 'skills.0.output', 7, 7],
    ['the same skill twice', `${valid}  - name: code.review\n`, 'skills.1.name', 6, 11],
    ['a word of the API as a name', valid.replace('reviewer', 'search'), 'metadata.name', 2, 9],
    ['a reserved capability', valid.replace('code.review', 'muster.verify'), 'skills.0.name', 5, 11],
    ['a NUL character', valid.replace('reviewer', 'reviewer\n  title: "a\\0b"'), 'metadata.title', 3, 10],
    ['a tag that makes something else', `${valid}goals: !!js/function x\n`, '', 6, 8],
    ['a key that is no text', `${valid}? [a, b]\n: 1\n`, '', 6, 3],
    ['nothing at all', '# nothing\n', '', 1, 1],
  ];
  it.each(places)('refuses %s and says where', (_what, source, path, line, column) => {
    const errors = errorsOf(source);
    expect(errors).toContainEqual(expect.objectContaining({ path, line, column }));
  });

  it('gives a reserved capability its own code', () => {
    expect(refusal(valid.replace('code.review', 'muster.verify'))).toMatchObject({
      code: 'registry.capability_reserved',
      status: 422,
    });
    expect(refusal(valid.replace('1.0.0', 'one')).code).toBe('registry.definition_invalid');
  });

  it('names every flaw at once', () => {
    expect(errorsOf('metadata: { name: A B, version: x }\nskills: []\n').length).toBeGreaterThanOrEqual(3);
  });

  const hostile: [what: string, source: string][] = [
    [
      'a bomb of aliases',
      `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
        .split('')
        .map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefg'[i]}`).join(',')}]`)
        .join('\n')}\n`,
    ],
    ['an alias of itself', 'a: &a [*a]\n'],
    ['aliases of what holds them, twice each', '&a [&b [*a, *b]]\n'],
    ['thousands of brackets', '['.repeat(100_000)],
    ['thousands of nested dashes', '- '.repeat(20_000)],
    ['deep nesting', `a: ${'['.repeat(900)}${']'.repeat(900)}\n`],
    ['too much of anything', `a: ${'x'.repeat(300_000)}\n`],
    ['many thousand keys', Array.from({ length: 12_000 }, (_, i) => `k${i}: 1`).join('\n')],
    ['a large part behind many aliases', `a: &a "${'x'.repeat(100_000)}"\nb: [${Array(40).fill('*a').join(',')}]\n`],
  ];
  it.each(hostile)('refuses %s', (_what, source) => {
    expect(refusal(source).status).toBeLessThan(500);
  });
});

describe('a definition in JSON', () => {
  it('is refused when one of its schemas is too large to be compiled', () => {
    const input = { anyOf: Array.from({ length: 4000 }, () => ({ type: 'string' })) };
    expect(() =>
      checkDefinition(asSent({ metadata: { name: 'a', version: '1.0.0' }, skills: [{ name: 'a.b', input }] })),
    ).toThrow('skills.0.input is larger than');
  });

  it('is refused with paths when it is wrong', () => {
    expect(() => checkDefinition(asSent({ metadata: { name: 'a', version: '1.0.0' } }))).toThrow('skills');
    expect(() => checkDefinition(asSent('text'))).toThrow(MusterError);
    expect(() => checkDefinition(asSent(null))).toThrow(MusterError);
  });

  it('has the same hash whatever the order of its fields', () => {
    expect(contentHash({ a: 1, b: { c: [1, 2], d: null } })).toBe(contentHash({ b: { d: null, c: [1, 2] }, a: 1 }));
    expect(contentHash({ a: [1, 2] })).not.toBe(contentHash({ a: [2, 1] }));
  });
});

describe('the templates that Muster ships', () => {
  const folder = new URL('../../templates/', import.meta.url);
  it.each(readdirSync(folder))('%s is a valid definition, named like its file', (file) => {
    const [sent] = readSource(readFileSync(new URL(file, folder), 'utf8'));
    expect(sent && checkDefinition(sent)).toMatchObject({
      metadata: { name: file.replace('.yaml', ''), template: file.replace('.yaml', '') },
    });
  });
});

describe('the guide to definitions', () => {
  it('shows one that is valid', () => {
    const guide = readFileSync(new URL('../../../../docs/guides/agent-definitions.md', import.meta.url), 'utf8');
    const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(guide) ?? [];
    const [sent] = readSource(example);
    expect(sent && checkDefinition(sent)).toMatchObject({ metadata: { name: 'fixer' }, limits: { concurrency: 2 } });
  });
});
