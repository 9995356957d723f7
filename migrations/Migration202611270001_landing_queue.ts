import { Migration } from '@mikro-orm/migrations';

/** The landing queue speculates: what a candidate stands on, how many are verified at once, how it lands, and who let it. */
export class Migration202611270001_landing_queue extends Migration {
  override up(): void {
    this.addSql(`
      alter table submissions
        -- 0 critical … 3 low; the task's.
        add column urgency smallint not null default 2 check (urgency between 0 and 3),
        add column strategy text not null default 'squash' check (strategy in ('squash', 'merge', 'rebase')),
        -- The tree that the candidate is compared with, and the submission it stands on; null: on what has landed.
        add column candidate_base text,
        add column candidate_on text collate "C",
        add column candidate_since timestamptz,
        -- It fails on top of something that has not landed: nobody builds on it, and nobody holds it against it yet.
        add column suspect boolean not null default false,
        add column released_by jsonb,
        add column held text check (held in ('person', 'quiet_hours', 'conflict'))`);
    this.addSql(`
      alter table landings
        add column strategy text not null default 'squash' check (strategy in ('squash', 'merge', 'rebase')),
        -- The commits below the landed one that came in with it, oldest first (rebase only).
        add column commits jsonb not null default '[]',
        add column released_by jsonb`);
    this.addSql(`
      create table landing_lines (
        project_id text collate "C" not null,
        branch text not null,
        speculation integer not null check (speculation >= 1),
        updated_at timestamptz not null default muster_now(),
        primary key (project_id, branch)
      )`);
  }

  override down(): void {
    this.addSql(`drop table landing_lines`);
    this.addSql(`alter table landings drop column strategy, drop column commits, drop column released_by`);
    this.addSql(`
      alter table submissions drop column urgency, drop column strategy, drop column candidate_base, drop column candidate_on,
        drop column candidate_since, drop column suspect, drop column released_by, drop column held`);
  }
}
