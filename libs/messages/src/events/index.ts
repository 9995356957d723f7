/** First words of the types that Muster's own rooms write. Nobody else may publish them. */
export const ownEventPrefixes = [
  'agent',
  'assignment',
  'check',
  'enforcer',
  'forge',
  'instance',
  'key',
  'landing',
  'member',
  'muster',
  'project',
  'queue',
  'rollback',
  'runtime',
  'set',
  'submission',
  'system',
  'task',
  'team',
  'user',
  'verification',
] as const;

export const isOwnEvent = (type: string): boolean =>
  (ownEventPrefixes as readonly string[]).includes(type.split('.', 1)[0] ?? '');

/**
 * Events of Muster's own that a trigger may name. Those that every task tells (`task.*`, `verification.*`) are not among
 * them: a task that they start would tell them again, for ever. The ones below carry the task they come from, so that the
 * length of a chain is known and bounded.
 */
export const ownEventsThatTrigger = [
  'agent.deprecated',
  'agent.published',
  'landing.landed',
  'landing.post_landing_failed',
  'landing.post_landing_not_run',
  'landing.rolled_back',
  'project.created',
  'submission.accepted',
  'submission.conflicted',
  'submission.conflict_resolved',
  'submission.rejected',
] as const;

/** May a trigger name this event type? */
export const mayTrigger = (type: string): boolean =>
  !isOwnEvent(type) || (ownEventsThatTrigger as readonly string[]).includes(type);
