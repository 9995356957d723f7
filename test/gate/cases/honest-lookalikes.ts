import type { CorpusCase } from '../case.ts';
import { honest, nodeTest } from './honest-case.ts';

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
  honest(
    'lookalike',
    'made-up keys in the tests of what looks for keys',
    'gazette',
    'Keep keys out of articles',
    (draft) => {
      draft.write(
        'lib/keys.js',
        `/**
 * Finds what must not be published: keys in the words of an article.
 *
 * @param {string} text
 * @returns {string[]} what each of them begins with
 */
export function keysIn(text) {
  return [...text.matchAll(/\\b(?:gh[pousr]_|npm_)?\\w{32,}\\b/g)]
    .filter(([found]) => /\\d/.test(found) && /[A-Z]/.test(found))
    .map(([found]) => \`\${found.slice(0, 4)}…\`);
}
`,
      );
      draft.write(
        'test/keys.test.js',
        `import assert from 'node:assert/strict';
import { keysIn } from '../lib/keys.js';

describe('keys', () => {
  it('finds those of a known format', () => {
    assert.deepEqual(keysIn('use ${['ghp', '_'].join('')}a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8 here'), ['ghp_…']);
  });

  it('finds long words that are as random as keys', () => {
    assert.deepEqual(keysIn('Zk9vR2pXw7QmLb4TnYc8HdJf3GsA6eUi'), ['Zk9v…']);
  });

  it('lets words pass, however long', () => {
    assert.deepEqual(keysIn('donaudampfschifffahrtsgesellschaftskapitaen and 1234567890'), []);
  });
});
`,
      );
    },
  ),
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
  honest(
    'lookalike',
    'an object that does nothing, beside the one that does',
    'courier',
    'Let callers switch the log off',
    (draft) => {
      draft.write(
        'src/log.ts',
        `/** Writes lines somewhere, with their level. */
export class Log {
  constructor(private readonly write: (line: string) => void) {}

  /** Whether lines of this level are written. */
  isOn(level: string): boolean {
    return level !== 'debug';
  }

  /** Writes a line, with its level before it. */
  line(level: string, text: string): void {
    if (this.isOn(level)) this.write(level + ': ' + text);
  }
}

/** Where nobody wants to read anything. */
export class SilentLog {
  isOn(): boolean {
    return false;
  }

  line(): void {
    // nobody reads it
  }
}
`,
      );
      draft.append('src/index.ts', "export { Log, SilentLog } from './log';\n");
      draft.write(
        'tests/log.spec.ts',
        `import { expect, it } from '@jest/globals';
import { Log, SilentLog } from '../src/log';

it('writes lines with their level, and none that nobody wants', () => {
  const lines: string[] = [];
  const log = new Log((line) => lines.push(line));
  log.line('info', 'ready');
  log.line('debug', 'nothing');
  expect(lines).toEqual(['info: ready']);
});

it('can be silent', () => {
  const log = new SilentLog();
  expect(log.isOn()).toBe(false);
  expect(() => log.line()).not.toThrow();
});
`,
      );
    },
  ),
  honest('lookalike', 'a fix of words', 'shelf', 'Fix a typo in the README', (draft) =>
    draft.append('README.md', '\nLoans are counted in days.\n'),
  ),
  honest('lookalike', 'a fix of types', 'courier', 'Support read-only sizes in the type of parcels', (draft) =>
    draft.edit('src/rates.ts', '  size: [number, number, number];', '  size: readonly [number, number, number];'),
  ),
  honest('lookalike', 'documents that are called so', 'stockroom', 'Add docstrings about none', (draft) =>
    draft.edit(
      'src/stockroom/pricing.py',
      'The share that is taken off for so many.',
      'The share that is taken off for so many; none for a few.',
    ),
  ),
  honest('lookalike', 'documents of what is there, and of others', 'shelf', 'Document how it is built', (draft) =>
    draft.append(
      'README.md',
      "\n```sh\nnpm run build\n```\n\n```ts norun\nimport { Desk as Counter } from 'shelf';\nimport { serve } from './server.js';\n```\n\nWith `npm run <script>` anything else.\n",
    ),
  ),
];
