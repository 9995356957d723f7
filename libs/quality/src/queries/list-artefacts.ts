import type { VerificationArtefact } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Blobs } from '#platform/blobs';
import { Database, isoTime } from '#platform/database';
import { NotFound } from '#platform/http';
import { ArtefactGone } from '../quality.errors.ts';

/** The findings are kept with the verification, and written as SARIF when somebody asks. */
export const sarifName = 'findings.sarif';
export const sarifType = 'application/sarif+json';

/** What checks left: results of tests, coverage, what the project is made of, and logs that are long. */
export class ListArtefacts extends Query<{ readonly items: VerificationArtefact[] }> {
  constructor(readonly verificationId: string) {
    super();
  }
}

@QueryHandler(ListArtefacts)
export class ListArtefactsHandler implements IQueryHandler<ListArtefacts> {
  constructor(private readonly database: Database) {}

  async execute({ verificationId }: ListArtefacts): Promise<{ items: VerificationArtefact[] }> {
    const [of] = await this.database.sql<{ found: boolean; at: string }>(
      `select facts is not null as found, ${isoTime('coalesce(finished_at, created_at)', 'at')} from verifications where id = $1`,
      [verificationId],
    );
    if (of === undefined) throw new NotFound();
    const path = (name: string): string => `/api/verifications/${verificationId}/artefacts/${name}`;
    const kept = await this.database.sql<Omit<VerificationArtefact, 'path' | 'verificationId'>>(
      `select name, check_name as "check", media_type as "mediaType", size, digest, ${isoTime('created_at', 'createdAt')}
       from verification_artefacts where verification_id = $1 order by name`,
      [verificationId],
    );
    const items = kept.map((each) => ({ ...each, path: path(each.name), verificationId }));
    if (of.found)
      items.unshift({
        ...{ name: sarifName, check: null, mediaType: sarifType, size: null, digest: null },
        ...{ path: path(sarifName), createdAt: of.at, verificationId },
      });
    return { items };
  }
}

/** The content of one. */
export class ReadArtefact extends Query<{ readonly mediaType: string; readonly bytes: Buffer }> {
  constructor(
    readonly verificationId: string,
    readonly name: string,
  ) {
    super();
  }
}

@QueryHandler(ReadArtefact)
export class ReadArtefactHandler implements IQueryHandler<ReadArtefact> {
  constructor(
    private readonly database: Database,
    private readonly blobs: Blobs,
  ) {}

  async execute({ verificationId, name }: ReadArtefact): Promise<{ mediaType: string; bytes: Buffer }> {
    const [row] = await this.database.sql<{ digest: string; media_type: string }>(
      `select digest, media_type from verification_artefacts where verification_id = $1 and name = $2`,
      [verificationId, name],
    );
    const bytes = row === undefined ? null : await this.blobs.get(row.digest, 'verifications');
    if (row === undefined || bytes === null) throw new ArtefactGone(name);
    return { mediaType: row.media_type, bytes };
  }
}
