import { Migration } from '@mikro-orm/migrations';

/** What verifiers tell while they work: where each check is, what it prints, and what it leaves. */
export class Migration202611280020_verification_reports extends Migration {
  override up(): void {
    this.addSql(`
      alter table verifications
        -- Of the attempt that reports; what an earlier one told is gone.
        add column report_fence bigint,
        add column log_position bigint not null default 0,
        -- Run again: the one before, the one that took its place as evidence, and what had to be looked at anew.
        add column rerun_of text collate "C",
        add column superseded_by text collate "C",
        add column fresh jsonb not null default '[]'`);
    this.addSql(`create unique index verifications_rerun on verifications (rerun_of) where rerun_of is not null`);
    this.addSql(`
      create table verification_checks (
        verification_id text collate "C" not null,
        name text not null,
        category text,
        status text check (status in ('passed', 'failed', 'not_run', 'inconclusive')),
        summary text,
        ms double precision,
        reused boolean not null default false,
        log_characters bigint not null default 0,
        log_kept integer not null default 0,
        primary key (verification_id, name)
      )`);
    this.addSql(`
      create table verification_logs (
        verification_id text collate "C" not null,
        position bigint not null,
        name text not null,
        text text not null,
        at timestamptz not null,
        primary key (verification_id, position)
      )`);
    this.addSql(`
      create table verification_artefacts (
        verification_id text collate "C" not null,
        name text not null,
        check_name text not null,
        media_type text not null,
        size integer not null check (size >= 0),
        digest text collate "C" not null,
        created_at timestamptz not null,
        primary key (verification_id, name)
      )`);
    this.addSql(`create index verification_artefacts_by_digest on verification_artefacts (digest)`);
    // What lies on the shelf; a content that no artefact names any more leaves after a while.
    this.addSql(
      `create table verification_contents (digest text collate "C" primary key, kept_at timestamptz not null)`,
    );
    this.addSql(
      `create index verifications_with_reports on verifications (finished_at) where report_fence is not null and state = 'finished'`,
    );
  }

  override down(): void {
    this.addSql(`drop table verification_contents, verification_artefacts, verification_logs, verification_checks`);
    this.addSql(`drop index verifications_with_reports`);
    this.addSql(`drop index verifications_rerun`);
    this.addSql(`alter table verifications drop column fresh, drop column superseded_by, drop column rerun_of,
      drop column log_position, drop column report_fence`);
  }
}
