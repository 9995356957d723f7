import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { Catalogue } from '../src/catalogue.ts';

describe('catalogue', () => {
  let catalogue: Catalogue;
  beforeEach(() => {
    catalogue = new Catalogue();
    catalogue.add({ isbn: '9780306406157', title: 'Error Control', authors: ['Peter Sweeney'], copies: 2 });
    catalogue.add({ isbn: '9783161484100', title: 'Coding', authors: ['Anna Lind', 'Bo Ek'], copies: 1 });
  });

  it('adds copies to a title that is there', () => {
    catalogue.add({ isbn: '0306406152', title: 'Error Control', authors: ['Peter Sweeney'], copies: 3 });
    assert.equal(catalogue.size, 2);
    assert.equal(catalogue.find('9780306406157').copies, 5);
  });

  it('refuses a book without copies', () => {
    assert.throws(() => catalogue.add({ isbn: '080442957X', title: 'None', authors: [], copies: 0 }), {
      code: 'copies_wrong',
    });
  });

  it('says when a book is unknown', () => {
    assert.throws(() => catalogue.find('080442957X'), { code: 'book_unknown' });
  });

  it('finds by every word, in titles and authors', () => {
    assert.deepEqual(
      catalogue.search('lind CODING').map((book) => book.title),
      ['Coding'],
    );
    assert.deepEqual(
      catalogue.search('').map((book) => book.title),
      ['Coding', 'Error Control'],
    );
    assert.deepEqual(catalogue.search('nothing'), []);
  });
});
