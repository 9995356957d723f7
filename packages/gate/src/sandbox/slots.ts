import { availableParallelism } from 'node:os';

/** One more than there are cores: now and then each waits for something. */
const slots = Math.max(2, availableParallelism()) + 1;
let taken = 0;
const urgent: (() => void)[] = [];
const waiting: (() => void)[] = [];

/**
 * Runs of all verifications of this process share the machine: so many at a time, the others in the order in which they came. That
 * keeps every core busy, and what all of them hold together below `slots` times what one may hold.
 */
export async function inSlot<T>(work: () => Promise<T>, { first = false } = {}): Promise<T> {
  if (taken < slots) taken++;
  else await new Promise<void>((resolve) => void (first ? urgent : waiting).push(resolve));
  try {
    return await work();
  } finally {
    // A slot is handed on as it is: nobody who has just come gets in between.
    const next = urgent.shift() ?? waiting.shift();
    if (next === undefined) taken--;
    else next();
  }
}
