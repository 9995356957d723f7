import { daysBetween, type Day } from './calendar.ts';
import { asMoney } from './fines.ts';

export interface Reminder {
  reader: string;
  title: string;
  due: Day;
  fine: number;
}

/** How urgent a reminder is, by the days that a book is late. */
export function toneOf(daysLate: number): 'kind' | 'firm' | 'last' {
  if (daysLate < 7) return 'kind';
  return daysLate < 28 ? 'firm' : 'last';
}

const openings = {
  kind: 'perhaps you forgot that a book of ours is due:',
  firm: 'please bring back the book that you have had for too long:',
  last: 'this is our last letter before we charge you for the book:',
} as const;

/** The letter that reminds a reader of a book. */
export function reminderLetter(reminder: Reminder, today: Day): string {
  const late = daysBetween(reminder.due, today);
  const lines = [
    `Dear ${reminder.reader},`,
    '',
    openings[toneOf(late)],
    `“${reminder.title}”, due on ${reminder.due}, ${late} day${late === 1 ? '' : 's'} late.`,
  ];
  if (reminder.fine > 0) lines.push(`So far it costs you ${asMoney(reminder.fine)}.`);
  return lines.join('\n');
}
