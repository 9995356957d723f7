import { Migration } from '@mikro-orm/migrations';

/** Submissions on their way into a branch, landings, and the public halves of the keys that vouch for them. */
export class Migration202611210007_integration extends Migration {
  override up(): void {
    this.addSql(`create sequence submission_turns as bigint`);
    this.addSql(`
      create table submissions (
        id text collate "C" primary key,
        team_id text collate "C" not null,
        project_id text collate "C" not null,
        task_id text collate "C",
        fence bigint,
        kind text not null check (kind in ('change', 'revert')),
        branch text not null,
        base text not null,
        commit text not null,
        tree text not null,
        message text not null,
        claim text,
        agent text,
        requested_by text not null,
        reverts_landing_id text collate "C",
        restores_tree text,
        state text not null
          check (state in ('received', 'verifying', 'queued', 'landing', 'landed', 'rejected', 'conflicted', 'failed')),
        verification_id text collate "C",
        candidate_tree text,
        candidate_head text,
        turn bigint,
        accepted_at timestamptz,
        conflicts jsonb not null default '[]',
        reasons jsonb not null default '[]',
        landing_id text collate "C",
        step integer not null default 0,
        next_action_at timestamptz,
        failures integer not null default 0,
        last_error text,
        created_at timestamptz not null default muster_now(),
        updated_at timestamptz not null default muster_now(),
        check ((task_id is null) = (fence is null)),
        check ((kind = 'revert') = (reverts_landing_id is not null)),
        -- Nothing gets stuck: what is not at its end always has a moment at which the server looks again by itself.
        check (next_action_at is not null or state in ('landed', 'rejected', 'conflicted', 'failed'))
      )`);
    this.addSql(
      `create unique index submissions_one_per_fence on submissions (task_id, fence) where task_id is not null`,
    );
    this.addSql(`
      create unique index submissions_one_open_revert on submissions (reverts_landing_id)
        where kind = 'revert' and state not in ('rejected', 'conflicted', 'failed')`);
    this.addSql(`create index submissions_due on submissions (next_action_at) where next_action_at is not null`);
    this.addSql(`create index submissions_by_project on submissions (project_id, id desc)`);
    this.addSql(`create index submissions_by_team on submissions (team_id, id desc)`);
    this.addSql(
      `create index submissions_by_verification on submissions (verification_id) where verification_id is not null`,
    );
    this.addSql(`
      create index submissions_in_line on submissions (project_id, branch, turn)
        where state in ('verifying', 'queued', 'landing') and turn is not null`);

    this.addSql(`
      create table landings (
        id text collate "C" primary key,
        team_id text collate "C" not null,
        project_id text collate "C" not null,
        submission_id text collate "C" not null references submissions (id),
        verification_id text collate "C" not null,
        task_id text collate "C",
        fence bigint,
        kind text not null check (kind in ('change', 'revert')),
        agent text,
        author text not null,
        branch text not null,
        before text not null,
        commit text not null,
        landed_tree text not null,
        verified_tree text not null,
        message text not null,
        committed_at timestamptz not null,
        score double precision not null,
        previous_statement text,
        statement jsonb,
        statement_digest text,
        state text not null check (state in ('intended', 'landed', 'abandoned', 'rolled_back')),
        post_landing text not null default 'none' check (post_landing in ('none', 'pending', 'passed', 'failed')),
        post_verification_id text collate "C",
        reverts_landing_id text collate "C",
        rolled_back_by text collate "C",
        follow_up_task_id text collate "C",
        next_action_at timestamptz,
        failures integer not null default 0,
        last_error text,
        created_at timestamptz not null default muster_now(),
        landed_at timestamptz,
        -- What was verified is what lands. The database holds it too.
        check (landed_tree = verified_tree),
        check (state in ('intended', 'abandoned') or (landed_at is not null and statement is not null))
      )`);
    // One open intent for a branch: whoever comes next finishes it first.
    this.addSql(
      `create unique index landings_one_open_intent on landings (project_id, branch) where state = 'intended'`,
    );
    this.addSql(
      `create unique index landings_one_per_submission on landings (submission_id) where state <> 'abandoned'`,
    );
    this.addSql(
      `create unique index landings_one_per_commit on landings (project_id, commit) where state <> 'abandoned'`,
    );
    this.addSql(`create index landings_by_project on landings (project_id, id desc)`);
    this.addSql(`create index landings_by_team on landings (team_id, id desc)`);
    this.addSql(`create index landings_by_task on landings (task_id) where task_id is not null`);
    this.addSql(`create index landings_due on landings (next_action_at) where next_action_at is not null`);
    this.addSql(
      `create index landings_by_post_verification on landings (post_verification_id) where post_verification_id is not null`,
    );

    this.addSql(`
      create table provenance_keys (
        key_id text collate "C" primary key,
        pem text not null,
        since timestamptz not null default muster_now()
      )`);
  }

  override down(): void {
    this.addSql(`drop table provenance_keys`);
    this.addSql(`drop table landings`);
    this.addSql(`drop table submissions`);
    this.addSql(`drop sequence submission_turns`);
  }
}
