import { Migration } from '@mikro-orm/migrations';

/** What was verified, under which rules, what was seen, and what followed from it. */
export class Migration202611210006_quality extends Migration {
  override up(): void {
    this.addSql(`
      create table verifications (
        id text collate "C" primary key,
        team_id text collate "C" not null,
        project_id text collate "C" not null,
        purpose text not null check (purpose in ('base', 'admission', 'landing', 'revert', 'post_landing')),
        subject_id text collate "C",
        candidate_tree text collate "C" not null,
        base_tree text collate "C",
        restores_tree text collate "C",
        rules_commit text collate "C" not null,
        rules_digest text collate "C" not null,
        evidence_key text collate "C" not null,
        policy jsonb not null,
        threshold int not null,
        state text not null default 'pending' check (state in ('pending', 'running', 'finished')),
        -- False where no evidence came about: the next one who asks gets a new try.
        reusable boolean not null default true,
        verdict text check (verdict in ('accepted', 'rejected')),
        score double precision,
        reasons jsonb not null default '[]',
        lost jsonb not null default '[]',
        facts jsonb,
        task_id text collate "C",
        created_at timestamptz not null default clock_timestamp(),
        finished_at timestamptz,
        next_action_at timestamptz,
        check (base_tree is not null or purpose = 'base'),
        check ((state = 'finished') = (verdict is not null)),
        check ((state = 'finished') = (finished_at is not null)),
        check ((state = 'finished') = (next_action_at is null)),
        -- Nothing is accepted without facts.
        check (verdict is distinct from 'accepted' or (facts is not null and score is not null))
      )`);
    this.addSql(
      `create unique index verifications_evidence on verifications (project_id, evidence_key) where reusable`,
    );
    this.addSql(`create index verifications_project on verifications (project_id, id)`);
    this.addSql(`create index verifications_due on verifications (next_action_at) where next_action_at is not null`);
  }

  override down(): void {
    this.addSql(`drop table verifications`);
  }
}
