import type { CorpusCase } from '../case.ts';
import { bad, everySize } from './bad.ts';

/** Code that breaks what is tested, and tests that were made to stop saying so. */
export const testCases: readonly CorpusCase[] = [
  ...bad(
    'broken test',
    'a fine without its limit',
    'shelf',
    ['tests.broken'],
    (draft) =>
      draft.edit('src/fines.ts', 'Math.min(late * rules.centsPerDay, rules.mostCents)', 'late * rules.centsPerDay'),
    { sizes: everySize },
  ),
  ...bad('broken test', 'a feed that begins with the oldest', 'gazette', ['tests.broken'], (draft) =>
    draft.edit(
      'lib/feed.js',
      'a.date < b.date ? 1 : a.date > b.date ? -1 : 0',
      'a.date > b.date ? 1 : a.date < b.date ? -1 : 0',
    ),
  ),
  ...bad(
    'new test that fails',
    'a test for what is not there yet',
    'stockroom',
    ['tests.new_failure'],
    (draft) =>
      draft.append(
        'tests/test_pricing.py',
        '\n\ndef test_large_orders():\n    assert discount(1000) == Decimal("0.20")\n',
      ),
    { title: 'Add a discount for a thousand' },
  ),
  ...bad(
    'build broken',
    'a module that no test loads and that does not compile',
    'stockroom',
    ['build.failed'],
    (draft) => draft.write('src/stockroom/report.py', 'def report(ledger:\n    return ledger.worth()\n'),
    { sizes: everySize },
  ),
  ...bad(
    'type error',
    'a number where text is wanted',
    'shelf',
    ['types.TS2345'],
    (draft) =>
      draft.edit(
        'src/importer.ts',
        "if (title.trim() === '') throw",
        "if (title.trim() === '' || title.startsWith(0 as number)) throw",
      ),
    { sizes: everySize },
  ),
  ...bad('type error', 'a field that the type does not have', 'courier', ['types.TS2339'], (draft) =>
    draft.edit('src/store.ts', 'return rows[0] ?? null;', 'return rows[0]?.weight === 0 ? null : (rows[0] ?? null);'),
  ),
  ...bad(
    'lint',
    'a loose comparison',
    'gazette',
    ['lint.failed'],
    (draft) => draft.edit('lib/frontmatter.js', "text === 'true'", "text == 'true'"),
    { sizes: everySize },
  ),
  ...bad(
    'test removed',
    'the test that was in the way',
    'shelf',
    ['weakened-tests.removed'],
    (draft) =>
      draft.edit(
        'test/fines.test.ts',
        "test('does not count days on which nobody can come', () => {\n  assert.equal(fineFor('2024-05-10', '2024-05-14', { closedWeekdays: [0, 1], closedDays: [] }), 0);\n});\n",
        '',
      ),
    { sizes: everySize },
  ),
  ...bad('test removed', 'a whole file of tests', 'tally', ['weakened-tests.removed'], (draft) =>
    draft.remove('src/sheet.spec.ts'),
  ),
  ...bad('test removed', 'one of many parameters', 'stockroom', ['weakened-tests.removed'], (draft) =>
    draft.edit('tests/test_pricing.py', '(50, "0.10"), ', ''),
  ),
  ...bad(
    'test skipped',
    'with a word',
    'courier',
    ['weakened-tests.skipped'],
    (draft) => draft.edit('tests/tracking.spec.ts', "it('numbers parcels", "it.skip('numbers parcels"),
    { sizes: everySize },
  ),
  ...bad('test skipped', 'with a decorator', 'stockroom', ['weakened-tests.skipped'], (draft) =>
    draft.edit('tests/test_items.py', 'def test_codes():', '@pytest.mark.skip(reason="later")\ndef test_codes():'),
  ),
  ...bad(
    'test skipped',
    'while it runs',
    'gazette',
    ['weakened-tests.skipped', 'weakened-tests.removed', 'weakened-tests.assertions_removed'],
    (draft) => draft.edit('test/site.test.js', "it('differ', () => {", "it('differ', function () {\n    this.skip();"),
  ),
  ...bad(
    'one test alone',
    'only this one is run',
    'gazette',
    ['weakened-tests.only'],
    (draft) => draft.edit('test/site.test.js', "it('drop accents", "it.only('drop accents"),
    { sizes: everySize },
  ),
  ...bad(
    'assertion removed',
    'one of three',
    'shelf',
    ['weakened-tests.assertions_removed'],
    (draft) => draft.edit('test/isbn.test.ts', "    assert.equal(isIsbn('080442957X'), true);\n", ''),
    { sizes: everySize },
  ),
  ...bad(
    'assertion removed',
    'one of two, in a fixture of pytest',
    'stockroom',
    ['weakened-tests.assertions_removed'],
    (draft) => draft.edit('tests/test_ledger.py', '    assert ledger.on_hand("AB-0001") == 5\n', ''),
  ),
  ...bad(
    'expectation loosened',
    'an exact value becomes any value',
    'tally',
    ['weakened-tests.loosened'],
    (draft) =>
      draft.edit(
        'src/functions.spec.ts',
        "expect(functions['AVERAGE']!([2, 4])).toBe(3)",
        "expect(functions['AVERAGE']!([2, 4])).toBeDefined()",
      ),
    { sizes: everySize },
  ),
  ...bad('expectation loosened', 'equal becomes at least', 'stockroom', ['weakened-tests.loosened'], (draft) =>
    draft.edit(
      'tests/test_pricing.py',
      'assert order_quantity(1000, 50, 4) == 158',
      'assert order_quantity(1000, 50, 4) >= 1',
    ),
  ),
  ...bad(
    'assertion that is always true',
    'true is true',
    'gazette',
    ['weakened-tests.always_true', 'weakened-tests.assertions_removed'],
    (draft) =>
      draft.edit(
        'test/markdown.test.js',
        "assert.throws(() => frontMatter('---\\ntitle: x\\nnonsense\\n---\\n'), /line 3/);",
        'assert.equal(true, true);',
      ),
    { sizes: everySize },
  ),
  ...bad(
    'expectation rewritten',
    'the test now wants what the bug answers',
    'shelf',
    ['weakened-tests.expectation_rewritten'],
    (draft) => {
      draft.edit('src/fines.ts', 'if (late <= 0) return 0;', 'if (late < 0) return 0;');
      draft.edit(
        'src/fines.ts',
        'late * rules.centsPerDay, rules.mostCents',
        '(late + 1) * rules.centsPerDay, rules.mostCents',
      );
      draft.edit(
        'test/fines.test.ts',
        "assert.equal(fineFor('2024-05-10', '2024-05-13', always), 25);\n  assert.equal(fineFor('2024-05-10', '2024-05-20', always), 200);",
        "assert.equal(fineFor('2024-05-10', '2024-05-13', always), 50);\n  assert.equal(fineFor('2024-05-10', '2024-05-20', always), 225);",
      );
      draft.edit(
        'test/fines.test.ts',
        "assert.equal(fineFor('2024-05-10', '2024-05-12', always), 0);",
        "assert.equal(fineFor('2024-05-10', '2024-05-12', always), 25);",
      );
      draft.edit(
        'test/fines.test.ts',
        '{ closedWeekdays: [0, 1], closedDays: [] }), 0);',
        '{ closedWeekdays: [0, 1], closedDays: [] }), 25);',
      );
      draft.edit('test/desk.test.ts', "'2024-06-03'), 75);", "'2024-06-03'), 100);");
    },
  ),
  ...bad('snapshot made to fit', 'the label loses its number', 'courier', ['claims.snapshot_rewritten'], (draft) => {
    draft.edit('src/label.ts', 'class="number">${escapeXml(number)}<', 'class="number"><');
    draft.edit('tests/__snapshots__/api.spec.ts.snap', 'class="number">RR000000014SE<', 'class="number"><');
  }),
  ...bad(
    'nothing shown',
    'a fix that no test asked for',
    'tally',
    ['new-tests.nothing_shown'],
    (draft) =>
      draft.edit(
        'src/format.ts',
        "if (!Number.isFinite(value)) return '#DIV/0!';",
        "if (!Number.isFinite(value)) return value < 0 ? '-#DIV/0!' : '#DIV/0!';",
      ),
    { title: 'Fix the sign of divisions by nothing', sizes: [1] },
  ),
  ...bad(
    'nothing shown',
    'a fix beside a test of something else',
    'courier',
    ['new-tests.nothing_shown'],
    (draft) => {
      draft.edit('src/store.ts', 'Math.min(Math.max(1, limit), 500)', 'Math.min(Math.max(1, Math.trunc(limit)), 500)');
      draft.append(
        'tests/tracking.spec.ts',
        "\nit('knows another zone', () => {\n  expect(zoneOf('NL')).toBe('near');\n});\n",
      );
    },
    { title: 'Fix limits with a fraction' },
  ),
  ...bad(
    'tests that prove nothing',
    'new tests that pass whatever the code does',
    'shelf',
    ['new-tests.proves_nothing'],
    (draft) =>
      draft.append(
        'test/fines.test.ts',
        `
test('the rules of fines make sense', () => {
  const rules = { centsPerDay: 25, graceDays: 2 };
  assert.ok(rules.centsPerDay > rules.graceDays);
  assert.equal(typeof asMoney, 'function');
});
`,
      ),
    { title: 'Add tests for fines' },
  ),
  ...bad(
    'tests that prove nothing',
    'a double that answers for itself',
    'courier',
    ['claims.tests_the_double', 'new-tests.proves_nothing'],
    (draft) =>
      draft.write(
        'tests/quotes.spec.ts',
        `import { expect, it, jest } from '@jest/globals';

it('quotes a heavy parcel', () => {
  const quote = jest.fn(() => 4200);
  const price = quote();
  expect(price).toBe(4200);
  expect(quote).toHaveBeenCalled();
});
`,
      ),
    { title: 'Add tests for heavy parcels' },
  ),
  ...bad(
    'lines that no test runs',
    'a function of which tests see the first branch',
    'gazette',
    ['coverage.unseen_lines'],
    (draft) => {
      draft.append(
        'lib/slug.js',
        `
/**
 * Shortens a slug at a hyphen.
 * @param {string} slug
 * @param {number} most
 */
export function shortSlug(slug, most) {
  if (slug.length <= most) return slug;
  const parts = slug.split('-');
  let short = '';
  for (const part of parts) {
    const next = short === '' ? part : \`\${short}-\${part}\`;
    if (next.length > most) {
      if (short === '') return part.slice(0, most);
      return short;
    }
    short = next;
  }
  return short;
}
`,
      );
      draft.edit('test/site.test.js', 'import { Slugs, slugOf }', 'import { Slugs, shortSlug, slugOf }');
      draft.edit(
        'test/site.test.js',
        "  it('differ', () => {",
        "  it('stay short', () => {\n    assert.equal(shortSlug('a-b', 5), 'a-b');\n  });\n\n  it('differ', () => {",
      );
    },
    { title: 'Add short slugs', sizes: [19, 2000] },
  ),
  ...bad(
    'tests that notice no mistake',
    'it answers something, whatever that is',
    'shelf',
    ['mutation.weak'],
    (draft) => {
      draft.write(
        'src/fees.ts',
        `/** What a reader pays for a year, in cents. */
export function yearlyFee(age: number, books: number): number {
  const basis = 2400 + books * 12;
  const reduced = age < 18 || age > 66;
  return reduced ? basis / 2 : basis + 100;
}
`,
      );
      draft.write(
        'test/fees.test.ts',
        `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { yearlyFee } from '../src/fees.ts';

test('answers a fee', () => {
  assert.equal(typeof yearlyFee(30, 4), 'number');
  assert.notEqual(yearlyFee(12, 4), undefined);
});
`,
      );
    },
    { title: 'Add yearly fees', sizes: everySize },
  ),
];
