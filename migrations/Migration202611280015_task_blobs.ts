import { Migration } from '@mikro-orm/migrations';

/** Contents that tasks refer to instead of carrying them. What no task refers to is taken away when it has not been asked for in a while. */
export class Migration202611280015_task_blobs extends Migration {
  override up(): void {
    this.addSql(`
      create table task_blobs (
        project_id text collate "C" not null,
        digest text collate "C" not null,
        team_id text collate "C" not null,
        size integer not null check (size >= 0),
        created_by text not null,
        created_at timestamptz not null,
        used_at timestamptz not null,
        primary key (project_id, digest)
      );
      create index task_blobs_by_digest on task_blobs (digest);
      create index task_blobs_by_use on task_blobs (used_at);
      create table task_blob_uses (
        task_id text collate "C" not null,
        project_id text collate "C" not null,
        digest text collate "C" not null,
        primary key (task_id, digest)
      );
      create index task_blob_uses_by_digest on task_blob_uses (digest, project_id);
    `);
  }

  override down(): void {
    this.addSql(`drop table task_blob_uses, task_blobs`);
  }
}
