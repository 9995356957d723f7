import type { Invariant } from '#platform/invariants';

/** What the log promises its readers about positions. */
export const eventLogInvariants: readonly Invariant[] = [
  {
    name: 'events.positions_without_gap',
    promise: 'From the oldest event that is kept to the newest, every position has its event.',
    violations: `
      select team_id, position::text as subject, 'comes after ' || before || ', and nothing is between them' as detail
      from (select team_id, position, lag(position) over (order by position) as before from events) as placed
      where position <> before + 1`,
  },
  {
    name: 'events.head_is_the_newest',
    promise: 'The head of the log is the position of its newest event.',
    violations: `
      select null::text as team_id, 'head' as subject, 'says ' || head.position || ', and the newest is ' || newest.position as detail
      from event_log_head head, (select max(position) as position from events) newest
      where newest.position is not null and head.position <> newest.position`,
  },
  {
    name: 'events.deliveries_have_their_event',
    promise: 'What a reaction is owed is an event of the log.',
    violations: `
      select null::text as team_id, d.position::text as subject, 'is owed to ' || d.reaction || ', and there is no such event' as detail
      from event_deliveries d where not exists (select from events e where e.position = d.position)`,
  },
];
