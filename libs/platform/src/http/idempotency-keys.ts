import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Batcher } from '#platform/batching';
import { Database } from '#platform/database';
import { Rounds } from '#platform/rounds';

/** Long enough for a client that was down over a long weekend. */
const keptFor = '7 days';
const forgetEveryMs = 600_000;

export interface IdempotencyKey {
  readonly teamId: string;
  readonly actorId: string;
  readonly route: string;
  readonly key: string;
}
export interface KeptAnswer {
  readonly request_hash: string;
  readonly status: number | null;
  readonly body: unknown;
}

/** Of the same key twice in a batch the first one has it; a request that died with its server is let through again after a minute. */
const claimText = `
  with given as (
    select distinct on (team_id, actor_id, route, key) *
    from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) with ordinality as g(team_id, actor_id, route, key, request_hash, no)
    order by team_id, actor_id, route, key, no
  ), made as (
    insert into idempotency_keys (team_id, actor_id, route, key, request_hash) select team_id, actor_id, route, key, request_hash from given
    on conflict (team_id, actor_id, route, key) do update set created_at = clock_timestamp()
      where idempotency_keys.status is null and idempotency_keys.request_hash = excluded.request_hash
        and idempotency_keys.created_at < clock_timestamp() - interval '1 minute'
    returning team_id, actor_id, route, key
  )
  select g.no::int as no from given g join made m using (team_id, actor_id, route, key)`;
/** Locked in the order in which claims lock them. */
const answerText = `
  with given as materialized (
    select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[]) as g(team_id, actor_id, route, key, status, body)
  ), held as materialized (
    select g.* from given g join idempotency_keys i on (i.team_id, i.actor_id, i.route, i.key) = (g.team_id, g.actor_id, g.route, g.key)
    order by g.team_id, g.actor_id, g.route, g.key for update of i
  )
  update idempotency_keys i set status = g.status, body = g.body::jsonb
  from held g where (i.team_id, i.actor_id, i.route, i.key) = (g.team_id, g.actor_id, g.route, g.key)`;

const columnsOf = (keys: readonly IdempotencyKey[]): string[][] => [
  keys.map(({ teamId }) => teamId),
  keys.map(({ actorId }) => actorId),
  keys.map(({ route }) => route),
  keys.map(({ key }) => key),
];

/** The keys that requests carry, with the answers that they got. Each costs two writes, which the requests of a moment share. */
@Injectable()
export class IdempotencyKeys implements OnApplicationBootstrap {
  readonly #claims: Batcher<IdempotencyKey & { readonly hash: string }, boolean>;
  readonly #answers: Batcher<IdempotencyKey & { readonly status: number; readonly body: string }, true>;

  constructor(
    private readonly database: Database,
    private readonly rounds: Rounds,
  ) {
    this.#claims = new Batcher({
      name: 'idempotency keys',
      fairnessKey: ({ actorId }) => actorId,
      run: async (items) => {
        const params = [...columnsOf(items), items.map(({ hash }) => hash)];
        const rows = await database.hot<{ no: number }>('claim idempotency keys', claimText, params);
        const claimed = new Set(rows.map(({ no }) => no));
        return items.map((_, place) => claimed.has(place + 1));
      },
    });
    this.#answers = new Batcher({
      name: 'idempotent answers',
      bytesOf: ({ body }) => body.length,
      fairnessKey: ({ actorId }) => actorId,
      repeatable: true,
      run: async (items) => {
        const params = [...columnsOf(items), items.map(({ status }) => status), items.map(({ body }) => body)];
        await database.hot('keep idempotent answers', answerText, params);
        return items.map(() => true as const);
      },
    });
  }

  /** False: somebody has it already. */
  claim(key: IdempotencyKey, hash: string): Promise<boolean> {
    return this.#claims.add({ ...key, hash });
  }

  async kept({ teamId, actorId, route, key }: IdempotencyKey): Promise<KeptAnswer | null> {
    const [row] = await this.database.sql<KeptAnswer>(
      'select request_hash, status, body from idempotency_keys where (team_id, actor_id, route, key) = ($1, $2, $3, $4)',
      [teamId, actorId, route, key],
    );
    return row ?? null;
  }

  async keep(key: IdempotencyKey, status: number, body: unknown): Promise<void> {
    await this.#answers.add({ ...key, status, body: JSON.stringify(body ?? null) });
  }

  /** The request failed: the key may be used again. */
  async giveBack({ teamId, actorId, route, key }: IdempotencyKey): Promise<void> {
    await this.database.sql(
      'delete from idempotency_keys where (team_id, actor_id, route, key) = ($1, $2, $3, $4) and status is null',
      [teamId, actorId, route, key],
    );
  }

  onApplicationBootstrap(): void {
    this.rounds.begin('idempotency keys', forgetEveryMs, () => this.forget());
  }

  /** Takes the keys that nobody repeats any more: a bounded number at a time, so that no lock is held long. */
  async forget(): Promise<void> {
    await this.database.sql(
      `delete from idempotency_keys where ctid in (
         select ctid from idempotency_keys where created_at < clock_timestamp() - interval '${keptFor}' limit 10000)`,
    );
  }
}
