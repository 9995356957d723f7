import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import type { CheckFacts } from '@muster/contracts';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { GateDesk, type Files } from '../../../test/support/gate-desk.ts';
import { missingPrograms, needing } from '../../../test/support/needing.ts';
import { typesCheck } from './checks/types.ts';
import { detectSandbox, type Sandbox } from './sandbox/detect.ts';
import { changesBetween } from './source/changes.ts';
import { pythonTextsAround } from './source/python-texts.ts';

const withMypy = needing('what mypy says of a change', missingPrograms('mypy'));

jest.setTimeout(180_000);
let sandbox: Sandbox;
const desk = new GateDesk();
beforeAll(async () => {
  sandbox = await detectSandbox('auto');
  expect(sandbox.tellsReads).toBe(true);
});
afterAll(() => desk.clear());

const sample: Files = {
  'mypy.ini': '[mypy]\nstrict = true\n',
  'src/shop/__init__.py': '',
  'src/shop/price.py': 'def price(count: int) -> int:\n    return count * 2\n',
  'src/shop/stock.py': 'def left(code: str) -> int:\n    return len(code)\n',
  'src/shop/parts/__init__.py': '',
  'src/shop/parts/bolts.py': 'def bolts() -> int:\n    return 3\n',
};
const change: Files = {
  'src/shop/order.py': 'from shop.price import price\n\n\ndef order() -> int:\n    return price(2)\n',
};
const elsewhere: Files = {
  'src/shop/shelf.py': 'from shop.stock import left\n\n\ndef shelf() -> int:\n    return left("a")\n',
};

/** The change on one head, a landing, and the change on top of that: what the last says. */
const onTopOf = async (landing: Files, handedIn = change, shop = sample): Promise<CheckFacts> => {
  const cacheDir = mkdtempSync(join(desk.root, 'cache-'));
  const verify = async (base: Files | null, candidate: Files, verificationId: string): Promise<CheckFacts> => {
    const checks = await desk.verifyOnto(candidate, base, { verificationId, cacheDir, sandbox, checks: [typesCheck] });
    return checks[0]!;
  };
  expect((await verify(shop, { ...shop, ...handedIn }, 'first')).status).toBe('passed');
  const head = { ...shop, ...landing };
  await verify(null, head, 'landed');
  return await verify(head, { ...head, ...handedIn }, 'second');
};

withMypy.describe('what mypy says of a change', () => {
  it('is known where the change was clean, what has landed is clean as well, and neither can see the other', async () => {
    const types = await onTopOf(elsewhere);
    expect(types).toMatchObject({ status: 'passed', tool: { name: 'mypy' }, reused: { verification: 'first' } });
  });

  const stricter = { 'src/shop/price.py': 'def price(count: str) -> int:\n    return len(count)\n' };
  it.each<[string, Files, Files]>([
    ['changes the type of what the change uses', stricter, change],
    ['uses what the change takes away', elsewhere, { 'src/shop/stock.py': 'def none() -> int:\n    return 0\n' }],
    ['changes a module that is reached through its package', { 'src/shop/parts/bolts.py': 'def bolts() -> str:\n    return ""\n' }, { 'src/shop/order.py': 'import shop.parts.bolts\nfrom shop import parts\n\n\ndef order() -> int:\n    return parts.bolts.bolts()\n' }],
    ['changes a module that is imported after other words on its line', stricter, { 'src/shop/order.py': 'two = 2; from shop.price import price\n\n\ndef order() -> int:\n    return price(two)\n' }],
    ['puts another module in front of one of Python’s own', { 'src/colorsys.py': 'def rgb_to_hls(r: str) -> str:\n    return r\n' }, { 'src/shop/order.py': 'import colorsys\n\n\ndef order() -> object:\n    return colorsys.rgb_to_hls(1, 2, 3)\n' }],
  ])('is asked again, and found wrong, where what has landed %s', async (_what, landing, handedIn) => {
    const types = await onTopOf(landing, handedIn);
    expect(types.reused).toBeUndefined();
    expect(types.status).toBe('failed');
  }); // prettier-ignore

  it('is asked again where what has landed is not clean itself', async () => {
    const types = await onTopOf({ 'src/shop/wrong.py': 'wrong: int = "text"\n' });
    expect(types.reused).toBeUndefined();
    expect(types).toMatchObject({ status: 'passed', metrics: { errors: 1, new: 0 } });
  });

  it.each(['follow_imports = skip', 'exclude = wrong', 'mypy_path = lib'])(
    'is asked again where settings say %s',
    async (setting) => {
      const types = await onTopOf(elsewhere, change, { ...sample, 'mypy.ini': `[mypy]\n${setting}\n` });
      expect(types.reused).toBeUndefined();
      expect(types.status).toBe('passed');
    },
  );
});

withMypy.describe('what mypy reads of a change', () => {
  const around = (files: Files, more: Files): string[] | null => {
    const [before, after] = [desk.tree(files), desk.tree({ ...files, ...more })];
    const found = pythonTextsAround(after, changesBetween(before, after));
    return found === null ? null : [...found].sort();
  };

  it('is what it imports, with the packages around, and who imports it', () => {
    const user = { 'src/shop/till.py': 'from .order import (\n    order,  # all of it\n)\nfrom . import stock as s\n' };
    expect(around({ ...sample, ...user, ...elsewhere }, change)).toEqual([
      'src/shop/__init__.py',
      'src/shop/price.py',
      'src/shop/stock.py',
      'src/shop/till.py',
    ]);
  });

  it.each<[string, Files, Files]>([
    ['stubs', { ...sample, 'src/shop/price.pyi': '' }, change],
    ['links', { ...sample, 'src/link.py': '->shop/price.py' }, change],
    ['a name at the top and in src', { ...sample, 'shop/other.py': '' }, change],
    ['a line of imports that cannot be read', sample, { ...change, 'src/shop/odd.py': 'from shop import price as import\n' }],
    ['a change to anything but Python and prose', sample, { ...change, 'data.json': '{}' }],
  ])('cannot be told beside %s', (_what, files, more) => {
    expect(around(files, more)).toBeNull();
  }); // prettier-ignore
});
