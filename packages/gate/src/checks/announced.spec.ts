import { afterAll, describe, expect, it } from '@jest/globals';
import { GateDesk, type Files } from '../../../../test/support/gate-desk.ts';
import { claimsCheck } from './claims.ts';

const desk = new GateDesk();
afterAll(() => desk.clear());

const before: Files = {
  'README.md': '# Kit\n',
  'CHANGELOG.md': '# Changes\n',
  'docs/use.md': 'Use it.\n',
  'package.json': '{"name":"kit"}',
  'src/total.ts':
    "import { tax } from './tax';\n\nexport interface Line {\n  price: number;\n}\n\n/** The total of all. */\nexport function total(lines: readonly Line[]): number {\n  return lines.reduce((sum, each) => sum + each.price * tax, 0);\n}\n",
  'src/tax.ts': 'export const tax = 1.2;\n',
  'kit/total.py': 'def total(lines):\n    """The total of all."""\n    return sum(lines)\n',
  'test/total.test.ts':
    "import { total } from '../src/total';\nimport { rows } from './rows';\n\nit('adds up', () => {\n  expect(total([{ price: 1 }])).toBe(1.2);\n});\nfor (const row of rows) it(row.name, () => { expect(total(row.lines)).toBe(row.sum); });\n",
  'test/rows.ts': "export const rows = [{ name: 'none', lines: [], sum: 0 }];\n",
};
const edited = (path: string, from: string, to: string): Files => {
  expect(before[path]).toContain(from);
  return { [path]: before[path]!.replace(from, () => to) };
};
const said = async (title: string | null, change: Files, approvedBy: string | null = null): Promise<string[]> =>
  (
    await desk.run(claimsCheck, before, { ...before, ...change }, { approvedBy, declared: { title, paths: null } })
  ).findings.map(({ rule, level }) => `${rule} ${level}`);

const remark = edited('src/total.ts', 'The total of all.', 'The total of all, rounded to cents.');
const docstring = edited('kit/total.py', 'The total of all.', 'The total of all; none is nothing.');
const changelog = edited('CHANGELOG.md', '# Changes\n', '# Changes\n\n- Totals are rounded.\n');
const readme = edited('README.md', '# Kit\n', '# Kit\n\nTotals are rounded.\n');
const types = edited('src/total.ts', 'price: number;', 'price: number;\n  currency?: string;');

describe('a title', () => {
  it.each<[string, string, Files]>([
    ['a fix that is a remark', 'Fix rounding of totals', remark],
    ['a fix that is a docstring', 'fix: totals of nothing', docstring],
    ['a feature that only the changelog has', 'Add rounding', changelog],
    ['a feature that only documents have', 'feat(total): round to cents', { ...readme, ...changelog, 'docs/rounding.md': '# Rounding\n' }],
    ['a feature that is a type', 'Support currencies', types],
    ['a fix that is layout', 'Handle lines without a price', edited('src/total.ts', 'lines.reduce((sum, each) =>', 'lines.reduce(\n    (sum, each) =>')],
    ['a fix that is an import of nothing', 'Prevent overflows', edited('src/total.ts', "'./tax';", "'./tax';\nimport type { Big } from './big';")],
    ['a file of remarks', 'Implement rounding', { 'src/round.ts': '// Rounds to cents.\nexport type Cents = number;\n' }],
    ['tests that are not there', 'Add tests for rounding', remark],
    ['tests that are skipped', 'Add tests for rounding', edited('test/total.test.ts', 'for (const', "it.skip('rounds', () => {\n  expect(total([])).toBe(0);\n});\nfor (const")],
    ['tests that are a remark', 'Improve test coverage of totals', edited('test/total.test.ts', "it('adds", "// rounded\nit('adds")],
    ['tests that are an import', 'test: add more unit tests', edited('test/total.test.ts', "import { rows }", "import { tax } from '../src/tax';\nimport { rows }")],
    ['a fix of what breaks that is a type', 'Fix crash on undefined prices', types],
    ['a fix that only the installation tells of', 'Fix install command', remark],
    ['a format of data that is a remark', 'Fix the date format', remark],
    ['a remark in a script that only Python would obey', 'Fix rounding', edited('src/total.ts', 'The total of all.', 'The total of all. >>> coding: utf-8')],
    ['another document than the title names', 'Add rounding to the release notice page of kits', remark],
    ['tests that go into no archive', 'Add tests for rounding', readme],
  ])('hears of %s', async (_what, title, change) => {
    expect(await said(title, change)).toEqual(['claims.nothing_done error']);
  }); // prettier-ignore

  it.each<[string, string | null, Files]>([
    ['no title', null, remark],
    ['another language', 'Korrigiert das Runden', remark],
    ['a typo', 'Fix typo in README', readme],
    ['a typo in a remark', 'fix: typo', remark],
    ['documents', 'Add docs for rounding', readme],
    ['a remark that is called one', 'Improve comments of totals', remark],
    ['a remark that was wrong', 'Fix the comment on totals', remark],
    ['a docstring', 'Add docstrings', docstring],
    ['what a docstring calls a version', 'Add missing versionchanged', docstring],
    ['a line of the changelog', 'Update changelog', changelog],
    ['a broken link', 'Fix broken links', readme],
    ['an example', 'Add an example of totals', readme],
    ['types', 'Fix types of lines', types],
    ['a type by its name', 'Add a currency to Line', types],
    ['what the compiler says', 'Fix TypeScript errors', types],
    ['layout', 'Fix formatting', edited('src/total.ts', 'lines.reduce((sum, each) =>', 'lines.reduce(\n    (sum, each) =>')],
    ['a remark that tools obey', 'Fix tree shaking', edited('src/tax.ts', '1.2', '/* @__PURE__ */ 1.2')],
    ['configuration', 'Add configuration for editors', { '.editorconfig': 'root = true\n' }],
    ['data', 'Fix the price of bolts', { 'data/prices.json': '{"bolt":1}' }],
    ['a style sheet', 'Fix the margin of pages', { 'web/page.css': 'body { margin: 0 }\n' }],
    ['a migration', 'Add an index on names', { 'migrations/2.sql': 'create index on kits (name);\n' }],
    ['a page of a site', 'Add a post about totals', { 'content/posts/totals.md': '# Totals\n' }],
    ['a value', 'Fix the tax', edited('src/tax.ts', '1.2', '1.19')],
    ['a value in Python', 'Fix totals', edited('kit/total.py', 'sum(lines)', 'sum(lines, 0)')],
    ['depth in Python', 'Fix totals', edited('kit/total.py', '    return sum', '    if lines:\n        return sum')],
    ['what is gone', 'Fix double taxes', { 'src/tax.ts': 'export const tax = 1;\n' }],
    ['a test', 'Add tests for nothing', edited('test/total.test.ts', 'for (const', "it('adds nothing', () => {\n  expect(total([])).toBe(0);\n});\nfor (const")],
    ['one more assertion', 'Add a test for nothing', edited('test/total.test.ts', '.toBe(1.2);', '.toBe(1.2);\n  expect(total([])).toBe(0);')],
    ['a row of a table', 'Add test cases', edited('test/rows.ts', '];', ", { name: 'one', lines: [{ price: 1 }], sum: 1.2 }];")],
    ['tests of another language', 'Add tests', { 'tool/main_test.go': 'func TestMain(t *testing.T) {}\n' }],
    ['tests in Python', 'Write more tests', { 'test_total.py': 'def test_total():\n    assert total([]) == 0\n' }],
    ['imports of types that are gone', 'fix: remove unused imports', edited('src/total.ts', "'./tax';", "'./tax';\nimport type { Big } from './big';")],
    ['a type that is passed on', 'feat: export TaskOptions from the package', edited('src/tax.ts', '1.2;', "1.2;\nexport type { TaskOptions } from './options';")],
    ['a type that is passed on, by its name', 'Add TaskOptions', edited('src/tax.ts', '1.2;', "1.2;\nexport type { TaskOptions } from './options';")],
    ['an error by its number', 'Fix TS2345 in totals', types],
    ['what a remark says of types', 'fix mypy finding', edited('kit/total.py', 'return sum(lines)', 'return sum(lines)  # type: ignore[arg-type]')],
    ['what may be undefined', 'Fix possibly undefined access', edited('src/total.ts', 'each.price *', 'each.price! *')],
    ['words that only types have', 'Add as const to taxes', edited('src/tax.ts', '1.2;', '1.2 as const;')],
    ['the end of a file', 'fix: line endings', edited('src/tax.ts', '1.2;\n', '1.2;\n\n')],
    ['layout by its short name', 'fix: format', edited('src/tax.ts', '1.2;\n', '1.2;\n\n')],
    ['how it is installed', 'Add installation steps for Windows', readme],
    ['what helps', 'Add troubleshooting for proxies', readme],
    ['a command that is wrong', 'Fix install command', readme],
    ['a line of a document that the title names', 'Add `httpx-ws` to third party packages', { 'docs/third_party_packages.md': '# More\n' }],
    ['tests that are packed', 'Add tests and requirements.txt to sdist', { 'MANIFEST.in': 'graft tests\n' }],
    ['tests that CI starts', 'Add tests to CI', { '.github/workflows/test.yml': 'on: push\n' }],
    ['test data', 'Add test data', { 'test/data.json': '{}' }],
  ])('lets pass %s', async (_what, title, change) => {
    expect(await said(title, change)).toEqual([]);
  }); // prettier-ignore

  it('is in doubt where one word of it is a document', async () => {
    const change = { 'docs/totals.md': '# Totals\n\nThey are rounded.\n' };
    expect(await said('Add rounding to totals', change)).toEqual(['claims.nothing_done warning']);
    expect(await said('Add rounding to prices', change)).toEqual(['claims.nothing_done error']);
  });

  it('is a hint to a person, and no matter where words are all that there is', async () => {
    expect(await said('Fix rounding', readme, 'ann')).toEqual(['claims.nothing_done warning']);
    const book = { 'README.md': '# A book\n' };
    const declared = { title: 'Add how it ends', paths: null };
    expect((await desk.run(claimsCheck, book, { ...book, 'end.md': '# The end\n' }, { declared })).findings).toEqual(
      [],
    );
  });
});
