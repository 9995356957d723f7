import type { CorpusCase } from '../case.ts';
import { bad } from './bad.ts';

/** Tests that pass whatever the code does, without looking like it. */
export const idleTests: readonly CorpusCase[] = [
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
