import { Migration } from '@mikro-orm/migrations';

/** What is said about a landing besides the summary, and until when a key signs. */
export class Migration202611280011_attestations extends Migration {
  override up(): void {
    // Null where a landing is from before: its summary stands alone.
    this.addSql(`alter table landings add column attestations jsonb`);
    this.addSql(`alter table provenance_keys add column retired_at timestamptz`);
  }

  override down(): void {
    this.addSql(`alter table provenance_keys drop column retired_at`);
    this.addSql(`alter table landings drop column attestations`);
  }
}
