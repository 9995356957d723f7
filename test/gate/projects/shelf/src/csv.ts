import { ShelfError } from './errors.ts';

/** The rows of comma-separated text; quotes hold commas, line breaks and doubled quotes. */
export function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let field = '';
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at]!;
    if (quoted) {
      if (letter !== '"') field += letter;
      else if (text[at + 1] === '"') {
        field += '"';
        at++;
      } else quoted = false;
    } else if (letter === '"') quoted = true;
    else if (letter === ',') {
      row.push(field);
      field = '';
    } else if (letter === '\n') {
      rows.push([...row, field]);
      row = [];
      field = '';
    } else if (letter !== '\r') field += letter;
  }
  if (quoted) throw new ShelfError('csv_open_quote', 'A quote is opened and never closed.');
  if (field !== '' || row.length > 0) rows.push([...row, field]);
  return rows;
}

/** Rows as comma-separated text that `parseCsv` reads back. */
export function formatCsv(rows: readonly (readonly string[])[]): string {
  const quote = (field: string): string => (/[",\n\r]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);
  return rows.map((row) => `${row.map(quote).join(',')}\n`).join('');
}
