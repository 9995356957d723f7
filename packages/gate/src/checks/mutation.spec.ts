import { afterAll, describe, expect, it, jest } from '@jest/globals';
import { GateDesk, type Files } from '../../../../test/support/gate-desk.ts';
import { mutationCheck } from './mutation.ts';

// Each runs a small suite several times.
jest.setTimeout(120_000);

const desk = new GateDesk();
afterAll(() => desk.clear());

const head = "import test from 'node:test';\nimport assert from 'node:assert/strict';\n";
/** What is wanted of it is the sum; in what order and in which steps, nobody can see. */
const code = (start: number): string => `export function total(prices) {
  let sum = ${start};
  const most = prices.length > 3 && prices.length < 1000 ? 10 : 5;
  const least = prices.length === 7 || prices.length > 20 ? 1 : 0;
  if (most < least) return null;
  for (const price of prices) sum += price;
  return sum;
}
`;
const ground: Files = {
  'package.json': JSON.stringify({ name: 'sample', type: 'module', scripts: { test: 'node --test' } }),
  'src/total.js': 'export function total(prices) {\n  return prices[0];\n}\n',
  'test/total.test.js': `${head}import { total } from '../src/total.js';\ntest('is the only price', () => {\n  assert.equal(total([4]), 4);\n});\n`,
};
const levelsOf = async (before: Files, after: Files): Promise<string[]> =>
  (await desk.verify(mutationCheck, before, { ...before, ...after })).findings
    .filter(({ rule }) => rule === 'mutation.weak')
    .map(({ level }) => level);

describe('small mistakes that no test notices', () => {
  it('refuse a function that tests only call', async () => {
    const { 'src/total.js': _was, ...rest } = ground;
    const calls = `${head}import { total } from '../src/total.js';\ntest('is there', () => {\n  assert.doesNotThrow(() => total([4, 2]));\n});\n`;
    const before = { ...rest, 'test/total.test.js': `${head}test('one', () => assert.equal(1 + 1, 2));\n` };
    expect(await levelsOf(before, { 'src/total.js': code(0), 'test/total.test.js': calls })).toEqual(['error']);
  });

  it('cost points where tests fail without what the function does now', async () => {
    const asks = `${ground['test/total.test.js']!.toString()}test('adds up', () => {\n  assert.equal(total([4, 2]), 6);\n});\n`;
    expect(await levelsOf(ground, { 'src/total.js': code(0), 'test/total.test.js': asks })).toEqual(['warning']);
  });

  it('are not looked for in what only moved', async () => {
    const before = { ...ground, 'src/total.js': code(0) };
    const { 'src/total.js': _was, ...rest } = before;
    const moved = { ...rest, 'src/sum.js': code(0), 'test/total.test.js': ground['test/total.test.js']!.toString().replace('total.js', 'sum.js') };
    const { summary } = await desk.verify(mutationCheck, before, moved);
    expect(summary).toBe('nothing on the changed lines could be done otherwise');
  }); // prettier-ignore
});
