import { Migration } from '@mikro-orm/migrations';

/** Children are paged through by id, however many there are. */
export class Migration202611280005_task_trees extends Migration {
  override up(): void {
    this.addSql(`
      drop index tasks_by_parent;
      create index tasks_by_parent on tasks (parent_id, id) where parent_id is not null;
    `);
  }
}
