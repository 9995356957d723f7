import { Migration } from '@mikro-orm/migrations';

/** What people want of instances and of dispatch. */
export class Migration202611280003_instance_control extends Migration {
  override up(): void {
    this.addSql(`
      alter table instances
        add column wanted text not null default 'run' check (wanted in ('run', 'pause', 'drain', 'stop')),
        add column wanted_by text,
        add column wanted_reason text;
      create index instances_not_wanted_to_run on instances (id) where wanted <> 'run' and state <> 'offline';
      -- Whoever hears of an instance calls it idle. Who is not wanted to run is not, so that no claim can take it for idle.
      create function keep_instance_paused() returns trigger language plpgsql as $$
      begin
        new.state := 'paused';
        return new;
      end $$;
      create trigger instances_stay_paused before insert or update on instances
        for each row when (new.wanted <> 'run' and new.state in ('idle', 'running')) execute function keep_instance_paused();
      -- Teams whose tasks nobody is given; '*' is everybody's.
      create table dispatch_stops (
        team_id text collate "C" primary key,
        stopped_at timestamptz not null,
        stopped_by text not null,
        reason text
      );
    `);
  }

  override down(): void {
    this.addSql(`
      drop table dispatch_stops;
      drop trigger instances_stay_paused on instances;
      drop function keep_instance_paused();
      alter table instances drop column wanted, drop column wanted_by, drop column wanted_reason;
    `);
  }
}
