/** Where a submission stands in the landing queue of its branch, as far as its neighbours need to know. */
export interface LineRow {
  readonly id: string;
  readonly kind: 'change' | 'revert';
  readonly state: 'verifying' | 'queued' | 'landing';
  readonly suspect: boolean;
  readonly candidate_tree: string | null;
  readonly candidate_head: string | null;
}

export interface Place<Row extends LineRow = LineRow> {
  /** Nothing stands ahead: what it is verified on is what has landed. */
  readonly front: boolean;
  /** The nearest ahead that is expected to land; null: none, so that it stands on what has landed. */
  readonly ahead: Row | null;
  /** How many that are expected to land stand ahead. */
  readonly depth: number;
}

/**
 * @param line in the order in which it lands. Who fails on top of others (`suspect`) is built on by nobody; it is judged when it
 *   has come to the front, on what has really landed.
 */
export function placeOf<Row extends LineRow>(line: readonly Row[], id: string): Place<Row> | null {
  const at = line.findIndex((row) => row.id === id);
  if (at < 0) return null;
  const expected = line.slice(0, at).filter(({ suspect }) => !suspect);
  return { front: at === 0, ahead: expected.at(-1) ?? null, depth: expected.length };
}

/** A line begins with this many verified at once: enough to use some slots, not enough to waste many. */
export const FIRST_WINDOW = 4;
/** One more after each landing, half after each ejection: quick to step back, slow to come again. */
export const widened = (window: number, most: number): number => Math.min(most, window + 1);
export const narrowed = (window: number): number => Math.max(1, Math.floor(window / 2));

export const urgencies = { critical: 0, high: 1, normal: 2, low: 3 } as const;
