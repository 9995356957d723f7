import { describe, expect, it } from '@jest/globals';
import { benchDocument, measureOf, tidy } from './document.ts';

describe('the document of a bench', () => {
  it('compares medians with the best peer on PostgreSQL, and above 1 means that ours is better, whichever way better is', () => {
    const peers = { 'graphile-worker': [10, 30, 20], 'pg-boss': [5, 5, 5], 'bullmq-always': [1000, 1000, 1000] };
    const throughput = measureOf({ name: 'flow', unit: 'tasks/s', better: 'higher', ours: [50, 10, 40], peers });
    expect(throughput).toMatchObject({ ours: 40, peers: { 'graphile-worker': 20 }, ratio: 2 });
    const latency = measureOf({ name: 'latency', unit: 'ms', better: 'lower', ours: [2.5, 2.5, 9], peers });
    expect(latency).toMatchObject({ ours: 2.5, ratio: 2 });
  });

  it('has no ratio without a peer on PostgreSQL, nor against nothing', () => {
    const alone = measureOf({ name: 'idle', unit: '%', better: 'lower', ours: [3], peers: { 'bullmq-always': [1] } });
    expect(alone).toMatchObject({ ratio: null, limit: null });
    const none = { 'graphile-worker': [0] };
    expect(measureOf({ name: 'rows', unit: 'rows', better: 'lower', ours: [3], peers: none }).ratio).toBeNull();
    expect(measureOf({ name: 'rows', unit: 'rows', better: 'higher', ours: [3], peers: none }).ratio).toBeNull();
  });

  it('has exactly the keys that readers of it know', () => {
    const document = {
      bench: 'dispatch',
      machine: { cores: 2, cpu: 'one' },
      versions: { node: '24' },
      measures: [measureOf({ name: 'flow', unit: 'tasks/s', better: 'higher', ours: [1], limit: [2] })],
    };
    expect(Object.keys(document.measures[0]!)).toEqual(['name', 'unit', 'better', 'ours', 'peers', 'limit', 'ratio']);
    expect(benchDocument.parse(document)).toEqual(document);
    expect(benchDocument.safeParse({ ...document, note: 'more' }).success).toBe(false);
  });

  it('refuses what is no figure', () => {
    expect(() => tidy(Number.NaN)).toThrow('no figure');
    expect(() => measureOf({ name: 'flow', unit: 'tasks/s', better: 'higher', ours: [] })).toThrow('no median');
    expect(tidy(1234.5)).toBe(1235);
    expect(tidy(0.012345)).toBe(0.0123);
  });
});
