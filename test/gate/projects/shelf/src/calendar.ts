const dayMs = 24 * 60 * 60 * 1000;

/** A day of the calendar without a time, as ISO writes it. */
export type Day = string;

const startOf = (day: Day): number => Date.parse(`${day}T00:00:00Z`);

/** The day that is so many days later, or earlier when `days` is negative. */
export function plusDays(day: Day, days: number): Day {
  return new Date(startOf(day) + days * dayMs).toISOString().slice(0, 10);
}

/** Days from one to the other; negative when `to` is the earlier one. */
export function daysBetween(from: Day, to: Day): number {
  return Math.round((startOf(to) - startOf(from)) / dayMs);
}

/** When the library is open: not on these days of the week (0 is Sunday), and not on these days. */
export interface Opening {
  closedWeekdays: readonly number[];
  closedDays: readonly Day[];
}

/** Whether readers can come on this day. */
export function isOpen(day: Day, opening: Opening): boolean {
  const weekday = new Date(startOf(day)).getUTCDay();
  return !opening.closedWeekdays.includes(weekday) && !opening.closedDays.includes(day);
}

/** How many open days lie after `from`, up to and with `to`. */
export function openDaysBetween(from: Day, to: Day, opening: Opening): number {
  let count = 0;
  for (let day = plusDays(from, 1); day <= to; day = plusDays(day, 1)) if (isOpen(day, opening)) count++;
  return count;
}
