import { Migration } from '@mikro-orm/migrations';

/** What was said about the work, and what the server asks of every project, as they were when the verification was asked for. */
export class Migration202611210011_gate_policy extends Migration {
  override up(): void {
    this.addSql(`
      alter table verifications
        add column declared jsonb not null default '{}',
        add column server_policy jsonb not null default '{}'`);
  }

  override down(): void {
    this.addSql(`alter table verifications drop column declared, drop column server_policy`);
  }
}
