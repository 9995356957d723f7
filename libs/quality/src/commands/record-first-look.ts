import type { FirstLook } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';

/** What the verifier saw first. It is shown and told, and decides nothing; what has finished meanwhile stays as it is. */
export class RecordFirstLook extends Command<void> {
  constructor(
    readonly verificationId: string,
    readonly look: FirstLook,
  ) {
    super();
  }
}

@CommandHandler(RecordFirstLook)
export class RecordFirstLookHandler implements ICommandHandler<RecordFirstLook> {
  constructor(private readonly database: Database) {}

  async execute({ verificationId, look }: RecordFirstLook): Promise<void> {
    await this.database.transaction(async (tx) => {
      const [row] = await tx.sql<{ team_id: string; project_id: string; subject_id: string | null }>(
        `update verifications set first_look = $2::jsonb where id = $1 and state <> 'finished' returning team_id, project_id, subject_id`,
        [verificationId, JSON.stringify(look)],
      );
      if (row === undefined) return;
      const about = { teamId: row.team_id, projectId: row.project_id, subject: verificationId };
      const subjectId = row.subject_id;
      const { state, failing, testFiles, ms } = look;
      const seen = { state, failing, testFiles: testFiles.length, ms };
      tx.append({ ...about, type: 'verification.first_look', data: { verificationId, subjectId, ...seen } });
    });
  }
}
