import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Database, sqlState } from '#platform/database';
import { AgentInUse } from '../registry.errors.ts';
import { lockAgent } from './lock-version.ts';

/** PostgreSQL's words for "something still refers to it". */
const referredTo: ReadonlySet<string | null> = new Set(['23503', '23001']);

/** Deletes an agent with all its versions. Whether anything still uses them is the database's to know. */
export class DeleteAgent extends Command<void> {
  constructor(
    readonly teamId: string,
    readonly agent: string,
  ) {
    super();
  }
}

@CommandHandler(DeleteAgent)
export class DeleteAgentHandler implements ICommandHandler<DeleteAgent> {
  constructor(private readonly database: Database) {}

  async execute({ teamId, agent }: DeleteAgent): Promise<void> {
    try {
      await this.database.transaction(async (tx) => {
        const locked = await lockAgent(tx, teamId, agent);
        tx.em.remove(locked);
        tx.append({
          type: 'agent.deleted',
          teamId,
          projectId: null,
          subject: locked.id,
          data: { agent: locked.name },
        });
      });
    } catch (error) {
      if (referredTo.has(sqlState(error))) throw new AgentInUse(agent, error);
      throw error;
    }
  }
}
