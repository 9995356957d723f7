import type { SampleProject } from './case.ts';
import type { Draft } from './draft.ts';

/** How many lines a bad change has in all, about: what is wrong stands alone, among honest work, or in more than anybody reads. */
export type Size = 1 | 19 | 2000;

/** Honest work that a fault is hidden in: a small function with its tests, or a long table with the function that reads it. */
export function pad(draft: Draft, project: SampleProject, size: Size): void {
  if (size === 19) small[project](draft);
  if (size === 2000) table(draft, project);
}

const small: Readonly<Record<SampleProject, (draft: Draft) => void>> = {
  shelf(draft) {
    draft.write(
      'src/shelfmark.ts',
      `/** Where a book stands: the subject's letters and the author's first three. */
export function shelfmark(subject: string, author: string): string {
  const surname = author.trim().split(/\\s+/).at(-1) ?? '';
  return \`\${subject.toUpperCase()} \${surname.slice(0, 3).toUpperCase()}\`;
}
`,
    );
    draft.write(
      'test/shelfmark.test.ts',
      `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shelfmark } from '../src/shelfmark.ts';

test('marks a book by subject and surname', () => {
  assert.equal(shelfmark('phy', 'Anna Lind'), 'PHY LIN');
  assert.equal(shelfmark('art', ' Ek '), 'ART EK');
});
`,
    );
  },
  courier(draft) {
    draft.write(
      'src/depot.ts',
      `export function depotFor(postcode: string): string {
  const digits = postcode.replace(/\\D/g, '');
  if (digits.length !== 5) throw new RangeError(\`\${postcode} is no postcode\`);
  return digits.startsWith('2') ? 'south' : digits.startsWith('9') ? 'north' : 'middle';
}
`,
    );
    draft.write(
      'tests/depot.spec.ts',
      `import { expect, it } from '@jest/globals';
import { depotFor } from '../src/depot';

it('finds the depot of a postcode', () => {
  expect(depotFor('221 00')).toBe('south');
  expect(depotFor('97231')).toBe('north');
  expect(depotFor('11122')).toBe('middle');
  expect(() => depotFor('12')).toThrow('no postcode');
});
`,
    );
  },
  tally(draft) {
    draft.write(
      'src/percentile.ts',
      `/** The value below which so many per cent of a list lie, the nearest rank being taken. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = Math.ceil((percent / 100) * sorted.length);
  return sorted[Math.max(rank, 1) - 1] ?? Number.NaN;
}
`,
    );
    draft.write(
      'src/percentile.spec.ts',
      `import { expect, it } from 'vitest';
import { percentile } from './percentile';

it('takes the nearest rank', () => {
  expect(percentile([15, 20, 35, 40, 50], 30)).toBe(20);
  expect(percentile([50, 15, 40], 100)).toBe(50);
  expect(percentile([3, 7], 0)).toBe(3);
  expect(percentile([], 50)).toBeNaN();
});
`,
    );
  },
  gazette(draft) {
    draft.write(
      'lib/reading.js',
      `/**
 * How many minutes it takes to read a text.
 * @param {string} text
 */
export function minutesToRead(text, wordsPerMinute = 200) {
  const words = text.split(/\\s+/).filter(Boolean).length;
  return Math.max(1, Math.round(words / wordsPerMinute));
}
`,
    );
    draft.write(
      'test/reading.test.js',
      `import assert from 'node:assert/strict';
import { minutesToRead } from '../lib/reading.js';

it('counts words, and says a minute at least', () => {
  assert.equal(minutesToRead('a b c'), 1);
  assert.equal(minutesToRead('word '.repeat(600)), 3);
  assert.equal(minutesToRead('word '.repeat(600), 100), 6);
});
`,
    );
  },
  stockroom(draft) {
    draft.write(
      'src/stockroom/shelves.py',
      `"""Where things lie."""


def shelf_of(code, shelves=40):
    """The shelf on which an item of this code is found."""
    group, number = code.split("-")
    return (ord(group[0]) + int(number)) % shelves + 1
`,
    );
    draft.write(
      'tests/test_shelves.py',
      `from stockroom.shelves import shelf_of


def test_items_are_spread_over_the_shelves():
    assert shelf_of("AB-0001") == 27
    assert shelf_of("AB-0002") == 28
    assert shelf_of("BB-0014", shelves=10) == 1
`,
    );
  },
};

const rows = 1960;
const word = (n: number): string =>
  ['north', 'mill', 'oak', 'stone', 'brook', 'hill', 'lake', 'fern'][n % 8]! +
  ['by', 'ton', 'wick', 'ham'][(n >> 3) % 4]!;
/** The same rows for everybody: places with a code, a name and how many live there. */
const placeRows = (render: (code: string, name: string, people: number) => string): string =>
  Array.from({ length: rows }, (_each, n) =>
    render(`P${String(n).padStart(4, '0')}`, word(n), 100 + ((n * 7919) % 9000)),
  ).join('\n');

function table(draft: Draft, project: SampleProject): void {
  const last = `P${String(rows - 1).padStart(4, '0')}`;
  const sum = [...placeRows((_code, _name, people) => String(people)).split('\n')].reduce(
    (all, each) => all + Number(each),
    0,
  );
  if (project === 'stockroom') {
    draft.write(
      'src/stockroom/places.py',
      `"""Places that we deliver to."""

PLACES = {
${placeRows((code, name, people) => `    "${code}": ("${name}", ${people}),`)}
}


def place(code):
    """The name of a place, and how many live there."""
    return PLACES[code]
`,
    );
    draft.write(
      'tests/test_places.py',
      `from stockroom.places import PLACES, place


def test_places():
    assert place("${last}")[0] == "${word(rows - 1)}"
    assert sum(people for _name, people in PLACES.values()) == ${sum}
`,
    );
    return;
  }
  const typed = project !== 'gazette';
  const body = `/** Places that we know: a code, a name, how many live there. */
export const places${typed ? ': Readonly<Record<string, readonly [string, number]>>' : ''} = {
${placeRows((code, name, people) => `  ${code}: ['${name}', ${people}],`)}
};

/** The place of this code. */
${typed ? '' : '/** @param {string} code */\n'}export function place(code${typed ? ': string' : ''})${typed ? ': readonly [string, number] | undefined' : ''} {
  return ${typed ? 'places[code]' : '/** @type {Record<string, any>} */ (places)[code]'};
}
`;
  const about = {
    shelf: {
      source: 'src/places.ts',
      test: 'test/places.test.ts',
      from: '../src/places.ts',
      head: "import assert from 'node:assert/strict';\nimport { test } from 'node:test';",
      jest: false,
    },
    courier: {
      source: 'src/places.ts',
      test: 'tests/places.spec.ts',
      from: '../src/places',
      head: "import { expect, test } from '@jest/globals';",
      jest: true,
    },
    tally: {
      source: 'src/places.ts',
      test: 'src/places.spec.ts',
      from: './places',
      head: "import { expect, test } from 'vitest';",
      jest: true,
    },
    gazette: {
      source: 'lib/places.js',
      test: 'test/places.test.js',
      from: '../lib/places.js',
      head: "import assert from 'node:assert/strict';",
      jest: false,
    },
  }[project];
  draft.write(about.source, typed ? body : body.replace('/** The place of this code. */\n', ''));
  const equal = (actual: string, expected: string): string =>
    about.jest ? `expect(${actual}).toBe(${expected});` : `assert.equal(${actual}, ${expected});`;
  draft.write(
    about.test,
    `${about.head}
import { place, places } from '${about.from}';

${project === 'gazette' ? 'it' : 'test'}('knows the places', () => {
  ${equal(`place('${last}')?.[0]`, `'${word(rows - 1)}'`)}
  ${equal('Object.values(places).reduce((sum, each) => sum + Number(each[1]), 0)', String(sum))}
});
`,
  );
}
