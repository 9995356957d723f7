import { Migration } from '@mikro-orm/migrations';

/** Agents, their versions, and what these can be asked to do. That a version never changes is PostgreSQL's word, too. */
export class Migration202611210003_registry extends Migration {
  override up(): void {
    this.addSql(`
      create table agents (
        id text collate "C" primary key,
        team_id text collate "C" not null,
        name text collate "C" not null,
        description text,
        latest_version text,
        capabilities text[] not null default '{}',
        created_at timestamptz not null,
        unique (team_id, name)
      )`);
    this.addSql(`
      create table agent_versions (
        id text collate "C" primary key,
        team_id text collate "C" not null,
        agent_id text collate "C" not null references agents (id) on delete cascade,
        name text collate "C" not null,
        version text collate "C" not null,
        state text not null default 'draft' check (state in ('draft', 'published', 'deprecated')),
        content_hash text not null check (content_hash ~ '^[0-9a-f]{64}$'),
        definition jsonb not null,
        created_at timestamptz not null,
        published_at timestamptz,
        deprecated_at timestamptz,
        unique (team_id, name, version),
        check ((state = 'draft') = (published_at is null)),
        check ((state = 'deprecated') = (deprecated_at is not null))
      )`);
    this.addSql(`create index agent_versions_agent on agent_versions (agent_id, id)`);
    // The room of projects refers to this table, so that an assignment cannot name what a version lacks.
    this.addSql(`
      create table agent_version_skills (
        agent_version_id text collate "C" not null references agent_versions (id) on delete cascade,
        capability text collate "C" not null,
        primary key (agent_version_id, capability)
      )`);
    this.addSql(`create index agent_version_skills_capability on agent_version_skills (capability)`);
    this.addSql(`
      create table agent_version_triggers (
        agent_version_id text collate "C" not null references agent_versions (id) on delete cascade,
        team_id text collate "C" not null,
        event_type text collate "C" not null,
        primary key (agent_version_id, event_type)
      )`);
    this.addSql(`create index agent_version_triggers_event on agent_version_triggers (team_id, event_type)`);

    this.addSql(`
      create function agent_versions_never_change() returns trigger language plpgsql as $$
      begin
        if tg_op = 'INSERT' then
          if new.state <> 'draft' then
            raise exception 'an agent version begins as a draft' using errcode = 'restrict_violation';
          end if;
          return new;
        end if;
        if tg_op = 'DELETE' then
          -- A published version goes only together with its agent, and only when nothing refers to its skills.
          if old.state <> 'draft' and exists (select from agents where id = old.agent_id) then
            raise exception 'version % of % is %: only drafts can be deleted', old.version, old.name, old.state
              using errcode = 'restrict_violation';
          end if;
          return old;
        end if;
        if (new.id, new.team_id, new.agent_id, new.name, new.version, new.content_hash, new.definition, new.created_at)
          is distinct from
          (old.id, old.team_id, old.agent_id, old.name, old.version, old.content_hash, old.definition, old.created_at) then
          raise exception 'version % of % never changes', old.version, old.name using errcode = 'restrict_violation';
        end if;
        if new.state <> old.state and (old.state, new.state) not in (('draft', 'published'), ('published', 'deprecated')) then
          raise exception 'version % of % cannot go from % to %', old.version, old.name, old.state, new.state
            using errcode = 'restrict_violation';
        end if;
        if old.published_at is not null and new.published_at is distinct from old.published_at then
          raise exception 'version % of % never changes', old.version, old.name using errcode = 'restrict_violation';
        end if;
        if old.state = 'draft' and new.state = 'published' and (
          exists (
            select skill ->> 'name' from jsonb_array_elements(new.definition -> 'skills') skill
            except select capability from agent_version_skills where agent_version_id = new.id
          ) or exists (
            select capability from agent_version_skills where agent_version_id = new.id
            except select skill ->> 'name' from jsonb_array_elements(new.definition -> 'skills') skill
          )
        ) then
          raise exception 'version % of % is published with other skills than it declares', old.version, old.name
            using errcode = 'restrict_violation';
        end if;
        return new;
      end $$`);
    this.addSql(`
      create trigger agent_versions_never_change before insert or update or delete on agent_versions
      for each row execute function agent_versions_never_change()`);
    this.addSql(`
      create function agent_version_parts_never_change() returns trigger language plpgsql as $$
      declare
        version_id text := case tg_op when 'DELETE' then old.agent_version_id else new.agent_version_id end;
      begin
        if tg_op = 'UPDATE' or exists (select from agent_versions where id = version_id and state <> 'draft') then
          raise exception 'what a registered agent version can do never changes' using errcode = 'restrict_violation';
        end if;
        return case tg_op when 'DELETE' then old else new end;
      end $$`);
    this.addSql(`
      create trigger agent_version_skills_never_change before insert or update or delete on agent_version_skills
      for each row execute function agent_version_parts_never_change()`);
    this.addSql(`
      create trigger agent_version_triggers_never_change before insert or update or delete on agent_version_triggers
      for each row execute function agent_version_parts_never_change()`);
  }

  override down(): void {
    this.addSql(`drop table agent_version_triggers, agent_version_skills, agent_versions, agents cascade`);
    this.addSql(`drop function agent_version_parts_never_change(), agent_versions_never_change()`);
  }
}
