import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { lockVersion, versionsOf } from './lock-version.ts';

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
      const locked = await lockVersion(tx, teamId, agent, version);
      locked.version.assertDeletable();
      await tx.em.remove(locked.version).flush();
      const left = await versionsOf(tx, locked.agent);
      if (left.length === 0) tx.em.remove(locked.agent);
      else locked.agent.show(left);
    });
  }
}
