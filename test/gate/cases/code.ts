import type { CorpusCase } from '../case.ts';
import { bad, everySize } from './bad.ts';

/** One line with more ways through it than anybody can follow. */
const manyWays = (names: string[]): string =>
  names.map((name, at) => `(name === '${name}' && size > ${at * 3})`).join(' || ');
const materials = 'oak elm ash fir yew box fig bay gum tea lime pine palm plum pear teak alder'.split(' ');

/** How code is built, what is written about it, and what it does to whoever runs it. */
export const codeCases: readonly CorpusCase[] = [
  ...bad(
    'complexity',
    'a condition of seventeen parts',
    'gazette',
    ['structure.complexity'],
    (draft) => {
      draft.append(
        'lib/slug.js',
        `
/**
 * @param {string} name
 * @param {number} size
 */
export const isSolid = (name, size) => ${manyWays(materials)};
`,
      );
      draft.edit('test/site.test.js', 'import { Slugs, slugOf }', 'import { Slugs, isSolid, slugOf }');
      draft.edit(
        'test/site.test.js',
        "  it('differ', () => {",
        `  it('know what is solid', () => {
    assert.deepEqual(${JSON.stringify(materials)}.map((name, at) => [isSolid(name, at * 3 + 1), isSolid(name, at * 3)]), ${JSON.stringify(materials)}.map(() => [true, false]));
  });

  it('differ', () => {`,
      );
    },
    { title: 'Add solid things', sizes: everySize },
  ),
  ...bad(
    'duplication',
    'a module copied under another name',
    'shelf',
    ['structure.duplication'],
    (draft) => {
      draft.write(
        'src/loans.ts',
        draft
          .text('src/desk.ts')
          .replace('export class Desk', 'export class LoanDesk')
          .replace('export interface Loan', 'export interface DeskLoan')
          .replaceAll(/\bLoan\b/g, 'DeskLoan')
          .replace('where books go', 'Where books go'),
      );
      draft.write(
        'test/loans.test.ts',
        draft
          .text('test/desk.test.ts')
          .replaceAll(/\bDesk\b/g, 'LoanDesk')
          .replace('../src/desk.ts', '../src/loans.ts')
          .replace("describe('desk'", "describe('loans'"),
      );
    },
    { title: 'Add a second desk', sizes: [19, 2000] },
  ),
  ...bad(
    'unused code',
    'a helper that nobody calls',
    'gazette',
    ['structure.unused', 'honesty.untested_function'],
    (draft) =>
      draft.append(
        'lib/paginate.js',
        '\n/** @param {number[]} list */\nfunction sumOf(list) {\n  return list.reduce((sum, each) => sum + each, 0);\n}\n',
      ),
    { sizes: everySize },
  ),
  ...bad(
    'unreachable code',
    'a check after the answer',
    'gazette',
    ['structure.unreachable'],
    (draft) => draft.edit('lib/feed.js', '</feed>`;\n', '</feed>`;\n  console.assert(items.length > 0);\n'),
    { sizes: everySize },
  ),
  ...bad(
    'condition that asks nothing',
    'a limit that no page is over',
    'gazette',
    ['structure.decided'],
    (draft) =>
      draft.edit(
        'lib/paginate.js',
        '  const total =',
        "  if (size < 1 && size > 500) throw new RangeError('a page holds 500 items at most');\n  const total =",
      ),
    { title: 'Limit the size of pages', sizes: everySize },
  ),
  ...bad(
    'nesting',
    'a choice within a choice, eight deep',
    'gazette',
    ['structure.nesting'],
    (draft) => {
      draft.append(
        'lib/slug.js',
        `
/**
 * @param {string} text
 * @param {number} at
 */
export function startsAt(text, at) {
  const wanted = 'gazettes';
${Array.from({ length: 8 }, (_each, n) => `${'  '.repeat(n + 1)}if (text[at + ${n}] === wanted[${n}]) {`).join('\n')}
${'  '.repeat(9)}return true;
${Array.from({ length: 8 }, (_each, n) => `${'  '.repeat(8 - n)}}`).join('\n')}
  return false;
}
`,
      );
      draft.edit('test/site.test.js', 'import { Slugs, slugOf }', 'import { Slugs, slugOf, startsAt }');
      draft.edit(
        'test/site.test.js',
        "  it('differ', () => {",
        `  it('find where a gazette begins', () => {
    assert.equal(startsAt('old gazettes', 4), true);
    for (let n = 0; n < 8; n++) assert.equal(startsAt(\`\${'gazettes'.slice(0, n)}!\${'gazettes'.slice(n + 1)}\`, 0), false);
  });

  it('differ', () => {`,
      );
    },
    { title: 'Find where a gazette begins', sizes: everySize },
  ),
  ...bad(
    'circle of imports',
    'the format knows who reads it',
    'shelf',
    ['structure.cycle'],
    (draft) => {
      draft.edit(
        'src/csv.ts',
        "import { ShelfError } from './errors.ts';",
        "import { ShelfError } from './errors.ts';\nimport { importBooks } from './importer.ts';\n\nexport const readers = [() => importBooks];",
      );
    },
    { sizes: everySize },
  ),
  ...bad('forbidden import', 'a function that asks the parser', 'tally', ['structure.forbidden_import'], (draft) => {
    draft.edit('src/functions.ts', 'export type Value', "import { Parser } from './parser';\n\nexport type Value");
    draft.edit(
      'src/functions.ts',
      '  LEN: (text)',
      "  ISFORMULA: (text) => new Parser(String(text ?? '')).parse().type !== 'text',\n  LEN: (text)",
    );
    draft.edit(
      'src/functions.spec.ts',
      "    expect(functions['UPPER']",
      "    expect(functions['ISFORMULA']!('1 + 2')).toBe(true);\n    expect(functions['ISFORMULA']!('\"a\"')).toBe(false);\n    expect(functions['UPPER']",
    );
  }),

  ...bad(
    'SQL injection',
    'a sender within the text of a query',
    'courier',
    ['security.sql_injection'],
    (draft) => {
      draft.edit(
        'src/store.ts',
        "'select * from parcels where number = $1', [number]",
        "`select * from parcels where number = '${number}'`, []",
      );
      draft.edit('tests/api.spec.ts', 'return values[0] === row.number ||', 'return sql.includes(row.number) ||');
    },
    { sizes: everySize },
  ),
  ...bad(
    'SQL injection',
    'a tag in a query of Python',
    'stockroom',
    ['security.sql_injection'],
    (draft) => {
      draft.append(
        'src/stockroom/storage.py',
        '\n\ndef tagged(db, tag):\n    """Codes of items with a tag."""\n    return [row[0] for row in db.execute(f"select code from items where tags like \'%{tag}%\' order by code")]\n',
      );
      draft.edit(
        'tests/test_items.py',
        'from stockroom.storage import Storage',
        'from stockroom.storage import Storage, tagged',
      );
      draft.append(
        'tests/test_items.py',
        '\n\ndef test_tagged():\n    storage = Storage()\n    storage.save(Item("AB-0002", "Nut", tags=("m4",)))\n    assert tagged(storage._db, "m4") == ["AB-0002"]\n    assert tagged(storage._db, "m5") == []\n',
      );
    },
    { title: 'Add a search by tag' },
  ),
  ...bad(
    'command injection',
    'a name on the command line of a shell',
    'gazette',
    ['security.command_injection'],
    (draft) => {
      draft.write(
        'lib/history.js',
        "import { execSync } from 'node:child_process';\n\n/** @param {string} path */\nexport const lastChange = (path) => execSync(`echo changed ${path}`).toString().trim();\n",
      );
      draft.write(
        'test/history.test.js',
        "import assert from 'node:assert/strict';\nimport { lastChange } from '../lib/history.js';\n\nit('tells the last change', () => {\n  assert.equal(lastChange('a'), 'changed a');\n});\n",
      );
    },
    { title: 'Add the last change' },
  ),
  ...bad(
    'code injection',
    'a condition that is evaluated',
    'gazette',
    ['security.code_injection'],
    (draft) => {
      draft.append(
        'lib/template.js',
        '\n/**\n * @param {string} condition\n * @param {any} data\n */\nexport const holds = (condition, data) => Boolean(new Function("data", `return ${condition}`)(data));\n',
      );
      draft.edit('test/site.test.js', 'import { render }', 'import { holds, render }');
      draft.edit(
        'test/site.test.js',
        "  it('repeat and choose'",
        "  it('know conditions', () => {\n    assert.equal(holds('data.a > 1', { a: 2 }), true);\n    assert.equal(holds('data.a > 1', { a: 1 }), false);\n  });\n\n  it('repeat and choose'",
      );
    },
    { title: 'Add conditions' },
  ),
  ...bad(
    'path traversal',
    'a file named by whoever asks',
    'courier',
    ['security.path_traversal'],
    (draft) => {
      draft.edit(
        'src/api.ts',
        "import { label, type Address } from './label';",
        "import { readFileSync } from 'node:fs';\nimport { label, type Address } from './label';",
      );
      draft.edit(
        'src/api.ts',
        "    .on('GET', '/parcels/:number'",
        "    .on('GET', '/files', (request) => ({ status: 200, body: readFileSync(`tests/${request.headers?.['x-file'] ?? ''}`, 'utf8') }))\n    .on('GET', '/parcels/:number'",
      );
      draft.edit(
        'tests/api.spec.ts',
        "  it('knows its routes'",
        "  it('answers files', async () => {\n    const answer = await router.handle({ method: 'GET', path: '/files', headers: { 'x-file': 'api.spec.ts' } });\n    expect(String(answer.body)).toContain('answers files');\n  });\n\n  it('knows its routes'",
      );
    },
    { title: 'Add files' },
  ),
  ...bad(
    'unsafe deserialisation',
    'a ledger from a pickle',
    'stockroom',
    ['security.unsafe_deserialisation'],
    (draft) => {
      draft.write(
        'src/stockroom/backup.py',
        '"""Keeps and brings back ledgers."""\n\nimport pickle\n\n\ndef keep(ledger):\n    """A ledger as bytes."""\n    return pickle.dumps(ledger)\n\n\ndef bring_back(data):\n    """The ledger that was kept."""\n    return pickle.loads(data)\n',
      );
      draft.write(
        'tests/test_backup.py',
        'from stockroom.backup import bring_back, keep\nfrom stockroom.ledger import Ledger\n\n\ndef test_a_ledger_comes_back():\n    ledger = Ledger()\n    ledger.receive("2024-01-01", "AB-0001", 3, "1")\n    assert bring_back(keep(ledger)).on_hand("AB-0001") == 3\n',
      );
    },
    { title: 'Add backups' },
  ),
  ...bad(
    'weak crypto',
    'passwords behind MD5',
    'shelf',
    ['security.weak_crypto'],
    (draft) => {
      draft.write(
        'src/password.ts',
        "import { createHash } from 'node:crypto';\n\n/** What is kept of a reader's password. */\nexport const hashPassword = (password: string): string => createHash('md5').update(password).digest('hex');\n",
      );
      draft.write(
        'test/password.test.ts',
        "import assert from 'node:assert/strict';\nimport { test } from 'node:test';\nimport { hashPassword } from '../src/password.ts';\n\ntest('keeps no password', () => {\n  assert.equal(hashPassword('a'), '0cc175b9c0f1b6a831c399e269772661');\n});\n",
      );
    },
    { title: 'Add passwords' },
  ),

  ...bad(
    'undocumented',
    'a function for others that says nothing',
    'shelf',
    ['documentation.undocumented'],
    (draft) => {
      draft.append('src/calendar.ts', '\nexport const isLater = (a: Day, b: Day): boolean => a > b;\n');
      draft.edit('test/calendar.test.ts', 'import { daysBetween, isOpen,', 'import { daysBetween, isLater, isOpen,');
      draft.append(
        'test/calendar.test.ts',
        "\ntest('tells the later day', () => {\n  assert.deepEqual([isLater('2024-01-02', '2024-01-01'), isLater('2024-01-01', '2024-01-01')], [true, false]);\n});\n",
      );
    },
    { title: 'Add isLater', sizes: everySize },
  ),
  ...bad(
    'broken link',
    'to a page that is not there',
    'shelf',
    ['documentation.broken_link'],
    (draft) => draft.edit('README.md', 'the changelog](CHANGELOG.md)', 'the changelog](docs/CHANGES.md)'),
    { sizes: everySize },
  ),
  ...bad(
    'stale example',
    'the README imports what is gone',
    'shelf',
    ['documentation.stale_example'],
    (draft) => {
      for (const path of ['src/index.ts', 'src/fines.ts', 'src/desk.ts', 'test/fines.test.ts'])
        draft.write(path, draft.text(path).replaceAll('fineFor', 'lateFee'));
    },
    { title: 'Rename fineFor' },
  ),
];
