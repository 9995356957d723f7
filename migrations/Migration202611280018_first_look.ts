import { Migration } from '@mikro-orm/migrations';

/** What a first look showed, long before the verdict. */
export class Migration202611280018_first_look extends Migration {
  override up(): void {
    this.addSql(`alter table verifications add column first_look jsonb`);
  }

  override down(): void {
    this.addSql(`alter table verifications drop column first_look`);
  }
}
