import { afterAll, expect, it, jest } from '@jest/globals';
import type { CheckFacts } from '@muster/contracts';
import { GateDesk, type Files } from '../../../../test/support/gate-desk.ts';
import { missingPrograms, needing } from '../../../../test/support/needing.ts';
import { typesCheck } from './types.ts';

const withMypy = needing('types of Python', missingPrograms('mypy'));

jest.setTimeout(180_000);
const desk = new GateDesk();
afterAll(() => desk.clear());
const look = (base: Files, candidate: Files): Promise<CheckFacts> => desk.verify(typesCheck, base, candidate);
const seen = ({ findings }: CheckFacts): string[] =>
  findings.map(({ rule, level, path, line }) => `${rule} ${level} ${path}:${line}`);

const shop = (answer: string): Files => ({
  'src/shop/__init__.py': '',
  'src/shop/price.py': `def price(count: int) -> int:\n    return ${answer}\n`,
  'src/shop/order.py': 'from shop.price import price\n\n\ndef order() -> int:\n    return price(2)\n',
  'tools/make-it.py': 'this is: no module(\n',
});
const settings: Files = { 'mypy.ini': '[mypy]\nstrict = true\n' };

withMypy.describe('types of Python', () => {
  it('that do not agree any more are errors where the project has mypy look at it, and hints elsewhere', async () => {
    const told = await look({ ...settings, ...shop('count * 2') }, { ...settings, ...shop('count / 2') });
    expect(told).toMatchObject({ status: 'failed', tool: { name: 'mypy' }, metrics: { errors: 1, new: 1 } });
    expect(seen(told)).toEqual(['types.return-value error src/shop/price.py:2']);
    const hinted = await look(shop('count * 2'), shop('count / 2'));
    expect({ status: hinted.status, seen: seen(hinted) }).toEqual({
      status: 'passed',
      seen: ['types.return-value warning src/shop/price.py:2'],
    });
  });

  it('that a change breaks elsewhere are found there', async () => {
    const after = { ...settings, ...shop('count * 2') };
    after['src/shop/price.py'] = 'def price(count: str) -> int:\n    return len(count)\n';
    expect(seen(await look({ ...settings, ...shop('count * 2') }, after))).toEqual([
      'types.arg-type error src/shop/order.py:5',
    ]);
  });

  it('are judged by the branch’s settings and its debt', async () => {
    const debt = { ...settings, ...shop('count / 2') };
    const moved = { ...debt, 'src/shop/price.py': `# A word more.\n${debt['src/shop/price.py']!}` };
    expect(seen(await look(debt, moved))).toEqual([]);
    const loose = { ...shop('count / 2'), 'mypy.ini': '[mypy]\nignore_errors = true\n' };
    expect(seen(await look({ ...settings, ...shop('count * 2') }, loose))).toEqual([
      'types.return-value error src/shop/price.py:2',
    ]);
  });

  it('are no reason to refuse anything where mypy could read the branch no more than the change', async () => {
    const broken: Files = { 'src/shop/old.py': 'print "as it was done once"\n' };
    const told = async (before: Files, after: Files): Promise<string> =>
      (await look({ ...before, ...shop('count * 2') }, { ...after, ...shop('count * 3') })).status;
    expect(await told({ ...settings, ...broken }, { ...settings, ...broken })).toBe('not_run');
    expect(await told(broken, broken)).toBe('not_run');
  });

  it('are told of the line that mypy could not read on from', async () => {
    const broken: Files = { 'src/shop/old.py': 'print "as it was done once"\n' };
    const before = { ...settings, ...shop('count * 2') };
    const told = await look(before, { ...before, ...broken });
    expect({ status: told.status, seen: seen(told) }).toEqual({
      status: 'failed',
      seen: ['types.syntax error src/shop/old.py:1'],
    });
    const hinted = await look(shop('count * 2'), { ...shop('count * 2'), ...broken });
    expect({ status: hinted.status, seen: seen(hinted) }).toEqual({
      status: 'passed',
      seen: ['types.syntax warning src/shop/old.py:1'],
    });
  });

  it('are not asked for where the change touches none', async () => {
    const whole = shop('count / 2');
    expect(await look(whole, { ...whole, 'README.md': 'words\n' })).toMatchObject({
      status: 'passed',
      summary: 'the change touches no Python',
    });
  });
});
