import { Migration } from '@mikro-orm/migrations';

/**
 * Positions are given by the transaction that appends, under a lock that it holds while it commits. The log is partitioned by
 * position, so that old events leave it a partition at a time.
 */
export class Migration202611210012_eventlog extends Migration {
  override up(): void {
    this.addSql(`
      create type event_draft as (
        id text, type text, team_id text, project_id text, subject text, priority text, data jsonb, traceparent text
      )`);
    // How many positions a new partition takes: about two gigabytes of ordinary events.
    this.addSql(
      `create function event_partition_size() returns bigint language sql immutable as 'select 4194304::bigint'`,
    );
    // What there is of the log: written once for a partition, so reading it stays cheap however old the oldest snapshot is.
    this.addSql(`
      create table event_partitions (
        name text primary key,
        first bigint not null unique,
        last bigint not null unique,
        check (last >= first)
      )`);

    // The log as it was becomes the first partition.
    this.addSql('alter table event_deliveries drop constraint event_deliveries_position_fkey');
    this.addSql('alter table events rename to events_1');
    this.addSql('alter index events_pkey rename to events_1_pkey');
    this.addSql('alter table events_1 drop constraint events_id_key');
    this.addSql('drop index events_by_team, events_by_project, events_by_subject');
    this.addSql(`
      alter table events_1 add constraint events_priority_check
        check (priority in ('critical', 'high', 'normal', 'low'))`);
    this.addSql(`
      create table events (
        position bigint not null,
        id text collate "C" not null,
        type text not null,
        team_id text collate "C" not null,
        project_id text collate "C",
        subject text,
        time timestamptz not null,
        priority text not null constraint events_priority_check check (priority in ('critical', 'high', 'normal', 'low')),
        data jsonb not null,
        traceparent text,
        primary key (position)
      ) partition by range (position)`);
    this.addSql('create index events_by_team on events (team_id, position)');
    this.addSql(`
      do $$
      declare
        size bigint := event_partition_size();
        last bigint := ((select position from event_log_head) / size + 1) * size;
      begin
        execute format('alter table events attach partition events_1 for values from (1) to (%s)', last + 1);
        insert into event_partitions values ('events_1', 1, last);
      end $$`);

    // Attaching a table that stands already locks out nobody who reads or writes; "create table ... partition of" would.
    this.addSql(`
      create function add_event_partition() returns void language plpgsql as $$
      declare
        from_position bigint := (select max(last) + 1 from event_partitions);
        to_position bigint := from_position + event_partition_size();
        name text := 'events_' || from_position;
      begin
        execute format('create table %I (like events including defaults including constraints including indexes)', name);
        execute format('alter table events attach partition %I for values from (%s) to (%s)', name, from_position, to_position);
        insert into event_partitions values (name, from_position, to_position - 1);
      end $$`);

    // { "field": ["value", ...] }: an event whose data has the field with another value is not owed.
    this.addSql(`alter table event_reactions add column conditions jsonb not null default '{}'`);

    // The last statement before a commit, or the last expression of a statement that commits by itself: whoever comes next
    // waits for that commit, so the order of positions is the order of commits and no reader ever sees a gap.
    // It is volatile: each of its statements sees what was committed before the lock was given.
    this.addSql(`
      create function append_events(drafts event_draft[]) returns bigint language plpgsql volatile as $$
      declare
        base bigint;
        head bigint;
      begin
        if coalesce(cardinality(drafts), 0) = 0 then
          return null;
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
        return head;
      end $$`);

    // What nobody had given a position yet comes after what has one.
    this.addSql(`
      do $$
      declare head bigint := (select position from event_log_head);
      begin
        perform append_events(array(
          select (id, type, team_id, project_id, subject, priority, data, traceparent)::event_draft from event_inbox order by seq));
        update events e set time = i.time from event_inbox i where e.id = i.id and e.position > head;
      end $$`);
    this.addSql('drop table event_inbox, event_log_head');
  }
}
