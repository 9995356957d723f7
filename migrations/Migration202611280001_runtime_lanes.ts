import { Migration } from '@mikro-orm/migrations';

/**
 * Rows that move: a task that is `open` is in `task_ready` (claimable), in `task_running` (leased) or in `task_due` (later).
 * Its own row in `tasks` stays as it is from creation until its attempt ends.
 */
export class Migration202611280001_runtime_lanes extends Migration {
  override up(): void {
    // What makes queued tasks interchangeable: whoever may do one of a lane may do all of them.
    this.addSql(`
      create function lane_signature(team_id text, project_id text, capability text, priority smallint, agent_wish text, labels jsonb, unfit_agents jsonb)
      returns text language sql immutable parallel safe as $$
        select md5(jsonb_build_array(team_id, project_id, capability, priority, agent_wish, labels, unfit_agents)::text)
      $$`);
    this.addSql(`
      create table task_lanes (
        id integer generated always as identity primary key,
        signature text not null unique,
        team_id text collate "C" not null,
        project_id text collate "C" not null,
        capability text not null,
        priority smallint not null check (priority between 0 and 3),
        agent_wish text,
        labels jsonb not null,
        unfit_agents jsonb not null
      );
      create index task_lanes_by_project on task_lanes (project_id, capability);
      create index task_lanes_by_team on task_lanes (team_id, project_id);
    `);
    // A lane's rows are taken in the order of seq. The rows of lane -L are tasks of lane L with conditions of their own.
    this.addSql(`
      create sequence task_ready_seq as bigint;
      create table task_ready (
        lane integer not null,
        seq bigint not null,
        task_id text collate "C" not null,
        ready_at timestamptz not null,
        attempts integer not null,
        avoid_instances text[],
        avoid_until timestamptz,
        avoid_then_person boolean,
        preferred_instance_id text collate "C",
        preferred_until timestamptz,
        expired_fence bigint,
        primary key (lane, seq)
      ) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
    `);
    // An attempt while it is open. It moves to attempts when it ends.
    this.addSql(`
      create table task_running (
        task_id text collate "C" primary key,
        fence bigint not null,
        lane integer not null,
        number integer not null,
        attempt_id text collate "C" not null,
        instance_id text collate "C" not null,
        holder_id text not null,
        agent text not null,
        agent_version text not null,
        max_attempts integer not null,
        started_at timestamptz not null,
        lease_until timestamptz not null,
        deadline_at timestamptz not null,
        expiry_told boolean not null default false,
        ready_seq bigint,
        progress double precision,
        progress_message text,
        checkpoint jsonb,
        cost_usd numeric(14, 6) not null default 0,
        log_lines integer not null default 0
      ) with (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
      create index task_running_by_lease on task_running (lease_until);
    `);
    // What happens to a task by itself at a moment; looked at again when it comes, so a row that came too late does nothing.
    this.addSql(`
      create table task_due (
        task_id text collate "C" not null,
        kind text not null check (kind in ('delay', 'retry', 'unwanted', 'exhausted')),
        at timestamptz not null,
        primary key (task_id, kind)
      );
      create index task_due_by_time on task_due (at);
    `);

    this.addSql(`
      alter table tasks add column lane integer;
      alter table tasks add column ready_seq bigint;
      alter table tasks add column traceparent text;
      insert into task_lanes (signature, team_id, project_id, capability, priority, agent_wish, labels, unfit_agents)
      select distinct lane_signature(team_id, project_id, capability, priority, agent_wish, labels, to_jsonb(unfit_agents)),
        team_id, project_id, capability, priority, agent_wish, labels, to_jsonb(unfit_agents)
      from tasks;
      update tasks t set lane = l.id, ready_seq = case when t.state = 'queued' then nextval('task_ready_seq') end
      from (select * from tasks order by id) o
      join task_lanes l on l.signature = lane_signature(o.team_id, o.project_id, o.capability, o.priority, o.agent_wish, o.labels, to_jsonb(o.unfit_agents))
      where t.id = o.id;
      alter table tasks alter column lane set not null;

      insert into task_due (task_id, kind, at)
      select id, 'delay', not_before from tasks where state = 'queued' and not_before > muster_now()
      union all select id, 'retry', next_action_at from tasks where state = 'waiting' and wait_reason = 'retry'
      union all select id, 'unwanted', avoid_until from tasks where state = 'queued' and avoid_then_person and avoid_until is not null;

      insert into task_ready (lane, seq, task_id, ready_at, attempts, avoid_instances, avoid_until, avoid_then_person, preferred_instance_id, preferred_until)
      select case when avoid_until is null and preferred_until is null then lane else -lane end, ready_seq, id, created_at, attempt,
        case when avoid_until is not null then avoid_instances end, avoid_until, case when avoid_until is not null then avoid_then_person end,
        preferred_instance_id, preferred_until
      from tasks where state = 'queued' and (not_before is null or not_before <= muster_now());

      -- Told again by the sweep as expired where they are.
      insert into task_running (task_id, fence, lane, number, attempt_id, instance_id, holder_id, agent, agent_version, max_attempts, started_at, lease_until,
        deadline_at, progress, progress_message, checkpoint, cost_usd, log_lines)
      select t.id, a.fence, t.lane, a.number, a.id, a.instance_id, a.holder_id, a.agent, a.agent_version, t.max_attempts, a.started_at, t.lease_until,
        coalesce(t.deadline_at, 'infinity'), a.progress, a.progress_message, a.checkpoint, a.cost_usd, a.log_lines
      from tasks t join attempts a on a.task_id = t.id and a.fence = t.fence and a.outcome is null
      where t.state = 'running';
      delete from attempts where outcome is null;
    `);

    // Room in its page for the one version that a task gets when its attempt ends.
    this.addSql('alter table tasks set (fillfactor = 55)');
    // From here on no index and no check of tasks looks at what the hot path writes, so that its updates stay in the page.
    this.addSql(`
      drop index tasks_queued, tasks_leased, tasks_held, tasks_due, tasks_by_team;
      alter table tasks
        drop constraint tasks_running_is_leased, drop constraint tasks_state_check, drop constraint tasks_idempotency, drop constraint tasks_parent_id_fkey;
      update tasks set state = 'open' where state in ('queued', 'running');
      alter table tasks add constraint tasks_state_check check (state in ('open', 'waiting', 'succeeded', 'failed', 'cancelled'));
      alter table tasks
        drop column fence, drop column lease_until, drop column deadline_at, drop column expiry_told, drop column holder_id,
        drop column preferred_instance_id, drop column preferred_until, drop column avoid_instances, drop column avoid_until, drop column avoid_then_person,
        drop column agent_wish, drop column labels, drop column unfit_agents;
      create unique index tasks_idempotency on tasks (team_id, idempotency_key) where idempotency_key is not null;
      create index tasks_by_parent on tasks (parent_id) where parent_id is not null;
    `);
    this.addSql(`
      drop index attempts_one_open_per_task;
      alter table attempts
        drop constraint attempts_pkey, drop constraint attempts_fence_key, drop constraint attempts_task_id_number_key, drop constraint attempts_task_id_fkey,
        drop constraint attempts_ended_has_an_outcome, drop column team_id, drop column project_id;
      alter table attempts add primary key (task_id, fence), alter column outcome set not null, alter column ended_at set not null;
      alter table task_costs drop constraint task_costs_task_id_fkey;
      alter table task_log_lines drop constraint task_log_lines_task_id_fkey;
    `);
    // Neither index had a use on the hot path, and each beat of an instance wrote a new entry.
    this.addSql(`
      drop index instances_alive;
      create index instances_connected on instances (id) where state <> 'offline';
      update instances set state = 'idle' where state = 'running';
      alter table instances set (fillfactor = 70);
    `);

    // Every attempt, the open ones included.
    this.addSql(`
      create view attempts_now as
      select id, task_id, number, fence, instance_id, holder_id, agent, agent_version, outcome, error, answer, progress, progress_message, checkpoint,
        cost_usd, log_lines, started_at, ended_at
      from attempts
      union all
      select attempt_id, task_id, number, fence, instance_id, holder_id, agent, agent_version, null, null, null, progress, progress_message, checkpoint,
        cost_usd, log_lines, started_at, null
      from task_running
    `);
    // A task as people and other rooms see it.
    this.addSql(`
      create view tasks_now as
      select t.id, t.team_id, t.project_id, t.capability, t.title, t.input, t.priority, t.lane, t.ready_seq,
        case when t.state <> 'open' then t.state when r.task_id is null then 'queued' else 'running' end as state,
        t.wait_reason, t.wait_ref, t.wait_detail, t.next_action_at, t.not_before,
        coalesce(r.number, t.attempt) as attempt, t.failures, least(t.max_attempts, r.max_attempts) as max_attempts, r.fence, r.lease_until, r.deadline_at,
        coalesce(r.instance_id, t.instance_id) as instance_id, coalesce(r.agent, t.agent) as agent, r.holder_id,
        coalesce(r.checkpoint, t.checkpoint) as checkpoint, t.rework, t.reworks, t.submission_id, t.output, t.error, t.own_cost_usd, t.forgiven_cost_usd, t.cost_usd,
        t.parent_id, t.depth, t.reopens, t.requested_by, t.idempotency_key, t.created_at, greatest(t.updated_at, r.started_at) as updated_at, t.finished_at
      from tasks t left join task_running r on r.task_id = t.id
    `);
  }
}
