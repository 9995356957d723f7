import { Migration } from '@mikro-orm/migrations';

/** Repositories elsewhere that a project keeps in step with. */
export class Migration202611280010_remotes extends Migration {
  override up(): void {
    this.addSql(`
      create table project_remotes (
        project_id text collate "C" not null references projects (id) on delete cascade,
        direction text not null check (direction in ('from', 'to')),
        team_id text collate "C" not null,
        url text not null,
        branch text not null,
        requested_by text not null,
        state text not null default 'new' check (state in ('new', 'in_step', 'diverged', 'failing')),
        commit text,
        submission_id text collate "C",
        problem text,
        failures integer not null default 0,
        next_action_at timestamptz not null default muster_now(),
        tried_at timestamptz,
        in_step_at timestamptz,
        primary key (project_id, direction)
      )`);
    this.addSql(`create index project_remotes_due on project_remotes (next_action_at)`);
  }

  override down(): void {
    this.addSql(`drop table project_remotes`);
  }
}
