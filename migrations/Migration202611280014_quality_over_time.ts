import { Migration } from '@mikro-orm/migrations';

/** Whose work was verified, what the enforcer held against it, and what each check saw, kept for trends after evidence is gone. */
export class Migration202611280014_quality_over_time extends Migration {
  override up(): void {
    this.addSql(`
      alter table verifications
        add column agent text,
        add column agent_version text,
        add column breaches jsonb not null default '[]'`);
    this.addSql(`create index verifications_finished on verifications (team_id, finished_at) where state = 'finished'`);
    this.addSql(`
      create table check_results (
        verification_id text collate "C" not null,
        name text not null,
        team_id text collate "C" not null,
        project_id text collate "C" not null,
        purpose text not null,
        agent text,
        agent_version text,
        status text not null check (status in ('passed', 'failed', 'not_run', 'inconclusive')),
        errors integer not null,
        warnings integer not null,
        ms double precision not null,
        metrics jsonb not null,
        finished_at timestamptz not null,
        primary key (verification_id, name)
      )`);
    this.addSql(`create index check_results_by_time on check_results (team_id, finished_at)`);
    this.addSql(`alter table submissions add column agent_version text`);
    this.addSql(
      `create index submissions_by_agent on submissions (project_id, agent, id desc) where agent is not null`,
    );
  }

  override down(): void {
    this.addSql(`drop index submissions_by_agent`);
    this.addSql(`alter table submissions drop column agent_version`);
    this.addSql(`drop table check_results`);
    this.addSql(`drop index verifications_finished`);
    this.addSql(`alter table verifications drop column breaches, drop column agent_version, drop column agent`);
  }
}
