import { expect, it } from '@jest/globals';
import type { Report } from './run.ts';
import { summaryOfSeeds } from './summary.ts';

const report = (more: Partial<Report>): Report => ({
  seed: 1,
  seconds: 60,
  tasks: 10_000,
  kills: 60,
  pauses: 14,
  terminatedBackends: 500,
  lost: 0,
  unexpected: 0,
  duplicated: 400,
  recovered: 20,
  acceptedTwice: 0,
  staleRefused: 900,
  reclaimP99Ms: 500,
  drainedAfterMs: 5000,
  ok: true,
  reasons: [],
  findings: [],
  ...more,
});

it('tells the worst of all seeds, and names those that were not ok', () => {
  const reports = [
    report({ seed: 1, reclaimP99Ms: 700 }),
    report({ seed: 2, drainedAfterMs: 9000, kills: 58, ok: false, reasons: ['drain_slow'] }),
  ];
  expect(summaryOfSeeds(reports)).toEqual({
    seeds: 2,
    seconds: 60,
    ok: false,
    notOk: [{ seed: 2, reasons: ['drain_slow'] }],
    worst: { lost: 0, unexpected: 0, acceptedTwice: 0, reclaimP99Ms: 700, drainedAfterMs: 9000 },
    fewest: { tasks: 10_000, kills: 58 },
  });
});

it('says that it does not know what a seed that gave up did not count', () => {
  const reports = [report({}), report({ seed: 2, tasks: null, lost: null, ok: false, reasons: ['gave_up'] })];
  expect(summaryOfSeeds(reports)).toMatchObject({ ok: false, worst: { lost: null }, fewest: { tasks: null } });
});
