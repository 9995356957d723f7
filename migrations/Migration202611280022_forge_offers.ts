import { Migration } from '@mikro-orm/migrations';

/** Requests that are opened from here. */
export class Migration202611280022_forge_offers extends Migration {
  override up(): void {
    this.addSql(`
      alter table forge_requests
        add column direction text not null default 'in' check (direction in ('in', 'out')),
        -- What an out request is about as long as it lives: a task, with all its tries, or a submission without one.
        add column subject text collate "C",
        add column task_id text collate "C",
        -- What is on our branch there, and everything that somebody has begun to put on it.
        add column pushed text,
        add column begun text[] not null default '{}',
        add column described text,
        alter column number drop not null,
        add unique (forge_id, subject),
        add check (direction = 'out' or number is not null),
        add check (direction = 'in' or (subject is not null and branch is not null and submission_id is not null))`);
    this.addSql(`create index forge_requests_by_task on forge_requests (task_id) where task_id is not null`);
    this.addSql(
      `alter table forges alter column requests set default '{"from": "nobody", "authors": [], "forks": false, "drafts": false, "out": false}'`,
    );
    this.addSql(`update forges set requests = requests || '{"out": false}'`);
  }

  override down(): void {
    this.addSql(`delete from forge_requests where direction = 'out'`);
    this.addSql(`
      alter table forge_requests drop column direction, drop column subject, drop column task_id, drop column pushed, drop column begun,
        drop column described, alter column number set not null`);
    this.addSql(
      `alter table forges alter column requests set default '{"from": "nobody", "authors": [], "forks": false, "drafts": false}'`,
    );
    this.addSql(`update forges set requests = requests - 'out'`);
  }
}
