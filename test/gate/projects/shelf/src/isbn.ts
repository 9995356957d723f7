import { ShelfError } from './errors.ts';

const weightsOf10 = [10, 9, 8, 7, 6, 5, 4, 3, 2, 1];

/** The check digit that the first twelve digits of an ISBN-13 ask for. */
export function checkDigit(first12: string): number {
  let sum = 0;
  for (let at = 0; at < 12; at++) sum += Number(first12[at]) * (at % 2 === 0 ? 1 : 3);
  return (10 - (sum % 10)) % 10;
}

/** Whether this is an ISBN of ten or thirteen digits whose check digit agrees; hyphens and spaces do not matter. */
export function isIsbn(text: string): boolean {
  const digits = text.replace(/[\s-]/g, '');
  if (/^\d{13}$/.test(digits)) return checkDigit(digits) === Number(digits[12]);
  if (!/^\d{9}[\dX]$/.test(digits)) return false;
  const sum = weightsOf10.reduce((total, weight, at) => total + weight * (digits[at] === 'X' ? 10 : Number(digits[at])), 0);
  return sum % 11 === 0;
}

/** The thirteen digits of an ISBN, whichever way it was written down. */
export function normalIsbn(text: string): string {
  if (!isIsbn(text)) throw new ShelfError('isbn_wrong', `${text} is no ISBN; look for a slip in its digits.`);
  const digits = text.replace(/[\s-]/g, '');
  if (digits.length === 13) return digits;
  const first12 = `978${digits.slice(0, 9)}`;
  return `${first12}${checkDigit(first12)}`;
}
