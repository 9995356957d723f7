import { describe, expect, it } from '@jest/globals';
import { availableParallelism } from 'node:os';
import { inSlot } from './slots.ts';

describe('slots', () => {
  it('let so many run at a time, what others wait for first, and hand on what fails', async () => {
    const slots = Math.max(2, availableParallelism()) + 1;
    const order: string[] = [];
    const open: (() => void)[] = [];
    const run = (name: string, first = false): Promise<void> =>
      inSlot(
        () => {
          order.push(name);
          return new Promise<void>((resolve, reject) =>
            open.push(() => (name === 'fails' ? reject(new Error(name)) : resolve())),
          );
        },
        { first },
      ).catch(() => undefined);
    const all = [
      ...Array.from({ length: slots - 1 }, (_each, at) => run(`early ${at}`)),
      run('fails'),
      run('later'),
      run('last'),
      run('urgent', true),
    ];
    expect(order).toHaveLength(slots);
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    while (open.length > 0) {
      open.pop()!();
      await turn();
    }
    await Promise.all(all);
    expect(order.slice(slots)).toEqual(['urgent', 'later', 'last']);
  });
});
