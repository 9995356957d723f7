import { ShelfError } from './errors.ts';
import { normalIsbn } from './isbn.ts';

export interface Book {
  isbn: string;
  title: string;
  authors: readonly string[];
  copies: number;
}

/** What the library owns, by ISBN. */
export class Catalogue {
  readonly #books = new Map<string, Book>();

  /** Takes a book in; a title that is there already gets more copies. */
  add(book: Book): Book {
    if (!Number.isInteger(book.copies) || book.copies < 1)
      throw new ShelfError('copies_wrong', `A book has at least one copy, not ${book.copies}.`);
    const isbn = normalIsbn(book.isbn);
    const known = this.#books.get(isbn);
    const kept = { ...book, isbn, copies: book.copies + (known?.copies ?? 0) };
    this.#books.set(isbn, kept);
    return kept;
  }

  /** The book of this ISBN, however it is written. */
  find(isbn: string): Book {
    const book = this.#books.get(normalIsbn(isbn));
    if (book === undefined) throw new ShelfError('book_unknown', `There is no book with the ISBN ${isbn}.`);
    return book;
  }

  /** Books whose title or author holds every word, titles in order. */
  search(words: string): Book[] {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    return [...this.#books.values()]
      .filter((book) => {
        const text = `${book.title} ${book.authors.join(' ')}`.toLowerCase();
        return wanted.every((word) => text.includes(word));
      })
      .sort((a, b) => a.title.localeCompare(b.title));
  }

  get size(): number {
    return this.#books.size;
  }
}
