/** Money is whole cents, so that nothing is ever lost to floating point. */
export type Cents = number;

export function parseAmount(text: string): Cents {
  const match = /^(-)?(\d+)(?:\.(\d{1,2}))?$/.exec(text.trim());
  if (!match) throw new Error(`"${text}" is not an amount like 12.50`);
  const [, minus, whole, fraction = ''] = match;
  const cents = Number(whole) * 100 + Number(fraction.padEnd(2, '0'));
  return minus ? -cents : cents;
}

export function formatAmount(cents: Cents): string {
  const sign = cents < 0 ? '-' : '';
  const absolute = Math.abs(cents);
  const whole = Math.floor(absolute / 100);
  const fraction = String(absolute % 100).padStart(2, '0');
  return `${sign}${whole}.${fraction}`;
}

/** Splits a sum into parts that differ by at most one cent and add up to it exactly; the first ones get the rest. */
export function split(total: Cents, parts: number): Cents[] {
  if (!Number.isInteger(parts) || parts < 1) throw new Error('A sum is split into at least one part');
  const each = Math.trunc(total / parts);
  const rest = Math.abs(total - each * parts);
  const step = Math.sign(total);
  return Array.from({ length: parts }, (_, index) => each + (index < rest ? step : 0));
}
