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
    name: 'events.partitions_follow_each_other',
    promise: 'Every partition of the log that is written down is part of it, and they follow each other without a gap.',
    violations: `
      select null::text as team_id, name as subject,
        case when attached then 'does not begin right behind ' || before else 'is not part of the log' end as detail
      from (
        select name, first, lag(name) over placed as before, lag(last) over placed + 1 as expected,
          exists (select from pg_partition_tree('events') where relid = to_regclass(quote_ident(name))) as attached
        from event_partitions window placed as (order by first)
      ) as partitions
      where not attached or first <> expected`,
  },
  {
    name: 'events.deliveries_have_their_event',
    promise: 'What a reaction is owed is an event of the log.',
    violations: `
      select null::text as team_id, d.position::text as subject, 'is owed to ' || d.reaction || ', and there is no such event' as detail
      from event_deliveries d where not exists (select from events e where e.position = d.position)`,
  },
];
