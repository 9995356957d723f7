import { describe, expect, it } from '@jest/globals';
import { LimitBudget, type Limit } from '../domain/limit-budget.ts';
import type { ParticularCandidate } from '../sql/claim.ts';
import type { Lane } from '../sql/lanes.ts';
import { handOut, inOrder, type Taker, type WaitingTask } from './claim-order.ts';

const lane = (id: number, more: Partial<Lane> = {}): Lane => ({
  id,
  teamId: 'a',
  projectId: 'p',
  capability: 'code.change',
  priority: 2,
  agentWish: null,
  labels: {},
  unfitAgents: [],
  agentRange: null,
  sticky: false,
  ...more,
});
const plain = (of: Lane, seq: number, readyAt = seq): WaitingTask => ({ lane: of, seq, readyAt, particular: null });
const particular = (of: Lane, seq: number, more: Partial<ParticularCandidate> = {}): WaitingTask => {
  const candidate = {
    lane: -of.id,
    seq,
    avoids: [],
    keptFor: null,
    keptForAgent: null,
    expiredAgent: null,
    readyAt: seq,
    ...more,
  };
  return { lane: of, seq, readyAt: candidate.readyAt, particular: candidate };
};
const taker = (id: string, room: number, lanes: number[], more: Partial<Taker<string>> = {}): Taker<string> => ({
  of: id,
  id,
  agent: 'coder',
  room,
  load: 0,
  lanes: new Set(lanes),
  ...more,
});
const limit = (more: Partial<Limit>): Limit => ({
  id: 'lim',
  teamId: 'a',
  projectId: null,
  capability: null,
  agent: null,
  maxRunning: null,
  maxStarts: null,
  perSeconds: null,
  ...more,
});
const free = (): LimitBudget => new LimitBudget([], []);
const seqs = (tasks: readonly WaitingTask[]): number[] => tasks.map(({ seq }) => seq);
const unlimited = (): readonly Limit[] => [];

describe('the order of claims', () => {
  const [critical, normal, low] = [lane(1, { priority: 0 }), lane(2), lane(3, { priority: 3 })];

  it('goes on first with what had begun, however urgent or old the rest is', () => {
    const waiting = [plain(critical, 1), particular(normal, 2), particular(low, 3, { expiredAgent: 'coder' })];
    expect(seqs(inOrder(waiting))).toEqual([3, 1, 2]);
  });

  it('goes by priority, with or without conditions', () => {
    expect(seqs(inOrder([particular(low, 1), plain(normal, 2), particular(normal, 3), plain(critical, 4)]))).toEqual([
      4, 2, 3, 1,
    ]);
  });

  it('lets what has waited longer than its handicap go before urgent work', () => {
    expect(seqs(inOrder([plain(critical, 1, 2_000), particular(low, 2, { readyAt: 100 })]))).toEqual([2, 1]);
    expect(seqs(inOrder([plain(critical, 1, 1_000), particular(low, 2, { readyAt: 100 })]))).toEqual([1, 2]);
  });

  it('goes round the teams, however much one of them has', () => {
    const other = lane(9, { teamId: 'b' });
    const flood = Array.from({ length: 20 }, (_, n) => plain(normal, n + 1));
    expect(seqs(inOrder([...flood, plain(other, 100), particular(other, 101)])).indexOf(101)).toBe(3);
  });
});

describe('handing out', () => {
  const one = lane(1);

  it('gives to the least loaded in turn, and leaves an instance to what is kept for it', () => {
    const tasks = [plain(one, 1), plain(one, 2), particular(one, 3, { keptFor: 'x' })];
    const { picks } = handOut(tasks, [taker('x', 1, [1]), taker('y', 2, [1], { load: 0.5 })], unlimited, free());
    expect(picks.map(({ task, taker: who }) => [task.seq, who])).toEqual([
      [1, 'y'],
      [2, 'y'],
      [3, 'x'],
    ]);
  });

  it('names the lanes of which nobody may have anything', () => {
    const { picks, nobodys } = handOut(
      [particular(one, 1, { avoids: ['x'] })],
      [taker('x', 1, [1])],
      unlimited,
      free(),
    );
    expect(picks).toEqual([]);
    expect([...nobodys]).toEqual([-1]);
  });

  it('stops at the smallest of the limits, and goes on with what they do not count', () => {
    const two = lane(2, { capability: 'code.review' });
    const limits = [
      limit({ id: 'wide', maxRunning: 5 }),
      limit({ id: 'narrow', maxRunning: 3, capability: 'code.change' }),
    ];
    const of = (at: Lane): Limit[] =>
      limits.filter(({ capability }) => capability === null || capability === at.capability);
    const budget = new LimitBudget(limits, [
      { id: 'wide', running: 1, started: 0, nextStartInMs: null },
      { id: 'narrow', running: 1, started: 0, nextStartInMs: null },
    ]);
    const tasks = [1, 2, 3, 4].flatMap((seq) => [plain(one, seq), plain(two, seq + 10)]);
    const { picks, full } = handOut(tasks, [taker('x', 10, [1, 2])], of, budget);
    expect(picks.map(({ task }) => task.seq)).toEqual([1, 11, 2, 12]);
    expect([...full]).toEqual([]);
    expect([...handOut(tasks, [taker('x', 10, [1, 2])], of, budget).full].sort()).toEqual([1, 2]);
  });

  it('lets an expired attempt be followed by the next one where the limit is reached, and counts its start', () => {
    const limits = [limit({ maxRunning: 1, maxStarts: 2, perSeconds: 60 })];
    const budget = new LimitBudget(limits, [{ id: 'lim', running: 1, started: 1, nextStartInMs: null }]);
    const tasks = [
      plain(one, 1),
      particular(one, 2, { expiredAgent: 'coder' }),
      particular(one, 3, { expiredAgent: 'coder' }),
    ];
    const { picks } = handOut(tasks, [taker('x', 3, [1])], () => limits, budget);
    expect(picks.map(({ task }) => task.seq)).toEqual([2]);
  });

  it('counts an attempt that another agent let expire as a new one of its own', () => {
    const own = [limit({ agent: 'coder', maxRunning: 1 })];
    const budget = new LimitBudget(own, [{ id: 'lim', running: 1, started: 0, nextStartInMs: null }]);
    expect(budget.take(own, 'somebody')).toBe(false);
    expect(budget.take(own, 'coder')).toBe(true);
  });
});
