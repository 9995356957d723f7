import { Migration } from '@mikro-orm/migrations';

/** Tasks that ask for a range of versions, or for whoever did work before. */
export class Migration202611280008_task_routing extends Migration {
  override up(): void {
    this.addSql(`
      alter table task_lanes
        add column agent_range text,
        -- Each of its tasks may be kept for somebody for a while; who that is stands in task_terms.
        add column sticky boolean not null default false;
      -- Lanes without either keep the signature that they have.
      create function lane_signature(team_id text, project_id text, capability text, priority smallint, agent_wish text, labels jsonb, unfit_agents jsonb,
        agent_range text, sticky boolean)
      returns text language sql immutable parallel safe as $$
        select case when agent_range is null and not sticky then lane_signature(team_id, project_id, capability, priority, agent_wish, labels, unfit_agents)
          else md5(jsonb_build_array(team_id, project_id, capability, priority, agent_wish, labels, unfit_agents, agent_range, sticky)::text) end
      $$;
      alter table task_terms
        add column sticky_task text collate "C",
        -- Behind the team and the project that it counts in.
        add column sticky_key text,
        add column sticky_to text check (sticky_to in ('instance', 'agent')),
        add column sticky_seconds integer;
      create index task_terms_by_sticky_key on task_terms (sticky_key, task_id) where sticky_key is not null;
    `);
  }

  override down(): void {
    this.addSql(`
      alter table task_terms drop column sticky_task, drop column sticky_key, drop column sticky_to, drop column sticky_seconds;
      drop function lane_signature(text, text, text, smallint, text, jsonb, jsonb, text, boolean);
      alter table task_lanes drop column agent_range, drop column sticky;
    `);
  }
}
