import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatCsv, parseCsv } from '../src/csv.ts';
import { Catalogue } from '../src/catalogue.ts';
import { importBooks } from '../src/importer.ts';

test('reads quotes, commas and line breaks', () => {
  assert.deepEqual(parseCsv('a,"b, c"\r\n"say ""hi""","two\nlines"\n'), [
    ['a', 'b, c'],
    ['say "hi"', 'two\nlines'],
  ]);
  assert.throws(() => parseCsv('"open'), { code: 'csv_open_quote' });
});

test('writes what it reads', () => {
  const rows = [
    ['plain', 'with "quotes"'],
    ['a,b', 'x\ny'],
  ];
  assert.deepEqual(parseCsv(formatCsv(rows)), rows);
});

test('takes in a list and says which lines it could not take', () => {
  const catalogue = new Catalogue();
  const text = 'isbn,title,authors,copies\n9780306406157,Error Control,P. Sweeney; A. Lind,2\n123,Wrong,,\n080442957X,,,\n';
  const result = importBooks(catalogue, text);
  assert.equal(result.taken, 1);
  assert.deepEqual(
    result.refused.map((each) => each.line),
    [3, 4],
  );
  assert.deepEqual(catalogue.find('9780306406157').authors, ['P. Sweeney', 'A. Lind']);
});

test('refuses a list with other columns', () => {
  assert.throws(() => importBooks(new Catalogue(), 'title,isbn\n'), { code: 'head_wrong' });
});
