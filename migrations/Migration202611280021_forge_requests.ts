import { Migration } from '@mikro-orm/migrations';

/** Pull and merge requests as submissions. */
export class Migration202611280021_forge_requests extends Migration {
  override up(): void {
    this.addSql(`
      alter table submissions
        -- Why whoever handed it in has taken it back.
        add column withdrawn text,
        add column origin text collate "C"`);
    this.addSql(
      `create unique index submissions_by_origin on submissions (project_id, origin) where origin is not null`,
    );
    this.addSql(`
      alter table forges
        add column requests jsonb not null default '{"from": "nobody", "authors": [], "forks": false, "drafts": false}',
        -- When the forge is asked next which requests are open: webhooks may be lost.
        add column list_requests_at timestamptz`);
    this.addSql(`create index forges_to_list on forges (list_requests_at) where list_requests_at is not null`);
    this.addSql(`alter table forge_webhooks add column request integer`);
    // Claims are short and renewed: by whom.
    this.addSql(`alter table forge_statuses add column claimed_by text`);
    this.addSql(`
      create table forge_requests (
        id text collate "C" primary key,
        forge_id text collate "C" not null references forges (id) on delete cascade,
        project_id text collate "C" not null,
        team_id text collate "C" not null,
        number integer not null,
        -- As the forge showed it last.
        title text,
        url text,
        author text,
        branch text,
        head text,
        state text not null default 'unseen' check (state in ('unseen', 'skipped', 'open', 'closed')),
        why text,
        -- The last submission, the commit that it is about, and how often one was taken back: the same commit may come again.
        submission_id text collate "C",
        handed_in text,
        round integer not null default 0,
        -- Our comment there, and a digest of what it was heard to say.
        comment_id text,
        comment_said text,
        -- Counts what has happened; how much of it was looked at.
        wanted integer not null default 1,
        seen integer not null default 0,
        failures integer not null default 0,
        problem text,
        next_action_at timestamptz default muster_now(),
        claimed_until timestamptz,
        claimed_by text,
        created_at timestamptz not null default muster_now(),
        updated_at timestamptz not null default muster_now(),
        unique (forge_id, number)
      )`);
    this.addSql(`create index forge_requests_due on forge_requests (next_action_at) where next_action_at is not null`);
    this.addSql(`create index forge_requests_by_submission on forge_requests (submission_id)`);
  }

  override down(): void {
    this.addSql(`drop table forge_requests`);
    this.addSql(`alter table forge_webhooks drop column request`);
    this.addSql(`alter table forge_statuses drop column claimed_by`);
    this.addSql(`alter table forges drop column requests, drop column list_requests_at`);
    this.addSql(`drop index submissions_by_origin`);
    this.addSql(`alter table submissions drop column withdrawn, drop column origin`);
  }
}
