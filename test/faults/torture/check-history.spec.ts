import { describe, expect, it } from '@jest/globals';
import { checkHistory, type Reason } from './check-history.ts';
import type { AgentOperation, FinalTask, History, LoggedEvent } from './history.ts';

const leaseMs = 4000;
let positions = 0;
const event = (type: string, subject: string, fence: number | null = null, atMs = 0): LoggedEvent => {
  positions += 1;
  return { position: positions, id: `evt_${positions}`, type, subject, atMs, fence };
};
const start = (taskId: string, fence: number, process = 'agent-1.1'): AgentOperation => ({
  process,
  f: 'start',
  type: 'ok',
  taskId,
  fence,
});
const complete = (taskId: string, fence: number, type: AgentOperation['type'] = 'ok'): AgentOperation => ({
  process: 'agent-1.1',
  f: 'complete',
  type,
  taskId,
  fence,
});
const done = (id: string, key: string, fence: number, attempts: FinalTask['attempts'] = null): FinalTask => ({
  id,
  key,
  state: 'succeeded',
  acceptedFence: fence,
  costUsd: 0.01,
  attempts,
});

/**
 * Four tasks. The first: as it should be. The second: nobody answered its creation, and it was done all the same. The third: its
 * first attempt was lost, and what it wrote afterwards was refused. The fourth: asked for in vain.
 */
function good(): History {
  positions = 0;
  const events = [
    event('task.created', 'task_1'),
    event('task.started', 'task_1', 1),
    event('task.succeeded', 'task_1'),
    event('task.created', 'task_2'),
    event('task.started', 'task_2', 2),
    event('task.created', 'task_3'),
    event('task.started', 'task_3', 3),
    event('task.succeeded', 'task_2'),
    event('task.lease_expired', 'task_3', 3, 10_050),
    event('task.started', 'task_3', 4, 10_060),
    event('task.succeeded', 'task_3'),
  ];
  return {
    leaseMs,
    limits: { reclaimP99Ms: 1000, drainLeases: 2 },
    agentClockOffsetMs: 0,
    steppedOver: [],
    creations: [
      { f: 'create', type: 'invoke', key: 'a' },
      { f: 'create', type: 'ok', key: 'a', taskId: 'task_1' },
      { f: 'create', type: 'invoke', key: 'b' },
      { f: 'create', type: 'info', key: 'b' },
      { f: 'create', type: 'invoke', key: 'c' },
      { f: 'create', type: 'ok', key: 'c', taskId: 'task_3' },
      { f: 'create', type: 'invoke', key: 'd' },
      { f: 'create', type: 'info', key: 'd' },
    ],
    agents: [
      start('task_1', 1),
      complete('task_1', 1, 'invoke'),
      complete('task_1', 1),
      start('task_2', 2),
      // Its answer was lost.
      complete('task_2', 2, 'invoke'),
      start('task_3', 3),
      start('task_3', 4, 'agent-2.1'),
      {
        process: 'agent-1.1',
        f: 'late',
        verb: 'complete',
        type: 'fail',
        taskId: 'task_3',
        fence: 3,
        error: 'runtime.stale_lease',
      },
      complete('task_3', 4),
    ],
    tasks: [
      done('task_1', 'a', 1),
      done('task_2', 'b', 2),
      done('task_3', 'c', 4, [
        { fence: 3, outcome: 'expired' },
        { fence: 4, outcome: 'completed' },
      ]),
    ],
    events,
    hiddenPositions: [],
    followed: events.map(({ id }) => id),
    expiries: new Map([[3, 10_000]]),
    outages: [],
    drainedAfterMs: 5000,
    costUsd: 0.01,
  };
}

it('finds nothing in a history that keeps every promise', () => {
  expect(checkHistory(good())).toMatchObject({
    tasks: 3,
    lost: 0,
    unexpected: 0,
    duplicated: 1,
    recovered: 1,
    acceptedTwice: 0,
    createdTwice: 0,
    staleRefused: 1,
    reclaims: 1,
    reclaimP99Ms: 60,
    drainedAfterMs: 5000,
    findings: [],
    ok: true,
  });
});

it('tells which part of a re-claim took how long, on the clock of the database', () => {
  const history = good();
  const agents = history.agents.map((one) => (one.f === 'start' && one.fence === 4 ? { ...one, atMs: 90 } : one));
  expect(checkHistory({ ...history, agents, agentClockOffsetMs: 10_000 })).toMatchObject({
    reclaimPhases: {
      offered: { p50Ms: 50, p99Ms: 50, maxMs: 50 },
      claimed: { p50Ms: 10, p99Ms: 10, maxMs: 10 },
      begun: { p50Ms: 30, p99Ms: 30, maxMs: 30 },
    },
  });
});

it('tells apart what waited because the clock of the database was stepped over its lease', () => {
  expect(checkHistory({ ...good(), expiries: new Map([[3, 8000]]), steppedOver: [3] })).toMatchObject({
    reclaims: 0,
    reclaimP99Ms: null,
    reclaimsAfterClockStep: 1,
    reclaimAfterClockStepMaxMs: 2060,
    ok: true,
  });
});

const withTask = (history: History, id: string, more: Partial<FinalTask>): History => ({
  ...history,
  tasks: history.tasks.map((task) => (task.id === id ? { ...task, ...more } : task)),
});
const withEvents = (history: History, events: readonly LoggedEvent[]): History => ({
  ...history,
  events,
  followed: events.map(({ id }) => id),
});
const withAgents = (history: History, ...more: AgentOperation[]): History => ({
  ...history,
  agents: [...history.agents, ...more],
});
const renumbered = (events: readonly LoggedEvent[]): LoggedEvent[] =>
  events.map((each, place) => ({ ...each, position: place + 1, id: `evt_${place + 1}` }));

describe('a history is refused', () => {
  const bad: readonly (readonly [string, Reason, (history: History) => History])[] = [
    [
      'when an answered creation is gone',
      'lost',
      (h) => ({ ...h, tasks: h.tasks.filter(({ id }) => id !== 'task_1') }),
    ],
    ['when a task never ended', 'lost', (h) => withTask(h, 'task_1', { state: 'running', acceptedFence: null })],
    [
      'when an answered completion is gone',
      'lost',
      (h) => withTask(h, 'task_1', { state: 'failed', acceptedFence: null }),
    ],
    [
      'when a task is there that nobody asked for',
      'unexpected',
      (h) => ({ ...h, tasks: [...h.tasks, done('task_9', 'z', 9)] }),
    ],
    [
      'when a refused creation made a task',
      'unexpected',
      (h) => ({
        ...h,
        creations: h.creations.map((one) => (one.key === 'b' && one.type === 'info' ? { ...one, type: 'fail' } : one)),
      }),
    ],
    ['when a task failed that nobody failed', 'unexpected', (h) => withTask(h, 'task_2', { state: 'failed' })],
    [
      'when an agent was given an attempt that was never written down',
      'unexpected',
      (h) => withAgents(h, start('task_1', 77)),
    ],
    ['when a task succeeded without an accepted attempt', 'unexpected', (h) => withTask(h, 'task_2', { attempts: [] })],
    [
      'when a finished task has an open attempt',
      'unexpected',
      (h) =>
        withTask(h, 'task_1', {
          attempts: [
            { fence: 1, outcome: 'completed' },
            { fence: 5, outcome: null },
          ],
        }),
    ],
    ['when two fences were told that they are done', 'accepted_twice', (h) => withAgents(h, complete('task_3', 3))],
    ['when the output is not of who was told', 'accepted_twice', (h) => withTask(h, 'task_1', { acceptedFence: 2 })],
    [
      'when two attempts are completed',
      'accepted_twice',
      (h) =>
        withTask(h, 'task_3', {
          attempts: [
            { fence: 3, outcome: 'completed' },
            { fence: 4, outcome: 'completed' },
          ],
        }),
    ],
    [
      'when a task ended twice',
      'accepted_twice',
      (h) => withEvents(h, [...h.events, { ...h.events[2]!, position: 12, id: 'evt_12' }]),
    ],
    [
      'when one key was answered with two tasks',
      'created_twice',
      (h) => ({ ...h, creations: [...h.creations, { f: 'create', type: 'ok', key: 'a', taskId: 'task_2' }] }),
    ],
    ['when one key made two tasks', 'created_twice', (h) => ({ ...h, tasks: [...h.tasks, done('task_9', 'a', 9)] })],
    ['when two processes got one fence', 'fence_shared', (h) => withAgents(h, start('task_1', 1, 'agent-2.1'))],
    [
      'when a later attempt has a lower fence',
      'fence_not_growing',
      (h) =>
        withTask(h, 'task_3', {
          attempts: [
            { fence: 5, outcome: 'expired' },
            { fence: 4, outcome: 'completed' },
          ],
        }),
    ],
    [
      'when a lost fence could write',
      'stale_accepted',
      (h) =>
        withAgents(h, { process: 'agent-1.1', f: 'late', verb: 'progress', type: 'ok', taskId: 'task_3', fence: 3 }),
    ],
    [
      'when the log has a gap',
      'event_log_gap',
      (h) =>
        withEvents(
          h,
          h.events.map((each, place) => (place > 4 ? { ...each, position: each.position + 1 } : each)),
        ),
    ],
    ['when the log gives a position twice', 'event_log_twice', (h) => withEvents(h, [...h.events, h.events[10]!])],
    [
      'when an end is not told',
      'event_missing',
      (h) => withEvents(h, renumbered(h.events.filter(({ position }) => position !== 3))),
    ],
    ['when a creation is not told', 'event_missing', (h) => withEvents(h, renumbered(h.events.slice(1)))],
    ['when a creation is told twice', 'event_too_many', (h) => withEvents(h, renumbered([h.events[0]!, ...h.events]))],
    [
      'when a start is not told',
      'event_missing',
      (h) => withEvents(h, renumbered(h.events.filter(({ fence }) => fence !== 4))),
    ],
    [
      'when who followed missed an event',
      'followed_differs',
      (h) => ({ ...h, followed: h.followed.filter((_, place) => place !== 4) }),
    ],
    ['when who followed got another order', 'followed_differs', (h) => ({ ...h, followed: [...h.followed].reverse() })],
    ['when a cost was counted twice', 'cost_wrong', (h) => withTask(h, 'task_1', { costUsd: 0.02 })],
    ['when an expired lease waited for too long', 'reclaim_slow', (h) => ({ ...h, expiries: new Map([[3, 8000]]) })],
    ['when it drained late', 'drain_slow', (h) => ({ ...h, drainedAfterMs: 2 * leaseMs + 1 })],
    ['when it never drained', 'drain_slow', (h) => ({ ...h, drainedAfterMs: null })],
  ];
  it.each(bad)('%s', (_what, reason, change) => {
    const verdict = checkHistory(change(good()));
    expect(verdict.findings.map((finding) => finding.reason)).toContain(reason);
    expect(verdict.ok).toBe(false);
  });

  it('with a count for each kind', () => {
    const history = withAgents(
      withTask(good(), 'task_1', { state: 'queued', acceptedFence: null }),
      complete('task_3', 3),
    );
    expect(checkHistory(history)).toMatchObject({ lost: 1, acceptedTwice: 1, unexpected: 0, ok: false });
  });
});

describe('a history is not refused', () => {
  const fine: readonly (readonly [string, (history: History) => History])[] = [
    ['when an unanswered creation never came to be', (h) => h],
    [
      'when positions are missing that others may see',
      (h) => ({
        ...withEvents(
          h,
          h.events.map((each) => ({ ...each, position: each.position + 2 })),
        ),
        hiddenPositions: [1, 2],
      }),
    ],
    [
      'when the holder finished late and nobody had claimed',
      (h) => ({ ...h, agents: h.agents.map((each) => (each.fence === 1 ? { ...each } : each)) }),
    ],
    [
      'when the lease ran out while PostgreSQL was down',
      (h) => ({ ...h, expiries: new Map([[3, 2000]]), outages: [{ fromMs: 1000, toMs: 9990 }] }),
    ],
    ['when the same process is told the same attempt again', (h) => withAgents(h, start('task_1', 1))],
    ['when an answer was lost on the way', (h) => withAgents(h, complete('task_1', 1, 'info'))],
  ];
  it.each(fine)('%s', (_what, change) => {
    expect(checkHistory(change(good())).findings).toEqual([]);
  });
});
