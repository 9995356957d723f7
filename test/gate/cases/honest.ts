import type { CorpusCase } from '../case.ts';
import { pad } from '../padding.ts';
import { honest, note } from './honest-case.ts';

/** Work as people hand it in: in many styles, small and large, and not always the way that the gate would have done it. */
export const honestCases: readonly CorpusCase[] = [
  honest(
    'feature',
    'rules for members',
    'shelf',
    'Add longer grace for members',
    (draft) => {
      draft.edit(
        'src/fines.ts',
        '/** Cents as people read them. */',
        `/** The rules for members, who may be a little later than others. */
export function forMembers(rules: FineRules, extraDays: number): FineRules {
  return { ...rules, graceDays: rules.graceDays + Math.max(0, extraDays) };
}

/** Cents as people read them. */`,
      );
      draft.edit('src/index.ts', 'asMoney, fineFor,', 'asMoney, fineFor, forMembers,');
      note(draft, '`forMembers` gives members more days of grace.');
      draft.edit(
        'test/fines.test.ts',
        'import { asMoney, fineFor } from',
        'import { asMoney, fineFor, forMembers, usualFines } from',
      );
      draft.append(
        'test/fines.test.ts',
        `
test('gives members more days', () => {
  assert.equal(forMembers(usualFines, 3).graceDays, 5);
  assert.equal(forMembers(usualFines, -3).graceDays, 2);
  assert.equal(fineFor('2024-05-10', '2024-05-14', always, forMembers(usualFines, 3)), 0);
});
`,
      );
    },
    ['src/**', 'test/**'],
  ),
  honest(
    'feature',
    'a class with private state and an iterator',
    'shelf',
    'feat: page through search results',
    (draft) => {
      draft.write(
        'src/pages.ts',
        `/** Cuts a list into pages that are made when they are asked for. */
export class Pages<T> implements Iterable<readonly T[]> {
  readonly #items: readonly T[];
  readonly #size: number;

  constructor(items: readonly T[], size: number) {
    if (size < 1) throw new RangeError('A page holds at least one item.');
    this.#items = items;
    this.#size = size;
  }

  get count(): number {
    return Math.ceil(this.#items.length / this.#size);
  }

  *[Symbol.iterator](): Iterator<readonly T[]> {
    for (let at = 0; at < this.#items.length; at += this.#size) yield this.#items.slice(at, at + this.#size);
  }
}
`,
      );
      draft.edit('src/index.ts', 'export { Reservations', "export { Pages } from './pages.ts';\nexport { Reservations");
      note(draft, '`Pages` cuts lists into pages.');
      draft.write(
        'test/pages.test.ts',
        `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pages } from '../src/pages.ts';

test('cuts a list into pages', () => {
  const pages = new Pages(['a', 'b', 'c'], 2);
  assert.equal(pages.count, 2);
  assert.deepEqual([...pages], [['a', 'b'], ['c']]);
  assert.throws(() => new Pages([], 0), RangeError);
});
`,
      );
    },
  ),
  honest(
    'feature',
    'an async retry with a clock that is passed in',
    'courier',
    'Retry what the carrier refuses for a moment',
    (draft) => {
      draft.write(
        'src/retry.ts',
        `export interface RetryOptions {
  attempts: number;
  wait: (ms: number) => Promise<void>;
  isTransient: (error: unknown) => boolean;
}

export async function retry<T>(work: () => Promise<T>, { attempts, wait, isTransient }: RetryOptions): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt >= attempts || !isTransient(error)) throw error;
      await wait(100 * 2 ** attempt);
    }
  }
}
`,
      );
      draft.write(
        'tests/retry.spec.ts',
        `import { describe, expect, it, jest } from '@jest/globals';
import { retry } from '../src/retry';

const failing = (times: number) => {
  let left = times;
  return async () => {
    if (left-- > 0) throw new Error('busy');
    return 'done';
  };
};

describe('retry', () => {
  it('waits longer each time', async () => {
    const wait = jest.fn(async (_ms: number) => {});
    await expect(retry(failing(2), { attempts: 3, wait, isTransient: () => true })).resolves.toBe('done');
    expect(wait.mock.calls.map(([ms]) => ms)).toEqual([200, 400]);
  });

  it('gives up', async () => {
    const wait = async () => {};
    await expect(retry(failing(3), { attempts: 3, wait, isTransient: () => true })).rejects.toThrow('busy');
    await expect(retry(failing(1), { attempts: 3, wait, isTransient: () => false })).rejects.toThrow('busy');
  });
});
`,
      );
    },
  ),
  honest(
    'feature',
    'a route with its handler in the middle of others',
    'courier',
    'Let senders list their parcels',
    (draft) => {
      draft.edit(
        'src/api.ts',
        "    .on('GET', '/parcels/:number'",
        `    .on('GET', '/senders/:sender/parcels', async (_request, { sender = '' }) => {
      const rows = await store.bySender(sender);
      return { status: 200, body: rows.map(({ number, country }) => ({ number, country })) };
    })
    .on('GET', '/parcels/:number'`,
      );
      draft.edit(
        'README.md',
        '| `GET /parcels/:number`   | where it is             |',
        '| `GET /parcels/:number`   | where it is             |\n| `GET /senders/:sender/parcels` | what somebody sent |',
      );
      draft.edit(
        'tests/api.spec.ts',
        "  it('knows its routes'",
        `  it('lists what somebody sent', async () => {
    const answer = await router.handle({ method: 'GET', path: '/senders/ann/parcels' });
    expect(answer).toEqual({ status: 200, body: [{ number: row.number, country: 'SE' }] });
    expect((await router.handle({ method: 'GET', path: '/senders/bo/parcels' })).body).toEqual([]);
  });

  it('knows its routes'`,
      );
    },
    ['src/**', 'README.md'],
  ),
  honest('feature', 'two functions in a table of functions', 'tally', 'Add LEFT and CONCAT', (draft) => {
    draft.edit(
      'src/functions.ts',
      '  UPPER: (text)',
      "  LEFT: (text, count = 1) => String(text ?? '').slice(0, Number(count)),\n  CONCAT: (...args) => args.flat().map((each) => String(each ?? '')).join(''),\n  UPPER: (text)",
    );
    draft.edit(
      'src/functions.spec.ts',
      "    expect(functions['LEN']!('four')).toBe(4);",
      "    expect(functions['LEN']!('four')).toBe(4);\n    expect(functions['LEFT']!('four', 2)).toBe('fo');\n    expect(functions['LEFT']!('four')).toBe('f');\n    expect(functions['CONCAT']!('a', [1, null], 'b')).toBe('a1b');",
    );
  }),
  honest('feature', 'an operator through three files', 'tally', 'Support the comparison of texts', (draft) => {
    draft.edit(
      'src/evaluate.ts',
      '      return compare(operator, asNumber(left), asNumber(right));',
      "      return typeof left === 'string' && typeof right === 'string'\n        ? compare(operator, left.localeCompare(right), 0)\n        : compare(operator, asNumber(left), asNumber(right));",
    );
    draft.edit(
      'src/parser.spec.ts',
      "    ['3 >= 3', true],",
      '    [\'3 >= 3\', true],\n    [\'"a" < "b"\', true],\n    [\'"b" <= "a"\', false],',
    );
  }),
  honest('feature', 'old style with a prototype and a callback', 'gazette', 'Watch for texts that change', (draft) => {
    draft.write(
      'lib/watcher.js',
      `/**
 * Tells which texts changed since it was asked last.
 * @param {(path: string) => string} read
 */
export function Watcher(read) {
  this.read = read;
  /** @type {Map<string, string>} */
  this.seen = new Map();
}

/**
 * @param {string[]} paths
 * @param {(path: string, isNew: boolean) => void} callback
 */
Watcher.prototype.check = function (paths, callback) {
  var self = this;
  paths.forEach(function (path) {
    var text = self.read(path);
    if (self.seen.get(path) === text) return;
    callback(path, !self.seen.has(path));
    self.seen.set(path, text);
  });
};
`,
    );
    draft.write(
      'test/watcher.test.js',
      `import assert from 'node:assert/strict';
import { Watcher } from '../lib/watcher.js';

describe('watcher', function () {
  it('tells what changed', function () {
    var texts = { a: '1', b: '1' };
    var told = [];
    var watcher = new Watcher((path) => texts[path]);
    var tell = (path, isNew) => told.push([path, isNew]);
    watcher.check(['a', 'b'], tell);
    texts.b = '2';
    watcher.check(['a', 'b'], tell);
    assert.deepEqual(told, [['a', true], ['b', true], ['b', false]]);
  });
});
`,
    );
  }),
  honest('feature', 'a generator and a context manager', 'stockroom', 'Add audit of changes', (draft) => {
    draft.write(
      'src/stockroom/audit.py',
      `"""Who changed what."""

from contextlib import contextmanager


class Audit:
    """Entries in the order in which they happened."""

    def __init__(self, clock):
        self._clock = clock
        self.entries = []

    @contextmanager
    def step(self, who, what):
        """Writes down what was done, and whether it went well."""
        began = self._clock()
        try:
            yield self
        except Exception as error:
            self.entries.append((began, who, what, f"failed: {error}"))
            raise
        else:
            self.entries.append((began, who, what, "done"))

    def by(self, who):
        """What somebody did, the latest first."""
        for entry in reversed(self.entries):
            if entry[1] == who:
                yield entry
`,
    );
    draft.write(
      'tests/test_audit.py',
      `import itertools

import pytest

from stockroom.audit import Audit


def test_steps_are_written_down():
    audit = Audit(itertools.count(1).__next__)
    with audit.step("ann", "count"):
        pass
    with pytest.raises(KeyError):
        with audit.step("bo", "order"):
            raise KeyError("AB")
    with audit.step("ann", "order"):
        pass
    assert audit.entries[1] == (2, "bo", "order", "failed: 'AB'")
    assert list(audit.by("ann")) == [(3, "ann", "order", "done"), (1, "ann", "count", "done")]
`,
    );
  }),
  honest(
    'fix',
    'an edge that nobody had thought of',
    'tally',
    'Fix grouping of negative numbers with a fraction',
    (draft) => {
      draft.edit(
        'src/format.ts',
        'const scaled = format.percent === true ? value * 100 : value;',
        'const scaled = format.percent === true ? Number((value * 100).toPrecision(15)) : value;',
      );
      draft.edit(
        'src/functions.spec.ts',
        "    expect(show(12)).toBe('12');",
        "    expect(show(12)).toBe('12');\n    expect(show(0.57, { percent: true })).toBe('57 %');",
      );
    },
  ),
  honest('fix', 'one character', 'stockroom', 'Fix search for tags in capitals', (draft) => {
    draft.edit(
      'src/stockroom/storage.py',
      '(item.code, item.name, item.unit, " ".join(item.tags)),',
      '(item.code, item.name.strip(), item.unit, " ".join(item.tags)),',
    );
    draft.append(
      'tests/test_items.py',
      '\n\ndef test_storage_keeps_no_blanks_around_names():\n    storage = Storage()\n    storage.save(Item("AB-0003", " Washer "))\n    assert storage.find("AB-0003").name == "Washer"\n',
    );
  }),
  honest(
    'fix',
    'a bug with the test that shows it, and the expectation that was wrong',
    'gazette',
    'Fix the order of posts of one day',
    (draft) => {
      draft.edit(
        'lib/site.js',
        '(a, b) => (a.date < b.date ? 1 : -1)',
        '(a, b) => (a.date === b.date ? a.title.localeCompare(b.title) : a.date < b.date ? 1 : -1)',
      );
      draft.edit(
        'test/site.test.js',
        "  it('is cut into pages of ten'",
        `  it('orders posts of one day by title', () => {
    const site = new Site({ title: 'News', address: 'https://news.example', templates });
    for (const title of ['Beta', 'Alpha', 'Gamma']) site.add(text(title, '2024-01-01'));
    assert.match(site.build().get('index.html') ?? '', /Alpha.*Beta.*Gamma/);
  });

  it('is cut into pages of ten'`,
      );
    },
  ),
  honest(
    'fix',
    'an error that is let through with its cause',
    'shelf',
    'Fix: say what is wrong with a list that cannot be read',
    (draft) => {
      draft.edit(
        'src/importer.ts',
        '  const [head, ...rows] = parseCsv(text);',
        `  let all: string[][];
  try {
    all = parseCsv(text);
  } catch (error) {
    throw new ShelfError('list_unreadable', 'The list cannot be read; open it in an editor and look at its quotes.', { cause: error });
  }
  const [head, ...rows] = all;`,
      );
      draft.append(
        'test/csv.test.ts',
        `
test('says that a list cannot be read, and why', () => {
  assert.throws(
    () => importBooks(new Catalogue(), 'isbn,"title'),
    (error: Error & { code?: string }) => error.code === 'list_unreadable' && error.cause instanceof Error,
  );
});
`,
      );
      note(draft, 'A list that cannot be read is refused as `list_unreadable`.');
    },
  ),
  honest(
    'refactoring',
    'a function taken out of another',
    'shelf',
    'Refactor: name what is kept for others',
    (draft) => {
      draft.edit(
        'src/desk.ts',
        `    const out = this.#loans.filter((each) => each.isbn === book.isbn).length;
    const kept = this.reservations
      .waitingFor(book.isbn)
      .filter((each) => each.heldUntil !== null && each.reader !== reader).length;
    if (book.copies - out - kept < 1)`,
        `    if (book.copies - this.#out(book.isbn) - this.#keptForOthers(book.isbn, reader) < 1)`,
      );
      draft.edit(
        'src/desk.ts',
        '  #find(isbn: string, reader: string): Loan {',
        `  #out(isbn: string): number {
    return this.#loans.filter((each) => each.isbn === isbn).length;
  }

  #keptForOthers(isbn: string, reader: string): number {
    return this.reservations.waitingFor(isbn).filter((each) => each.heldUntil !== null && each.reader !== reader).length;
  }

  #find(isbn: string, reader: string): Loan {`,
      );
    },
  ),
  honest('refactoring', 'a file moved and its imports with it', 'courier', 'Move zones below geography', (draft) => {
    draft.rename('src/zones.ts', 'src/geography.ts');
    for (const path of ['src/rates.ts', 'src/api.ts', 'src/index.ts']) draft.edit(path, "'./zones'", "'./geography'");
    draft.edit('tests/tracking.spec.ts', "'../src/zones'", "'../src/geography'");
  }),
  honest('refactoring', 'a name changed everywhere', 'tally', 'Rename binding to precedence', (draft) => {
    draft.write(
      'src/parser.ts',
      draft
        .text('src/parser.ts')
        .replaceAll('binding', 'precedence')
        .replaceAll('const power', 'const tightness')
        .replaceAll('power', 'tightness'),
    );
  }),
  honest('refactoring', 'loops become comprehensions', 'stockroom', 'Simplify search', (draft) => {
    draft.edit(
      'src/stockroom/items.py',
      `    found = []
    for item in items:
        text = " ".join([item.name, *item.tags]).lower()
        if all(word in text for word in wanted):
            found.append(item)
    return sorted(found, key=lambda item: item.code)`,
      `    return sorted(
        (item for item in items if all(word in _text(item) for word in wanted)),
        key=lambda item: item.code,
    )


def _text(item):
    return " ".join([item.name, *item.tags]).lower()`,
    );
  }),
  honest('refactoring', 'dead code goes', 'gazette', 'Remove the cache that nothing uses any more', (draft) => {
    draft.edit(
      'lib/html.js',
      "/** @param {string} html */\nexport const stripTags = (html) => html.replace(/<[^>]*>/g, '').replace(/\\s+/g, ' ').trim();",
      "/** @param {string} html */\nexport function stripTags(html) {\n  return html.replace(/<[^>]*>/g, '').replace(/\\s+/g, ' ').trim();\n}",
    );
  }),
  honest('performance', 'the same answers, sooner', 'gazette', 'Make rendering of templates faster', (draft) => {
    draft.edit(
      'lib/markdown.js',
      `  let html = escapeHtml(text);
  for (const [pattern, replacement] of inline) html = html.replace(pattern, replacement);`,
      `  let html = escapeHtml(text);
  // Most lines hold no markup at all.
  if (/[*\`]/.test(html)) for (const [pattern, replacement] of inline) html = html.replace(pattern, replacement);`,
    );
  }),
  honest('performance', 'an index kept beside the list', 'tally', 'Speed up dependents', (draft) => {
    draft.edit(
      'src/sheet.ts',
      '  private reads(cell: Cell): Set<string> {\n    if (cell.expression === null) return new Set();\n    const { cells, ranges } = cellsIn(cell.expression);\n    return new Set([...cells, ...ranges.flatMap(([from, to]) => cellsBetween(from, to))]);\n  }',
      `  private readonly known = new WeakMap<Expression, Set<string>>();

  private reads(cell: Cell): Set<string> {
    if (cell.expression === null) return new Set();
    const known = this.known.get(cell.expression);
    if (known !== undefined) return known;
    const { cells, ranges } = cellsIn(cell.expression);
    const names = new Set([...cells, ...ranges.flatMap(([from, to]) => cellsBetween(from, to))]);
    this.known.set(cell.expression, names);
    return names;
  }`,
    );
  }),
  honest('tests', 'more of them', 'courier', 'Test what tracking refuses', (draft) => {
    draft.edit(
      'tests/tracking.spec.ts',
      "  it('numbers parcels",
      `  it('is found again after it was lost', () => {
    const tracking = new Tracking('RR1');
    tracking.record({ at: 1, state: 'collected', place: 'Lund' });
    tracking.record({ at: 2, state: 'lost', place: '?' });
    tracking.record({ at: 3, state: 'moving', place: 'Malmö' });
    expect(tracking.state).toBe('moving');
    expect(() => tracking.record({ at: 4, state: 'announced', place: 'Malmö' })).toThrow('cannot be announced');
  });

  it('numbers parcels`,
    );
  }),
  honest('tests', 'a table in place of three copies', 'stockroom', 'Test runs_out_in by table', (draft) => {
    draft.edit(
      'tests/test_pricing.py',
      `def test_runs_out():
    assert runs_out_in(10, [2, 3]) == 4
    assert runs_out_in(10, [0]) is None
    assert runs_out_in(10, []) is None
`,
      `def test_runs_out():
    assert runs_out_in(10, [2, 3]) == 4
    assert runs_out_in(10, [0]) is None
    assert runs_out_in(10, []) is None
    assert runs_out_in(0, [1]) == 0


@pytest.mark.parametrize("use", [[1, 1, 1], [1], [0.5, 1.5]])
def test_runs_out_by_the_average(use):
    assert runs_out_in(7, use) == 7
`,
    );
  }),
  honest('documentation', 'a chapter with links', 'shelf', 'Document reservations', (draft) => {
    draft.append(
      'docs/lending.md',
      `
## Reservations

A reader waits in a queue; a copy that comes back is held for seven days. Renewing is refused as long as somebody waits,
see [Terms](#terms).

\`\`\`ts
desk.reservations.add(isbn, 'bo', '2024-05-02');
\`\`\`
`,
    );
    draft.edit('README.md', 'See [the rules', 'See [how reservations work](docs/lending.md#reservations), [the rules');
  }),
  honest('documentation', 'comments only', 'gazette', 'Say why slugs are normalised', (draft) => {
    draft.edit(
      'lib/slug.js',
      "    .normalize('NFD')",
      "    // Taken apart, so that the accent can go and the letter stays.\n    .normalize('NFD')",
    );
  }),
  honest('data', 'two thousand rows', 'shelf', 'Add the places that readers come from', (draft) => {
    pad(draft, 'shelf', 2000);
    note(draft, 'Places by code.');
  }),
  honest('data', 'two thousand rows', 'courier', 'Add the places that we deliver to', (draft) =>
    pad(draft, 'courier', 2000),
  ),
  honest('data', 'two thousand rows', 'stockroom', 'Add places', (draft) => pad(draft, 'stockroom', 2000)),
  honest('data', 'two thousand rows', 'tally', 'Add places', (draft) => pad(draft, 'tally', 2000)),
  honest('data', 'two thousand rows', 'gazette', 'Add places', (draft) => pad(draft, 'gazette', 2000)),
  honest('small work', 'nineteen lines', 'shelf', 'Add shelfmarks', (draft) => {
    pad(draft, 'shelf', 19);
    note(draft, '`shelfmark` tells where a book stands.');
  }),
  honest('small work', 'nineteen lines', 'courier', 'Add depots', (draft) => pad(draft, 'courier', 19)),
  honest('small work', 'nineteen lines', 'tally', 'Add percentiles', (draft) => pad(draft, 'tally', 19)),
  honest('small work', 'nineteen lines', 'gazette', 'Add reading times', (draft) => pad(draft, 'gazette', 19)),
  honest('small work', 'nineteen lines', 'stockroom', 'Add shelves', (draft) => pad(draft, 'stockroom', 19)),
];
