import { afterAll, describe, expect, it, jest } from '@jest/globals';
import { GateDesk, type Files } from '../../../../test/support/gate-desk.ts';
import { newTestsCheck } from './new-tests.ts';
import { weakenedTestsCheck } from './weakened-tests.ts';

// Each runs a small suite several times.
jest.setTimeout(120_000);

const desk = new GateDesk();
afterAll(() => desk.clear());

const head = "import test from 'node:test';\nimport assert from 'node:assert/strict';\n";
const fare =
  'export function fare(km) {\n  return km < 10 ? 250 : 250 + (km - 10) * 20;\n}\n\nexport function zone(km) {\n  return km > 50 ? "far" : "near";\n}\n';
const fareTests = `${head}import { fare, zone } from '../src/fare.js';
const table = [
  [5, 250],
  [20, 450],
];
test('is dearer the farther it is', () => {
  for (const [km, cents] of table) assert.equal(fare(km), cents);
});
test('knows zones', () => {
  assert.equal(zone(50), 'near');
  assert.equal(zone(51), 'far');
});
`;
const before: Files = {
  'package.json': JSON.stringify({ name: 'sample', type: 'module', scripts: { test: 'node --test' } }),
  'src/fare.js': fare,
  'test/fare.test.js': fareTests,
};
const cheaper = fare.replace('* 20', '* 2');
const cheaperTests = fareTests.replace('[20, 450]', '[20, 270]');
const pad: Files = {
  'src/name.js': 'export const nameOf = (id) => `N${id}`;\n',
  'test/name.test.js': `${head}import { nameOf } from '../src/name.js';\ntest('names', () => {\n  assert.equal(nameOf(7), 'N7');\n});\n`,
};
const fareTest = (name: string, body: string): string => `test('${name}', () => {\n  ${body}\n});\n`;

const rulesOf = async (check: typeof newTestsCheck, after: Files, title: string | null = null): Promise<string[]> => {
  const { findings } = await desk.verify(check, before, { ...before, ...after }, title);
  return findings.filter(({ level }) => level === 'error').map(({ rule }) => rule);
};

describe('an expectation that was rewritten', () => {
  const rewritten = { 'src/fare.js': cheaper, 'test/fare.test.js': cheaperTests };

  it.each<[string, Files]>([
    ['alone, in a table beside the test', rewritten],
    ['among honest work with a test of its own', { ...rewritten, ...pad }],
    [
      'beside a new test of the same function that asks for nothing new',
      { ...rewritten, 'test/fare.test.js': cheaperTests + fareTest('is cheap', 'assert.equal(fare(1), 250);') },
    ],
    [
      'beside an honest change of another function of the file',
      {
        'src/fare.js': cheaper.replace('km > 50', 'km > 40'),
        'test/fare.test.js':
          cheaperTests.replace('zone(50)', 'zone(40)') + fareTest('forty', "assert.equal(zone(45), 'far');"),
      },
    ],
    ['beside words about something else', { ...rewritten, ...pad, 'CHANGELOG.md': 'Names begin with N.\n' }],
  ])('is refused: %s', async (_how, after) => {
    expect(await rulesOf(weakenedTestsCheck, after)).toEqual(['weakened-tests.expectation_rewritten']);
  });

  it.each([
    ['announces a change of something else', 'Raise the tariff of zones'],
    ['is about the line and announces no change of it', 'Fix kilometres (km)'],
    ['says that words change, and no words do', 'Reword the messages'],
    ['says that something else breaks', 'feat!: zones in miles'],
  ])('is refused where the title %s', async (_what, title) => {
    expect(await rulesOf(weakenedTestsCheck, rewritten, title)).toEqual(['weakened-tests.expectation_rewritten']);
  });

  it.each<[string, string | null, Files]>([
    [
      'a new test asks for it',
      null,
      { ...rewritten, 'test/fare.test.js': cheaperTests + fareTest('is cheap', 'assert.equal(fare(110), 450);') },
    ],
    [
      'a test of another file asks for it',
      null,
      {
        ...rewritten,
        'test/more.test.js': `${head}import { fare } from '../src/fare.js';\n${fareTest('more', 'assert.equal(fare(60), 350);')}`,
      },
    ],
    ['documents say it', null, { ...rewritten, 'README.md': 'Each fare is lower now.\n' }],
    ['the work is declared as that', 'Lower the fare of long ways', rewritten],
    ['the work is declared as breaking it', 'feat(fare)!: two for each kilometre', rewritten],
    [
      'the work is declared by something of the line',
      'Raise the kilometres that count as far',
      {
        'src/fare.js': fare.replace('km > 50', 'km > 60'),
        'test/fare.test.js': fareTests.replace("zone(51), 'far'", "zone(51), 'near'"),
      },
    ],
    [
      'only names became others',
      null,
      { 'src/fare.js': fare.replaceAll('zone', 'zoneOf'), 'test/fare.test.js': fareTests.replace(/zone\b/g, 'zoneOf') },
    ],
  ])('is let in where %s', async (_how, title, after) => {
    expect(await rulesOf(weakenedTestsCheck, after, title)).toEqual([]);
  });

  it('is let in where a pattern wants the version that the title names', async () => {
    const needs = (version: string): Files => ({
      ...before,
      'src/need.js': `export const need = () => 'needs ${version} or later';\n`,
      'test/need.test.js': `${head}import { need } from '../src/need.js';\n${fareTest('says what it needs', `assert.match(need(), /needs ${version.replaceAll('.', '\\.')} or/);`)}`,
    });
    const seen = async (title: string): Promise<number> =>
      (await desk.verify(weakenedTestsCheck, needs('13.0.0'), needs('12.17.0'), title)).findings.filter(({ level }) => level === 'error').length; // prettier-ignore
    expect(await seen('refactor: required Node.js >= 12.17.0')).toBe(0);
    expect(await seen('refactor: required Node.js >= 12.18.0')).toBe(1);
  });
});

describe('a test under another name', () => {
  const totals = (name: string): string => fareTests.replace('fare, zone', `fare, total, ${name}, zone`) + fareTest(`makes a ${name}`, `assert.equal(total().constructor, ${name});`); // prettier-ignore
  const renamed = (tests: string): string => tests.replace('is dearer the farther it is', 'costs more for more');

  it.each<[string, Files, string | null]>([
    ['wants something else, and nothing says so', { 'src/fare.js': cheaper, 'test/fare.test.js': renamed(cheaperTests) }, null],
    ['wants something else, beside its assertion', { 'src/fare.js': cheaper.replace('km > 50', 'km > 60'), 'test/fare.test.js': fareTests.replace('knows zones', 'knows far zones').replace("zone(51), 'far'", "zone(51), 'near'") }, null],
    ['wants something else, and the title breaks nothing but a name', { 'src/fare.js': cheaper.replace(/\bzone\b/g, 'area'), 'test/fare.test.js': renamed(cheaperTests).replace(/\bzone\b/g, 'area') }, 'refactor(fare)!: rename zone to area'],
    ['is called after the kind of the work', { 'src/fare.js': cheaper, 'test/fare.test.js': cheaperTests.replace('is dearer the farther it is', 'feat: is dearer the farther') }, 'feat!: zones in miles'],
    ['wants something else, and the title is about something else', { 'src/fare.js': cheaper, 'test/fare.test.js': renamed(cheaperTests) }, 'Raise the tariff of zones'],
    [
      'wants something else of a function of another name',
      { 'src/fare.js': cheaper.replaceAll('fare', 'costOf'), 'test/fare.test.js': renamed(cheaperTests).replaceAll(/\bfare\b(?!\.)/g, 'costOf') },
      'Rename fare to costOf',
    ],
  ])('is a rewritten one where it %s', async (_how, after, title) => {
    expect(await rulesOf(weakenedTestsCheck, after, title)).toEqual(['weakened-tests.expectation_rewritten']);
  }); // prettier-ignore

  it('is gone where what stands in its place asks for less', async () => {
    const after = { 'test/fare.test.js': fareTests.replace("assert.equal(zone(51), 'far');", '').replace('knows zones', 'knows what is near') };
    expect(await rulesOf(weakenedTestsCheck, after)).toEqual(['weakened-tests.removed']);
  }); // prettier-ignore

  it('is gone where another of the same make asks for other things', async () => {
    const after = { 'test/fare.test.js': fareTests.replace("test('knows zones', () => {\n  assert.equal(zone(50), 'near');\n  assert.equal(zone(51), 'far');", "test('knows far zones', () => {\n  assert.equal(zone(90), 'far');\n  assert.equal(zone(91), 'far');") };
    expect(await rulesOf(weakenedTestsCheck, after)).toEqual(['weakened-tests.removed']);
    expect(await rulesOf(weakenedTestsCheck, { ...after, 'src/name.js': pad['src/name.js']! }, 'Rename zones')).toEqual(['weakened-tests.removed']);
  }); // prettier-ignore

  it.each<[string, Files, string | null]>([
    ['wants what the title announces', { 'src/fare.js': cheaper, 'test/fare.test.js': renamed(cheaperTests) }, 'Lower the fare of long ways'],
    ['is called what the title announces', { 'src/fare.js': cheaper, 'test/fare.test.js': cheaperTests.replace('is dearer the farther it is', 'gets cheaper behind the tenth milestone') }, 'Stop at the tenth milestone instead of never'],
    ['wants the number that the title names', { 'src/fare.js': cheaper, 'test/fare.test.js': renamed(cheaperTests) }, 'Take 270 for twenty kilometres'],
    [
      'wants a class that has another name as well',
      { 'src/fare.js': `${fare}export class Total {}\nexport const total = () => new Total();\n`, 'test/fare.test.js': totals('Total') },
      'Rename Sum to Total',
    ],
    [
      'asks a function of another name for the same',
      { 'src/fare.js': fare.replaceAll('fare', 'costOf'), 'test/fare.test.js': renamed(fareTests).replaceAll(/\bfare\b(?!\.)/g, 'costOf') },
      'Rename fare to costOf',
    ],
    [
      'became a loop of tests over a table',
      { 'test/fare.test.js': fareTests.replace(/test\('knows[\s\S]*$/, "for (const [km, name] of [\n  [50, 'near'],\n  [51, 'far'],\n]) {\n  test(`calls ${km} km ${name}`, () => {\n    assert.equal(zone(km), name);\n  });\n}\n") },
      'Put the tests of zones into a table',
    ],
  ])('is let in where it %s', async (_how, after, title) => {
    const sums = { 'src/fare.js': `${fare}export class Sum {}\nexport const total = () => new Sum();\n`, 'test/fare.test.js': totals('Sum') };
    const from = title === 'Rename Sum to Total' ? { ...before, ...sums } : before;
    const { findings } = await desk.verify(weakenedTestsCheck, from, { ...before, ...after }, title);
    expect(findings.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([]);
  }); // prettier-ignore
});

describe('an expectation that grew', () => {
  const bill =
    'export function levy(km) {\n  return km * 2;\n}\n\nexport function bill(km) {\n  return { net: km * 10 };\n}\n';
  const ground: Files = {
    ...before,
    'src/bill.js': bill,
    'test/bill.test.js': `${head}import { bill } from '../src/bill.js';\n${fareTest('bills', 'assert.deepEqual(bill(10), { net: 100 });')}`,
  };
  const grown = (code: string, toll: number): Files => ({
    ...ground,
    'src/bill.js': code.replace('km * 10 }', 'km * 10, toll: levy(km) }'),
    'test/bill.test.js': ground['test/bill.test.js']!.toString().replace('net: 100 }', `net: 100, toll: ${toll} }`),
  });
  const title = 'Add tolls to bills';
  const seen = async (after: Files, declared: string): Promise<string[]> =>
    (await desk.verify(weakenedTestsCheck, ground, after, declared)).findings.filter(({ level }) => level === 'error').map(({ message }) => message); // prettier-ignore

  it('is let in as the title says, and by no title that is about something else', async () => {
    expect(await seen(grown(bill, 20), title)).toEqual([]);
    expect(await seen(grown(bill, 20), 'Tidy up')).toHaveLength(1);
  });

  it('does not stand for a piece of code that the title does not name', async () => {
    const messages = await seen(grown(bill.replace('km * 2', '7'), 7), title);
    expect(messages).toEqual([expect.stringContaining('what is changed in levy')]);
  });
});

describe('a fix', () => {
  const fixed = fare.replace('km < 10', 'km <= 0 ? 0 : km < 10');
  const shown = fareTests + fareTest('is free where nobody goes', 'assert.equal(fare(0), 0);');

  it('is refused where honest work beside it brings the only tests', async () => {
    const after = { 'src/fare.js': fixed, ...pad };
    expect(await rulesOf(newTestsCheck, after, 'Fix fares of nothing')).toEqual(['new-tests.nothing_shown']);
    expect(await rulesOf(newTestsCheck, after, 'Tidy up')).toEqual([]);
  });

  it('is refused for each piece that no test asks for', async () => {
    const after = { 'src/fare.js': fixed.replace('km > 50', 'Math.abs(km) > 50'), 'test/fare.test.js': shown };
    const { findings, metrics } = await desk.verify(newTestsCheck, before, { ...before, ...after }, 'Fix fares'); // prettier-ignore
    expect(findings.map(({ rule, path, line }) => [rule, path, line])).toEqual([['new-tests.nothing_shown', 'src/fare.js', 5]]); // prettier-ignore
    expect(metrics).toMatchObject({ pieces: 2, unasked: 1, left_out: 0 });
  });

  it('is let in with a test of its own, and with what is only written otherwise', async () => {
    const after = {
      'src/fare.js': `${fixed.replace('km > 50', 'isFar(km)')}\nconst isFar = (km) => km > 50;\n`,
      'test/fare.test.js': shown,
    };
    expect(await rulesOf(newTestsCheck, after, 'Fix fares of nothing')).toEqual([]);
  });
});
