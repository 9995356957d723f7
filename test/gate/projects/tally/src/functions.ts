export type Value = number | string | boolean | null;
export type Argument = Value | Value[];

export const numbersOf = (args: Argument[]): number[] => args.flat().filter((each): each is number => typeof each === 'number');

function roundTo(value: number, digits: number): number {
  const scale = 10 ** digits;
  return Math.round(value * scale) / scale;
}

const median = (values: number[]): number => {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

/** What formulas may call. Ranges arrive as lists. */
export const functions: Record<string, (...args: Argument[]) => Value> = {
  SUM: (...args) => numbersOf(args).reduce((sum, each) => sum + each, 0),
  COUNT: (...args) => numbersOf(args).length,
  AVERAGE: (...args) => {
    const numbers = numbersOf(args);
    return numbers.reduce((sum, each) => sum + each, 0) / numbers.length;
  },
  MIN: (...args) => Math.min(...numbersOf(args)),
  MAX: (...args) => Math.max(...numbersOf(args)),
  MEDIAN: (...args) => median(numbersOf(args)),
  ROUND: (value, digits = 0) => roundTo(Number(value), Number(digits)),
  IF: (condition, then, otherwise = false) => (condition ? then : otherwise) as Value,
  LEN: (text) => String(text ?? '').length,
  UPPER: (text) => String(text ?? '').toUpperCase(),
  TRIM: (text) => String(text ?? '').trim().replace(/\s+/g, ' '),
};
