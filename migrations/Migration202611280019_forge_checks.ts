import { Migration } from '@mikro-orm/migrations';

/** Check runs beside statuses, where the account is an app. */
export class Migration202611280019_forge_checks extends Migration {
  override up(): void {
    this.addSql(`alter table forges add column checks boolean not null default false`);
    this.addSql(`
      alter table forge_statuses
        add column kind text not null default 'status' check (kind in ('status', 'check')),
        -- By what a check run is found again, and whose findings it shows.
        add column external_id text,
        add column verification_id text collate "C",
        drop constraint forge_statuses_pkey,
        add primary key (forge_id, commit, context, kind)`);
  }

  override down(): void {
    this.addSql(`delete from forge_statuses where kind = 'check'`);
    this.addSql(`
      alter table forge_statuses drop constraint forge_statuses_pkey, drop column kind, drop column external_id, drop column verification_id,
        add primary key (forge_id, commit, context)`);
    this.addSql(`alter table forges drop column checks`);
  }
}
