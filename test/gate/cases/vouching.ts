import type { CorpusCase } from '../case.ts';
import { bad, everySize } from './bad.ts';
import { honest, note } from './honest-case.ts';

/** One honest thing beside something else: it must not stand for it, and must not be taken for it. */
export const vouchingCases: readonly CorpusCase[] = [
  ...bad(
    'expectation rewritten',
    'a row of parameters and the function that it asks',
    'stockroom',
    ['weakened-tests.expectation_rewritten', 'weakened-tests.removed'],
    (draft) => {
      draft.edit('src/stockroom/forecast.py', 'average * (lead_days + safety_days)', 'average * lead_days');
      draft.edit('tests/test_pricing.py', 'reorder_point([2, 4], 5) == 24', 'reorder_point([2, 4], 5) == 15');
    },
    { sizes: everySize },
  ),
  ...bad(
    'expectation rewritten',
    'a table that is read by one test',
    'tally',
    ['weakened-tests.expectation_rewritten', 'weakened-tests.removed'],
    (draft) => {
      draft.edit(
        'src/evaluate.ts',
        "if (operator === '>') return left > right;",
        "if (operator === '>') return left >= right;",
      );
      draft.edit('src/parser.spec.ts', "['3 > 3', false],", "['3 > 3', true],");
    },
    { sizes: [19, 2000] },
  ),
  ...bad(
    'expectation rewritten',
    'what a test compares with stands at the top of its file',
    'gazette',
    ['weakened-tests.expectation_rewritten'],
    (draft) => {
      draft.edit('lib/site.js', '(a.date < b.date ? 1 : -1)', '(a.date < b.date ? -1 : 1)');
      draft.edit(
        'test/site.test.js',
        "['second/index.html', 'first/index.html', 'index.html',",
        "['first/index.html', 'second/index.html', 'index.html',",
      );
      draft.edit(
        'test/site.test.js',
        '\'<a href="/second">Second</a><a href="/first">First</a><i>1/1</i>\'',
        '\'<a href="/first">First</a><a href="/second">Second</a><i>1/1</i>\'',
      );
    },
    { sizes: [19, 2000] },
  ),
  ...bad(
    'expectation rewritten',
    'beside an honest fix with its test and its line in the changelog',
    'shelf',
    ['weakened-tests.expectation_rewritten'],
    (draft) => {
      draft.edit('src/letters.ts', 'if (daysLate < 7)', 'if (daysLate <= 7)');
      draft.edit('test/letters.test.ts', "assert.equal(toneOf(7), 'firm');", "assert.equal(toneOf(7), 'kind');");
      draft.edit('src/fines.ts', 'const whole = Math.floor(Math.abs(cents) / 100);', 'const whole = Math.floor(Math.abs(Math.round(cents)) / 100);'); // prettier-ignore
      draft.edit('src/fines.ts', 'String(Math.abs(cents) % 100)', 'String(Math.abs(Math.round(cents)) % 100)');
      draft.append('test/fines.test.ts', "\ntest('writes whole cents', () => {\n  assert.equal(asMoney(99.6), '1.00 €');\n});\n"); // prettier-ignore
      note(draft, '`asMoney` writes whole cents.');
    },
    { title: 'Fix money with fractions of cents' },
  ),
  ...bad(
    'nothing shown',
    'a fix that no test asked for, beside one that a test asks for',
    'stockroom',
    ['new-tests.nothing_shown'],
    (draft) => {
      draft.edit('src/stockroom/items.py', '.lower().split()', '.casefold().split()');
      draft.edit('src/stockroom/pricing.py', 'if parts < 1:', 'if parts < 1 or parts != int(parts):');
      draft.append('tests/test_pricing.py', '\n\ndef test_parts_are_whole():\n    with pytest.raises(ValueError):\n        split(Decimal("1"), 1.5)\n'); // prettier-ignore
    },
    { title: 'Fix shares and searches', sizes: everySize },
  ),
  ...bad(
    'nothing shown',
    'a fix among functions of a table',
    'tally',
    ['new-tests.nothing_shown'],
    (draft) => draft.edit('src/functions.ts', "String(text ?? '').toUpperCase()", "String(text ?? '').normalize('NFC').toUpperCase()"), // prettier-ignore
    { title: 'Fix letters with accents', sizes: [19, 2000] },
  ),
  ...bad(
    'nothing shown',
    'a fix of a class',
    'gazette',
    ['new-tests.nothing_shown'],
    (draft) => draft.edit('lib/slug.js', "slugOf(title) || 'untitled'", "slugOf(title.trim().slice(0, 200)) || 'untitled'"), // prettier-ignore
    { title: 'Handle titles without end', sizes: [19, 2000] },
  ),
  honest(
    'fix',
    'a function taken out of another beside it',
    'gazette',
    'Fix the order of posts of one day',
    (draft) => {
      draft.edit(
        'lib/site.js',
        'const ordered = [...this.posts].sort((a, b) => (a.date < b.date ? 1 : -1));',
        'const ordered = [...this.posts].sort(newestFirst);',
      );
      draft.edit(
        'lib/site.js',
        '/** Texts that become pages. */',
        `/**
 * @param {Post} a
 * @param {Post} b
 */
const newestFirst = (a, b) => (a.date === b.date ? a.title.localeCompare(b.title) : a.date < b.date ? 1 : -1);

/** Texts that become pages. */`,
      );
      draft.edit(
        'lib/slug.js',
        `    let slug = base;
    for (let n = 2; this.#taken.has(slug); n++) slug = \`\${base}-\${n}\`;
    this.#taken.add(slug);
    return slug;
  }`,
        `    const slug = this.#free(base);
    this.#taken.add(slug);
    return slug;
  }

  /** @param {string} base */
  #free(base) {
    let slug = base;
    for (let n = 2; this.#taken.has(slug); n++) slug = \`\${base}-\${n}\`;
    return slug;
  }`,
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
    'feature',
    'an option that goes through three functions',
    'courier',
    'Add a home country to quotes',
    (draft) => {
      draft.edit('src/rates.ts', '  express?: boolean;', '  express?: boolean;\n  from?: string;');
      draft.edit('src/rates.ts', 'zoneOf(parcel.country)', 'zoneOf(parcel.country, parcel.from)');
      draft.edit(
        'src/api.ts',
        'body: quote(request.body as Parcel) };',
        "body: quote({ ...(request.body as Parcel), from: request.headers?.['x-from'] }) };",
      );
      draft.edit(
        'tests/rates.spec.ts',
        "  it('insures above what is free'",
        "  it('starts where the parcel does', () => {\n    expect(quote({ grams: 1000, size: [100, 100, 100], country: 'DE', from: 'DE' })).toEqual(money(590));\n  });\n\n  it('insures above what is free'", // prettier-ignore
      );
    },
  ),
  honest(
    'fix',
    'an expectation that was wrong, with a test of its own',
    'stockroom',
    'Fix the safety of orders',
    (draft) => {
      draft.edit('src/stockroom/forecast.py', 'lead_days, safety_days=3', 'lead_days, safety_days=4');
      draft.edit('tests/test_pricing.py', 'reorder_point([2, 4], 5) == 24', 'reorder_point([2, 4], 5) == 27');
      draft.append(
        'tests/test_pricing.py',
        '\n\ndef test_four_days_are_safe():\n    assert reorder_point([1], 0) == 4\n',
      );
    },
  ),
  honest(
    'fix',
    'an expectation that was wrong, said in the changelog',
    'shelf',
    'Change when letters grow firm',
    (draft) => {
      draft.edit('src/letters.ts', 'if (daysLate < 7)', 'if (daysLate < 10)');
      draft.edit('test/letters.test.ts', "toneOf(6), 'kind'", "toneOf(9), 'kind'");
      draft.edit('test/letters.test.ts', "toneOf(7), 'firm'", "toneOf(10), 'firm'");
      note(draft, 'Letters stay kind for ten days.');
    },
  ),
  honest(
    'fix',
    'words of an error',
    'tally',
    'Fix a typing error in what formulas are told',
    (draft) =>
    draft.edit('src/evaluate.ts', "'A range stands only where a function takes it'", "'A range stands only where a function takes one'"), // prettier-ignore
  ),
  honest(
    'refactoring',
    'arguments in another order, and the tests that call it',
    'courier',
    'Ask for the home first',
    (draft) => {
      draft.edit('src/zones.ts', "country: string, home = 'SE'", 'home: string, country: string');
      draft.edit('src/rates.ts', 'zoneOf(parcel.country)', "zoneOf('SE', parcel.country)");
      draft.edit('tests/tracking.spec.ts', 'zoneOf(country)', "zoneOf('SE', country)");
      draft.edit('tests/tracking.spec.ts', "zoneOf('Sweden')", "zoneOf('SE', 'Sweden')");
    },
  ),
];
