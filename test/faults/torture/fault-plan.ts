import { Random } from './random.ts';

/** What the nemesis does, and when; which process it hits is chosen at the moment, among those that hold a lease. */
export type Fault = { readonly atMs: number } & (
  | { readonly kind: 'kill'; readonly victim: 'agent' | 'server' }
  | { readonly kind: 'pause'; readonly victim: 'agent' | 'server'; readonly forMs: number }
  | { readonly kind: 'terminate backends'; readonly rounds: number }
  | { readonly kind: 'restart postgres' }
  | { readonly kind: 'step wall clock'; readonly bySeconds: number }
  | { readonly kind: 'step database clock'; readonly bySeconds: number }
  | { readonly kind: 'flush redis' }
  | { readonly kind: 'kill redis' }
);
export type FaultKind = Fault['kind'];

const hour = 3600;

/**
 * The same seed gives the same plan. Nothing lasts beyond the end, so that what comes after it is recovery and nothing else.
 * Shortest first at equal moments.
 */
export function planFaults(q: { seed: number; seconds: number; leaseMs: number }): Fault[] {
  const random = new Random(q.seed);
  const endMs = q.seconds * 1000;
  const faults: Fault[] = [];
  const each = (everyMs: number, firstMs: number, fault: (atMs: number) => Fault | null): void => {
    for (let at = firstMs; at <= endMs; at += everyMs) {
      const one = fault(Math.min(endMs, Math.max(0, Math.round(at + random.between(-0.1, 0.1) * everyMs))));
      if (one !== null) faults.push(one);
    }
  };
  // One process dies each second. A server takes seconds to come back, so most of them are agents.
  each(1000, 1000, (atMs) => ({ atMs, kind: 'kill', victim: random.next() < 0.2 ? 'server' : 'agent' }));
  each(4000, 1500, (atMs) => {
    const forMs = Math.round(q.leaseMs * random.between(1.2, 1.8));
    const victim = random.next() < 0.25 ? 'server' : 'agent';
    return atMs + forMs > endMs ? null : { atMs, kind: 'pause', victim, forMs };
  });
  each(8000, 3000, (atMs) => ({ atMs, kind: 'terminate backends', rounds: 1 + random.below(3) }));
  each(6000, 2500, (atMs) => ({ atMs, kind: 'step wall clock', bySeconds: random.next() < 0.5 ? hour : -hour }));
  each(Math.max(20_000, endMs / 2.5), endMs * 0.4, (atMs) => ({ atMs, kind: 'restart postgres' }));
  faults.push({ atMs: Math.round(endMs * 0.3), kind: 'flush redis' });
  faults.push({ atMs: Math.round(endMs * 0.55), kind: 'kill redis' });
  // Forward only: a step back leaves leases that are good for another hour, which costs that hour and nothing else.
  faults.push({ atMs: Math.round(endMs * 0.65), kind: 'step database clock', bySeconds: hour });
  return faults.sort((left, right) => left.atMs - right.atMs);
}
