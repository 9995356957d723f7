import { Migration } from '@mikro-orm/migrations';

/** What tells two installations apart that share a Redis. */
export class Migration202611210010_installation extends Migration {
  override up(): void {
    this.addSql(`
      create table installation (
        only_one boolean primary key default true check (only_one),
        id text not null default gen_random_uuid()::text
      );
      insert into installation default values;
    `);
  }

  override down(): void {
    this.addSql(`drop table installation`);
  }
}
