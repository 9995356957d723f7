export interface Place {
  column: number;
  row: number;
}

/** A1 is column 0, row 0; AA follows Z. */
export function placeOf(name: string): Place {
  const match = /^([A-Z]{1,2})([1-9]\d*)$/.exec(name);
  if (match === null) throw new RangeError(`${name} is no cell`);
  const column = [...match[1]!].reduce((sum, letter) => sum * 26 + letter.charCodeAt(0) - 64, 0) - 1;
  return { column, row: Number(match[2]) - 1 };
}

export function nameOf({ column, row }: Place): string {
  const letters = column < 26 ? String.fromCharCode(65 + column) : String.fromCharCode(64 + Math.floor(column / 26), 65 + (column % 26));
  return `${letters}${row + 1}`;
}

/** The cells of a range, row by row, whichever corners name it. */
export function cellsBetween(from: string, to: string): string[] {
  const [a, b] = [placeOf(from), placeOf(to)];
  const names: string[] = [];
  for (let row = Math.min(a.row, b.row); row <= Math.max(a.row, b.row); row++)
    for (let column = Math.min(a.column, b.column); column <= Math.max(a.column, b.column); column++) names.push(nameOf({ column, row }));
  return names;
}
