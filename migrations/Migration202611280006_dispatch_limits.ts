import { Migration } from '@mikro-orm/migrations';

/** How many tasks may run at once, and how many may start in a while. */
export class Migration202611280006_dispatch_limits extends Migration {
  override up(): void {
    this.addSql(`
      create table dispatch_limits (
        id text collate "C" primary key,
        team_id text collate "C" not null,
        -- What it counts; null: any.
        project_id text collate "C",
        capability text,
        agent text,
        max_running integer check (max_running >= 0),
        max_starts integer check (max_starts > 0),
        per_seconds integer check (per_seconds > 0),
        created_at timestamptz not null,
        updated_at timestamptz not null,
        updated_by text not null,
        constraint dispatch_limits_limit_something check (
          (max_starts is null) = (per_seconds is null) and (max_starts is not null or max_running is not null)),
        constraint dispatch_limits_one_for_a_scope unique nulls not distinct (team_id, project_id, capability, agent)
      );
      -- Starts that still count, one row for each claim. What runs is counted where it runs, so that nothing is to be given back.
      create table dispatch_limit_starts (
        limit_id text collate "C" not null references dispatch_limits (id) on delete cascade,
        at timestamptz not null,
        starts integer not null
      );
      create index dispatch_limit_starts_by_time on dispatch_limit_starts (limit_id, at);
      -- Claims name the version that they know. Whoever knows an older one gets nothing until it has looked.
      create table dispatch_limit_version (id integer primary key check (id = 1), version bigint not null);
      insert into dispatch_limit_version values (1, 0);
      create function count_dispatch_limit_version() returns trigger language plpgsql as $$
      begin
        update dispatch_limit_version set version = version + 1 where id = 1;
        return null;
      end $$;
      create trigger dispatch_limits_change after insert or update or delete on dispatch_limits
        for each statement execute function count_dispatch_limit_version();
    `);
  }

  override down(): void {
    this.addSql(`
      drop table dispatch_limit_starts, dispatch_limits, dispatch_limit_version;
      drop function count_dispatch_limit_version();
    `);
  }
}
