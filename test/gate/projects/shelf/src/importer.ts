import type { Book, Catalogue } from './catalogue.ts';
import { parseCsv } from './csv.ts';
import { ShelfError } from './errors.ts';

export interface ImportResult {
  taken: number;
  refused: { line: number; reason: string }[];
}

const columns = ['isbn', 'title', 'authors', 'copies'];

function bookOf(row: readonly string[]): Book {
  const [isbn = '', title = '', authors = '', copies = ''] = row;
  if (title.trim() === '') throw new ShelfError('title_missing', 'A book needs a title.');
  return {
    isbn,
    title: title.trim(),
    authors: authors.split(';').map((each) => each.trim()),
    copies: copies === '' ? 1 : Number(copies),
  };
}

/** Takes in a list of books; what cannot be taken is answered by line and does not keep the rest out. */
export function importBooks(catalogue: Catalogue, text: string): ImportResult {
  const [head, ...rows] = parseCsv(text);
  if (head === undefined || columns.some((name, at) => head[at]?.trim().toLowerCase() !== name))
    throw new ShelfError('head_wrong', `The first line has to name the columns ${columns.join(', ')}.`);
  const result: ImportResult = { taken: 0, refused: [] };
  for (const [index, row] of rows.entries()) {
    try {
      catalogue.add(bookOf(row));
      result.taken++;
    } catch (error) {
      if (!(error instanceof ShelfError)) throw error;
      result.refused.push({ line: index + 2, reason: error.message });
    }
  }
  return result;
}
