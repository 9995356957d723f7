import type { Value } from './functions';

export interface Format {
  decimals?: number;
  thousands?: boolean;
  percent?: boolean;
}

const grouped = (digits: string): string => digits.replace(/\B(?=(\d{3})+(?!\d))/g, ' ');

/** A value as it is shown. */
export function show(value: Value, format: Format = {}): string {
  if (value === null) return '';
  if (typeof value === 'boolean') return value ? 'TRUE' : 'FALSE';
  if (typeof value === 'string') return value;
  if (Number.isNaN(value)) return '#VALUE!';
  if (!Number.isFinite(value)) return '#DIV/0!';
  const scaled = format.percent === true ? value * 100 : value;
  const [whole, fraction] = (format.decimals === undefined ? String(scaled) : scaled.toFixed(format.decimals)).split('.');
  const left = format.thousands === true ? grouped(whole!) : whole!;
  return `${left}${fraction === undefined ? '' : `.${fraction}`}${format.percent === true ? ' %' : ''}`;
}
