import { afterAll, describe, expect, it } from '@jest/globals';
import { GateDesk, type Files } from '../../../test/support/gate-desk.ts';
import { digestOfCode, GATE_VERSION } from './version.ts';

const desk = new GateDesk();
afterAll(() => desk.clear());

describe("the gate's version", () => {
  const code: Files = { 'a.js': 'export const a = 1;\n', 'checks/b.js': 'export const b = 2;\n' };
  const of = (files: Files): string => digestOfCode(desk.tree(files).dir);

  it.each<[string, Files]>([
    ['says something else', { ...code, 'checks/b.js': 'export const b = 3;\n' }],
    ['has another name', { 'a.js': code['a.js']!, 'checks/c.js': code['checks/b.js']! }],
    ['is new', { ...code, 'checks/c.js': '' }],
    ['is gone', { 'a.js': code['a.js']! }],
  ])('is another one where a file of its code %s', (_what, files) => {
    expect(of(files)).not.toBe(of(code));
  });

  it('is the same for the same code, whatever its trials and declarations say', () => {
    expect(of({ ...code, 'a.spec.js': '1', 'a.d.ts': '2', 'a.js.map': '3' })).toBe(of(code));
  });

  it('is one of semver, with the code as its build', () => {
    expect(GATE_VERSION).toMatch(/^\d+\.\d+\.\d+\+[0-9a-f]{12}$/);
  });
});
