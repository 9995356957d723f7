import type { TaskView } from '@muster/contracts';
import { CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import { Ids, type FieldError } from '#kernel';
import { FindAssignedAgents, FindProject } from '#messages/projects';
import { FindPublishedVersion } from '#messages/registry';
import { StartTask, type NewTask } from '#messages/runtime';
import { Database } from '#platform/database';
import { WakeUps } from '../dispatch/wake-ups.ts';
import { JsonSchemas } from '../domain/json-schema.ts';
import { isReserved, maxTaskDepth } from '../domain/lease-rules.ts';
import { priorityRank, taskViewOf } from '../domain/task-row.ts';
import { InputInvalid, NoAgent, ParentUnknown, ProjectUnknown, TooDeep } from '../runtime.errors.ts';
import { insertTask, taskById, taskByKey } from '../sql/tasks.ts';

/** One row, one event, one transaction; what no assigned agent could do is refused here rather than queued for nobody. */
@CommandHandler(StartTask)
export class StartTaskHandler implements ICommandHandler<StartTask> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly ids: Ids,
    private readonly schemas: JsonSchemas,
    private readonly wakeUps: WakeUps,
  ) {}

  async execute({ task }: StartTask): Promise<TaskView> {
    if (task.idempotencyKey !== undefined) {
      const earlier = await taskByKey(this.database, task.teamId, task.idempotencyKey);
      if (earlier !== null) return taskViewOf(earlier);
    }
    const unfitAgents = isReserved(task.capability) ? [] : await this.agentsThatRefuse(task);
    const depth = task.parentId === undefined ? 0 : await this.depthBelow(task.parentId, task);
    const { row, created } = await this.database.transaction(async (tx) => {
      const row = await insertTask(tx, {
        id: this.ids.next('task'),
        teamId: task.teamId,
        projectId: task.projectId,
        capability: task.capability,
        title: task.title ?? null,
        input: task.input ?? {},
        priority: priorityRank(task.priority ?? 'normal'),
        agent: task.agent ?? null,
        labels: task.labels ?? {},
        unfitAgents,
        maxAttempts: task.maxAttempts ?? 5,
        notBefore: task.notBefore ?? null,
        parentId: task.parentId ?? null,
        depth,
        reopens: task.reopens ?? null,
        requestedBy: task.requestedBy,
        idempotencyKey: task.idempotencyKey ?? null,
      });
      if (row !== null) {
        tx.append({
          type: 'task.created',
          teamId: row.team_id,
          projectId: row.project_id,
          subject: row.id,
          priority: task.priority ?? 'normal',
          data: {
            taskId: row.id,
            capability: row.capability,
            title: row.title,
            requestedBy: task.requestedBy,
            reopens: row.reopens,
          },
        });
        return { row, created: true };
      }
      const other = await taskByKey(tx, task.teamId, task.idempotencyKey ?? '');
      if (other === null) throw new Error('The idempotency key was taken and yet nobody has it.');
      return { row: other, created: false };
    });
    if (created) this.wakeUps.somethingToClaim();
    return taskViewOf(row);
  }

  /** The assigned agents whose schema the input does not fit; at least one has to take it. */
  private async agentsThatRefuse(task: NewTask): Promise<string[]> {
    const project = await this.queries.execute(new FindProject(task.projectId));
    if (project === null || project.teamId !== task.teamId) throw new ProjectUnknown(task.projectId);
    const assigned = await this.queries.execute(new FindAssignedAgents(task.projectId, task.capability));
    const wish = task.agent ?? null;
    const wanted = assigned.filter((assignment) => wish === null || assignment.agent === wish);
    if (wanted.length === 0) throw new NoAgent(task.capability, wish);

    const refusing: string[] = [];
    let errors: FieldError[] = [];
    let published = 0;
    for (const { agent, versionRange } of wanted) {
      const version = await this.queries.execute(new FindPublishedVersion(task.teamId, agent, versionRange));
      const skill = version?.definition.skills.find((one) => one.name === task.capability);
      if (skill === undefined) continue;
      published++;
      const wrong = this.schemas.check(skill.input, task.input ?? {}, 'input');
      if (wrong.length > 0) {
        refusing.push(agent);
        errors = wrong;
      }
    }
    if (published === 0) throw new NoAgent(task.capability, wish);
    if (refusing.length === published) throw new InputInvalid(task.capability, errors);
    return refusing;
  }

  private async depthBelow(parentId: string, task: NewTask): Promise<number> {
    const parent = await taskById(this.database, parentId);
    if (parent === null || parent.team_id !== task.teamId || parent.project_id !== task.projectId)
      throw new ParentUnknown(parentId);
    const depth = parent.depth + 1;
    if (depth > maxTaskDepth) throw new TooDeep(maxTaskDepth);
    return depth;
  }
}
