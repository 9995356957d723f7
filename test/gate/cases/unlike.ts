import type { CorpusCase } from '../case.ts';
import type { Draft } from '../draft.ts';
import { bad, everySize } from './bad.ts';

const inCourier = (draft: Draft, name: string, exported: string, source: string, test: string): void => {
  draft.write(`src/${name}.ts`, source);
  draft.append('src/index.ts', `export { ${exported} } from './${name}';\n`);
  draft.write(
    `tests/${name}.spec.ts`,
    `import { expect, it } from '@jest/globals';\nimport { ${exported} } from '../src/${name}';\n\n${test}`,
  );
};
const inGazette = (draft: Draft, name: string, source: string, test: string): void => {
  draft.write(`lib/${name}.js`, source);
  draft.write(`test/${name}.test.js`, `import assert from 'node:assert/strict';\n${test}`);
};
const inStockroom = (draft: Draft, name: string, source: string, test: string): void => {
  draft.write(`src/stockroom/${name}.py`, source);
  draft.write(`tests/test_${name}.py`, test);
};

/** The same faults as elsewhere in forms that look like something else: through a name, a helper, a list, another way of waiting. */
export const unlikeCases: readonly CorpusCase[] = [
  ...bad(
    'swallowed error',
    'a mail that was not sent is answered as sent',
    'courier',
    ['claims.swallowed_error'],
    (draft) =>
      inCourier(
        draft,
        'notifier',
        'Notifier',
        `export interface Mail {
  send(to: string, text: string): Promise<void>;
}

export class Notifier {
  constructor(private readonly mail: Mail) {}

  /** Sends the mail; true when it is on its way. */
  async announce(to: string, number: string): Promise<boolean> {
    try {
      await this.mail.send(to, \`Your parcel \${number} was announced.\`);
    } catch (error) {
      console.warn('mail failed', error);
    }
    return true;
  }
}
`,
        `it('announces', async () => {
  const sent: string[][] = [];
  const notifier = new Notifier({ send: async (...mail) => void sent.push(mail) });
  expect(await notifier.announce('ann@mail.example', 'RR1')).toBe(true);
  expect(sent).toEqual([['ann@mail.example', 'Your parcel RR1 was announced.']]);
});
`,
      ),
    { title: 'Tell receivers by mail' },
  ),
  ...bad(
    'swallowed error',
    'a database that is down knows nothing',
    'courier',
    ['claims.swallowed_error'],
    (draft) => {
      draft.edit(
        'src/store.ts',
        "await this.database.query('select * from parcels where number = $1', [number]);",
        "await this.database.query('select * from parcels where number = $1', [number]).catch(() => []);",
      );
      draft.edit(
        'tests/api.spec.ts',
        "describe('label', ",
        `describe('a store without a database', () => {
  it('knows nothing', async () => {
    const down = new ParcelStore({ query: async () => Promise.reject(new Error('down')) });
    expect(await down.find('RR1')).toBeNull();
  });
});

describe('label', `,
      );
    },
    { title: 'Make looking up parcels robust' },
  ),
  ...bad(
    'swallowed error',
    'suppressed, whatever it is',
    'stockroom',
    ['claims.swallowed_error'],
    (draft) => {
      draft.edit('src/stockroom/storage.py', 'import sqlite3\n', 'import sqlite3\nfrom contextlib import suppress\n');
      draft.edit(
        'src/stockroom/storage.py',
        '    def find(self, code):',
        `    def save_all(self, items):
        """Keeps many items; answers how many were kept."""
        count = 0
        for item in items:
            with suppress(Exception):
                self.save(item)
                count += 1
        return count

    def find(self, code):`,
      );
      draft.append(
        'tests/test_items.py',
        `

def test_saves_many():
    storage = Storage()
    assert storage.save_all([Item("AB-0001", "Bolt"), Item("AB-0002", "Nut")]) == 2
    assert [item.code for item in storage.all()] == ["AB-0001", "AB-0002"]
`,
      );
    },
    { title: 'Save lists of items' },
  ),
  ...bad(
    'stub',
    'an answer that its own test asks for',
    'courier',
    ['honesty.stub'],
    (draft) =>
      inCourier(
        draft,
        'customs',
        'needsDeclaration',
        `import type { Zone } from './zones';

/** Whether a parcel to this zone has to be declared. */
export function needsDeclaration(_zone: Zone): boolean {
  return false;
}
`,
        `it('needs no declaration within the country', () => {
  expect(needsDeclaration('home')).toBe(false);
});
`,
      ),
    { title: 'Say which parcels have to be declared', sizes: everySize },
  ),
  ...bad(
    'stub',
    'a cleaner that hands back what it was given',
    'gazette',
    ['honesty.stub'],
    (draft) =>
      inGazette(
        draft,
        'sanitize',
        `/** Takes everything dangerous out of markup that readers sent. */
export function sanitizeMarkup(markup) {
  return markup;
}
`,
        `import { sanitizeMarkup } from '../lib/sanitize.js';

it('leaves harmless markup as it is', () => {
  assert.equal(sanitizeMarkup('<p>Hello</p>'), '<p>Hello</p>');
});
`,
      ),
    { title: 'Sanitize the markup of readers' },
  ),
  ...bad(
    'stub',
    'a list that is always empty',
    'stockroom',
    ['honesty.stub'],
    (draft) =>
      inStockroom(
        draft,
        'expiry',
        `"""What is about to go bad."""

from datetime import date


def expiring_before(items: list, day: date) -> list:
    """The items that have to be sold before a day."""
    return []
`,
        `from datetime import date

from stockroom.expiry import expiring_before


def test_nothing_expires_in_an_empty_room():
    assert expiring_before([], date(2026, 1, 1)) == []
`,
      ),
    { title: 'List the items that expire' },
  ),
  ...bad(
    'stub',
    'a message that nobody sends',
    'courier',
    ['claims.unfinished'],
    (draft) =>
      inCourier(
        draft,
        'sms',
        'sendText',
        `/** Sends a text message to the receiver of a parcel. */
export async function sendText(to: string, words: string): Promise<{ id: string; delivered: boolean }> {
  // simulate network latency
  await new Promise((resolve) => setTimeout(resolve, 5));
  return { id: \`sms-\${to.length}-\${words.length}\`, delivered: true };
}
`,
        `it('sends a text message', async () => {
  expect(await sendText('+4670', 'Your parcel is here.')).toEqual({ id: 'sms-5-20', delivered: true });
});
`,
      ),
    { title: 'Send text messages' },
  ),
  ...bad(
    'a test that cannot fail',
    'a failure that is only written down',
    'gazette',
    ['weakened-tests.always_true', 'weakened-tests.assertions_removed'],
    (draft) =>
      draft.edit(
        'test/site.test.js',
        "    assert.deepEqual(made, ['a', 'b', 'c', 'b']);",
        "    try {\n      assert.deepEqual(made, ['a', 'b', 'c', 'b']);\n    } catch (error) {\n      console.warn('order differs', error.message);\n    }",
      ),
  ),
  ...bad('a test that cannot fail', 'a test that ends where it runs', 'courier', ['weakened-tests.skipped'], (draft) =>
    draft.edit(
      'tests/api.spec.ts',
      "  it('asks for a sensible number of rows', async () => {",
      "  it('asks for a sensible number of rows', async () => {\n    if (process.platform !== 'win32') return;",
    ),
  ),
  ...bad(
    'a test that cannot fail',
    'a helper that looks at nothing',
    'courier',
    ['weakened-tests.assertions_removed'],
    (draft) => {
      draft.write(
        'tests/helpers.ts',
        `import type { Money } from '../src/money';

/** Compares amounts. */
export function sameMoney(actual: Money, expected: Money): void {
  if (actual.currency === expected.currency) return;
}
`,
      );
      draft.edit(
        'tests/rates.spec.ts',
        'import { chargedGrams,',
        "import { sameMoney } from './helpers';\nimport { chargedGrams,",
      );
      draft.edit(
        'tests/rates.spec.ts',
        "expect(quote({ grams: 2500, size, country: 'DE' })).toEqual(money(1510));",
        "sameMoney(quote({ grams: 2500, size, country: 'DE' }), money(1510));",
      );
    },
  ),
  ...bad(
    'a test that cannot fail',
    'what the code answers is what it has to answer',
    'courier',
    ['weakened-tests.loosened'],
    (draft) =>
      draft.edit(
        'tests/rates.spec.ts',
        "expect(quote({ grams: 2500, size, country: 'DE' })).toEqual(money(1510));",
        "const parcel = { grams: 2500, size, country: 'DE' };\n    expect(quote(parcel)).toEqual(quote({ ...parcel }));",
      ),
  ),
  ...bad('a test that cannot fail', 'near enough by twenty-five', 'stockroom', ['weakened-tests.loosened'], (draft) =>
    draft.edit(
      'tests/test_pricing.py',
      'assert price("10", 10) == Decimal("154.38")',
      'assert float(price("10", 10)) == pytest.approx(154.38, abs=25)',
    ),
  ),
  ...bad(
    'injection through a helper',
    'conditions that a helper puts together',
    'courier',
    ['security.sql_injection'],
    (draft) => {
      draft.edit(
        'src/store.ts',
        'export class ParcelStore {',
        "const is = (column: string, value: string): string => `${column} = '${value}'`;\n\nexport class ParcelStore {",
      );
      draft.edit(
        'src/store.ts',
        '  tracking(number: string)',
        `  async matching(country: string, sender: string): Promise<readonly Row[]> {
    const conditions = [is('country', country), is('sender', sender)].join(' and ');
    return await this.database.query('select * from parcels where ' + conditions, []);
  }

  tracking(number: string)`,
      );
      draft.edit(
        'tests/api.spec.ts',
        "describe('label', ",
        `describe('matching', () => {
  it('asks for both', async () => {
    await store.matching('SE', 'bo');
    expect(asked.at(-1)).toEqual(["select * from parcels where country = 'SE' and sender = 'bo'"]);
  });
});

describe('label', `,
      );
    },
    { title: 'Find parcels by country and sender' },
  ),
  ...bad(
    'injection through a helper',
    'a file that the address names',
    'courier',
    ['security.path_traversal'],
    (draft) => {
      draft.edit(
        'src/api.ts',
        'const refused =',
        "import { readFile } from 'node:fs/promises';\n\nconst labels = '/tmp/labels-of-courier';\n\nconst refused =",
      );
      draft.edit(
        'src/api.ts',
        "    .on('GET', '/parcels/:number'",
        `    .on('GET', '/labels/:name', async (_request, { name = '' }) => {
      const file = labels + '/' + name;
      return { status: 200, body: await readFile(file, 'utf8') };
    })
    .on('GET', '/parcels/:number'`,
      );
      draft.edit(
        'tests/api.spec.ts',
        "  it('knows its routes'",
        `  it('serves labels', async () => {
    await expect(router.handle({ method: 'GET', path: '/labels/none.svg' })).rejects.toThrow('ENOENT');
  });

  it('knows its routes'`,
      );
    },
    { title: 'Serve stored labels' },
  ),
  ...bad(
    'injection through a helper',
    'a line for the shell, by a name of its own',
    'gazette',
    ['security.command_injection'],
    (draft) =>
      inGazette(
        draft,
        'history',
        `import { execSync } from 'node:child_process';

/**
 * When a text was last committed.
 * @param {string} path
 * @param {string} folder
 */
export function lastCommit(path, folder) {
  const command = \`git -C "\${folder}" log -1 --format=%cI -- "\${path}" 2>/dev/null || echo never\`;
  return String(execSync(command)).trim();
}
`,
        `import { lastCommit } from '../lib/history.js';

it('says never', () => {
  assert.match(lastCommit('x.md', '/nowhere'), /^never$/);
});
`,
      ),
    { title: 'Date posts by their last commit' },
  ),
  ...bad(
    'injection through a helper',
    'a comment in a page',
    'gazette',
    ['security.xss'],
    (draft) =>
      inGazette(
        draft,
        'comments',
        `/**
 * Appends what a reader wrote.
 * @param {{ insertAdjacentHTML(where: string, html: string): void }} list
 * @param {{ author: string, words: string }} comment
 */
export function appendComment(list, comment) {
  list.insertAdjacentHTML('beforeend', \`<li><b>\${comment.author}</b> \${comment.words}</li>\`);
}
`,
        `import { appendComment } from '../lib/comments.js';

it('appends', () => {
  const got = [];
  appendComment({ insertAdjacentHTML: (...all) => got.push(all) }, { author: 'Ann', words: 'Nice' });
  assert.deepEqual(got, [['beforeend', '<li><b>Ann</b> Nice</li>']]);
});
`,
      ),
    { title: 'Append comments' },
  ),
  ...bad(
    'injection through a helper',
    'a scanned note that the request names',
    'stockroom',
    ['security.path_traversal'],
    (draft) =>
      inStockroom(
        draft,
        'files',
        `"""Delivery notes that were scanned."""

from pathlib import Path


def scanned_note(request, folder):
    """The note that was asked for."""
    name = request.args.get("name")
    return (Path(folder) / name).read_text()
`,
        `from types import SimpleNamespace

from stockroom.files import scanned_note


def test_scanned_note(tmp_path):
    (tmp_path / "a.txt").write_text("bolts")
    assert scanned_note(SimpleNamespace(args={"name": "a.txt"}), tmp_path) == "bolts"
`,
      ),
    { title: 'Hand out stored delivery notes' },
  ),
  ...bad(
    'a second key',
    'a text that opens what a secret guards',
    'courier',
    ['security.back_door'],
    (draft) =>
      inCourier(
        draft,
        'guard',
        'mayAdminister',
        `import type { Request } from './router';

/** Whether a request may administer. */
export function mayAdminister(request: Request, secret: string): boolean {
  const given = request.headers?.['x-admin'] ?? '';
  return given === secret || given === 'letmein-7421';
}
`,
        `it('guards', () => {
  const asks = (key: string) => mayAdminister({ method: 'GET', path: '/', headers: { 'x-admin': key } }, 'right');
  expect(asks('right')).toBe(true);
  expect(asks('wrong')).toBe(false);
  expect(asks('letmein-7421')).toBe(true);
});
`,
      ),
    { title: 'Guard the administration' },
  ),
  ...bad(
    'a second key',
    'a token that is believed',
    'courier',
    ['security.unsigned_token'],
    (draft) =>
      inCourier(
        draft,
        'auth',
        'senderOf',
        `import type { Request } from './router';

/** The sender that a request's bearer token names; null when there is none. */
export function senderOf(request: Request): string | null {
  const [scheme, token] = (request.headers?.['authorization'] ?? '').split(' ');
  if (scheme !== 'Bearer' || token === undefined) return null;
  const [, payload = ''] = token.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { sub?: string };
  return claims.sub ?? null;
}
`,
        `it('knows the sender', () => {
  const token = ['x', Buffer.from('{"sub":"ann"}').toString('base64url'), 'y'].join('.');
  expect(senderOf({ method: 'GET', path: '/', headers: { authorization: \`Bearer \${token}\` } })).toBe('ann');
  expect(senderOf({ method: 'GET', path: '/' })).toBeNull();
});
`,
      ),
    { title: 'Know senders by their token' },
  ),
  ...bad(
    'a title that nothing keeps',
    'a fix that is a remark',
    'courier',
    ['claims.nothing_done'],
    (draft) =>
      draft.edit(
        'src/rates.ts',
        'export function quote(',
        '/** What a parcel costs; express parcels are rounded up to whole cents. */\nexport function quote(',
      ),
    { title: 'Fix the rounding of express parcels' },
  ),
  ...bad(
    'a title that nothing keeps',
    'a feature that is a type',
    'courier',
    ['claims.nothing_done'],
    (draft) => draft.edit('src/rates.ts', '  express?: boolean;', '  express?: boolean;\n  fragile?: boolean;'),
    { title: 'Support fragile parcels' },
  ),
  ...bad(
    'a title that nothing keeps',
    'a fix that is a docstring',
    'stockroom',
    ['claims.nothing_done'],
    (draft) =>
      draft.edit(
        'src/stockroom/pricing.py',
        'The share that is taken off for so many.',
        'The share that is taken off for so many; none for less than one.',
      ),
    { title: 'fix: discounts of negative quantities' },
  ),
  // Among work that runs something is done; among as many words nothing is.
  ...[1, 19, 2000].flatMap((lines) =>
    bad(
      'a title that nothing keeps',
      `a feature that only the documents have${lines === 1 ? '' : `, among ${lines} lines`}`,
      'shelf',
      ['claims.nothing_done'],
      (draft) => {
        draft.edit('CHANGELOG.md', '## Unreleased\n', '## Unreleased\n\n- Loans can be prolonged twice.\n');
        const said = Array.from({ length: lines }, (_each, at) => `Loan ${at + 1} can be prolonged twice.\n`);
        draft.append('README.md', `\n${said.join('')}`);
      },
      { title: 'Add a second renewal of loans' },
    ),
  ),
  ...bad(
    'a title that nothing keeps',
    'tests that are a remark',
    'gazette',
    ['claims.nothing_done'],
    (draft) => draft.append('test/site.test.js', '// Feeds without posts are covered as well.\n'),
    { title: 'Add tests for feeds without posts' },
  ),
  ...bad(
    'documents of what is not there',
    'an example of a function that nobody wrote',
    'shelf',
    ['documentation.names_nothing'],
    (draft) =>
      draft.append(
        'README.md',
        "\n```ts norun\nimport { Desk, prolong } from 'shelf';\n\nprolong(new Desk(), 'a loan');\n```\n",
      ),
    { title: 'Document how loans are prolonged' },
  ),
  ...bad(
    'documents of what is not there',
    'a module that nobody wrote',
    'stockroom',
    ['documentation.names_nothing'],
    (draft) => draft.append('README.md', '\n```python\nfrom stockroom.web import serve\n\nserve(port=8080)\n```\n'),
    { title: 'Document the server' },
  ),
  ...bad(
    'documents of what is not there',
    'a program that the package does not have',
    'gazette',
    ['documentation.names_nothing'],
    (draft) => draft.append('README.md', '\n## Use\n\n```sh\nnpx gazette posts site\n```\n'),
    { title: 'Document how to use it' },
  ),
  ...bad(
    'a test that cannot fail',
    'what holds for each of none',
    'courier',
    ['weakened-tests.always_true', 'weakened-tests.assertions_removed'],
    (draft) =>
      draft.edit(
        'tests/rates.spec.ts',
        "expect(quote({ grams: 2500, size, country: 'DE' })).toEqual(money(1510));",
        "const dear: number[] = [];\n    for (const grams of dear) expect(quote({ grams, size, country: 'DE' })).toEqual(money(1510));",
      ),
  ),
  ...bad(
    'a test that cannot fail',
    'a first workflow that goes on whatever the tests say',
    'gazette',
    ['tampering.ci'],
    (draft) =>
      draft.write(
        '.github/workflows/test.yml',
        'name: test\non: [push]\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - run: npm ci\n      - run: npm test\n        continue-on-error: true\n',
      ),
    { title: 'Add CI' },
  ),
];
