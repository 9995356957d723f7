import type { TaskAssignment } from '@muster/contracts';
import { Command, CommandBus, CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import { Ids } from '#kernel';
import { FindProject } from '#messages/projects';
import { CancelTask } from '#messages/runtime';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { silentAfterSeconds } from '../domain/lease-rules.ts';
import { claim, lessonsOf, lockInstanceForClaim, type ClaimedRow, type ClaimGroup } from '../sql/claim.ts';

/** Takes up to `count` tasks for an instance, each with a lease and a new fence, and says everything that its agent needs to know. */
export class ClaimTasks extends Command<TaskAssignment[]> {
  constructor(
    readonly instanceId: string,
    readonly connection: string,
    readonly groups: readonly ClaimGroup[],
    readonly count: number,
  ) {
    super();
  }
}

@CommandHandler(ClaimTasks)
export class ClaimTasksHandler implements ICommandHandler<ClaimTasks> {
  constructor(
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly config: Config,
    private readonly ids: Ids,
  ) {}

  async execute({ instanceId, connection, groups, count }: ClaimTasks): Promise<TaskAssignment[]> {
    if (groups.length === 0 || count < 1) return [];
    const claimed = await this.database.transaction(async (tx) => {
      const instance = await lockInstanceForClaim(tx, {
        instanceId,
        connection,
        silentAfterSeconds: silentAfterSeconds(this.config.leaseSeconds),
      });
      if (instance === null) return [];
      const room = Math.min(count, Math.min(instance.capacity, instance.limits.concurrency) - instance.held);
      if (room < 1) return [];
      const rows = await claim(tx, {
        groups: groups.map((group) => ({ projectId: group.project_id, capability: group.capability })),
        teamId: instance.system ? null : instance.team_id,
        instance,
        attemptIds: Array.from({ length: room }, () => this.ids.next('attempt')),
        leaseSeconds: this.config.leaseSeconds,
      });
      if (rows.length > 0 && instance.state === 'idle')
        await tx.sql(`update instances set state = 'running' where id = $1`, [instanceId]);
      for (const row of rows) {
        const about = { teamId: row.team_id, projectId: row.project_id, subject: row.id };
        if (row.lost_fence !== null && !row.lost_told) {
          tx.append({
            ...about,
            type: 'task.lease_expired',
            data: {
              taskId: row.id,
              attempt: row.lost_attempt,
              fence: row.lost_fence,
              instanceId: row.lost_instance_id,
            },
          });
        }
        tx.append({
          ...about,
          type: 'task.started',
          data: { taskId: row.id, attempt: row.attempt, fence: row.fence, agent: instance.agent, instanceId },
        });
      }
      return rows;
    });
    return claimed.length === 0 ? [] : this.assignmentsOf(claimed);
  }

  private async assignmentsOf(claimed: readonly ClaimedRow[]): Promise<TaskAssignment[]> {
    const lessons = await lessonsOf(
      this.database,
      claimed.map((row) => row.id),
    );
    const assignments: TaskAssignment[] = [];
    for (const row of claimed) {
      const project = await this.queries.execute(new FindProject(row.project_id));
      if (project === null) {
        await this.commands.execute(new CancelTask(row.id, 'its project does not exist any more'));
        continue;
      }
      assignments.push({
        taskId: row.id,
        attemptId: row.attempt_id,
        attempt: row.attempt,
        fence: row.fence,
        leaseUntil: row.lease_until.toISOString(),
        capability: row.capability,
        title: row.title,
        input: row.input,
        project: {
          id: project.id,
          slug: project.slug,
          branch: project.branch,
          head: project.head,
          gitPath: project.gitPath,
        },
        lessons: lessons
          .filter((lesson) => lesson.task_id === row.id)
          .map(({ number, outcome, error, checkpoint }) => ({
            attempt: number,
            outcome,
            error,
            checkpoint: (checkpoint ?? null) as TaskAssignment['checkpoint'],
          })),
        checkpoint: (row.checkpoint ?? null) as TaskAssignment['checkpoint'],
        rework: row.rework,
      });
    }
    return assignments;
  }
}
