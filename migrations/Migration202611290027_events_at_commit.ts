import { Migration } from '@mikro-orm/migrations';

/**
 * What depends on a task is told of its end by a statement that commits by itself, and by no other: events are written under the log's lock, and a
 * transaction that went on behind them would hold everybody up.
 */
export class Migration202611290027_events_at_commit extends Migration {
  override up(): void {
    this.addSql(`
      create or replace function tell_dependants() returns trigger language plpgsql as $$
      begin
        if new.state = 'succeeded' and current_setting('muster.hot', true) = 'on' and release_dependants(new.id, 100) then
          return null;
        end if;
        insert into task_due (task_id, kind, at) values (new.id, 'dependants', muster_now()) on conflict (task_id, kind) do nothing;
        return null;
      end $$`);
    // The next of those that ended; of one that succeeded, what waits for it is freed here.
    this.addSql(`
      create function tell_ended_need(at_most integer, out id text, out state text, out head bigint) language plpgsql volatile as $$
      begin
        select d.task_id, t.state into id, state
        from (select task_id from task_due where kind = 'dependants' and at <= muster_now() order by at limit 1 for update skip locked) d
        left join tasks t on t.id = d.task_id;
        if id is null or state in ('failed', 'cancelled') then
          return;
        end if;
        delete from task_due d where d.task_id = tell_ended_need.id and d.kind = 'dependants';
        if state is distinct from 'succeeded' then
          return;
        end if;
        if not release_dependants(id, at_most) then
          insert into task_due (task_id, kind, at) values (id, 'dependants', muster_now() + interval '0.1 second');
        end if;
        select position into head from events order by position desc limit 1;
      end $$`);
  }

  override down(): void {
    this.addSql('drop function tell_ended_need(integer)');
    this.addSql(`
      create or replace function tell_dependants() returns trigger language plpgsql as $$
      begin
        if new.state = 'succeeded' and release_dependants(new.id, 100) then
          return null;
        end if;
        insert into task_due (task_id, kind, at) values (new.id, 'dependants', muster_now()) on conflict (task_id, kind) do nothing;
        return null;
      end $$`);
  }
}
