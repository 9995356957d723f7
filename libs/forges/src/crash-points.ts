/**
 * Every moment between two steps of what is said to a forge, or taken from it, at which the power may fail. `npm run crash-points` ends a
 * server at each of them: nothing that was said is said twice, and nothing is lost.
 */
export const forgeCrashPoints = [
  'forge.webhook_noted',
  'forge.status_claimed',
  'forge.status_said',
  'forge.request_withdrawn',
  'forge.request_fetched',
  'forge.request_handed_in',
  'forge.request_recorded',
  'forge.comment_said',
  'forge.request_closed',
  'forge.offer_pushing',
  'forge.offer_pushed',
  'forge.offer_made',
  'forge.offer_recorded',
  'forge.offer_described',
  'forge.offer_closed',
  'forge.offer_branch_dropped',
] as const;
export type ForgeCrashPoint = (typeof forgeCrashPoints)[number];

/** Told when one of these moments has come. In a server nothing happens then. */
export abstract class ForgeCrashPoints {
  abstract reach(point: ForgeCrashPoint): void;
}

export class NoForgeCrashPoints extends ForgeCrashPoints {
  override reach(): void {}
}
