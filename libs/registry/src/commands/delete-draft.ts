import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { VersionImmutable } from '../registry.errors.ts';
import { lockVersion } from './lock-version.ts';
import { refreshAgent } from './publish-version.ts';

/** Deletes a version that was never published; the agent goes with its last one. */
export class DeleteDraft extends Command<void> {
  constructor(
    readonly teamId: string,
    readonly agent: string,
    readonly version: string,
  ) {
    super();
  }
}

@CommandHandler(DeleteDraft)
export class DeleteDraftHandler implements ICommandHandler<DeleteDraft> {
  constructor(private readonly database: Database) {}

  async execute({ teamId, agent, version }: DeleteDraft): Promise<void> {
    await this.database.transaction(async (tx) => {
      const row = await lockVersion(tx, teamId, agent, version);
      if (row.state !== 'draft') throw new VersionImmutable(row.name, row.version, row.state);
      await tx.sql(`delete from agent_versions where id = $1`, [row.id]);
      await tx.sql(`delete from agents where id = $1 and not exists (select from agent_versions where agent_id = $1)`, [
        row.agent_id,
      ]);
      await refreshAgent(tx, row.agent_id);
    });
  }
}
