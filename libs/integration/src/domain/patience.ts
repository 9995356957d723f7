/** Pauses between tries of a verification that did not come about. A quarter of an hour outlasts a restart or a registry's hiccup. */
const pauses: readonly number[] = [15, 60, 180, 600];

/** Seconds until the next try after so many in a row that gave no evidence; null when it is time to say so. */
export const pauseAfter = (unverified: number): number | null => pauses[unverified - 1] ?? null;
