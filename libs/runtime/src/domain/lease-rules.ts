/**
 * The numbers and decisions of the lease contract, in one place and pure. The SQL that applies them is in ../sql; what
 * they promise is in docs/adr/0003-lease-contract.md.
 */

/** A rework goes to the instance that knows it for this long, while that instance is alive. */
export const preferredSeconds = 60;
/** A task that must be tried by another instance waits this long for one before a person is asked. */
export const anotherInstanceSeconds = 60;
/** Whoever just released a task is not handed the same one again for this long, so that a refusal does not spin. */
export const releasePauseSeconds = 2;
/** Lines kept of one attempt's log; what comes after is dropped, with one line that says so. */
export const maxLogLines = 10_000;
export const maxTaskDepth = 20;
/** Below one task. More work than that belongs below several. */
export const maxChildren = 100_000;
/** Every attempt is sent its input in one frame. */
export const maxInputBytes = 4 * 1024 * 1024;

/**
 * How far a task stands behind a critical one that became ready at the same moment, by priority. The order of claims is the
 * moment of being ready plus this: urgent work goes first, and nothing waits longer than its handicap because of it.
 */
const handicapSeconds = [0, 30, 300, 1800];
export const handicapOf = (priority: number): number => handicapSeconds[priority] ?? 300;

/** Beats fit several times into a lease; a silent instance is not handed work, long before it is called offline. */
export const heartbeatMsFor = (leaseSeconds: number): number =>
  Math.max(200, Math.min(5_000, Math.floor((leaseSeconds * 1000) / 3)));
export const silentAfterSeconds = (leaseSeconds: number): number => (3 * heartbeatMsFor(leaseSeconds)) / 1000;
export const offlineAfterSeconds = (leaseSeconds: number): number => 2 * leaseSeconds;

export const isReserved = (capability: string): boolean => capability === 'muster' || capability.startsWith('muster.');

export type AfterFailure =
  | { readonly kind: 'retry'; readonly afterSeconds: number }
  | { readonly kind: 'another_instance' }
  | { readonly kind: 'person' }
  | { readonly kind: 'failed' };

/**
 * After 5 s, 15 s, 30 s by anyone; then at once by another instance; then a person is asked. Nobody can be asked about a
 * task of the system's, so that one fails.
 * @param failures attempts that failed or expired, this one included
 */
export function afterFailure(f: {
  failures: number;
  maxAttempts: number;
  retryable: boolean;
  delaysSeconds: readonly number[];
  capability: string;
}): AfterFailure {
  if (!f.retryable) return { kind: 'failed' };
  if (f.failures >= f.maxAttempts) return isReserved(f.capability) ? { kind: 'failed' } : { kind: 'person' };
  const delay = f.delaysSeconds[f.failures - 1];
  if (delay !== undefined) return { kind: 'retry', afterSeconds: delay };
  // The system runs few verifiers; waiting for another one would only lose time.
  return isReserved(f.capability)
    ? { kind: 'retry', afterSeconds: f.delaysSeconds.at(-1) ?? 0 }
    : { kind: 'another_instance' };
}

/** `30s`, `5m`, or a number of seconds. */
export function secondsOf(duration: number | string): number {
  if (typeof duration === 'number') return duration;
  const match = /^(\d+)(ms|s|m|h|d)$/.exec(duration);
  if (match === null) throw new RangeError(`not a duration: ${duration}`);
  const unit = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 }[match[2] as 'ms' | 's' | 'm' | 'h' | 'd'];
  return Number(match[1]) * unit;
}
