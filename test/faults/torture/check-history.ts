import type { AgentOperation, History, LoggedEvent } from './history.ts';

/** Why a run is refused. Planted bugs name the one by which they must be found. */
export type Reason =
  | 'lost'
  | 'unexpected'
  | 'accepted_twice'
  | 'created_twice'
  | 'fence_shared'
  | 'fence_not_growing'
  | 'stale_accepted'
  | 'event_log_gap'
  | 'event_log_twice'
  | 'event_missing'
  | 'event_too_many'
  | 'followed_differs'
  | 'cost_wrong'
  | 'reclaim_slow'
  | 'drain_slow';

export interface Finding {
  readonly reason: Reason;
  readonly subject: string;
  readonly detail: string;
}

export interface Phase {
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly maxMs: number | null;
}

export interface Verdict {
  readonly tasks: number;
  readonly lost: number;
  readonly unexpected: number;
  /** Tasks that more than one attempt began: at least once is what is promised. */
  readonly duplicated: number;
  /** Tasks whose creation nobody answered, and which were made and done nevertheless. */
  readonly recovered: number;
  readonly acceptedTwice: number;
  readonly createdTwice: number;
  readonly staleRefused: number;
  readonly reclaims: number;
  /** From the expiry, without the time for which PostgreSQL was shut down. */
  readonly reclaimP99Ms: number | null;
  readonly reclaimMaxMs: number | null;
  /** Of leases over which the database's clock was stepped; the figures above are without them. */
  readonly reclaimsAfterClockStep: number;
  readonly reclaimAfterClockStepMaxMs: number | null;
  /** Where that time goes: until it is offered, from there until it is claimed, and from there until an agent has begun. */
  readonly reclaimPhases: { readonly offered: Phase; readonly claimed: Phase; readonly begun: Phase };
  readonly drainedAfterMs: number | null;
  readonly findings: readonly Finding[];
  readonly ok: boolean;
}

const final = new Set(['succeeded', 'failed', 'cancelled']);
const terminalEvents = new Set(['task.succeeded', 'task.failed', 'task.cancelled']);

/** Weighs a whole history. Pure: everything that happened is in what it is given. */
export function checkHistory(history: History): Verdict {
  const findings: Finding[] = [];
  const find = (reason: Reason, subject: string, detail: string): void =>
    void findings.push({ reason, subject, detail });
  const subjects = (reason: Reason): number =>
    new Set(findings.filter((one) => one.reason === reason).map(({ subject }) => subject)).size;

  const recovered = checkCreations(history, find);
  const acceptedBy = checkAgents(history, find);
  const eventsOf = checkLog(history, find);
  for (const task of history.tasks) {
    if (!final.has(task.state)) find('lost', task.id, `is still ${task.state}`);
    else if (task.state !== 'succeeded') find('unexpected', task.id, `${task.state}, and nobody asked for that`);
    checkAcceptance(task, acceptedBy.get(task.id) ?? new Set(), find);
    checkEventsOfTask(task, eventsOf.get(task.id) ?? [], find);
    if (task.state === 'succeeded' && Math.abs(task.costUsd - history.costUsd) > 1e-9)
      find('cost_wrong', task.id, `costs ${task.costUsd}, and ${history.costUsd} was reported once`);
  }
  checkStarts(history, eventsOf, find);

  const all = reclaimsOf(history, eventsOf);
  const waitOf = ({ offeredMs, claimedMs }: Reclaim): number => offeredMs + claimedMs;
  // A step of the database's clock takes every lease there is away at once. It may cost time, which is told beside the others.
  const reclaims = all.filter(({ steppedOver }) => !steppedOver);
  const afterClockStep = all.filter(({ steppedOver }) => steppedOver).map(waitOf);
  const waits = reclaims.map(waitOf);
  const reclaimP99Ms = percentileOf(waits, 0.99);
  if (reclaimP99Ms !== null && reclaimP99Ms > history.limits.reclaimP99Ms)
    find(
      'reclaim_slow',
      'all',
      `99 % were claimed again within ${reclaimP99Ms} ms, not ${history.limits.reclaimP99Ms}`,
    );
  const { drainedAfterMs, leaseMs, limits } = history;
  const drainLimitMs = limits.drainLeases * leaseMs;
  if (drainedAfterMs === null || drainedAfterMs > drainLimitMs)
    find(
      'drain_slow',
      'all',
      `drained after ${drainedAfterMs ?? 'more than the patience of the run in'} ms, not ${drainLimitMs}`,
    );

  const begun = Map.groupBy(
    history.agents.filter(({ f, type }) => f === 'start' && type === 'ok'),
    ({ taskId }) => taskId,
  );
  const late = history.agents.filter(({ type, error }) => type === 'fail' && error === 'runtime.stale_lease');
  return {
    tasks: history.tasks.length,
    lost: subjects('lost'),
    unexpected: subjects('unexpected'),
    duplicated: [...begun.values()].filter((starts) => new Set(starts.map(({ fence }) => fence)).size > 1).length,
    recovered,
    acceptedTwice: subjects('accepted_twice'),
    createdTwice: subjects('created_twice'),
    staleRefused: late.length,
    reclaims: reclaims.length,
    reclaimP99Ms,
    reclaimMaxMs: percentileOf(waits, 1),
    reclaimsAfterClockStep: afterClockStep.length,
    reclaimAfterClockStepMaxMs: percentileOf(afterClockStep, 1),
    reclaimPhases: {
      offered: phaseOf(reclaims.map(({ offeredMs }) => offeredMs)),
      claimed: phaseOf(reclaims.map(({ claimedMs }) => claimedMs)),
      begun: phaseOf(reclaims.flatMap(({ begunMs }) => begunMs ?? [])),
    },
    drainedAfterMs,
    findings,
    ok: findings.length === 0,
  };
}

type Find = (reason: Reason, subject: string, detail: string) => void;

/** Every answered creation is there, every task was asked for, and each key has one. Answers how many unanswered ones came to be. */
function checkCreations({ creations, tasks }: History, find: Find): number {
  const byKey = Map.groupBy(creations, ({ key }) => key);
  const tasksByKey = Map.groupBy(tasks, ({ key }) => key ?? '');
  const known = new Set(tasks.map(({ id }) => id));
  let recovered = 0;
  for (const [key, tries] of byKey) {
    const answered = new Set(
      tries.flatMap(({ type, taskId }) => (type === 'ok' && taskId !== undefined ? [taskId] : [])),
    );
    for (const id of answered) if (!known.has(id)) find('lost', id, `its creation under ${key} was answered`);
    if (answered.size > 1) find('created_twice', key, `answered as ${[...answered].join(' and ')}`);
    const made = tasksByKey.get(key) ?? [];
    if (made.length > 1) find('created_twice', key, `is the key of ${made.map(({ id }) => id).join(' and ')}`);
    const unsure = tries.some(({ type }) => type === 'info' || type === 'invoke');
    const refused =
      tries.every(({ type }) => type === 'invoke' || type === 'fail') && tries.some(({ type }) => type === 'fail');
    if (answered.size === 0 && refused && made.length > 0)
      for (const { id } of made) find('unexpected', id, `its creation under ${key} was refused`);
    else if (answered.size === 0 && unsure && made.length > 0) recovered += 1;
  }
  for (const [key, made] of tasksByKey)
    if (!byKey.has(key)) for (const { id } of made) find('unexpected', id, `nobody asked for it (key ${key})`);
  return recovered;
}

/** Which fences of a task were told that their completion is accepted. Also: what a lost fence writes is refused. */
function checkAgents({ agents }: History, find: Find): Map<string, Set<number>> {
  const accepted = new Map<string, Set<number>>();
  for (const { f, type, taskId, fence, process, verb } of agents) {
    if (taskId === undefined || fence === undefined || type !== 'ok') continue;
    if (f === 'complete') {
      const fences = accepted.get(taskId) ?? new Set();
      accepted.set(taskId, fences.add(fence));
    } else if (f === 'late') {
      find('stale_accepted', taskId, `${process} wrote ${verb ?? 'something'} under the lost fence ${fence}`);
    }
  }
  return accepted;
}

function checkAcceptance(task: History['tasks'][number], fences: ReadonlySet<number>, find: Find): void {
  if (fences.size > 1)
    find('accepted_twice', task.id, `fences ${[...fences].join(' and ')} were all told that they are done`);
  for (const fence of fences) {
    if (task.state !== 'succeeded')
      find('lost', task.id, `the completion of fence ${fence} was answered, and it is ${task.state}`);
    else if (fences.size === 1 && task.acceptedFence !== fence)
      find(
        'accepted_twice',
        task.id,
        `fence ${fence} was told that it is done, and the output is of ${task.acceptedFence}`,
      );
  }
  if (task.attempts === null) return;
  const completed = task.attempts.filter(({ outcome }) => outcome === 'completed');
  if (completed.length > 1) find('accepted_twice', task.id, `${completed.length} attempts are marked as completed`);
  if (task.state === 'succeeded') {
    if (completed.length === 0) find('unexpected', task.id, 'succeeded without a completed attempt');
    else if (completed.every(({ fence }) => fence !== task.acceptedFence))
      find(
        'accepted_twice',
        task.id,
        `fence ${completed[0]?.fence} completed it, and the output is of ${task.acceptedFence}`,
      );
    if (task.attempts.some(({ outcome }) => outcome === null))
      find('unexpected', task.id, 'has an open attempt although it is done');
  }
  const grows = task.attempts.every(({ fence }, place, all) => place === 0 || fence > (all[place - 1]?.fence ?? 0));
  if (!grows)
    find(
      'fence_not_growing',
      task.id,
      `attempts in order have the fences ${task.attempts.map(({ fence }) => fence).join(', ')}`,
    );
}

/** Gap-free, nothing twice, and the same to whoever was connected all the time. Answers the events by task. */
function checkLog({ events, hiddenPositions, followed }: History, find: Find): Map<string, LoggedEvent[]> {
  const hidden = new Set(hiddenPositions);
  let last = 0;
  for (const { position, id } of events) {
    if (position <= last) find('event_log_twice', id, `position ${position} comes after ${last}`);
    for (let missing = last + 1; missing < position; missing += 1)
      if (!hidden.has(missing)) find('event_log_gap', String(missing), `there is no event at position ${missing}`);
    last = Math.max(last, position);
  }
  if (new Set(events.map(({ id }) => id)).size < events.length)
    find('event_log_twice', 'all', 'an event id is there twice');
  const difference = events.findIndex(({ id }, place) => followed[place] !== id);
  if (difference >= 0 || followed.length !== events.length) {
    const place = difference < 0 ? events.length : difference;
    find(
      'followed_differs',
      events[place]?.id ?? followed[place] ?? 'all',
      `who followed the stream got ${followed.length} events and differs at the ${place + 1}th of ${events.length}`,
    );
  }
  return Map.groupBy(
    events.filter(({ subject }) => subject !== null),
    ({ subject }) => subject ?? '',
  );
}

function checkEventsOfTask(task: History['tasks'][number], events: readonly LoggedEvent[], find: Find): void {
  const count = (type: string): number => events.filter((event) => event.type === type).length;
  if (count('task.created') !== 1)
    find(
      count('task.created') === 0 ? 'event_missing' : 'event_too_many',
      task.id,
      `task.created is there ${count('task.created')} times`,
    );
  const ends = events.filter(({ type }) => terminalEvents.has(type));
  if (ends.length > 1)
    find('accepted_twice', task.id, `it ended ${ends.length} times: ${ends.map(({ type }) => type).join(', ')}`);
  if (final.has(task.state) && ends.length === 0)
    find('event_missing', task.id, `is ${task.state}, and no event says so`);
  if (task.attempts === null) return;
  const started = new Set(
    events.flatMap(({ type, fence }) => (type === 'task.started' && fence !== null ? [fence] : [])),
  );
  for (const { fence } of task.attempts)
    if (!started.has(fence)) find('event_missing', task.id, `attempt with fence ${fence} began, and no event says so`);
}

/** A fence belongs to one start of one process, and each start to an attempt that the server has written down. */
function checkStarts({ agents }: History, eventsOf: ReadonlyMap<string, readonly LoggedEvent[]>, find: Find): void {
  const starts = agents.filter(
    (one): one is AgentOperation & { taskId: string; fence: number } =>
      one.f === 'start' && one.type === 'ok' && one.taskId !== undefined && one.fence !== undefined,
  );
  for (const [fence, same] of Map.groupBy(starts, (start) => start.fence)) {
    const who = new Set(same.map(({ process, taskId }) => `${process} on ${taskId}`));
    if (who.size > 1) find('fence_shared', String(fence), [...who].join(' and '));
  }
  for (const { taskId, fence, process } of starts) {
    const told = (eventsOf.get(taskId) ?? []).some((event) => event.type === 'task.started' && event.fence === fence);
    if (!told)
      find('unexpected', taskId, `${process} was given it under fence ${fence}, and the log knows of no such attempt`);
  }
}

/** Milliseconds of one lease that ran out: until the servers told so and offered its task, until somebody claimed it, until an agent began. */
interface Reclaim {
  readonly steppedOver: boolean;
  readonly offeredMs: number;
  readonly claimedMs: number;
  /** Null: that agent never said so; it was killed, or cut off. */
  readonly begunMs: number | null;
}

/** How long expired leases waited until somebody else had claimed the task; while PostgreSQL was shut down nobody could. */
function reclaimsOf(
  { expiries, steppedOver, outages, agents, agentClockOffsetMs }: History,
  eventsOf: ReadonlyMap<string, readonly LoggedEvent[]>,
): Reclaim[] {
  const begun = new Map(
    agents.flatMap(({ f, type, fence, atMs }) =>
      f === 'start' && type === 'ok' && fence !== undefined && atMs !== undefined
        ? [[fence, atMs + agentClockOffsetMs] as const]
        : [],
    ),
  );
  const between = (fromMs: number, toMs: number): number => {
    const down = outages.reduce(
      (sum, outage) => sum + Math.max(0, Math.min(toMs, outage.toMs) - Math.max(fromMs, outage.fromMs)),
      0,
    );
    return Math.max(0, toMs - fromMs - down);
  };
  const stepped = new Set(steppedOver);
  const reclaims: Reclaim[] = [];
  for (const events of eventsOf.values()) {
    for (const [place, event] of events.entries()) {
      if (event.type !== 'task.lease_expired' || event.fence === null) continue;
      const expiry = expiries.get(event.fence);
      const next = events.slice(place + 1).find(({ type, fence }) => type === 'task.started' || fence === event.fence);
      if (expiry === undefined || next?.type !== 'task.started') continue;
      const began = next.fence === null ? undefined : begun.get(next.fence);
      const offeredMs = Math.min(between(expiry, event.atMs), between(expiry, next.atMs));
      reclaims.push({
        steppedOver: stepped.has(event.fence),
        offeredMs,
        claimedMs: between(expiry, next.atMs) - offeredMs,
        begunMs: began === undefined ? null : between(next.atMs, began),
      });
    }
  }
  return reclaims;
}

/** The nearest rank: a value that was measured. */
function percentileOf(values: readonly number[], share: number): number | null {
  const sorted = [...values].sort((left, right) => left - right);
  const value = sorted[Math.ceil(sorted.length * share) - 1];
  return value === undefined ? null : Math.round(value);
}

const phaseOf = (values: readonly number[]): Phase => ({
  p50Ms: percentileOf(values, 0.5),
  p99Ms: percentileOf(values, 0.99),
  maxMs: percentileOf(values, 1),
});
