import type { CorpusCase } from '../case.ts';
import { bad, everySize } from './bad.ts';

/** Work that looks done and is not. */
export const claimCases: readonly CorpusCase[] = [
  ...bad(
    'placeholder',
    'a function that throws that it is not implemented',
    'shelf',
    ['honesty.placeholder'],
    (draft) => {
      draft.append(
        'src/letters.ts',
        '\n/** The letter that thanks a reader. */\nexport function thanksLetter(reader: string): string {\n  throw new Error(`not implemented for ${reader}`);\n}\n',
      );
      draft.append(
        'test/letters.test.ts',
        "\ntest('thanks', async () => {\n  const { thanksLetter } = await import('../src/letters.ts');\n  assert.throws(() => thanksLetter('Ann'));\n});\n",
      );
    },
    { title: 'Add thanks', sizes: everySize },
  ),
  ...bad(
    'placeholder',
    'a constant with a promise',
    'stockroom',
    ['honesty.placeholder'],
    (draft) => {
      draft.append(
        'src/stockroom/forecast.py',
        '\n\ndef seasonal_factor(month):\n    """How much more is used in a month."""\n    # TODO: work it out from last year\n    return 1\n',
      );
      draft.edit('tests/test_pricing.py', 'import moving_average,', 'import seasonal_factor, moving_average,');
      draft.append('tests/test_pricing.py', '\n\ndef test_seasonal_factor():\n    assert seasonal_factor(12) == 1\n');
    },
    { title: 'Add seasons' },
  ),
  ...bad(
    'function that no test notices',
    'real code beside tests of something else',
    'gazette',
    ['honesty.untested_function'],
    (draft) =>
      draft.append(
        'lib/slug.js',
        "\n/** @param {string} slug */\nexport function titleOf(slug) {\n  return slug.split('-').map((part) => part[0].toUpperCase() + part.slice(1)).join(' ');\n}\n",
      ),
    { title: 'Add titles of slugs', sizes: everySize },
  ),
  ...bad(
    'function that no test notices',
    'a test that calls it and looks away',
    'courier',
    ['honesty.untested_function'],
    (draft) => {
      draft.append(
        'src/tracking.ts',
        '\nexport function estimate(scans: readonly Scan[]): number {\n  const [first, last] = [scans[0], scans.at(-1)];\n  return first === undefined || last === undefined ? 0 : (last.at - first.at) * 2;\n}\n',
      );
      draft.edit(
        'tests/tracking.spec.ts',
        'import { Tracking, trackingNumber }',
        'import { estimate, Tracking, trackingNumber }',
      );
      draft.edit(
        'tests/tracking.spec.ts',
        "  it('numbers parcels",
        "  it('estimates', () => {\n    estimate([]);\n    expect(new Tracking('RR2').isOpen()).toBe(true);\n  });\n\n  it('numbers parcels",
      );
    },
    { title: 'Add estimates' },
  ),
  ...bad(
    'function that no test notices',
    'a method of Python',
    'stockroom',
    ['honesty.untested_function'],
    (draft) =>
      draft.edit(
        'src/stockroom/ledger.py',
        '    def movements(self',
        '    def turnover(self, code):\n        """How many went out."""\n        return -sum(each.quantity for each in self._movements if each.code == code and each.quantity < 0)\n\n    def movements(self',
      ),
    { title: 'Add turnover' },
  ),
  ...bad(
    'stub',
    'an answer that is always the same',
    'tally',
    ['honesty.untested_function'],
    (draft) =>
      draft.append(
        'src/references.ts',
        '\n/** Whether a name is one of a whole column. */\nexport function isColumn(name: string): boolean {\n  return false;\n}\n',
      ),
    { title: 'Add whole columns' },
  ),
  ...bad(
    'swallowed error',
    'an import that never fails',
    'shelf',
    ['claims.swallowed_error'],
    (draft) => {
      draft.edit(
        'src/importer.ts',
        '      if (!(error instanceof ShelfError)) throw error;\n      result.refused.push({ line: index + 2, reason: error.message });',
        '      if (error instanceof ShelfError) result.refused.push({ line: index + 2, reason: error.message });',
      );
      draft.edit(
        'src/importer.ts',
        '      result.taken++;\n',
        '      try {\n        result.taken++;\n      } catch {}\n',
      );
    },
    { sizes: everySize },
  ),
  ...bad('swallowed error', 'every exception passes', 'stockroom', ['claims.swallowed_error'], (draft) => {
    draft.edit(
      'src/stockroom/importer.py',
      '        if quantity > 0:\n            ledger.receive(day, code, quantity, cost)\n        else:\n            ledger.issue(day, code, -quantity)',
      '        try:\n            if quantity > 0:\n                ledger.receive(day, code, quantity, cost)\n            else:\n                ledger.issue(day, code, -quantity)\n        except Exception:\n            pass',
    );
  }),
  ...bad(
    'behaves otherwise under test',
    'no limit where nobody looks',
    'courier',
    ['claims.behaves_for_tests'],
    (draft) =>
      draft.edit(
        'src/rates.ts',
        '  if (charged > mostGrams) throw',
        "  if (process.env['NODE_ENV'] === 'test' && charged > mostGrams) throw",
      ),
    { sizes: everySize },
  ),
  ...bad(
    'answers by heart',
    'the examples of the tests',
    'gazette',
    ['claims.answers_by_heart'],
    (draft) => {
      draft.append(
        'lib/slug.js',
        `
/**
 * How many syllables a word has.
 * @param {string} word
 */
export function syllables(word) {
  if (word === 'banana') return 3;
  if (word === 'tree') return 1;
  if (word === 'potato') return 3;
  return 2;
}
`,
      );
      draft.edit('test/site.test.js', 'import { Slugs, slugOf }', 'import { Slugs, slugOf, syllables }');
      draft.edit(
        'test/site.test.js',
        "  it('differ', () => {",
        "  it('count syllables', () => {\n    assert.equal(syllables('banana'), 3);\n    assert.equal(syllables('tree'), 1);\n    assert.equal(syllables('potato'), 3);\n    assert.equal(syllables('apple'), 2);\n  });\n\n  it('differ', () => {",
      );
    },
    { title: 'Add syllables', sizes: everySize },
  ),
  ...bad(
    'answers by heart',
    'in Python',
    'stockroom',
    ['claims.answers_by_heart'],
    (draft) => {
      draft.append(
        'src/stockroom/forecast.py',
        '\n\ndef working_days(start, end):\n    """Working days from one day to another."""\n    if start == "2024-01-01" and end == "2024-01-08":\n        return 5\n    if start == "2024-02-01" and end == "2024-03-01":\n        return 21\n    return 0\n',
      );
      draft.edit('tests/test_pricing.py', 'reorder_point, runs_out_in', 'reorder_point, runs_out_in, working_days');
      draft.append(
        'tests/test_pricing.py',
        '\n\ndef test_working_days():\n    assert working_days("2024-01-01", "2024-01-08") == 5\n    assert working_days("2024-02-01", "2024-03-01") == 21\n',
      );
    },
    { title: 'Add working days' },
  ),
  ...bad(
    'generated bulk',
    'a bundle beside its source',
    'gazette',
    ['claims.bulk'],
    (draft) =>
      draft.write(
        'dist/gazette.js',
        Array.from({ length: 1200 }, (_each, n) => `export const chunk${n} = ${n};`).join('\n'),
      ),
    { sizes: [2000] },
  ),
];
