import { Migration } from '@mikro-orm/migrations';

/** When each repository is looked at again, who is at it, and how it lay when it was looked at last. */
export class Migration202611280026_repository_upkeep extends Migration {
  override up(): void {
    this.addSql(`
      create table repository_upkeep (
        project_id text collate "C" primary key references projects (id) on delete cascade,
        next_action_at timestamptz not null,
        taken_until timestamptz,
        looked_at timestamptz,
        packed_at timestamptz,
        loose_objects integer not null default 0,
        packs integer not null default 0,
        loose_refs integer not null default 0,
        bytes bigint not null default 0,
        problem text
      );
      create index repository_upkeep_due on repository_upkeep (next_action_at, project_id);
      create index repository_upkeep_taken on repository_upkeep (taken_until) where taken_until is not null;
      insert into repository_upkeep (project_id, next_action_at) select id, muster_now() from projects;
    `);
  }

  override down(): void {
    this.addSql('drop table repository_upkeep');
  }
}
