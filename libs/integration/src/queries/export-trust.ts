import { type IQueryHandler, Query, QueryBus, QueryHandler } from '@nestjs/cqrs';
import type { TrustPolicy } from '@muster/contracts';
import { FindProject } from '#messages/projects';
import { Database } from '#platform/database';
import { NotFound } from '../integration.errors.ts';
import { Provenance } from '../provenance.ts';

/** What `verify-provenance` needs besides a clone. Whoever keeps it from today notices tomorrow when we say something else. */
export class ExportTrust extends Query<TrustPolicy> {
  constructor(readonly projectId: string) {
    super();
  }
}

@QueryHandler(ExportTrust)
export class ExportTrustHandler implements IQueryHandler<ExportTrust> {
  constructor(
    private readonly queries: QueryBus,
    private readonly database: Database,
    private readonly provenance: Provenance,
  ) {}

  async execute({ projectId }: ExportTrust): Promise<TrustPolicy> {
    const project = await this.queries.execute(new FindProject(projectId));
    if (project === null) throw new NotFound('project', projectId);
    const { branch, importedHead } = project;
    const lastOf = new Map(
      (
        await this.database.sql<{ key_id: string; commit: string }>(
          `select distinct on (key_id) key_id, commit from
             (select statement #>> '{signatures,0,keyid}' as key_id, commit, landed_at, id from landings
              where project_id = $1 and branch = $2 and state in ('landed', 'rolled_back')) signed
           order by key_id, landed_at desc, id desc`,
          [projectId, branch],
        )
      ).map(({ key_id, commit }) => [key_id, commit]),
    );
    const keys = (await this.provenance.keys()).map((key) =>
      key.retiredAt === null ? key : { ...key, lastCommit: lastOf.get(key.keyId) ?? null },
    );
    return { version: 1, project: projectId, branch, importedHead, keys, minimumThreshold: 0, requiredChecks: [] };
  }
}
