import { LockMode } from '@mikro-orm/postgresql';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { Assignment } from '../domain/assignment.ts';
import { AssignmentUnknown } from '../projects.errors.ts';

/** The agent gets no new tasks on the project; what it holds it may finish. */
export class UnassignAgent extends Command<void> {
  constructor(
    readonly projectId: string,
    /** Its name, or the assignment's id. */
    readonly agent: string,
    readonly by: string,
  ) {
    super();
  }
}

@CommandHandler(UnassignAgent)
export class UnassignAgentHandler implements ICommandHandler<UnassignAgent> {
  constructor(private readonly database: Database) {}

  async execute({ projectId, agent, by }: UnassignAgent): Promise<void> {
    await this.database.transaction(async (tx) => {
      const assignment = await tx.em.findOne(
        Assignment,
        { projectId, $or: [{ agent }, { id: agent }] },
        { lockMode: LockMode.PESSIMISTIC_WRITE },
      );
      if (assignment === null) throw new AssignmentUnknown();
      tx.em.remove(assignment);
      tx.append({
        type: 'assignment.changed',
        teamId: assignment.teamId,
        projectId,
        subject: assignment.id,
        data: { projectId, agent: assignment.agent, assigned: false, by },
      });
    });
  }
}
