import { Migration } from '@mikro-orm/migrations';

/** Projects, and which agents may be given which work on them. That an agent can do it is PostgreSQL's word. */
export class Migration202611210004_projects extends Migration {
  override up(): void {
    this.addSql(`
      create table projects (
        id text collate "C" primary key,
        team_id text collate "C" not null,
        name text not null,
        slug text collate "C" not null,
        branch text not null,
        imported_head text not null check (imported_head ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'),
        created_at timestamptz not null,
        updated_at timestamptz not null,
        constraint projects_slug unique (team_id, slug)
      )`);
    this.addSql(`create index projects_by_team on projects (team_id, id)`);
    this.addSql(`
      create table project_assignments (
        id text collate "C" primary key,
        team_id text collate "C" not null,
        project_id text collate "C" not null references projects (id) on delete cascade,
        agent text collate "C" not null,
        version_range text not null,
        agent_version_id text collate "C" not null references agent_versions (id),
        version text not null,
        created_at timestamptz not null,
        constraint project_assignments_agent_once unique (project_id, agent),
        unique (id, agent_version_id)
      )`);
    this.addSql(`create index project_assignments_by_agent on project_assignments (team_id, agent)`);
    this.addSql(`create index project_assignments_by_version on project_assignments (agent_version_id)`);
    // The version stands in both tables so that one row ties what is assigned to what that very version can do.
    this.addSql(`
      create table project_assignment_capabilities (
        assignment_id text collate "C" not null,
        agent_version_id text collate "C" not null,
        capability text collate "C" not null,
        primary key (assignment_id, capability),
        foreign key (assignment_id, agent_version_id) references project_assignments (id, agent_version_id)
          on delete cascade,
        constraint project_assignment_capabilities_are_skills foreign key (agent_version_id, capability)
          references agent_version_skills (agent_version_id, capability)
      )`);
    this.addSql(`
      create index project_assignment_capabilities_by_skill
        on project_assignment_capabilities (agent_version_id, capability)`);
    this.addSql(`
      create function project_assignment_is_published() returns trigger language plpgsql as $$
      begin
        perform 1 from agent_versions v join projects p on p.id = new.project_id
          where v.id = new.agent_version_id and v.state = 'published'
            and v.name = new.agent and v.version = new.version
            and v.team_id = new.team_id and p.team_id = new.team_id
          for share of v;
        if not found then
          raise exception 'only a published version of an agent of the same team can be assigned'
            using errcode = 'check_violation', constraint = 'project_assignments_version_is_published';
        end if;
        return new;
      end $$`);
    this.addSql(`
      create trigger project_assignment_is_published before insert or update on project_assignments
      for each row execute function project_assignment_is_published()`);
  }

  override down(): void {
    this.addSql(`drop table project_assignment_capabilities, project_assignments, projects`);
    this.addSql(`drop function project_assignment_is_published()`);
  }
}
