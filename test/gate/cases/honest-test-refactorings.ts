import type { CorpusCase } from '../case.ts';
import { honest } from './honest-case.ts';

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
