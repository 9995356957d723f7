import { createHash } from 'node:crypto';
import { maxArtefactBytes, maxArtefacts } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LeaseGuard } from '#messages/runtime';
import { Blobs, lockToKeep } from '#platform/blobs';
import { Database } from '#platform/database';
import { holdVerification } from '../domain/held-verification.ts';
import { ArtefactTooLarge, TooManyArtefacts } from '../quality.errors.ts';

/** Something that a check left. Under the same name again, it takes the place of the one before. */
export class KeepArtefact extends Command<void> {
  constructor(
    readonly verificationId: string,
    readonly artefact: {
      readonly fence: number;
      readonly name: string;
      readonly check: string;
      readonly mediaType: string;
    },
    readonly bytes: Buffer,
  ) {
    super();
  }
}

@CommandHandler(KeepArtefact)
export class KeepArtefactHandler implements ICommandHandler<KeepArtefact> {
  constructor(
    private readonly database: Database,
    private readonly blobs: Blobs,
    private readonly guard: LeaseGuard,
  ) {}

  async execute({ verificationId, artefact, bytes }: KeepArtefact): Promise<void> {
    if (bytes.length > maxArtefactBytes) throw new ArtefactTooLarge(bytes.length, maxArtefactBytes);
    const digest = createHash('sha256').update(bytes).digest('hex');
    await this.database.transaction(async (tx) => {
      await holdVerification(tx, this.guard, verificationId, artefact.fence);
      await lockToKeep(tx, 'verifications', digest);
      await this.blobs.put(bytes, 'verifications');
      await tx.sql(
        `insert into verification_contents (digest, kept_at) values ($1, clock_timestamp())
         on conflict (digest) do update set kept_at = excluded.kept_at`,
        [digest],
      );
      await tx.sql(
        `insert into verification_artefacts (verification_id, name, check_name, media_type, size, digest, created_at)
         values ($1, $2, $3, $4, $5, $6, clock_timestamp())
         on conflict (verification_id, name) do update set check_name = excluded.check_name, media_type = excluded.media_type,
           size = excluded.size, digest = excluded.digest`,
        [verificationId, artefact.name, artefact.check, artefact.mediaType, bytes.length, digest],
      );
      const [all] = await tx.sql<{ count: number }>(
        `select count(*)::int as count from verification_artefacts where verification_id = $1`,
        [verificationId],
      );
      if ((all?.count ?? 0) > maxArtefacts) throw new TooManyArtefacts(maxArtefacts);
    });
  }
}
