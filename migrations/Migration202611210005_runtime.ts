import { Migration } from '@mikro-orm/migrations';

/** Tasks, their attempts under leases, and the instances that hold them. */
export class Migration202611210005_runtime extends Migration {
  override up(): void {
    // Fences only ever grow, over all tasks: a higher one always belongs to a later claim.
    this.addSql(`create sequence task_fences as bigint;`);
    this.addSql(`
      create table instances (
        id text collate "C" primary key,
        team_id text collate "C" not null,
        only_project_id text collate "C",
        actor_id text not null,
        agent text not null,
        agent_version text not null,
        name text,
        system boolean not null default false,
        transport text not null check (transport in ('socket', 'poll')),
        connection text not null,
        state text not null check (state in ('idle', 'running', 'paused', 'error', 'offline')),
        capabilities text[] not null,
        labels jsonb not null default '{}',
        capacity integer not null check (capacity > 0),
        limits jsonb not null,
        output_schemas jsonb not null default '{}',
        connected_at timestamptz not null,
        last_seen_at timestamptz not null
      );
      create index instances_by_team on instances (team_id, id);
      create index instances_alive on instances (last_seen_at) where state <> 'offline';
    `);
    this.addSql(`
      create table tasks (
        id text collate "C" primary key,
        team_id text collate "C" not null,
        project_id text collate "C" not null,
        capability text not null,
        title text,
        input jsonb not null,
        priority smallint not null check (priority between 0 and 3),
        state text not null check (state in ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
        wait_reason text check (wait_reason in ('retry', 'lock', 'dependency', 'verification', 'landing', 'person')),
        wait_ref text,
        wait_detail text,
        next_action_at timestamptz,
        not_before timestamptz,
        agent_wish text,
        labels jsonb not null default '{}',
        unfit_agents text[] not null default '{}',
        attempt integer not null default 0,
        failures integer not null default 0,
        max_attempts integer not null check (max_attempts > 0),
        fence bigint,
        lease_until timestamptz,
        deadline_at timestamptz,
        expiry_told boolean not null default false,
        instance_id text collate "C",
        holder_id text,
        agent text,
        preferred_instance_id text collate "C",
        preferred_until timestamptz,
        avoid_instances text[] not null default '{}',
        avoid_until timestamptz,
        avoid_then_person boolean not null default false,
        checkpoint jsonb,
        rework jsonb,
        reworks integer not null default 0,
        submission_id text collate "C",
        output jsonb,
        error text,
        own_cost_usd numeric(14, 6) not null default 0,
        cost_usd numeric(14, 6) not null default 0,
        parent_id text collate "C" references tasks (id),
        depth smallint not null default 0,
        reopens text collate "C",
        requested_by text not null,
        idempotency_key text,
        created_at timestamptz not null,
        updated_at timestamptz not null,
        finished_at timestamptz,
        constraint tasks_idempotency unique (team_id, idempotency_key),
        constraint tasks_running_is_leased check ((state = 'running') = (lease_until is not null)),
        constraint tasks_waiting_has_a_reason check ((state = 'waiting') = (wait_reason is not null)),
        constraint tasks_retry_is_scheduled check (wait_reason <> 'retry' or next_action_at is not null),
        constraint tasks_finished_has_a_time check ((state in ('succeeded', 'failed', 'cancelled')) = (finished_at is not null))
      ) with (fillfactor = 80);
      create index tasks_queued on tasks (capability, project_id, priority, id) where state = 'queued';
      create index tasks_leased on tasks (lease_until) where state = 'running';
      create index tasks_held on tasks (instance_id) where state = 'running';
      create index tasks_due on tasks (next_action_at) where state = 'waiting' and next_action_at is not null;
      create index tasks_by_project on tasks (project_id, id);
      create index tasks_by_team on tasks (team_id, id);
    `);
    this.addSql(`
      create table attempts (
        id text collate "C" primary key,
        task_id text collate "C" not null references tasks (id),
        team_id text collate "C" not null,
        project_id text collate "C" not null,
        number integer not null,
        fence bigint not null unique,
        instance_id text collate "C" not null,
        holder_id text not null,
        agent text not null,
        agent_version text not null,
        outcome text check (outcome in ('completed', 'submitted', 'failed', 'released', 'expired', 'cancelled')),
        error text,
        answer jsonb,
        progress double precision,
        progress_message text,
        checkpoint jsonb,
        cost_usd numeric(14, 6) not null default 0,
        log_lines integer not null default 0,
        started_at timestamptz not null,
        ended_at timestamptz,
        unique (task_id, number),
        constraint attempts_ended_has_an_outcome check ((outcome is null) = (ended_at is null))
      ) with (fillfactor = 80);
      create unique index attempts_one_open_per_task on attempts (task_id) where outcome is null;
    `);
    this.addSql(`
      create table task_reworks (
        task_id text collate "C" not null references tasks (id),
        round integer not null,
        submission_id text collate "C" not null,
        rework jsonb not null,
        created_at timestamptz not null,
        primary key (task_id, round),
        unique (task_id, submission_id)
      );
      create table task_costs (
        task_id text collate "C" not null references tasks (id),
        key text not null,
        fence bigint not null,
        usd numeric(14, 6) not null,
        model text,
        input_tokens bigint,
        output_tokens bigint,
        reported_at timestamptz not null,
        unique (task_id, key)
      );
      create table task_log_lines (
        task_id text collate "C" not null references tasks (id),
        fence bigint not null,
        number integer not null,
        stream text not null check (stream in ('stdout', 'stderr')),
        line text not null,
        logged_at timestamptz not null,
        primary key (task_id, fence, number)
      );
    `);
  }

  override down(): void {
    this.addSql(
      'drop table task_log_lines, task_costs, task_reworks, attempts, tasks, instances; drop sequence task_fences;',
    );
  }
}
