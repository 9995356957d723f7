export type Currency = 'EUR' | 'GBP' | 'SEK';

const perEuro: Record<Currency, number> = { EUR: 1, GBP: 0.85, SEK: 11.2 };

export interface Money {
  readonly cents: number;
  readonly currency: Currency;
}

export const money = (cents: number, currency: Currency = 'EUR'): Money => ({ cents: Math.round(cents), currency });

export function add(a: Money, b: Money): Money {
  if (a.currency !== b.currency) throw new RangeError(`cannot add ${b.currency} to ${a.currency}`);
  return money(a.cents + b.cents, a.currency);
}

export const times = (a: Money, factor: number): Money => money(a.cents * factor, a.currency);

export function exchange(a: Money, to: Currency): Money {
  return money((a.cents / perEuro[a.currency]) * perEuro[to], to);
}

export const format = ({ cents, currency }: Money): string => `${currency} ${(cents / 100).toFixed(2)}`;
