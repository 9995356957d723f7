import { Migration } from '@mikro-orm/migrations';

/** Instances whose process a server starts. The row says what is wanted, so that a server that comes back knows. */
export class Migration202611280002_supervised extends Migration {
  override up(): void {
    this.addSql(`
      create table supervised_instances (
        id text collate "C" primary key references instances (id),
        team_id text collate "C" not null,
        project_id text collate "C",
        -- Whose machine: the data folder that the server had when it was asked.
        server_id text not null,
        agent text not null,
        agent_version text not null,
        name text,
        command jsonb not null,
        env jsonb not null,
        restarts integer not null check (restarts >= 0),
        started_by text not null,
        desired text not null default 'running' check (desired in ('running', 'stopped')),
        stop_grace_seconds double precision,
        state text not null default 'starting' check (state in ('starting', 'running', 'backing_off', 'stopping', 'stopped', 'error')),
        reason text,
        failures integer not null default 0,
        starts integer not null default 0,
        next_start_at timestamptz,
        key_id text collate "C",
        -- The mark is written before the process exists and its number after: whichever way the server dies, what it left is found.
        mark text,
        pid integer,
        pid_started_ticks bigint,
        boot_id text,
        process_started_at timestamptz,
        created_at timestamptz not null
      );
      create index supervised_by_server on supervised_instances (server_id);
      create index supervised_by_team on supervised_instances (team_id, id);
      create unique index supervised_by_key on supervised_instances (key_id);
    `);
  }

  override down(): void {
    this.addSql(`drop table supervised_instances`);
  }
}
