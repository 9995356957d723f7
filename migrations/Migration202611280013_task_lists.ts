import { Migration } from '@mikro-orm/migrations';

/**
 * Lists by state that do not pass through what is in another state. What is claimable or running has a table of its own; what
 * waits, and what ended otherwise than well, has an index. A plain task enters neither: both columns are null from its creation
 * to its success, so the update that ends it stays in its page. (A generated column would say the same, and was seen to cost a
 * creation and a completion 0.8 µs each; this costs nothing that could be seen.)
 */
export class Migration202611280013_task_lists extends Migration {
  override up(): void {
    this.addSql(`
      create index tasks_waiting on tasks (project_id, id) where wait_reason is not null;
      alter table tasks add column ended_as text collate "C" check (ended_as in ('failed', 'cancelled'));
      update tasks set ended_as = state where state in ('failed', 'cancelled');
      create index tasks_ended_badly on tasks (project_id, ended_as, id) where ended_as is not null;
    `);
  }

  override down(): void {
    this.addSql(`
      drop index tasks_waiting;
      alter table tasks drop column ended_as;
    `);
  }
}
