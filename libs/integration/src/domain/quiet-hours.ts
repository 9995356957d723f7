import type { LandingPolicy } from '@muster/contracts';

const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
const minutesOf = (time: string): number => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
const DAY = 24 * 60;

function localTime(now: Date, timeZone: string): { day: number; minutes: number } {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).formatToParts(now);
  const part = (type: string): string => parts.find((found) => found.type === type)?.value ?? '';
  return {
    day: days.findIndex((day) => day === part('weekday').toLowerCase()),
    minutes: Number(part('hour')) * 60 + Number(part('minute')),
  };
}

/** Seconds until the quiet hours that it is in are over; 0 when nothing is to be quiet. Asked again then: clocks may be put back. */
export function quietSeconds(now: Date, quietHours: LandingPolicy['quietHours']): number {
  let longest = 0;
  for (const { days: on, from, to, timeZone } of quietHours) {
    const { day, minutes } = localTime(now, timeZone);
    const [begin, end] = [minutesOf(from), minutesOf(to)];
    const length = end > begin ? end - begin : end + DAY - begin;
    // It may have begun today or, over midnight, yesterday.
    for (const back of [0, 1]) {
      const began = days[(day - back + 7) % 7];
      const since = minutes + back * DAY - begin;
      if (began === undefined || (on !== undefined && !on.includes(began)) || since < 0 || since >= length) continue;
      longest = Math.max(longest, (length - since) * 60 - now.getUTCSeconds());
    }
  }
  return longest;
}
