import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkDigit, isIsbn, normalIsbn } from '../src/isbn.ts';

describe('isbn', () => {
  it('knows the check digit', () => {
    assert.equal(checkDigit('978030640615'), 7);
    assert.equal(checkDigit('978316148410'), 0);
  });

  it('takes ten and thirteen digits, with hyphens or without', () => {
    assert.equal(isIsbn('978-0-306-40615-7'), true);
    assert.equal(isIsbn('0306406152'), true);
    assert.equal(isIsbn('080442957X'), true);
  });

  it('refuses a slip of the finger', () => {
    assert.equal(isIsbn('9780306406158'), false);
    assert.equal(isIsbn('0306406153'), false);
    assert.equal(isIsbn('book'), false);
  });

  it('writes every ISBN in thirteen digits', () => {
    assert.equal(normalIsbn('0-306-40615-2'), '9780306406157');
    assert.throws(() => normalIsbn('123'), { code: 'isbn_wrong' });
  });
});
