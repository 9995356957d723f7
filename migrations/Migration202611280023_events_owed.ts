import { Migration } from '@mikro-orm/migrations';

/** Who appends learns whether any reaction is owed what was appended, so that nobody has to look when none is. */
export class Migration202611280023_events_owed extends Migration {
  override up(): void {
    // As append_events was, and now that one is made of it.
    this.addSql(`
      create function append_events_owing(drafts event_draft[], out head bigint, out owed boolean) language plpgsql volatile as $$
      declare
        base bigint;
      begin
        owed := false;
        if coalesce(cardinality(drafts), 0) = 0 then
          return;
        end if;
        perform pg_advisory_xact_lock(7265002);
        select position into base from events order by position desc limit 1;
        base := coalesce(base, 0);
        head := base + cardinality(drafts);
        -- A quarter ahead, so that the next one is there before it is needed; a batch never finds none.
        while (select max(last) from event_partitions) < head + event_partition_size() / 4 loop
          perform add_event_partition();
        end loop;
        insert into events (position, id, type, team_id, project_id, subject, time, priority, data, traceparent)
        select base + place, id, type, team_id, project_id, subject, clock_timestamp(), priority, data, traceparent
        from unnest(drafts) with ordinality as d (id, type, team_id, project_id, subject, priority, data, traceparent, place);
        insert into event_deliveries (reaction, position, rank)
        select r.name, base + d.place, array_position(array['critical', 'high', 'normal', 'low'], d.priority)
        from (select distinct type, split_part(type, '.', 1) || '.*' as room from unnest(drafts)) as t
        join event_reactions r
          on t.type = any (r.types) or (r.types && array['*', t.room] and not r.types @> array['!' || t.room])
        join unnest(drafts) with ordinality as d (id, type, team_id, project_id, subject, priority, data, traceparent, place)
          on d.type = t.type
        where r.conditions = '{}' or not exists (
          select from jsonb_each(r.conditions) as w where d.data ? w.key and not w.value @> (d.data -> w.key)
        );
        owed := found;
      end $$`);
    this.addSql(`
      create or replace function append_events(drafts event_draft[]) returns bigint language plpgsql volatile as $$
      begin
        return (append_events_owing(drafts)).head;
      end $$`);
  }
}
