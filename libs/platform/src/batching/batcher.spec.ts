import { describe, expect, test } from '@jest/globals';
import { Batcher, later, Overloaded } from './index.ts';

/** Commits when the test says so, and tells what went into each commit. */
function gate() {
  const batches: string[][] = [];
  let open: () => void = () => {};
  const run = async (items: readonly string[]) => {
    batches.push([...items]);
    await new Promise<void>((resolve) => (open = resolve));
    return items.map((item) => item.toUpperCase());
  };
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  return {
    run,
    batches,
    turn,
    commit: async () => {
      open();
      await turn();
      await turn();
    },
  };
}
const failing = (code: string) => Object.assign(new Error(`PostgreSQL says ${code}`), { code });

describe('a batcher', () => {
  test('begins at once, and what arrives while it commits goes together into the next', async () => {
    const { run, batches, turn, commit } = gate();
    const batcher = new Batcher({ name: 'words', run });
    const answered: string[] = [];
    const add = (word: string) => void batcher.add(word).then((answer) => answered.push(answer));
    for (const word of ['a', 'b']) add(word);
    await turn();
    expect(batches).toEqual([['a', 'b']]);
    for (const word of ['c', 'd', 'e']) add(word);
    await turn();
    expect(batches).toHaveLength(1);
    expect(answered).toEqual([]);
    await commit();
    expect(answered).toEqual(['A', 'B']);
    expect(batches).toEqual([
      ['a', 'b'],
      ['c', 'd', 'e'],
    ]);
    await commit();
    expect(answered).toEqual(['A', 'B', 'C', 'D', 'E']);
  });

  test('begins with a batch that one group fills beside what runs, as many of them as it was told, and takes nobody else along', async () => {
    const begun: string[][] = [];
    const ends: (() => void)[] = [];
    const batcher = new Batcher<string, string>({
      name: 'words',
      maxItems: 2,
      fullBeside: 1,
      fairnessKey: (word) => word.slice(0, 1),
      beside: { groupOf: (key) => key, atMost: 1 },
      run: async (items) => {
        begun.push([...items]);
        await new Promise<void>((resolve) => ends.push(resolve));
        return items;
      },
    });
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    const add = async (...words: string[]): Promise<void> => {
      for (const word of words) void batcher.add(word);
      await turn();
    };
    const end = async (number: number): Promise<void> => {
      ends[number]?.();
      await turn();
      await turn();
    };
    await add('a1');
    await add('b1');
    await add('b2', 'a2');
    // Two wait, and each of them for one of their own.
    expect(begun).toEqual([['a1'], ['b1']]);
    await add('a3');
    expect(begun.slice(2)).toEqual([['a2', 'a3']]);
    await add('a4', 'a5', 'b3', 'b4');
    expect(begun).toHaveLength(3);
    await end(1);
    expect(begun.slice(3)).toEqual([['b2', 'b3']]);
    await end(2);
    expect(begun.slice(4)).toEqual([['a4', 'a5']]);
    await end(0);
    await end(3);
    expect(begun.slice(5)).toEqual([['b4']]);
  });

  test('takes an item whose row is locked into a later batch, and answers the others meanwhile', async () => {
    let locked = true;
    const batches: string[][] = [];
    const batcher = new Batcher<string, string>({
      name: 'words',
      run: async (items) => {
        batches.push([...items]);
        return items.map((item) => (item === 'b' && locked ? later : item.toUpperCase()));
      },
    });
    const [a, b] = [batcher.add('a'), batcher.add('b')];
    expect(await a).toBe('A');
    expect(await batcher.add('c')).toBe('C');
    locked = false;
    expect(await b).toBe('B');
    expect(batches[0]).toEqual(['a', 'b']);
    expect(batches.at(-1)).toEqual(['b']);
  });

  test('has the next batch under way before it answers the callers of the last', async () => {
    const { run, batches, turn, commit } = gate();
    const batcher = new Batcher({ name: 'words', run });
    const begunWhenAnswered: number[] = [];
    const add = (word: string) => void batcher.add(word).then(() => begunWhenAnswered.push(batches.length));
    add('a');
    await turn();
    add('b');
    await commit();
    await commit();
    expect(batches).toEqual([['a'], ['b']]);
    expect(begunWhenAnswered).toEqual([2, 2]);
  });

  test('that may linger takes along who comes meanwhile, at first and after each commit', async () => {
    const { run, batches, turn, commit } = gate();
    const batcher = new Batcher({ name: 'words', run, lingerMs: 20 });
    const lingered = async (count: number) => {
      for (let n = 0; n < 500 && batches.length < count; n++) await new Promise((wake) => setTimeout(wake, 5));
    };
    void batcher.add('a');
    await turn();
    void batcher.add('b');
    expect(batches).toEqual([]);
    await lingered(1);
    expect(batches).toEqual([['a', 'b']]);
    void batcher.add('c');
    await commit();
    void batcher.add('d');
    expect(batches).toHaveLength(1);
    await lingered(2);
    expect(batches.slice(1)).toEqual([['c', 'd']]);
    await commit();
  });

  test('fills a batch from everyone in turn, and no batch is larger than it may be', async () => {
    const { run, batches, turn, commit } = gate();
    const batcher = new Batcher({ name: 'words', run, maxItems: 4, fairnessKey: (word) => word.charAt(0) });
    for (const word of ['a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7', 'b1', 'b2', 'c1']) void batcher.add(word);
    await turn();
    for (let n = 0; n < 3; n++) await commit();
    expect(batches).toEqual([
      ['a1', 'b1', 'c1', 'a2'],
      ['b2', 'a3', 'a4', 'a5'],
      ['a6', 'a7'],
    ]);
  });

  test('lets others begin beside a batch that has nothing of theirs, and each go on in its own order', async () => {
    const batches: string[][] = [];
    const commits: (() => void)[] = [];
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    const batcher = new Batcher({
      name: 'words',
      fairnessKey: (word: string) => word.slice(0, 2),
      beside: { groupOf: (key) => key.charAt(0), atMost: 1 },
      run: async (items: readonly string[]) => {
        batches.push([...items]);
        await new Promise<void>((resolve) => commits.push(resolve));
        return items;
      },
    });
    const add = async (...words: string[]) => {
      for (const word of words) void batcher.add(word);
      await turn();
    };
    const commit = async (place: number) => {
      commits[place]?.();
      await turn();
      await turn();
    };
    await add('ax1', 'ay1');
    // Of the same group, whatever its key: it waits. Of another: it does not, and the third has to.
    await add('az1');
    expect(batches).toEqual([['ax1', 'ay1']]);
    await add('bx1');
    await add('bx2', 'cx1');
    expect(batches).toEqual([['ax1', 'ay1'], ['bx1']]);
    await commit(1);
    expect(batches.slice(2)).toEqual([['bx2', 'cx1']]);
    await add('dx1');
    await commit(0);
    expect(batches.slice(3)).toEqual([['az1', 'dx1']]);
  });

  test('ends a batch with the item that makes it too large, and takes the next ones up after it', async () => {
    const { run, batches, turn, commit } = gate();
    const mebibytes = 2 ** 20;
    const batcher = new Batcher({ name: 'words', run, bytesOf: (word) => Number(word.slice(1)) * mebibytes });
    for (const word of ['a10', 'b10', 'c1', 'd40', 'e1', 'f1']) void batcher.add(word);
    await turn();
    for (let n = 0; n < 3; n++) await commit();
    expect(batches).toEqual([
      ['a10', 'b10'],
      ['c1', 'd40'],
      ['e1', 'f1'],
    ]);
  });

  test('refuses who filled the queue, and still takes the others', async () => {
    const { run, batches, turn, commit } = gate();
    const batcher = new Batcher({ name: 'words', run, maxWaiting: 4, fairnessKey: (word) => word.charAt(0) });
    void batcher.add('a0');
    await turn();
    for (const word of ['a1', 'a2', 'a3', 'a4']) void batcher.add(word);
    const refused = await batcher.add('a5').catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Overloaded);
    expect(refused).toMatchObject({
      code: 'platform.overloaded',
      status: 503,
      data: { what: 'words', waiting: 4, retryAfterSeconds: 1 },
    });
    for (const word of ['b1', 'b2']) void batcher.add(word);
    await expect(batcher.add('b3')).rejects.toThrow(Overloaded);
    await commit();
    expect(batches[1]).toEqual(['a1', 'b1', 'a2', 'b2', 'a3', 'a4']);
    await commit();
    const again = batcher.add('a6');
    await turn();
    await commit();
    expect(await again).toBe('A6');
  });

  test('lets a bad row fail alone', async () => {
    const sizes: number[] = [];
    const batcher = new Batcher({
      name: 'numbers',
      run: (items: readonly number[]) => {
        sizes.push(items.length);
        return items.some((item) => item === 13 || item === 77)
          ? Promise.reject(failing('23514'))
          : Promise.resolve(items.map((item) => item * 2));
      },
    });
    const results = await Promise.allSettled(Array.from({ length: 100 }, (_, n) => batcher.add(n)));
    results.forEach((result, n) => {
      if (n === 13 || n === 77) expect(result).toMatchObject({ status: 'rejected', reason: { code: '23514' } });
      else expect(result).toEqual({ status: 'fulfilled', value: n * 2 });
    });
    expect(sizes.length).toBeLessThan(30);
  });

  test('tries again what PostgreSQL rolled back or never got, and nothing that may have been committed', async () => {
    for (const [code, repeatable, tries] of [
      ['40001', false, 3],
      ['40P01', false, 3],
      ['ECONNREFUSED', false, 3],
      ['57P03', false, 3],
      ['57P01', false, 1],
      ['ECONNRESET', false, 1],
      ['57P01', true, 3],
      ['ECONNRESET', true, 3],
      ['23505', true, 1],
      ['57P01', (items: readonly string[]) => items.every((item) => item === 'x'), 3],
      ['57P01', (items: readonly string[]) => items.every((item) => item !== 'x'), 1],
    ] as const) {
      let tried = 0;
      const batcher = new Batcher({
        name: 'tries',
        repeatable,
        run: (items: readonly string[]) => (++tried < 3 ? Promise.reject(failing(code)) : Promise.resolve(items)),
      });
      const result = await batcher.add('x').catch((error: unknown) => error);
      expect([code, tried, result instanceof Error]).toEqual([code, tries, tries === 1]);
    }
  });

  test('does not take a batch apart whose fate is unknown', async () => {
    for (const error of [
      failing('57P01'),
      new Error('Connection terminated unexpectedly'),
      new TypeError('a mistake'),
    ]) {
      let tried = 0;
      const batcher = new Batcher({
        name: 'fates',
        run: () => {
          tried++;
          return Promise.reject(error);
        },
      });
      const results = await Promise.allSettled([batcher.add(1), batcher.add(2), batcher.add(3)]);
      expect(results.map((result) => result.status === 'rejected' && result.reason === error)).toEqual([
        true,
        true,
        true,
      ]);
      expect(tried).toBe(1);
    }
  });

  test('answers nobody with the answer of another', async () => {
    const batcher = new Batcher({ name: 'words', run: (items: readonly string[]) => Promise.resolve(items.slice(1)) });
    const results = await Promise.allSettled([batcher.add('a'), batcher.add('b')]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });
});
