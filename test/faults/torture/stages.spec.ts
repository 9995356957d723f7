import { describe, expect, test } from '@jest/globals';
import { GaveUp, Stages } from './stages.ts';

describe('the stages of a torture', () => {
  test('give up what does not end, by its name, and say how long each took', async () => {
    const stages = new Stages();
    expect(await stages.run('quick', 10_000, () => Promise.resolve(1))).toBe(1);
    const stuck = stages.run('stuck', 1, () => new Promise(() => undefined));
    await expect(stuck).rejects.toThrow(new GaveUp('stuck: not over after 1 ms'));
    expect(stages.now).toBe('stuck');
    expect(Object.keys(stages.tookMs)).toEqual(['quick', 'stuck']);
  });

  test('pass on what a stage answers and how it fails', async () => {
    await expect(new Stages().run('wrong', 10_000, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  });
});
