import { Migration } from '@mikro-orm/migrations';

/** Teams, their people, what these may do, and the credentials of people and programs. */
export class Migration202611210002_auth extends Migration {
  override up(): void {
    this.addSql(`
      create table teams (
        id text collate "C" primary key,
        name text not null,
        slug text collate "C" not null constraint teams_slug unique,
        created_at timestamptz not null
      )`);
    // The server's own verifier is of this team; no person and no key ever is.
    this.addSql(`
      insert into teams (id, name, slug, created_at)
      values ('team_00000000000000000000000000', 'System', 'system', clock_timestamp())`);
    this.addSql(`
      create table users (
        id text collate "C" primary key,
        team_id text collate "C" not null references teams (id),
        email text not null,
        name text not null,
        password_hash text not null,
        password_generated boolean not null default false,
        created_at timestamptz not null
      )`);
    this.addSql(`create unique index users_email on users (lower(email))`);
    this.addSql(`create index users_team on users (team_id, id)`);
    this.addSql(`
      create table memberships (
        team_id text collate "C" not null references teams (id),
        user_id text collate "C" not null references users (id) on delete cascade,
        project_id text collate "C",
        role text not null check (role in ('owner', 'maintainer', 'developer', 'viewer', 'agent')),
        created_at timestamptz not null,
        constraint memberships_one_role unique nulls not distinct (user_id, project_id),
        check (project_id is null or role <> 'owner')
      )`);
    this.addSql(`create index memberships_team on memberships (team_id, project_id)`);
    this.addSql(`
      create table sessions (
        id uuid primary key,
        team_id text collate "C" not null,
        user_id text collate "C" not null references users (id) on delete cascade,
        created_at timestamptz not null,
        expires_at timestamptz not null,
        revoked_at timestamptz,
        revoked_reason text
      )`);
    this.addSql(`create index sessions_user on sessions (user_id)`);
    this.addSql(`
      create table refresh_tokens (
        token_hash text collate "C" primary key,
        session_id uuid not null references sessions (id) on delete cascade,
        issued_at timestamptz not null,
        rotated_at timestamptz
      )`);
    this.addSql(`create index refresh_tokens_session on refresh_tokens (session_id)`);
    // Several servers sign and verify with the same key, so it lives where all of them can read it.
    this.addSql(`
      create table signing_keys (
        id text collate "C" primary key,
        private_pem text not null,
        public_pem text not null,
        created_at timestamptz not null
      )`);
    this.addSql(`
      create table api_keys (
        id text collate "C" primary key,
        team_id text collate "C" not null references teams (id),
        project_id text collate "C",
        name text not null,
        role text not null check (role in ('owner', 'maintainer', 'developer', 'viewer', 'agent')),
        permissions jsonb not null check (not permissions @> '["system.verify"]'),
        secret_hash text not null,
        user_id text collate "C" not null,
        parent_key_id text collate "C" references api_keys (id),
        created_at timestamptz not null,
        expires_at timestamptz,
        revoked_at timestamptz,
        last_used_at timestamptz
      )`);
    this.addSql(`create index api_keys_team on api_keys (team_id, id)`);
    this.addSql(`create index api_keys_user on api_keys (user_id)`);
    this.addSql(`create index api_keys_parent on api_keys (parent_key_id) where parent_key_id is not null`);
    this.addSql(`create index api_keys_expiry on api_keys (expires_at) where expires_at is not null`);
    // What other servers look through, so that their open sockets end, too.
    this.addSql(`
      create table revocations (
        actor_id text collate "C" not null,
        revoked_at timestamptz not null default clock_timestamp()
      )`);
    this.addSql(`create index revocations_recent on revocations (revoked_at)`);
  }

  override down(): void {
    this.addSql(
      `drop table revocations, api_keys, signing_keys, refresh_tokens, sessions, memberships, users, teams cascade`,
    );
  }
}
