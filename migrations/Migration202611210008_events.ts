import { Migration } from '@mikro-orm/migrations';

/** Which tasks a trigger started, and how long the chain behind each is. */
export class Migration202611210008_events extends Migration {
  override up(): void {
    this.addSql(`
      create table triggered_tasks (
        task_id text collate "C" primary key,
        team_id text collate "C" not null,
        project_id text collate "C" not null,
        event_id text collate "C" not null,
        agent text collate "C" not null,
        capability text collate "C" not null,
        depth integer not null check (depth >= 1),
        created_at timestamptz not null
      )`);
    this.addSql(`create index triggered_tasks_event on triggered_tasks (team_id, event_id)`);
  }

  override down(): void {
    this.addSql(`drop table triggered_tasks`);
  }
}
