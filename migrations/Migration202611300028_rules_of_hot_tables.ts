import { Migration } from '@mikro-orm/migrations';

/**
 * A rule that is enforced is read from its text again by every statement that writes to its table, however few rows it writes: about a tenth of what a
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
      for c in
        select conrelid::regclass as relation, conname as name, pg_get_expr(conbin, conrelid) as rule from pg_constraint
        where contype = 'c' and conislocal and conrelid in ('tasks'::regclass, 'attempts'::regclass, 'events'::regclass)
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
        -- Older versions do not know the column.
        for c in execute $rules$
          select conrelid::regclass as relation, conname as name, pg_get_expr(conbin, conrelid) as rule from pg_constraint
          where contype = 'c' and conislocal and not conenforced
        $rules$
        loop
          return query execute format(
            $broken$
              select coalesce(to_jsonb(r) ->> 'team_id', (select t.team_id from tasks t where t.id = to_jsonb(r) ->> 'task_id')),
                coalesce(to_jsonb(r) ->> 'id', to_jsonb(r)::text), 'is in ' || %L || ', and ' || %L || ' does not hold'
              from %s r where not (%s)
            $broken$, c.relation, c.rule, c.relation, c.rule);
        end loop;
      end $$`);
  }

  override down(): void {
    this.addSql('drop function broken_rules()');
    this.addSql(inFuture(true));
  }
}
