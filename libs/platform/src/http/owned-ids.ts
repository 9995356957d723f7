import { idPrefixes, type IdKind } from '@muster/contracts';
import { Injectable } from '@nestjs/common';
import { Batcher } from '#platform/batching';
import { type Cache, Caches } from '#platform/caching';
import { Database } from '#platform/database';

export interface Owner {
  readonly id: string;
  readonly teamId: string;
  readonly projectId: string | null;
}
interface Table {
  readonly table: string;
  readonly team: string;
  readonly project: string | null;
}

const tables = new Map<string, Table>();
const typeId = /^([a-z]+)_[0-7][0-9a-hjkmnp-tv-z]{25}$/;

/** Which table knows to whom an id belongs. Rooms register their kinds; the guard looks up every id that a request carries. */
@Injectable()
export class OwnedIds {
  readonly #known: Cache<Owner | null>;
  readonly #lookUps = new Map<string, Batcher<string, Owner | null>>();

  constructor(
    private readonly database: Database,
    caches: Caches,
  ) {
    this.#known = caches.make({
      // Whose an id is never changes and ids are never used again; it can only be gone.
      forgetOn: ['project.deleted', 'agent.deleted'],
      read: (id) => this.#lookUp(id),
      keep: (owner) => owner !== null,
    });
  }

  /**
   * Called in a room's module constructor. The table has `id`, `team_id` and `project_id`.
   * @param columns `project: null` for what belongs to the team only; other names where they differ (`{ project: 'id' }` for projects)
   */
  static register(
    kind: IdKind,
    table: string,
    columns: { readonly team?: string; readonly project?: string | null } = {},
  ): void {
    tables.set(idPrefixes[kind], {
      table,
      team: columns.team ?? 'team_id',
      project: columns.project === undefined ? 'project_id' : columns.project,
    });
  }

  /** Those of the words that are ids of a registered kind. */
  static among(words: Iterable<string>): string[] {
    return [...new Set(words)].filter((word) => {
      const prefix = typeId.exec(word)?.[1];
      return prefix !== undefined && tables.has(prefix);
    });
  }

  /**
   * One owner for each id that exists.
   * @param teamId whose ids they should be: of those the owner may be known already. What belongs to others is always looked up,
   * so that nobody can tell by the time it takes what exists elsewhere.
   */
  async owners(ids: readonly string[], teamId: string): Promise<Owner[]> {
    const found = await Promise.all(
      ids.map(async (id) => {
        const known = await this.#known.get(id);
        return known === null || known.teamId === teamId ? known : this.#lookUp(id);
      }),
    );
    return found.filter((owner) => owner !== null);
  }

  /** Requests that ask at the same time share a statement. */
  #lookUp(id: string): Promise<Owner | null> {
    const prefix = id.slice(0, id.indexOf('_'));
    const table = tables.get(prefix);
    if (table === undefined) return Promise.resolve(null);
    let lookUps = this.#lookUps.get(prefix);
    if (lookUps === undefined) {
      const text = `select id, ${table.team} as "teamId", ${table.project ?? 'null'} as "projectId" from ${table.table} where id = any($1)`;
      lookUps = new Batcher({
        name: `owners of ${table.table}`,
        concurrency: 4,
        repeatable: true,
        run: async (wanted) => {
          const rows = await this.database.hot<Owner>(`owners of ${table.table}`, text, [wanted]);
          const byId = new Map(rows.map((row) => [row.id, row]));
          return wanted.map((one) => byId.get(one) ?? null);
        },
      });
      this.#lookUps.set(prefix, lookUps);
    }
    return lookUps.add(id);
  }
}
