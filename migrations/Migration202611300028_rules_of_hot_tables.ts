import { Migration } from '@mikro-orm/migrations';

/**
 * A rule that is enforced is read from its text again by every statement that writes to its table, however few rows it writes: 6 to 10 % of what a
 * statement for a single task takes. Those of the tables that every task writes to stay with the tables, and are asked for by the doctor. PostgreSQL knows
 * rules that are not enforced from version 18; before it they are.
 */
const inFuture = (enforced: boolean): string => `
  do $$
    declare
      c record;
    begin
      if current_setting('server_version_num')::int < 180000 then
        return;
      end if;
      -- Locked in the order in which everybody writes to them.
      for c in
        select conrelid::regclass as relation, conname as name, pg_get_expr(conbin, conrelid) as rule from pg_constraint
        where contype = 'c' and conislocal and conrelid in ('tasks'::regclass, 'attempts'::regclass, 'events'::regclass)
        order by array_position(array['tasks', 'attempts', 'events']::regclass[], conrelid::regclass)
      loop
        execute format('alter table %s drop constraint %I, add constraint %I check (%s) ${enforced ? '' : 'not enforced'}', c.relation, c.name, c.name, c.rule);
      end loop;
    end $$`;

export class Migration202611300028_rules_of_hot_tables extends Migration {
  override up(): void {
    this.addSql(inFuture(false));
    this.addSql(`
      create function broken_rules() returns table (team_id text, subject text, detail text) language plpgsql stable as $$
      declare
        c record;
      begin
        if current_setting('server_version_num')::int < 180000 then
          return;
        end if;
        -- Older versions do not know the column. What is in the archive is to be as it was.
        for c in execute $rules$
          select relation, case relation when 'tasks'::regclass then 'task_rows_kept' when 'attempts'::regclass then 'attempt_rows_kept' else relation::text end as kept,
            string_agg(format('(%L, (%s))', rule, rule), ', ') as rules
          from (
            select conrelid::regclass as relation, pg_get_expr(conbin, conrelid) as rule from pg_constraint
            where contype = 'c' and conislocal and not conenforced
          ) c
          group by relation
        $rules$
        loop
          return query execute format(
            $broken$
              select coalesce(to_jsonb(r) ->> 'team_id', (select t.team_id from task_rows_kept t where t.id = to_jsonb(r) ->> 'task_id')),
                coalesce(to_jsonb(r) ->> 'id', to_jsonb(r)::text), 'is in ' || %L || ', and ' || v.rule || ' does not hold'
              from %s r cross join lateral (values %s) v(rule, holds) where not v.holds
            $broken$, c.relation, c.kept, c.rules);
        end loop;
      end $$`);
  }

  override down(): void {
    this.addSql('drop function broken_rules()');
    this.addSql(inFuture(true));
  }
}
