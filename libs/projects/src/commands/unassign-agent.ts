import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
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
      const [row] = await tx.sql<{ id: string; team_id: string; agent: string }>(
        `delete from project_assignments where project_id = $1 and (agent = $2 or id = $2) returning id, team_id, agent`,
        [projectId, agent],
      );
      if (row === undefined) throw new AssignmentUnknown();
      tx.append({
        type: 'assignment.changed',
        teamId: row.team_id,
        projectId,
        subject: row.id,
        data: { projectId, agent: row.agent, assigned: false, by },
      });
    });
  }
}
