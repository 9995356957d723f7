import { Migration } from '@mikro-orm/migrations';

/** What has to come out again, as one record from the reason to the reopened work. */
export class Migration202611280012_incidents extends Migration {
  override up(): void {
    this.addSql(`
      create table incidents (
        id text collate "C" primary key,
        team_id text collate "C" not null,
        project_id text collate "C" not null,
        branch text not null,
        state text not null check (state in ('open', 'waiting_person', 'resolved')),
        cause text not null check (cause in ('person', 'post_landing_check')),
        reason text not null,
        requested_by text not null,
        -- In the order in which they come out.
        landings text[] not null check (cardinality(landings) > 0),
        skipped text[] not null default '{}',
        forecast jsonb not null,
        -- Its next revert is handed in by whoever writes this first.
        step integer not null default 0,
        next_action_at timestamptz default muster_now(),
        opened_at timestamptz not null default muster_now(),
        resolved_at timestamptz,
        check ((state = 'resolved') = (resolved_at is not null))
      )`);
    this.addSql(`create index incidents_by_team on incidents (team_id, id desc)`);
    this.addSql(`create index incidents_due on incidents (next_action_at) where next_action_at is not null`);
    this.addSql(`create index incidents_open on incidents using gin (landings) where state <> 'resolved'`);
    this.addSql(`alter table submissions add column incident_id text collate "C"`);
    this.addSql(
      `create index submissions_by_reverted on submissions (reverts_landing_id) where reverts_landing_id is not null`,
    );
  }

  override down(): void {
    this.addSql(`drop index submissions_by_reverted`);
    this.addSql(`alter table submissions drop column incident_id`);
    this.addSql(`drop table incidents`);
  }
}
