import { Injectable } from '@nestjs/common';
import { Database } from '#platform/database';
import { lanesWithTasks } from '../sql/lanes.ts';

const lookEveryMs = 1_000;
/** Told of something new by others, it looks no more often than this: with nothing at hand, and with something to go on with. */
const lookAgainMs = 20;
const lookBesideMs = 250;
/** A look, or a start from the beginning, takes at most this share of the time. */
const patience = 20;
/** Where that is long because all processors are busy, somebody whose lease ran out is not to wait for it: a look that was asked for may take half the time. */
const mostPauseMs = 400;
const leastPatience = 2;
const beginAgainMs = 30_000;
/** Lanes in one look. */
const maxLanes = 10_000;
/** Places that a cursor stays behind what was taken: what was committed out of order is usually no further back. */
const backOff = 2_000;
/** For what is further back, the cursor returns to where it was two looks ago. */
const marksKept = 3;

interface LaneState {
  ready: boolean;
  after: number;
  /** The lowest place that was hinted at since the last claim began. */
  low: number;
  /** Rises with each hint, so that one that comes during a claim is not lost. */
  hints: number;
  marks: number[];
}

/**
 * Which lanes have something, and from where on, as far as this process knows. Only hints: nothing is lost when they are
 * wrong, and a look at the table each second finds what other servers, late commits and restarts have left there.
 */
@Injectable()
export class ReadyLanes {
  private readonly lanes = new Map<number, LaneState>();
  private lookedAt = Number.NEGATIVE_INFINITY;
  private lookTookMs = 0;
  private beganAt = performance.now();
  private advanced = true;

  constructor(private readonly database: Database) {}

  /** Something was put into these lanes by this process. @param seq its place; left out when it is not known */
  hint(lane: number, seq?: number | null): void {
    const state = this.lanes.get(lane) ?? fresh();
    state.ready = true;
    state.hints += 1;
    if (seq !== undefined && seq !== null) {
      state.low = Math.min(state.low, seq);
      state.after = Math.min(state.after, seq - 1);
    }
    this.lanes.set(lane, state);
  }

  /** There is no such lane: a hint from elsewhere may name anything. */
  forget(lane: number): void {
    this.lanes.delete(lane);
  }

  /** Something happened somewhere. */
  hintAnywhere(): void {
    this.advanced = true;
  }

  /** Numbers of lanes, below zero for tasks with conditions of their own. @param fresh looks at the table in any case */
  async current(fresh = false): Promise<number[]> {
    const since = performance.now() - this.lookedAt;
    const now = this.known();
    const due = since >= Math.max(lookEveryMs, patience * this.lookTookMs);
    if (!fresh && !due && !(this.advanced && since >= this.lookPauseMs(now))) return now;
    await this.look(due);
    return this.known();
  }

  /** As `current`, without a look. */
  known(): number[] {
    const ready: number[] = [];
    for (const [lane, state] of this.lanes) if (state.ready) ready.push(lane);
    return ready;
  }

  /** Milliseconds until a look that was asked for is allowed; null when none was. */
  get lookIn(): number | null {
    if (!this.advanced) return null;
    return Math.max(0, this.lookPauseMs(this.known()) - (performance.now() - this.lookedAt));
  }

  /** What came back goes before what waits, and whoever was to say so may be gone: a look is due also beside something to go on with. */
  private lookPauseMs(known: readonly number[]): number {
    const share = Math.max(Math.min(patience * this.lookTookMs, mostPauseMs), leastPatience * this.lookTookMs);
    return Math.max(known.length === 0 ? lookAgainMs : lookBesideMs, share);
  }

  /** A claim begins. */
  cursorOf(lane: number): { after: number; hints: number } {
    const state = this.lanes.get(lane);
    if (state === undefined) return { after: 0, hints: 0 };
    state.low = Number.POSITIVE_INFINITY;
    return { after: state.after, hints: state.hints };
  }

  /** Where the next claim will begin. */
  placeOf(lane: number): number {
    return this.lanes.get(lane)?.after ?? 0;
  }

  /** @param last the furthest place that was taken; @param emptied whether more was asked for than was there */
  taken(lane: number, q: { last: number | null; emptied: boolean; hints: number }): void {
    const state = this.lanes.get(lane);
    if (state === undefined) return;
    if (q.last !== null) state.after = Math.min(Math.max(state.after, q.last - backOff), state.low - 1);
    if (q.emptied && state.hints === q.hints) state.ready = false;
  }

  private async look(onTime: boolean): Promise<void> {
    const from = performance.now();
    const { lookedAt, advanced } = this;
    this.lookedAt = from;
    this.advanced = false;
    const rows = await lanesWithTasks(this.database, maxLanes).catch((error: unknown) => {
      // Nothing was seen: whoever looks next is to see it.
      this.lookedAt = lookedAt;
      this.advanced ||= advanced;
      throw error;
    });
    this.lookTookMs = performance.now() - from;
    const found = new Set(rows.map((row) => row.lane));
    for (const lane of found) {
      const state = this.lanes.get(lane);
      if (state === undefined) this.lanes.set(lane, fresh());
      else if (!state.ready) {
        state.ready = true;
        state.hints += 1;
      }
    }
    if (!onTime) return;
    const begin = from - this.beganAt > Math.max(beginAgainMs, 50 * patience * this.lookTookMs);
    if (begin) this.beganAt = from;
    for (const [lane, state] of this.lanes) {
      if (!state.ready && !found.has(lane) && begin) this.lanes.delete(lane);
      state.marks.push(state.after);
      if (state.marks.length > marksKept) state.marks.shift();
      state.after = begin ? 0 : (state.marks[0] ?? 0);
    }
  }
}

const fresh = (): LaneState => ({ ready: true, after: 0, low: Number.POSITIVE_INFINITY, hints: 0, marks: [] });
