import { describe, expect, it } from '@jest/globals';
import { fieldAt, fillTemplate, InputTooLarge, matchesWhere } from './fill-template.ts';

describe('fillTemplate', () => {
  it('replaces $data and its fields by JSON values, wherever they stand', () => {
    const data = { title: 'Crash', labels: ['bug'], author: { name: 'Ada' } };
    expect(fillTemplate({ all: '$data', list: ['$data.labels', { who: '$data.author.name' }], n: 1 }, data)).toEqual({
      all: data,
      list: [['bug'], { who: 'Ada' }],
      n: 1,
    });
  });

  it('leaves text alone that only contains $data', () => {
    expect(fillTemplate({ text: 'look at $data.title', other: '$database' }, { title: 'x' })).toEqual({
      text: 'look at $data.title',
      other: '$database',
    });
  });

  it('puts null where the event has no such field, and never reaches a prototype', () => {
    expect(fillTemplate({ a: '$data.nope', b: '$data.constructor.name', c: '$data.__proto__' }, {})).toEqual({
      a: null,
      b: null,
      c: null,
    });
  });

  it('does not fill what an event brings', () => {
    expect(fillTemplate({ a: '$data.text' }, { text: '$data' })).toEqual({ a: '$data' });
  });

  it('refuses to multiply large data', () => {
    const data = { text: 'x'.repeat(300_000) };
    expect(() => fillTemplate({ list: Array.from({ length: 10 }, () => '$data') }, data)).toThrow(InputTooLarge);
  });
});

describe('matchesWhere', () => {
  it('compares fields by dotted path, type included', () => {
    const data = { issue: { kind: 'bug', count: 1 }, tags: ['a'] };
    expect(matchesWhere({ 'issue.kind': 'bug', 'issue.count': 1, 'tags.0': 'a' }, data)).toBe(true);
    expect(matchesWhere({ 'issue.count': '1' }, data)).toBe(false);
    expect(matchesWhere({ 'issue.gone': null }, data)).toBe(false);
    expect(matchesWhere({}, data)).toBe(true);
    expect(fieldAt(data, 'issue.kind.length')).toBeUndefined();
  });
});
