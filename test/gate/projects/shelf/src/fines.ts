import { openDaysBetween, type Day, type Opening } from './calendar.ts';

export interface FineRules {
  centsPerDay: number;
  graceDays: number;
  mostCents: number;
}

export const usualFines: FineRules = { centsPerDay: 25, graceDays: 2, mostCents: 1000 };

/** What a book that was due costs when it comes back on this day, in cents. */
export function fineFor(due: Day, returned: Day, opening: Opening, rules: FineRules = usualFines): number {
  const late = openDaysBetween(due, returned, opening) - rules.graceDays;
  if (late <= 0) return 0;
  return Math.min(late * rules.centsPerDay, rules.mostCents);
}

/** Cents as people read them. */
export function asMoney(cents: number, currency = '€'): string {
  const sign = cents < 0 ? '-' : '';
  const whole = Math.floor(Math.abs(cents) / 100);
  return `${sign}${whole}.${String(Math.abs(cents) % 100).padStart(2, '0')} ${currency}`;
}
