const digits = '0123456789abcdefghjkmnpqrstvwxyz';

/** The lowest id that a task can have that was made then: ids begin with their moment, so bounds in time are bounds of the index. */
export function taskIdAt(ms: number): string {
  let rest = Math.max(0, Math.floor(ms));
  let text = '';
  for (let place = 0; place < 10; place++) {
    text = (digits[rest % 32] ?? '0') + text;
    rest = Math.floor(rest / 32);
  }
  return `task_${text}${'0'.repeat(16)}`;
}

/** When it was made, by the clock of the server that made it; null for an id that none made. */
export function timeOfTaskId(taskId: string): number | null {
  const [, text] = /^task_([0-7][0-9a-hjkmnp-tv-z]{9})[0-9a-hjkmnp-tv-z]{16}$/.exec(taskId) ?? [];
  if (text === undefined) return null;
  return [...text].reduce((ms, digit) => ms * 32 + digits.indexOf(digit), 0);
}
