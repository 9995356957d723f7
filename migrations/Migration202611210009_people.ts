import { Migration } from '@mikro-orm/migrations';

/** What a person let through, what waits for one because nothing could be verified, and the fresh budget that a retry gives. */
export class Migration202611210009_people extends Migration {
  override up(): void {
    this.addSql(`alter table verifications add column approved_by text`);
    this.addSql(`
      alter table submissions
        add column approved_by jsonb,
        -- How often in a row its verification did not come about while it was in line.
        add column unverified integer not null default 0,
        -- A person lets a change through by handing it in; what an attempt hands in was let through by nobody.
        add constraint submissions_approved_is_handed_in check (approved_by is null or task_id is null)`);
    this.addSql(`
      alter table landings
        add column approved_by jsonb,
        add column unverified integer not null default 0,
        drop constraint landings_post_landing_check,
        add constraint landings_post_landing_check
          check (post_landing in ('none', 'pending', 'passed', 'failed', 'not_run'))`);
    // Spent before a person said "again": reported, and not held against what comes after.
    this.addSql(`alter table tasks add column forgiven_cost_usd numeric(14, 6) not null default 0`);
  }

  override down(): void {
    this.addSql(`alter table tasks drop column forgiven_cost_usd`);
    this.addSql(`update landings set post_landing = 'none' where post_landing = 'not_run'`);
    this.addSql(`
      alter table landings
        drop column approved_by,
        drop column unverified,
        drop constraint landings_post_landing_check,
        add constraint landings_post_landing_check check (post_landing in ('none', 'pending', 'passed', 'failed'))`);
    this.addSql(`
      alter table submissions
        drop constraint submissions_approved_is_handed_in,
        drop column approved_by,
        drop column unverified`);
    this.addSql(`alter table verifications drop column approved_by`);
  }
}
