import { Migration } from '@mikro-orm/migrations';

export class Migration202611210001_platform extends Migration {
  override up(): void {
    // The clock of leases. A test moves it for its own database: alter database x set muster.now_offset = '40 seconds'.
    this.addSql(`
      create function muster_now() returns timestamptz language sql volatile parallel safe as $$
        select clock_timestamp() + coalesce(nullif(current_setting('muster.now_offset', true), ''), '0')::interval
      $$`);

    // Where a transaction leaves its events. The sequencer moves them to events, so this table stays small.
    this.addSql(`
      create table event_inbox (
        seq bigint generated always as identity primary key,
        id text collate "C" not null,
        type text not null,
        team_id text collate "C" not null,
        project_id text collate "C",
        subject text,
        time timestamptz not null default clock_timestamp(),
        priority text not null check (priority in ('critical', 'high', 'normal', 'low')),
        data jsonb not null,
        traceparent text
      )`);
    // The log: positions are gap-free and exist for committed events only.
    this.addSql(`
      create table events (
        position bigint primary key,
        id text collate "C" not null unique,
        type text not null,
        team_id text collate "C" not null,
        project_id text collate "C",
        subject text,
        time timestamptz not null,
        priority text not null,
        data jsonb not null,
        traceparent text
      )`);
    this.addSql('create index events_by_team on events (team_id, position)');
    this.addSql('create index events_by_project on events (project_id, position) where project_id is not null');
    this.addSql('create index events_by_subject on events (subject, position) where subject is not null');
    // One row. Its lock puts two sequencers one behind the other should both ever believe to be the one.
    this.addSql(
      'create table event_log_head (singleton boolean primary key default true check (singleton), position bigint not null)',
    );
    this.addSql('insert into event_log_head (position) values (0)');

    // Which reactions exist, and for which types; told by the workers at start.
    this.addSql(`
      create table event_reactions (
        name text primary key,
        types text[] not null,
        seen_at timestamptz not null default clock_timestamp()
      )`);
    // One row for each reaction to each event, written with the event's position; gone when the reaction succeeded.
    this.addSql(`
      create table event_deliveries (
        reaction text not null references event_reactions (name) on delete cascade,
        position bigint not null references events (position) on delete cascade,
        rank smallint not null,
        attempts integer not null default 0,
        due_at timestamptz not null default clock_timestamp(),
        dead_at timestamptz,
        error text,
        primary key (reaction, position)
      )`);
    this.addSql(
      'create index event_deliveries_open on event_deliveries (reaction, rank, position) where dead_at is null',
    );

    // Answers of creating requests that carried an Idempotency-Key.
    this.addSql(`
      create table idempotency_keys (
        team_id text collate "C" not null,
        actor_id text collate "C" not null,
        route text not null,
        key text not null,
        request_hash text not null,
        status integer,
        body jsonb,
        created_at timestamptz not null default clock_timestamp(),
        primary key (team_id, actor_id, route, key)
      )`);
    this.addSql('create index idempotency_keys_by_age on idempotency_keys (created_at)');
  }
}
