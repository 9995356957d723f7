/**
 * Every moment between two steps of the way from accepted to announced, and of the way back, at which the power may fail.
 * `npm run crash-points` ends a server at each of them and looks at what the next start makes of it.
 */
export const crashPoints = [
  'submission.ref_kept',
  'candidate.merged',
  'candidate.requested',
  'candidate.recorded',
  'resolution.task_started',
  'resolution.asked',
  'resolution.answer_kept',
  'resolution.recorded',
  'queue.base_kept',
  'accepted.task_told',
  'accepted.recorded',
  'landing.evidence_read',
  'landing.intended',
  'landing.checked',
  'landing.moved',
  'landing.signed',
  'landing.attested',
  'landing.completed',
  'landing.task_told',
  'landing.settled',
  'set.fenced',
  'set.intended',
  'set.member_moved',
  'set.moved',
  'set.member_completed',
  'set.landed',
  'set.undo_decided',
  'set.member_undone',
  'ejected.recorded',
  'ejected.task_told',
  'post_landing.requested',
  'post_landing.judged',
  'rollback.revert_made',
  'rollback.ref_kept',
  'rollback.recorded',
  'rollback.follow_up_started',
  'rollback.announced',
  'rollback.incident_resolved',
] as const;
export type CrashPoint = (typeof crashPoints)[number];

/** Told when one of these moments has come. In a server nothing happens then. */
export abstract class CrashPoints {
  abstract reach(point: CrashPoint): void;
}

export class NoCrashPoints extends CrashPoints {
  override reach(): void {}
}
