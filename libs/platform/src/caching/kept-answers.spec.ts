import { beforeEach, expect, test } from '@jest/globals';
import { KeptAnswers } from './kept-answers.ts';

let now: number;
/** Every read that began, answered by the test. */
let reads: { readonly answer: (value: string) => Promise<void>; readonly fail: () => Promise<void> }[];
let kept: KeptAnswers<string>;
beforeEach(() => {
  now = 0;
  reads = [];
  kept = new KeptAnswers<string>({ keptMs: 100, atMost: 3, keep: (value) => value !== 'none', now: () => now });
});
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const get = (key = 'a') =>
  kept.get(
    key,
    () =>
      new Promise((resolve, reject) => {
        reads.push({
          answer: (value) => (resolve(value), turn()),
          fail: () => (reject(new Error('no')), turn()),
        });
      }),
  );

/** An answer that is in its last quarter. */
async function keptFor90Ms(): Promise<void> {
  void get();
  await turn();
  await reads[0]?.answer('one');
  now = 90;
}

test('what is asked for all the time is read anew before it is too old, and nobody waits for that', async () => {
  const first = get();
  await turn();
  await reads[0]?.answer('one');
  expect(await first).toBe('one');
  now = 50;
  await get();
  expect(reads).toHaveLength(1);
  now = 80;
  expect(await Promise.all([get(), get()])).toEqual(['one', 'one']);
  expect(reads).toHaveLength(2);
  await reads[1]?.answer('two');
  expect(await get()).toBe('two');
  // As old as its own read.
  now = 179;
  expect(await get()).toBe('two');
  now = 181;
  const third = get();
  await turn();
  await reads[2]?.answer('three');
  expect(await third).toBe('three');
  expect(reads).toHaveLength(3);
});

test('who asks when it is too old waits for what is being read already', async () => {
  await keptFor90Ms();
  void get();
  now = 101;
  const late = [get(), get()];
  await turn();
  expect(reads).toHaveLength(2);
  await reads[1]?.answer('two');
  expect(await Promise.all(late)).toEqual(['two', 'two']);
  expect(await get()).toBe('two');
  expect(reads).toHaveLength(2);
});

test('what was cleared while it was read anew is not kept', async () => {
  await keptFor90Ms();
  void get();
  kept.clear();
  const after = get();
  await turn();
  await reads[1]?.answer('from before');
  await reads[2]?.answer('from after');
  expect(await after).toBe('from after');
  expect(await get()).toBe('from after');
  expect(reads).toHaveLength(3);
});

test('what cannot be read anew fails nobody until it is too old, and is not tried again before', async () => {
  await keptFor90Ms();
  expect(await get()).toBe('one');
  await reads[1]?.fail();
  expect(await get()).toBe('one');
  expect(reads).toHaveLength(2);
  now = 101;
  const late = get();
  await turn();
  await reads[2]?.fail();
  await expect(late).rejects.toThrow('no');
  const again = get();
  await turn();
  await reads[3]?.answer('two');
  expect(await again).toBe('two');
});

test('what takes long to be read the first time is not read twice for that', async () => {
  const first = get();
  now = 90;
  const later = get();
  await turn();
  expect(reads).toHaveLength(1);
  await reads[0]?.answer('one');
  expect(await Promise.all([first, later])).toEqual(['one', 'one']);
});

test('what is no longer there is forgotten when it is read anew', async () => {
  await keptFor90Ms();
  void get();
  await turn();
  await reads[1]?.answer('none');
  const after = get();
  await turn();
  expect(reads).toHaveLength(3);
  await reads[2]?.answer('none');
  expect(await after).toBe('none');
  void get();
  await turn();
  expect(reads).toHaveLength(4);
});

test('no more is kept than may be', async () => {
  for (const key of ['a', 'b', 'c', 'd']) {
    void get(key);
    await turn();
    await reads.at(-1)?.answer(key);
  }
  void get('b');
  await turn();
  expect(reads).toHaveLength(4);
  void get('a');
  await turn();
  expect(reads).toHaveLength(5);
});
