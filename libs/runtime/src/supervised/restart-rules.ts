const firstDelayMs = 500;
const longestDelayMs = 60_000;

/** A process that ran for this long was well: what went wrong before it is forgotten. */
export const steadyMs = 60_000;
/** How long a process may take to hand its work back after SIGTERM; the SDK's own drain fits into it. */
export const stopGraceMs = 35_000;
/** Supervised instances of one server that are not stopped. */
export const maxSupervised = 100;

/**
 * Doubles from half a second to a minute, and is drawn from the upper half of that, so that what fell together does not
 * rise together.
 * @param failures in a row, this one included
 * @param random from 0 to 1
 */
export const restartDelayMs = (failures: number, random: number): number =>
  Math.min(firstDelayMs * 2 ** Math.min(failures - 1, 20), longestDelayMs) * (0.5 + random / 2);

export type AfterEnd =
  | { readonly kind: 'restart'; readonly failures: number; readonly afterMs: number }
  | { readonly kind: 'error'; readonly failures: number };

export function afterEnd(f: { failures: number; restarts: number; ranMs: number; random: number }): AfterEnd {
  const failures = (f.ranMs >= steadyMs ? 0 : f.failures) + 1;
  return failures > f.restarts
    ? { kind: 'error', failures }
    : { kind: 'restart', failures, afterMs: restartDelayMs(failures, f.random) };
}
