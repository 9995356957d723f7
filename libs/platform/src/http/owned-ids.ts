import { idPrefixes, type IdKind } from '@muster/contracts';
import { Injectable } from '@nestjs/common';
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
  constructor(private readonly database: Database) {}

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

  /** One owner for each id that exists. */
  async owners(ids: readonly string[]): Promise<Owner[]> {
    const byPrefix = Map.groupBy(ids, (id) => id.slice(0, id.indexOf('_')));
    const found = await Promise.all(
      [...byPrefix].map(async ([prefix, some]) => {
        const table = tables.get(prefix);
        if (table === undefined) return [];
        return this.database.sql<Owner>(
          `select id, ${table.team} as "teamId", ${table.project ?? 'null'} as "projectId" from ${table.table} where id = any($1)`,
          [some],
        );
      }),
    );
    return found.flat();
  }
}
