import { Migration } from '@mikro-orm/migrations';

/** Submissions of several projects that land together or not at all. */
export class Migration202611280009_sets extends Migration {
  override up(): void {
    this.addSql(`
      create table landing_sets (
        id text collate "C" primary key,
        team_id text collate "C" not null,
        title text not null,
        kind text not null check (kind in ('change', 'revert')),
        state text not null
          check (state in ('gathering', 'queued', 'landing', 'moved', 'undoing', 'landed', 'failed', 'rolled_back')),
        reverts_set_id text collate "C" references landing_sets (id),
        requested_by text not null,
        reasons jsonb not null default '[]',
        next_action_at timestamptz,
        failures integer not null default 0,
        last_error text,
        created_at timestamptz not null default muster_now(),
        settled_at timestamptz,
        check ((kind = 'revert') = (reverts_set_id is not null)),
        -- Nothing gets stuck: a set that is not at its end always has a moment at which the server looks at it.
        check (next_action_at is not null or state in ('landed', 'failed', 'rolled_back'))
      )`);
    this.addSql(`create index landing_sets_by_team on landing_sets (team_id, id desc)`);
    this.addSql(`create index landing_sets_due on landing_sets (next_action_at) where next_action_at is not null`);
    this.addSql(
      `create unique index landing_sets_one_rollback on landing_sets (reverts_set_id) where state <> 'failed' and kind = 'revert'`,
    );
    // One of the three says what a member is.
    this.addSql(`
      create table landing_set_members (
        set_id text collate "C" not null references landing_sets (id),
        project_id text collate "C" not null,
        task_id text collate "C",
        submission_id text collate "C" references submissions (id),
        reverts_landing_id text collate "C" references landings (id),
        primary key (set_id, project_id),
        check (num_nonnulls(task_id, submission_id, reverts_landing_id) = 1)
      )`);
    this.addSql(
      `create unique index landing_set_members_task on landing_set_members (task_id) where task_id is not null`,
    );
    this.addSql(
      `create unique index landing_set_members_submission on landing_set_members (submission_id) where submission_id is not null`,
    );
    this.addSql(
      `create index landing_set_members_reverts on landing_set_members (reverts_landing_id) where reverts_landing_id is not null`,
    );
    this.addSql(`
      alter table submissions
        drop constraint submissions_held_check,
        add constraint submissions_held_check check (held in ('person', 'review', 'set', 'quiet_hours', 'conflict'))`);
    this.addSql(`alter table landings add column set_id text collate "C" references landing_sets (id)`);
    this.addSql(`create index landings_by_set on landings (set_id) where set_id is not null`);
  }

  override down(): void {
    this.addSql(`alter table landings drop column set_id`);
    this.addSql(`update submissions set held = null where held = 'set'`);
    this.addSql(`
      alter table submissions
        drop constraint submissions_held_check,
        add constraint submissions_held_check check (held in ('person', 'review', 'quiet_hours', 'conflict'))`);
    this.addSql(`drop table landing_set_members, landing_sets`);
  }
}
