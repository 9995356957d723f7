import { Migration } from '@mikro-orm/migrations';

/** Where projects live on forges, what these said, and what they are to be told. */
export class Migration202611280017_forges extends Migration {
  override up(): void {
    this.addSql(`
      create table forges (
        id text collate "C" primary key,
        project_id text collate "C" not null unique references projects (id) on delete cascade,
        team_id text collate "C" not null,
        account text not null,
        repository text not null,
        statuses boolean not null,
        -- The secret of webhooks is made of this and a key that is not in the database; 0: there is none yet.
        secret_generation integer not null default 0,
        requested_by text not null,
        created_at timestamptz not null default muster_now()
      )`);
    this.addSql(`
      create table forge_webhooks (
        id text collate "C" primary key,
        forge_id text collate "C" not null references forges (id) on delete cascade,
        delivery text not null,
        -- Of the body, where the signature does not cover the delivery's name: what was captured can be sent under another one.
        digest text,
        event text not null,
        outcome text not null check (outcome in ('acted', 'ignored')),
        branch text,
        commit text,
        received_at timestamptz not null default muster_now(),
        unique (forge_id, delivery),
        unique (forge_id, digest)
      )`);
    this.addSql(`create index forge_webhooks_by_forge on forge_webhooks (forge_id, id desc)`);
    this.addSql(`create index forge_webhooks_by_age on forge_webhooks (received_at)`);
    this.addSql(`
      create table forge_submissions (
        submission_id text collate "C" primary key,
        forge_id text collate "C" not null references forges (id) on delete cascade
      )`);
    this.addSql(`create index forge_submissions_by_forge on forge_submissions (forge_id)`);
    this.addSql(`
      create table forge_statuses (
        forge_id text collate "C" not null references forges (id) on delete cascade,
        commit text not null,
        context text not null,
        state text not null check (state in ('pending', 'success', 'failure', 'error')),
        description text not null,
        url text not null,
        -- Counts what was to be said; what was said last, and what somebody has begun to say.
        wanted integer not null default 1,
        sent integer not null default 0,
        tried integer not null default 0,
        failures integer not null default 0,
        problem text,
        next_action_at timestamptz default muster_now(),
        claimed_until timestamptz,
        primary key (forge_id, commit, context)
      )`);
    this.addSql(`create index forge_statuses_due on forge_statuses (next_action_at) where next_action_at is not null`);
    this.addSql(`create table forge_pauses (account text primary key, until timestamptz not null)`);
  }

  override down(): void {
    for (const table of ['forge_pauses', 'forge_statuses', 'forge_submissions', 'forge_webhooks', 'forges'])
      this.addSql(`drop table ${table}`);
  }
}
