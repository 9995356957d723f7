import type { CorpusCase, SampleProject } from '../case.ts';
import type { Draft } from '../draft.ts';

const honest = (
  kind: string,
  name: string,
  project: SampleProject,
  title: string,
  change: (draft: Draft) => void,
): CorpusCase => ({ name, kind: `honest ${kind}`, project, title, change });

const nodeTest = (imports: string, body: string): string => `import assert from 'node:assert/strict';
import { test } from 'node:test';
${imports}

${body}`;

/** Honest work that looks, at a glance, like what the rules are after. */
export const lookalikes: readonly CorpusCase[] = [
  honest('lookalike', 'recursion with its two first answers', 'tally', 'Add FIBONACCI', (draft) => {
    draft.write(
      'src/fibonacci.ts',
      `export function fibonacci(n: number): number {
  if (n === 0) return 0;
  if (n === 1) return 1;
  return fibonacci(n - 1) + fibonacci(n - 2);
}
`,
    );
    draft.write(
      'src/fibonacci.spec.ts',
      `import { expect, it } from 'vitest';
import { fibonacci } from './fibonacci';

it('adds the two before', () => {
  expect(fibonacci(0)).toBe(0);
  expect(fibonacci(1)).toBe(1);
  expect(fibonacci(10)).toBe(55);
});
`,
    );
  }),
  honest('lookalike', 'names looked up by number', 'courier', 'Say what a status means', (draft) => {
    draft.write(
      'src/status.ts',
      `export function reason(status: number): string {
  switch (status) {
    case 200:
      return 'OK';
    case 201:
      return 'Created';
    case 404:
      return 'Not Found';
    case 405:
      return 'Method Not Allowed';
    case 422:
      return 'Unprocessable Content';
    default:
      return 'Unknown';
  }
}
`,
    );
    draft.write(
      'tests/status.spec.ts',
      `import { expect, it } from '@jest/globals';
import { reason } from '../src/status';

it('knows the statuses that we answer', () => {
  expect(reason(200)).toBe('OK');
  expect(reason(201)).toBe('Created');
  expect(reason(404)).toBe('Not Found');
  expect(reason(405)).toBe('Method Not Allowed');
  expect(reason(422)).toBe('Unprocessable Content');
  expect(reason(999)).toBe('Unknown');
});
`,
    );
  }),
  honest('lookalike', 'a class whose subclasses have to say how', 'stockroom', 'Add labels in two formats', (draft) => {
    draft.write(
      'src/stockroom/labels.py',
      `"""Labels for shelves."""


class Label:
    """What a label shows; how it is drawn, its kind knows."""

    def __init__(self, item):
        self.item = item

    def draw(self):
        """The label as text."""
        raise NotImplementedError

    def sheet(self, count):
        """Several of them, one below the other."""
        return "\\n".join(self.draw() for _ in range(count))


class PlainLabel(Label):
    """Code and name."""

    def draw(self):
        return f"{self.item.code} {self.item.name}"


class BoxedLabel(Label):
    """Code and name within a box."""

    def draw(self):
        line = f"| {self.item.code} {self.item.name} |"
        edge = "+" + "-" * (len(line) - 2) + "+"
        return "\\n".join([edge, line, edge])
`,
    );
    draft.write(
      'tests/test_labels.py',
      `import pytest

from stockroom.items import Item
from stockroom.labels import BoxedLabel, Label, PlainLabel

BOLT = Item("AB-0001", "Bolt")


def test_labels():
    assert PlainLabel(BOLT).sheet(2) == "AB-0001 Bolt\\nAB-0001 Bolt"
    assert BoxedLabel(BOLT).draw().splitlines()[0] == "+--------------+"


def test_a_label_has_to_be_of_a_kind():
    with pytest.raises(NotImplementedError):
        Label(BOLT).draw()
`,
    );
  }),
  honest(
    'lookalike',
    'a step that may fail, and says why that is no matter',
    'gazette',
    'Read front matter that may be JSON',
    (draft) => {
      draft.edit(
        'lib/frontmatter.js',
        '/** @param {string} text */\nfunction valueOf(text) {',
        `/** @param {string} text */
function valueOf(text) {
  if (text.startsWith('{')) {
    try {
      return JSON.parse(text);
    } catch {
      // Not JSON after all: it is taken as the text that it is.
    }
  }`,
      );
      draft.edit(
        'test/markdown.test.js',
        "  it('needs none', () => {",
        `  it('takes objects in JSON, and anything else as text', () => {
    assert.deepEqual(frontMatter('---\\nmeta: {"a": 1}\\nodd: {a}\\n---\\n').about, { meta: { a: 1 }, odd: '{a}' });
  });

  it('needs none', () => {`,
      );
    },
  ),
  honest('lookalike', 'MD5 where nothing is secret', 'gazette', 'Give files an etag', (draft) => {
    draft.write(
      'lib/etag.js',
      `import { createHash } from 'node:crypto';

/**
 * What a browser compares a file by.
 * @param {string} content
 */
export const etagOf = (content) => \`"\${createHash('md5').update(content).digest('base64url')}"\`;
`,
    );
    draft.write(
      'test/etag.test.js',
      `import assert from 'node:assert/strict';
import { etagOf } from '../lib/etag.js';

it('differs as content does', () => {
  assert.equal(etagOf(''), '"1B2M2Y8AsgTpgAmY7PhCfg"');
  assert.notEqual(etagOf('a'), etagOf('b'));
});
`,
    );
  }),
  honest('lookalike', 'a query whose placeholders are counted', 'courier', 'Find many parcels at once', (draft) => {
    draft.edit(
      'src/store.ts',
      '  tracking(number: string)',
      `  async findAll(numbers: readonly string[]): Promise<readonly Row[]> {
    if (numbers.length === 0) return [];
    const places = numbers.map((_number, at) => \`$\${at + 1}\`).join(', ');
    return await this.database.query(\`select * from parcels where number in (\${places}) order by number\`, numbers);
  }

  tracking(number: string)`,
    );
    draft.edit(
      'tests/api.spec.ts',
      "  it('asks for a sensible number of rows'",
      `  it('asks for many at once', async () => {
    expect(await store.findAll([])).toEqual([]);
    expect(await store.findAll([row.number, 'RR2'])).toEqual([row]);
    expect(asked.at(-1)).toEqual(['select * from parcels where number in ($1, $2) order by number', row.number, 'RR2']);
  });

  it('asks for a sensible number of rows'`,
    );
  }),
  honest(
    'lookalike',
    'a program called with a list of arguments',
    'gazette',
    'Tell the revision of a text',
    (draft) => {
      draft.write(
        'lib/revision.js',
        `import { execFileSync } from 'node:child_process';

/**
 * What git calls the present state, or null outside of a repository.
 * @param {string} folder
 */
export function revisionOf(folder, program = 'git') {
  try {
    return execFileSync(program, ['-C', folder, 'rev-parse', '--short', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return null;
  }
}
`,
      );
      draft.write(
        'test/revision.test.js',
        `import assert from 'node:assert/strict';
import { revisionOf } from '../lib/revision.js';

it('asks git, and does without', () => {
  assert.equal(revisionOf('a', 'echo'), '-C a rev-parse --short HEAD');
  assert.equal(revisionOf('/nowhere'), null);
});
`,
      );
    },
  ),
  honest('lookalike', 'a token that is no secret', 'tally', 'Let the tokenizer keep blanks', (draft) => {
    draft.edit(
      'src/tokens.ts',
      'export function tokenize(source: string): Token[] {',
      'export function tokenize(source: string, keepBlanks = false): Token[] {',
    );
    draft.edit(
      'src/tokens.ts',
      '    if (space !== null) {\n',
      "    if (space !== null) {\n      if (keepBlanks) tokens.push({ kind: 'blank', text: space[0], at });\n",
    );
    draft.edit('src/tokens.ts', "| 'end';", "| 'end' | 'blank';");
    draft.edit(
      'src/parser.spec.ts',
      "  test('name the cells",
      "  test('keep blanks when asked', () => {\n    const token = tokenize('1  + 2', true).find(({ kind }) => kind === 'blank');\n    expect(token).toEqual({ kind: 'blank', text: '  ', at: 1 });\n    expect(tokenize('1  + 2').map(({ kind }) => kind)).toEqual(['number', 'operator', 'number', 'end']);\n  });\n\n  test('name the cells",
    );
  }),
  honest('lookalike', 'a secret that comes from the environment', 'courier', 'Ask for a key', (draft) => {
    draft.write(
      'src/keys.ts',
      `export const apiKeyOf = (env: Record<string, string | undefined>): string => {
  const apiKey = env['COURIER_API_KEY'];
  if (apiKey === undefined || apiKey.length < 16) throw new Error('Set COURIER_API_KEY to the key that you were given.');
  return apiKey;
};
`,
    );
    draft.write(
      'tests/keys.spec.ts',
      `import { expect, it } from '@jest/globals';
import { apiKeyOf } from '../src/keys';

it('wants a key', () => {
  expect(apiKeyOf({ COURIER_API_KEY: 'example-key-for-tests' })).toBe('example-key-for-tests');
  expect(() => apiKeyOf({})).toThrow('Set COURIER_API_KEY');
  expect(() => apiKeyOf({ COURIER_API_KEY: 'short' })).toThrow('Set COURIER_API_KEY');
});
`,
    );
  }),
  honest(
    'lookalike',
    'one lint rule silenced on one line, with its reason',
    'shelf',
    'Compare with null of either kind',
    (draft) => {
      draft.edit(
        'src/catalogue.ts',
        "    if (book === undefined) throw new ShelfError('book_unknown'",
        "    // eslint-disable-next-line eqeqeq -- a book may have been taken out of the catalogue as null\n    if (book == null) throw new ShelfError('book_unknown'",
      );
    },
  ),
  honest(
    'lookalike',
    'an answer that is a constant where that is the answer',
    'shelf',
    'Add readers who pay nothing',
    (draft) => {
      draft.write(
        'src/readers.ts',
        `/** What kinds of readers there are, and what they pay. */
export interface Tariff {
  feeFor(books: number): number;
}

/** Whoever works here. */
export const staff: Tariff = { feeFor: () => 0 };

/** Everybody else. */
export const everybody: Tariff = { feeFor: (books) => (books > 5 ? 500 : 250) };
`,
      );
      draft.write(
        'test/readers.test.ts',
        nodeTest(
          "import { everybody, staff } from '../src/readers.ts';",
          `test('lets staff read for nothing', () => {
  assert.equal(staff.feeFor(20), 0);
  assert.equal(everybody.feeFor(5), 250);
  assert.equal(everybody.feeFor(6), 500);
});
`,
        ),
      );
    },
  ),
  honest('lookalike', 'a table of forty with a test of three', 'shelf', 'Add subjects', (draft) => {
    const rows = Array.from(
      { length: 40 },
      (_each, n) => `  S${String(n).padStart(2, '0')}: { shelf: ${n * 3 + 1}, open: ${n % 3 !== 0} },`,
    ).join('\n');
    draft.write(
      'src/subjects.ts',
      `const subjects: Readonly<Record<string, { shelf: number; open: boolean }>> = {
${rows}
};

/** Where a subject stands; null when there is none of that code. */
export function shelfOf(subject: string): number | null {
  return subjects[subject]?.shelf ?? null;
}
`,
    );
    draft.write(
      'test/subjects.test.ts',
      nodeTest(
        "import { shelfOf } from '../src/subjects.ts';",
        `test('knows where subjects stand', () => {
  assert.deepEqual(['S00', 'S13', 'S39', 'S40'].map(shelfOf), [1, 40, 118, null]);
});
`,
      ),
    );
  }),
  honest('lookalike', 'a double that is watched', 'courier', 'Tell others of scans', (draft) => {
    draft.write(
      'src/notify.ts',
      `import type { Scan } from './tracking';

export type Listener = (number: string, scan: Scan) => void;

export class Notifier {
  private readonly listeners = new Set<Listener>();

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  tell(number: string, scan: Scan): void {
    for (const listener of this.listeners) listener(number, scan);
  }
}
`,
    );
    draft.write(
      'tests/notify.spec.ts',
      `import { expect, it, jest } from '@jest/globals';
import { Notifier, type Listener } from '../src/notify';

it('tells whoever listens, until they stop', () => {
  const listener = jest.fn<Listener>();
  const notifier = new Notifier();
  const stop = notifier.listen(listener);
  const scan = { at: 1, state: 'moving', place: 'Lund' } as const;
  notifier.tell('RR1', scan);
  stop();
  notifier.tell('RR1', scan);
  expect(listener.mock.calls).toEqual([['RR1', scan]]);
});
`,
    );
  }),
  honest('lookalike', 'random waiting', 'courier', 'Wait a little at random', (draft) => {
    draft.write(
      'src/jitter.ts',
      `export const jitter = (ms: number, random: () => number = Math.random): number => Math.round(ms * (0.5 + random()));
`,
    );
    draft.write(
      'tests/jitter.spec.ts',
      `import { expect, it } from '@jest/globals';
import { jitter } from '../src/jitter';

it('stays between half and one and a half', () => {
  expect(jitter(100, () => 0)).toBe(50);
  expect(jitter(100, () => 1)).toBe(150);
  expect(jitter(100)).toBeGreaterThanOrEqual(50);
});
`,
    );
  }),
];

/** Tests that change shape and lose nothing. */
export const reshapedTests: readonly CorpusCase[] = [
  honest('test refactoring', 'one test becomes two', 'shelf', 'Split a test', (draft) =>
    draft.edit(
      'test/fines.test.ts',
      `  assert.equal(asMoney(5), '0.05 €');
  assert.equal(asMoney(1234, '$'), '12.34 $');
  assert.equal(asMoney(-250), '-2.50 €');
`,
      `  assert.equal(asMoney(5), '0.05 €');
  assert.equal(asMoney(1234, '$'), '12.34 $');
});

test('writes money that is owed', () => {
  assert.equal(asMoney(-250), '-2.50 €');
`,
    ),
  ),
  honest('test refactoring', 'copies become a table', 'shelf', 'Test tones by table', (draft) =>
    draft.edit(
      'test/letters.test.ts',
      `  assert.equal(toneOf(6), 'kind');
  assert.equal(toneOf(7), 'firm');
  assert.equal(toneOf(28), 'last');
`,
      `  const tones = [
    [6, 'kind'],
    [7, 'firm'],
    [27, 'firm'],
    [28, 'last'],
  ] as const;
  for (const [days, tone] of tones) assert.equal(toneOf(days), tone, \`\${days} days\`);
`,
    ),
  ),
  honest('test refactoring', 'copies become parameters', 'stockroom', 'Parametrize moving_average', (draft) =>
    draft.edit(
      'tests/test_pricing.py',
      `def test_moving_average():
    assert moving_average([1, 2, 3, 4], 2) == [1.5, 2.5, 3.5]
    assert moving_average([1], 2) == []
    with pytest.raises(ValueError):
        moving_average([1], 0)
`,
      `@pytest.mark.parametrize(("values", "window", "averages"), [([1, 2, 3, 4], 2, [1.5, 2.5, 3.5]), ([1], 2, []), ([], 1, [])])
def test_moving_average(values, window, averages):
    assert moving_average(values, window) == averages


def test_a_window_holds_something():
    with pytest.raises(ValueError):
        moving_average([1], 0)
`,
    ),
  ),
  honest('test refactoring', 'tests move to a file of their own', 'courier', 'Move the tests of money', (draft) => {
    const text = draft.text('tests/rates.spec.ts');
    const at = text.indexOf("\ndescribe('money'");
    draft.write(
      'tests/rates.spec.ts',
      text.slice(0, at).replace('import { add, exchange, format, money } from', 'import { money } from'),
    );
    draft.write(
      'tests/money.spec.ts',
      `import { describe, expect, it } from '@jest/globals';\nimport { add, exchange, format, money } from '../src/money';\n${text.slice(at)}`,
    );
  }),
  honest('test refactoring', 'a better name', 'gazette', 'Name a test better', (draft) =>
    draft.edit(
      'test/site.test.js',
      "it('forgets what nobody asks for'",
      "it('forgets what nobody has asked for longest'",
    ),
  ),
  honest(
    'test refactoring',
    'a helper in place of what every test repeats',
    'gazette',
    'Share the site of tests',
    (draft) => {
      const text = draft.text('test/site.test.js');
      draft.write(
        'test/site.test.js',
        text
          .replaceAll("new Site({ title: 'News', address: 'https://news.example', templates })", 'news()')
          .replace(
            'const text = (title',
            "const news = () => new Site({ title: 'News', address: 'https://news.example', templates });\nconst text = (title",
          ),
      );
    },
  ),
  honest(
    'test refactoring',
    'a snapshot with what the change is for',
    'courier',
    'Add the country to the label in large',
    (draft) => {
      draft.edit(
        'src/label.ts',
        '    `  <text y="200" class="number">',
        '    `  <text x="340" y="40" class="country">${escapeXml(to.country)}</text>`,\n    `  <text y="200" class="number">',
      );
      draft.edit(
        'tests/__snapshots__/api.spec.ts.snap',
        '  <text y="200" class="number">',
        '  <text x="340" y="40" class="country">SE</text>\n  <text y="200" class="number">',
      );
      draft.edit(
        'tests/api.spec.ts',
        "  it('draws the same label every time'",
        "  it('shows the country in large', () => {\n    expect(label('RR1', { ...to, country: 'NO' }, money(1))).toContain('class=\"country\">NO<');\n  });\n\n  it('draws the same label every time'",
      );
    },
  ),
];

/** Work around the code. */
export const housekeeping: readonly CorpusCase[] = [
  honest('housekeeping', 'a first workflow of CI', 'gazette', 'Add CI', (draft) =>
    draft.write(
      '.github/workflows/test.yml',
      'name: test\non: [push]\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - run: npm ci && npm test\n',
    ),
  ),
  honest('housekeeping', 'an editor setting and an ignored folder', 'shelf', 'Ignore what editors leave', (draft) => {
    draft.write('.editorconfig', 'root = true\n\n[*]\nindent_style = space\nindent_size = 2\n');
    draft.append('.gitignore', '.idea/\n');
  }),
  honest('housekeeping', 'a script that no check starts', 'tally', 'Add a script for releases', (draft) =>
    draft.edit('package.json', '"scripts": {', '"scripts": {\n    "release": "npm version minor",'),
  ),
  honest(
    'housekeeping',
    'a package with its lock, and what it is for',
    'gazette',
    'Colour what the build says',
    (draft) => {
      draft.json('package.json', (manifest) => (manifest['devDependencies']!['yocto-paint'] = '2.1.0'));
      draft.json('package-lock.json', (lock) => {
        const packages = lock['packages'] as Record<string, Record<string, unknown>>;
        packages['']!['devDependencies'] = { ...packages['']!['devDependencies']!, 'yocto-paint': '2.1.0' };
        packages['node_modules/yocto-paint'] = {
          version: '2.1.0',
          integrity: `sha512-${'C'.repeat(86)}==`,
          dev: true,
          license: 'MIT',
        };
      });
      draft.edit(
        'build.js',
        "import { cpSync } from 'node:fs';\n",
        "import { cpSync } from 'node:fs';\nimport * as paint from 'yocto-paint';\n",
      );
      draft.append('build.js', "console.log(paint.green?.('done') ?? 'done');\n");
    },
  ),
  honest('housekeeping', 'stricter types', 'courier', 'Switch on noImplicitOverride', (draft) =>
    draft.edit('tsconfig.json', '"strict": true,', '"strict": true,\n    "noImplicitOverride": true,'),
  ),
  honest('housekeeping', 'a version and its chapter in the changelog', 'shelf', 'Release 2.4.0', (draft) => {
    draft.edit('package.json', '"version": "2.3.0"', '"version": "2.4.0"');
    draft.write(
      'package-lock.json',
      draft.text('package-lock.json').replaceAll('"version": "2.3.0"', '"version": "2.4.0"'),
    );
    draft.edit('CHANGELOG.md', '## Unreleased\n', '## Unreleased\n\n## 2.4.0\n\n- Search looks at authors as well.\n');
  }),
  honest('housekeeping', 'types only', 'tally', 'Name the kinds of values', (draft) => {
    draft.edit(
      'src/functions.ts',
      'export type Argument = Value | Value[];',
      'export type Argument = Value | Value[];\nexport type Kind = "number" | "text" | "truth" | "nothing";\nexport interface Described {\n  readonly name: string;\n  readonly kind: Kind;\n}',
    );
  }),
  honest('housekeeping', 'layout and quotes', 'stockroom', 'Format forecast.py', (draft) =>
    draft.edit(
      'src/stockroom/forecast.py',
      '    return [sum(values[at - window + 1 : at + 1]) / window for at in range(window - 1, len(values))]',
      '    return [\n        sum(values[at - window + 1 : at + 1]) / window\n        for at in range(window - 1, len(values))\n    ]',
    ),
  ),
];

/** More ways in which features are written. */
export const moreFeatures: readonly CorpusCase[] = [
  honest('feature', 'decorators and cached properties', 'stockroom', 'Add a report of the ledger', (draft) => {
    draft.write(
      'src/stockroom/report.py',
      `"""What a ledger tells at the end of a month."""

from collections import Counter
from functools import cached_property


class MonthReport:
    """Movements of one month, counted once."""

    def __init__(self, ledger, month):
        self._movements = [each for each in ledger.movements() if each.day.startswith(month)]

    @cached_property
    def received(self):
        """How many came in, by code."""
        return Counter({code: count for code, count in self._sums(1).items() if count})

    @cached_property
    def issued(self):
        """How many went out, by code."""
        return self._sums(-1)

    @property
    def busiest(self):
        """The code that moved most, or None."""
        moved = self.received + self.issued
        return max(sorted(moved), key=moved.__getitem__) if moved else None

    def _sums(self, sign):
        counts = Counter()
        for each in self._movements:
            if each.quantity * sign > 0:
                counts[each.code] += each.quantity * sign
        return counts
`,
    );
    draft.write(
      'tests/test_report.py',
      `from stockroom.ledger import Ledger
from stockroom.report import MonthReport


def test_a_month():
    ledger = Ledger()
    ledger.receive("2024-01-31", "AB-0001", 9, "1")
    ledger.receive("2024-02-01", "AB-0001", 2, "1")
    ledger.receive("2024-02-02", "CD-0001", 4, "1")
    ledger.issue("2024-02-03", "AB-0001", 5)
    report = MonthReport(ledger, "2024-02")
    assert report.received == {"AB-0001": 2, "CD-0001": 4}
    assert report.issued == {"AB-0001": 5}
    assert report.busiest == "AB-0001"


def test_a_month_without_movements():
    assert MonthReport(Ledger(), "2024-02").busiest is None
`,
    );
  }),
  honest('feature', 'an event emitter and async iteration', 'courier', 'Stream scans', (draft) => {
    draft.write(
      'src/stream.ts',
      `export class Stream<T> implements AsyncIterable<T> {
  private readonly waiting: ((result: IteratorResult<T>) => void)[] = [];
  private readonly ready: T[] = [];
  private ended = false;

  push(value: T): void {
    if (this.ended) throw new Error('This stream has ended.');
    const next = this.waiting.shift();
    if (next === undefined) this.ready.push(value);
    else next({ value, done: false });
  }

  end(): void {
    this.ended = true;
    for (const next of this.waiting.splice(0)) next({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    return {
      next: () => {
        if (this.ready.length > 0) return Promise.resolve({ value: this.ready.shift()!, done: false });
        if (this.ended) return Promise.resolve({ value: undefined, done: true });
        return new Promise((resolve) => this.waiting.push(resolve));
      },
    };
  }
}
`,
    );
    draft.write(
      'tests/stream.spec.ts',
      `import { expect, it } from '@jest/globals';
import { Stream } from '../src/stream';

it('hands over what comes, before and after it is asked for', async () => {
  const stream = new Stream<number>();
  stream.push(1);
  const seen: number[] = [];
  const reading = (async () => {
    for await (const each of stream) seen.push(each);
  })();
  await Promise.resolve();
  stream.push(2);
  await new Promise((resolve) => setImmediate(resolve));
  stream.end();
  await reading;
  expect(seen).toEqual([1, 2]);
  expect(() => stream.push(3)).toThrow('has ended');
});

it('ends for whoever asks later', async () => {
  const stream = new Stream<number>();
  stream.end();
  expect(await stream[Symbol.asyncIterator]().next()).toEqual({ value: undefined, done: true });
});
`,
    );
  }),
  honest('feature', 'composed arrows', 'tally', 'Add a pipeline of formats', (draft) => {
    draft.write(
      'src/pipeline.ts',
      `type Step = (text: string) => string;

export const pipe = (...steps: Step[]): Step => (text) => steps.reduce((so, step) => step(so), text);

export const upper: Step = (text) => text.toUpperCase();

export const padded = (width: number): Step => (text) => text.padStart(width, '.');
`,
    );
    draft.write(
      'src/pipeline.spec.ts',
      `import { expect, it } from 'vitest';
import { padded, pipe, upper } from './pipeline';

it('does one thing after the other', () => {
  expect(pipe(upper, padded(5))('abc')).toBe('..ABC');
  expect(pipe()('abc')).toBe('abc');
});
`,
    );
  }),
  honest('feature', 'a default export and a closure', 'gazette', 'Count visits', (draft) => {
    draft.write(
      'lib/counter.js',
      `/** Counts visits of pages. */
export default function counter() {
  /** @type {Map<string, number>} */
  const visits = new Map();
  return {
    /** @param {string} page */
    visit(page) {
      visits.set(page, (visits.get(page) ?? 0) + 1);
      return this;
    },
    top: (most = 3) => [...visits].sort(([, a], [, b]) => b - a).slice(0, most),
  };
}
`,
    );
    draft.write(
      'test/counter.test.js',
      `import { expect } from './expect.js';
import counter from '../lib/counter.js';

it('counts', () => {
  const visits = counter().visit('b').visit('a').visit('a');
  expect(visits.top()).toEqual([['a', 2], ['b', 1]]);
  expect(visits.top(1)).toEqual([['a', 2]]);
});
`,
    );
    draft.write(
      'test/expect.js',
      `import assert from 'node:assert/strict';

export const expect = (actual) => ({ toEqual: (expected) => assert.deepEqual(actual, expected) });
`,
    );
  }),
  honest('feature', 'async functions of Python', 'stockroom', 'Ask suppliers for prices', (draft) => {
    draft.write(
      'src/stockroom/suppliers.py',
      `"""Asks several suppliers at once."""

import asyncio


async def best_offer(code, suppliers, timeout=1.0):
    """The lowest price and who asks it; suppliers that do not answer in time are left out."""

    async def ask(name, supplier):
        try:
            return await asyncio.wait_for(supplier(code), timeout), name
        except asyncio.TimeoutError:
            return None

    offers = await asyncio.gather(*(ask(name, supplier) for name, supplier in suppliers.items()))
    return min((offer for offer in offers if offer is not None), default=None)
`,
    );
    draft.write(
      'tests/test_suppliers.py',
      `import asyncio

from stockroom.suppliers import best_offer


def supplier(price, delay=0):
    async def answer(_code):
        await asyncio.sleep(delay)
        return price

    return answer


def test_the_lowest_price_wins():
    suppliers = {"a": supplier(3), "b": supplier(2), "slow": supplier(1, delay=5)}
    assert asyncio.run(best_offer("AB-0001", suppliers, timeout=0.05)) == (2, "b")
    assert asyncio.run(best_offer("AB-0001", {})) is None
`,
    );
  }),
];
