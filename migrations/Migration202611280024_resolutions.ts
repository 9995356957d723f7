import { Migration } from '@mikro-orm/migrations';

/** What became of conflicts that a tool may settle, and what of what landed was made by one. */
export class Migration202611280024_resolutions extends Migration {
  override up(): void {
    this.addSql(`
      alter table submissions add column resolution jsonb;
      alter table landings add column resolved jsonb not null default '[]';
      create index submissions_resolution on submissions ((resolution ->> 'taskId'))
        where resolution is not null and state in ('received', 'queued');
    `);
  }

  override down(): void {
    this.addSql(`
      drop index submissions_resolution;
      alter table landings drop column resolved;
      alter table submissions drop column resolution;
    `);
  }
}
