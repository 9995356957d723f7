import { Migration } from '@mikro-orm/migrations';

/**
 * Tasks that wait for other tasks, and deadlines. What a task without either costs stays as it is: the trigger looks at a flag
 * of the row that ends, and at nothing else.
 */
export class Migration202611280004_task_terms extends Migration {
  override up(): void {
    this.addSql(`
      create table task_terms (
        task_id text collate "C" primary key,
        not_before timestamptz,
        deadline_at timestamptz,
        on_dependency_failure text not null check (on_dependency_failure in ('cancel', 'person'))
      );
      create table task_dependencies (
        task_id text collate "C" not null,
        needs_id text collate "C" not null,
        met boolean not null,
        primary key (task_id, needs_id)
      );
      create index task_dependencies_unmet on task_dependencies (needs_id, task_id) where not met;
      alter table tasks add column has_dependants boolean not null default false;
      alter table task_due drop constraint task_due_kind_check;
      alter table task_due add constraint task_due_kind_check
        check (kind in ('delay', 'retry', 'unwanted', 'exhausted', 'deadline', 'dependants', 'tree'));
    `);

    // For events that are told by SQL alone: an id as the server makes them, a UUIDv7 in Crockford's base 32.
    this.addSql(`
      create function new_event_id() returns text language sql volatile as $$
        select 'evt_' || string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz', digit + 1, 1), '' order by place)
        from (
          select place, case
              when place <= 10 then ((extract(epoch from clock_timestamp()) * 1000)::bigint >> (5 * (10 - place))) & 31
              when place = 11 then 14 + floor(random() * 2)::int
              when place = 14 then 8 + floor(random() * 4)::int + 16 * floor(random() * 2)::int
              else floor(random() * 32)::int
            end::int as digit
          from generate_series(1, 26) as place
        ) as digits
      $$`);

    // Called where the append lock may be held, so it waits for no row: what it could not have now is left for the sweep.
    this.addSql(`
      create function release_dependants(done_id text, at_most integer) returns boolean language plpgsql volatile as $$
      declare
        locked text[];
        drafts event_draft[];
      begin
        select array_agg(l.id) into locked from (
          select t.id from task_dependencies d join tasks t on t.id = d.task_id
          where d.needs_id = done_id and not d.met and t.state = 'waiting' and t.wait_reason = 'dependency'
          order by t.id limit at_most for update of t skip locked
        ) l;
        if locked is not null then
          update task_dependencies set met = true where needs_id = done_id and task_id = any (locked);
          -- What else was met before the lock was had is seen from here on.
          with freed as (
            update tasks t set state = 'open', wait_reason = null, wait_ref = null, wait_detail = null, next_action_at = null, updated_at = muster_now(),
              ready_seq = case when coalesce(p.not_before <= muster_now(), true) then nextval('task_ready_seq') end
            from unnest(locked) as u(id) left join task_terms p on p.task_id = u.id
            where t.id = u.id and t.state = 'waiting' and t.wait_reason = 'dependency'
              and not exists (select from task_dependencies d where d.task_id = u.id and not d.met)
            returning t.id, t.team_id, t.project_id, t.lane, t.ready_seq, t.attempt, t.reworks, p.not_before
          ), queued as (
            insert into task_ready (lane, seq, task_id, ready_at, attempts)
            select lane, ready_seq, id, muster_now(), attempt from freed where ready_seq is not null
          ), delayed as (
            insert into task_due (task_id, kind, at) select id, 'delay', not_before from freed where ready_seq is null
            on conflict (task_id, kind) do update set at = excluded.at
          )
          select array_agg(row(new_event_id(), 'task.requeued', team_id, project_id, id, 'normal',
            jsonb_build_object('taskId', id, 'reason', 'dependency', 'round', reworks), null)::event_draft) into drafts
          from freed;
          update tasks t set wait_ref = (select min(d.needs_id) from task_dependencies d where d.task_id = t.id and not d.met)
          where t.id = any (locked) and t.state = 'waiting' and t.wait_reason = 'dependency' and t.wait_ref = done_id;
          perform append_events(drafts);
        end if;
        return not exists (
          select from task_dependencies d join tasks t on t.id = d.task_id
          where d.needs_id = done_id and not d.met and t.state = 'waiting' and t.wait_reason = 'dependency');
      end $$`);
    this.addSql(`
      create function tell_dependants() returns trigger language plpgsql as $$
      begin
        if new.state = 'succeeded' and release_dependants(new.id, 100) then
          return null;
        end if;
        insert into task_due (task_id, kind, at) values (new.id, 'dependants', muster_now()) on conflict (task_id, kind) do nothing;
        return null;
      end $$;
      create trigger tasks_tell_dependants after update of state on tasks for each row
        when (new.has_dependants and new.finished_at is not null and old.finished_at is null)
        execute function tell_dependants();
    `);
  }
}
