import { Migration } from '@mikro-orm/migrations';

/**
 * Where finished tasks go: the rows as they were, with their attempts, costs, log lines and reworks, in partitions by the month in
 * which the task was created, which its id begins with. The tables that work goes through stay as they are.
 */
export class Migration202611280016_task_archive extends Migration {
  override up(): void {
    this.addSql(`
      create table task_archive (like tasks including defaults, primary key (id)) partition by range (id);
      create index task_archive_by_project on task_archive (project_id, id);
      create index task_archive_by_state on task_archive (project_id, state, id);
      create index task_archive_by_parent on task_archive (parent_id, id) where parent_id is not null;
      create table attempt_archive (like attempts including defaults, primary key (task_id, fence)) partition by range (task_id);
      create table task_cost_archive (like task_costs including defaults, primary key (task_id, key)) partition by range (task_id);
      create table task_log_archive (like task_log_lines including defaults, primary key (task_id, fence, number)) partition by range (task_id);
      create table task_rework_archive (like task_reworks including defaults, primary key (task_id, round)) partition by range (task_id);
      -- What there is of it; rows of a month whose newest end is long ago leave together.
      create table task_archive_partitions (
        month text primary key,
        first text collate "C" not null unique,
        last text collate "C" not null unique,
        newest_end timestamptz not null,
        check (last > first)
      );
      -- A key stands for its task for as long as that is kept.
      create table task_archive_keys (
        team_id text collate "C" not null,
        idempotency_key text not null,
        task_id text collate "C" not null,
        primary key (team_id, idempotency_key)
      );
      create index task_archive_keys_by_task on task_archive_keys (task_id);
    `);
    // Attaching a table that stands already locks out nobody who reads or writes.
    this.addSql(`
      create function add_task_archive_partition(month text, first text, last text, newest_end timestamptz) returns void language plpgsql as $$
      declare
        parent text;
        name text;
      begin
        foreach parent in array array['task_archive', 'attempt_archive', 'task_cost_archive', 'task_log_archive', 'task_rework_archive'] loop
          name := parent || '_' || month;
          execute format('create table %I (like %I including defaults including indexes)', name, parent);
          execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, name, first, last);
        end loop;
        insert into task_archive_partitions values (month, first, last, newest_end);
      end $$`);
    this.addSql(`
      create view tasks_ended as
      select id, team_id, project_id, capability, title, input, priority, lane, ready_seq, state, wait_reason, wait_ref, wait_detail, next_action_at,
        not_before, attempt, failures, max_attempts, null::bigint as fence, null::timestamptz as lease_until, null::timestamptz as deadline_at,
        instance_id, agent, null::text as holder_id, checkpoint, rework, reworks, submission_id, output, error, own_cost_usd, forgiven_cost_usd,
        cost_usd, parent_id, depth, reopens, requested_by, idempotency_key, created_at, updated_at, finished_at
      from task_archive;
      -- Each as one: what work goes through, and what was kept of it.
      create view tasks_kept as select * from tasks_now union all select * from tasks_ended;
      create view task_rows_kept as select * from tasks union all select * from task_archive;
      create view attempt_rows_kept as select * from attempts union all select * from attempt_archive;
      create view attempts_kept as
      select * from attempts_now union all
      select id, task_id, number, fence, instance_id, holder_id, agent, agent_version, outcome, error, answer, progress, progress_message, checkpoint,
        cost_usd, log_lines, started_at, ended_at
      from attempt_archive;
      create view task_costs_kept as select * from task_costs union all select * from task_cost_archive;
      create view task_log_lines_kept as select * from task_log_lines union all select * from task_log_archive;
      create view task_reworks_kept as select * from task_reworks union all select * from task_rework_archive;
      create view task_owners as select id, team_id, project_id from tasks union all select id, team_id, project_id from task_archive;
    `);
  }

  override down(): void {
    this.addSql(`
      drop view tasks_kept, tasks_ended, task_rows_kept, attempt_rows_kept, attempts_kept, task_costs_kept, task_log_lines_kept, task_reworks_kept, task_owners;
      drop function add_task_archive_partition(text, text, text, timestamptz);
      drop table task_archive, attempt_archive, task_cost_archive, task_log_archive, task_rework_archive, task_archive_partitions, task_archive_keys;
    `);
  }
}
