import type { Limit, LimitBudget } from '../domain/limit-budget.ts';
import { handicapOf } from '../domain/lease-rules.ts';
import type { ParticularCandidate } from '../sql/claim.ts';
import type { Lane } from '../sql/lanes.ts';

/** A claimable task as it stood when it was looked at. */
export interface WaitingTask {
  readonly lane: Lane;
  readonly seq: number;
  /** Seconds since the epoch. */
  readonly readyAt: number;
  /** Null: any taker of its lane may have it. */
  readonly particular: ParticularCandidate | null;
}

/** Who may be given tasks of some lanes. */
export interface Taker<R> {
  readonly of: R;
  readonly id: string;
  readonly agent: string;
  readonly room: number;
  readonly load: number;
  readonly lanes: ReadonlySet<number>;
}
export interface Choice<R> {
  readonly task: WaitingTask;
  readonly taker: R;
  readonly limits: readonly Limit[];
}
export interface Plan<R> {
  /** In the order in which they are due. */
  readonly picks: readonly Choice<R>[];
  /** Lanes of which nothing may begin now because a limit is used up; below zero those for tasks with conditions of their own. */
  readonly full: ReadonlySet<number>;
  /** Lanes (below zero) of whose tasks none of these takers may have any, whatever room it has. */
  readonly nobodys: ReadonlySet<number>;
}

/**
 * The order of claims, the same that the claim in SQL keeps among plain tasks: teams in turn, and within a team by priority and
 * age. What had begun and lost its holder goes on first: its turn had come already, and others wait for what it holds.
 */
export function inOrder(tasks: readonly WaitingTask[]): WaitingTask[] {
  const toBegin = ({ particular }: WaitingTask): number =>
    particular === null || particular.expiredAgent === null ? 1 : 0;
  const rank = (task: WaitingTask): number => task.readyAt + handicapOf(task.lane.priority);
  const byRank = (a: WaitingTask, b: WaitingTask): number =>
    toBegin(a) - toBegin(b) || rank(a) - rank(b) || a.seq - b.seq;
  return [...Map.groupBy(tasks, ({ lane }) => lane.teamId).values()]
    .flatMap((own) => own.sort(byRank).map((task, turn) => ({ task, turn })))
    .sort((a, b) => a.turn - b.turn || byRank(a.task, b.task))
    .map(({ task }) => task);
}

/** Gives each task in its order to the least loaded who may have it, as far as rooms and limits reach. */
export function handOut<R>(
  tasks: readonly WaitingTask[],
  takers: readonly Taker<R>[],
  limitsOf: (lane: Lane, agent: string) => readonly Limit[],
  budget: LimitBudget,
): Plan<R> {
  const kept = new Set(tasks.flatMap(({ particular }) => particular?.keptFor ?? []));
  const byLoad = takers
    .map((taker) => ({ taker, room: taker.room }))
    .filter(({ room }) => room > 0)
    .sort((a, b) => a.taker.load - b.taker.load);
  // Those for whom something is kept are asked last, so that what anybody could do does not take their room.
  const queues = [byLoad.filter(({ taker }) => !kept.has(taker.id)), byLoad.filter(({ taker }) => kept.has(taker.id))];
  const picks: Choice<R>[] = [];
  const refused = new Set<number>();
  const wanted = new Set<number>();
  const used = new Set<string>();
  const nobodys = new Set<number>();
  for (const task of tasks) {
    const { lane, particular } = task;
    const number = numberOf(task);
    const may = (one: Taker<R>): boolean => one.lanes.has(lane.id) && (particular === null || suits(particular, one));
    if (particular !== null && !wanted.has(number)) {
      if (takers.some(may)) {
        wanted.add(number);
        nobodys.delete(number);
      } else nobodys.add(number);
    }
    const take = (queue: (typeof queues)[number]): boolean => {
      for (const [at, one] of queue.entries()) {
        if (!may(one.taker)) continue;
        const limits = limitsOf(lane, one.taker.agent);
        if (limits.length > 0) {
          const key = `${number} ${one.taker.agent}`;
          const replaces = particular?.expiredAgent ?? null;
          if ((replaces === null && used.has(key)) || !budget.take(limits, replaces)) {
            refused.add(number);
            if (replaces === null) used.add(key);
            continue;
          }
        }
        picks.push({ task, taker: one.taker.of, limits });
        one.room -= 1;
        queue.splice(at, 1);
        // In turn: it is behind the others now.
        if (one.room > 0) queue.push(one);
        return true;
      }
      return false;
    };
    queues.some(take);
    if (queues.every((queue) => queue.length === 0)) break;
  }
  const begun = new Set(picks.map(({ task }) => numberOf(task)));
  return { picks, full: new Set([...refused].filter((number) => !begun.has(number))), nobodys };
}

/** Of its lane, below zero where it has conditions of its own; all tasks of sticky lanes may have some. */
export const numberOf = ({ lane, particular }: WaitingTask): number => particular?.lane ?? lane.id;

const suits = (
  { avoids, keptFor, keptForAgent }: ParticularCandidate,
  { id, agent }: { readonly id: string; readonly agent: string },
): boolean =>
  !avoids.includes(id) && (keptFor === null || keptFor === id) && (keptForAgent === null || keptForAgent === agent);
