import { Migration } from '@mikro-orm/migrations';

/** What people said about changes, bound to the content that they saw, and what a change still waits for of them. */
export class Migration202611280007_reviews extends Migration {
  override up(): void {
    this.addSql(`
      create table reviews (
        project_id text collate "C" not null,
        -- The content: what it was made on, and what it makes of it. Whoever changes either needs new ones.
        base_tree text not null,
        tree text not null,
        user_id text collate "C" not null,
        team_id text collate "C" not null,
        submission_id text collate "C" not null references submissions (id) on delete cascade,
        name text not null,
        verdict text not null check (verdict in ('approve', 'reject')),
        comment text,
        created_at timestamptz not null default muster_now(),
        primary key (project_id, base_tree, tree, user_id)
      )`);
    this.addSql(`create index reviews_submission on reviews (submission_id)`);
    this.addSql(`
      alter table submissions
        -- Paths for which the gate found nothing wrong but that a machine may not let through.
        add column rules_paths jsonb not null default '[]',
        add column review_needs jsonb not null default '[]',
        drop constraint submissions_approved_is_handed_in,
        drop constraint submissions_held_check,
        add constraint submissions_held_check check (held in ('person', 'review', 'quiet_hours', 'conflict'))`);
    this.addSql(`alter table landings add column reviewers jsonb not null default '[]'`);
  }

  override down(): void {
    this.addSql(`alter table landings drop column reviewers`);
    this.addSql(`update submissions set held = null where held = 'review'`);
    this.addSql(`update submissions set approved_by = null where task_id is not null`);
    this.addSql(`
      alter table submissions drop column rules_paths, drop column review_needs,
        add constraint submissions_approved_is_handed_in check (approved_by is null or task_id is null),
        drop constraint submissions_held_check,
        add constraint submissions_held_check check (held in ('person', 'quiet_hours', 'conflict'))`);
    this.addSql(`drop table reviews`);
  }
}
