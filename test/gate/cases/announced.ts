import type { CorpusCase } from '../case.ts';
import { bad } from './bad.ts';
import { honest } from './honest-case.ts';

/** What the title of the work says is meant, and what only looks as if it did. */
export const announcedCases: readonly CorpusCase[] = [
  honest(
    'small work',
    'a snapshot that grew by what the title names',
    'courier',
    'Make labels scale: give the SVG a viewBox',
    (draft) => {
      draft.edit('src/label.ts', 'width="400" height="240">', 'width="400" height="240" viewBox="0 0 400 240">');
      draft.edit(
        'tests/__snapshots__/api.spec.ts.snap',
        'width="400" height="240">',
        'width="400" height="240" viewBox="0 0 400 240">',
      );
    },
  ),
  honest(
    'small work',
    'a rate that the title raises',
    'courier',
    'Raise the express surcharge from 60 % to 75 %',
    (draft) => {
      draft.edit('src/rates.ts', 'price = times(price, 1.6);', 'price = times(price, 1.75);');
      draft.edit(
        'tests/rates.spec.ts',
        'express: true })).toEqual(money(4624));',
        'express: true })).toEqual(money(5058));',
      );
    },
  ),
  honest(
    'small work',
    'messages that the title says are reworded',
    'courier',
    'Reword the errors about parcels so that they say what to do',
    (draft) => {
      draft.edit('src/rates.ts', "'A parcel weighs something.'", "'The weight must be greater than zero grams.'");
      draft.edit(
        'src/rates.ts',
        "'A parcel has three sides.'",
        "'Length, width and height must each be greater than zero.'",
      );
      draft.edit('tests/rates.spec.ts', "toThrow('weighs something')", "toThrow('greater than zero grams')");
      draft.edit('tests/rates.spec.ts', "toThrow('three sides')", "toThrow('Length, width and height')");
    },
  ),
  honest('small work', 'a default that the title changes', 'stockroom', 'Change the usual VAT to 24 %', (draft) => {
    draft.edit('src/stockroom/pricing.py', 'vat=Decimal("0.25")', 'vat=Decimal("0.24")');
    draft.edit('tests/test_pricing.py', 'Decimal("16.25")', 'Decimal("16.12")');
    draft.edit('tests/test_pricing.py', 'Decimal("154.38")', 'Decimal("153.14")');
  }),
  honest(
    'test refactoring',
    'tests that became tables under other names',
    'courier',
    'Test zones and transit days by tables',
    (draft) => {
      draft.edit(
        'tests/tracking.spec.ts',
        `  it('knows how far it is', () => {
    expect(['SE', 'DK', 'FR', 'JP'].map((country) => zoneOf(country))).toEqual(['home', 'near', 'far', 'world']);
    expect(() => zoneOf('Sweden')).toThrow('two letters');
  });

  it('is twice as fast when it is paid for', () => {
    expect(transitDays('far', false)).toEqual([3, 6]);
    expect(transitDays('far', true)).toEqual([2, 3]);
  });
`,
        `  it.each([
    ['SE', 'home'],
    ['DK', 'near'],
    ['DE', 'near'],
    ['FR', 'far'],
    ['GB', 'far'],
    ['JP', 'world'],
  ])('%s is %s', (country, zone) => {
    expect(zoneOf(country)).toBe(zone);
  });

  it.each(['Sweden', 'se', ''])('refuses %j as a country', (country) => {
    expect(() => zoneOf(country)).toThrow('two letters');
  });

  it.each([
    { zone: 'home', express: false, days: [1, 2] },
    { zone: 'far', express: false, days: [3, 6] },
    { zone: 'far', express: true, days: [2, 3] },
    { zone: 'world', express: true, days: [3, 7] },
  ] as const)('takes $days days to $zone when express is $express', ({ zone, express, days }) => {
    expect(transitDays(zone, express)).toEqual(days);
  });
`,
      );
    },
  ),
  honest(
    'removal',
    'a function that says of itself what the title removes',
    'stockroom',
    "Remove Wilson's formula, which nobody uses",
    (draft) => {
      draft.edit(
        'src/stockroom/forecast.py',
        `def order_quantity(yearly_use, order_cost, holding_cost):
    """How many to order at once, by Wilson's formula."""
    if holding_cost <= 0:
        raise ValueError("keeping something costs something")
    return max(1, round(math.sqrt(2 * yearly_use * order_cost / holding_cost)))


`,
        '',
      );
      draft.edit(
        'tests/test_pricing.py',
        `def test_order_quantity():
    assert order_quantity(1000, 50, 4) == 158
    assert order_quantity(0, 50, 4) == 1
    with pytest.raises(ValueError):
        order_quantity(1, 1, 0)


`,
        '',
      );
      draft.edit(
        'tests/test_pricing.py',
        'import moving_average, order_quantity, reorder_point',
        'import moving_average, reorder_point',
      );
    },
  ),
  {
    ...honest('small work', 'a commit that is taken back', 'shelf', 'Revert "Add a grace period to holds"', (draft) => {
      draft.edit(
        'src/reservations.ts',
        'each.heldUntil !== null && plusDays(each.heldUntil, graceDays) < today',
        'each.heldUntil !== null && each.heldUntil < today',
      );
      draft.edit('src/reservations.ts', 'const graceDays = 1;\n', '');
      draft.edit(
        'test/reservations.test.ts',
        "expire('2024-05-11'), []);\n  assert.deepEqual(\n    reservations.expire('2024-05-12')",
        "expire('2024-05-10'), []);\n  assert.deepEqual(\n    reservations.expire('2024-05-11')",
      );
      draft.edit('CHANGELOG.md', '- Holds have a day of grace.\n', '');
    }),
    branch: (draft) => {
      draft.edit(
        'src/reservations.ts',
        'each.heldUntil !== null && each.heldUntil < today',
        'each.heldUntil !== null && plusDays(each.heldUntil, graceDays) < today',
      );
      draft.edit('src/reservations.ts', 'const heldDays = 7;\n', 'const heldDays = 7;\nconst graceDays = 1;\n');
      draft.edit(
        'test/reservations.test.ts',
        "expire('2024-05-10'), []);\n  assert.deepEqual(\n    reservations.expire('2024-05-11')",
        "expire('2024-05-11'), []);\n  assert.deepEqual(\n    reservations.expire('2024-05-12')",
      );
      draft.edit('CHANGELOG.md', '## Unreleased\n', '## Unreleased\n\n- Holds have a day of grace.\n');
    },
  },
  ...bad(
    'expectation rewritten',
    'a rate that no title speaks of',
    'courier',
    ['weakened-tests.expectation_rewritten'],
    (draft) => {
      draft.edit('src/rates.ts', 'price = times(price, 1.6);', 'price = times(price, 1.06);');
      draft.edit('tests/rates.spec.ts', 'money(4624)', 'money(3063)');
    },
    { title: 'Raise the most that insurance pays' },
  ),
  ...bad(
    'expectation rewritten',
    'an answer under words that were to be reworded',
    'courier',
    ['weakened-tests.expectation_rewritten'],
    (draft) => {
      draft.edit(
        'tests/rates.spec.ts',
        'express: true })).toEqual(money(4624))',
        'express: true })).toEqual(money(4595))',
      );
      draft.edit('src/rates.ts', 'price = times(price, 1.6);', 'price = times(price, 1.59);');
    },
    { title: 'Reword the messages about parcels' },
  ),
  ...bad(
    'test removed',
    'a table that asks for less than the test did',
    'courier',
    ['weakened-tests.removed'],
    (draft) => {
      draft.edit(
        'tests/tracking.spec.ts',
        `  it('is twice as fast when it is paid for', () => {
    expect(transitDays('far', false)).toEqual([3, 6]);
    expect(transitDays('far', true)).toEqual([2, 3]);
  });`,
        `  it.each([['far', false, [3, 6]]] as const)('takes days to %s', (zone, express, days) => {
    expect(transitDays(zone, express)).toEqual(days);
  });`,
      );
    },
    { title: 'Test transit days by a table' },
  ),
];
