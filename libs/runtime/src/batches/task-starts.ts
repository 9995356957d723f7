import type { TaskView } from '@muster/contracts';
import { Injectable } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import type { FieldError, MusterError } from '#kernel';
import { FindAssignedAgents, FindProject } from '#messages/projects';
import { FindPublishedVersion } from '#messages/registry';
import type { NewTask } from '#messages/runtime';
import { Database } from '#platform/database';
import { Lanes } from '../dispatch/lanes.ts';
import { JsonSchemas } from '../domain/json-schema.ts';
import { isReserved, maxTaskDepth } from '../domain/lease-rules.ts';
import { priorityRank, taskViewOf } from '../domain/task-row.ts';
import { InputInvalid, NoAgent, ParentUnknown, ProjectUnknown, TooDeep } from '../runtime.errors.ts';
import { taskById, taskByKey } from '../sql/tasks.ts';
import { Creations } from './creations.ts';

interface Skill {
  readonly agent: string;
  readonly input: unknown;
}

/** What is asked once for all tasks of a request that are alike. */
class Answers {
  readonly skills = new Map<string, Promise<readonly Skill[] | MusterError>>();
  readonly depths = new Map<string, Promise<number | MusterError>>();
}

export interface Started {
  readonly task: TaskView;
  /** False: the idempotency key stands for an earlier task. */
  readonly created: boolean;
}

/**
 * One row, one event, one commit, shared with whatever else is being created. What no assigned agent could do is refused
 * rather than queued for nobody.
 */
@Injectable()
export class TaskStarts {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly schemas: JsonSchemas,
    private readonly lanes: Lanes,
    private readonly creations: Creations,
  ) {}

  one(task: NewTask): Promise<Started> {
    return this.start(task, new Answers());
  }

  /** Each by itself: one that is refused does not keep the others from being made. */
  many(tasks: readonly NewTask[]): Promise<PromiseSettledResult<Started>[]> {
    const answers = new Answers();
    return Promise.allSettled(tasks.map((task) => this.start(task, answers)));
  }

  private async start(task: NewTask, answers: Answers): Promise<Started> {
    const key = task.idempotencyKey ?? null;
    if (key !== null) {
      const earlier = await taskByKey(this.database, task.teamId, key);
      if (earlier !== null) return { task: taskViewOf(earlier), created: false };
    }
    const unfitAgents = isReserved(task.capability) ? [] : await this.agentsThatRefuse(task, answers);
    const depth = task.parentId === undefined ? 0 : await this.depthBelow(task.parentId, task, answers);
    const priority = task.priority ?? 'normal';
    const input = task.input ?? {};
    const lane = await this.lanes.of({
      teamId: task.teamId,
      projectId: task.projectId,
      capability: task.capability,
      priority: priorityRank(priority),
      agentWish: task.agent ?? null,
      labels: task.labels ?? {},
      unfitAgents,
    });
    const created = await this.creations.add({
      lane: lane.id,
      capability: task.capability,
      title: task.title ?? null,
      input: JSON.stringify(input),
      maxAttempts: task.maxAttempts ?? 5,
      notBefore: task.notBefore ?? null,
      parentId: task.parentId ?? null,
      depth,
      reopens: task.reopens ?? null,
      requestedBy: task.requestedBy,
      idempotencyKey: key,
    });
    if (created === null) {
      const other = await taskByKey(this.database, task.teamId, key ?? '');
      if (other === null) throw new Error('The idempotency key was taken and yet nobody has it.');
      return { task: taskViewOf(other), created: false };
    }
    const at = created.at.toISOString();
    return {
      created: true,
      task: {
        id: created.id,
        teamId: task.teamId,
        projectId: task.projectId,
        capability: task.capability,
        title: task.title ?? null,
        state: 'queued',
        wait: null,
        priority,
        input,
        output: null,
        error: null,
        attempt: 0,
        reworks: 0,
        submissionId: null,
        parentId: task.parentId ?? null,
        reopens: task.reopens ?? null,
        costUsd: 0,
        createdAt: at,
        updatedAt: at,
        finishedAt: null,
      },
    };
  }

  /** The assigned agents whose schema the input does not fit; at least one has to take it. */
  private async agentsThatRefuse(task: NewTask, answers: Answers): Promise<string[]> {
    const skills = await once(answers.skills, `${task.projectId} ${task.capability} ${task.agent ?? ''}`, () =>
      this.skillsFor(task),
    );
    const refusing: string[] = [];
    let errors: FieldError[] = [];
    for (const { agent, input } of skills) {
      const wrong = this.schemas.check(input, task.input ?? {}, 'input');
      if (wrong.length === 0) continue;
      refusing.push(agent);
      errors = wrong;
    }
    if (refusing.length === skills.length) throw new InputInvalid(task.capability, errors);
    return refusing;
  }

  private async skillsFor(task: NewTask): Promise<readonly Skill[] | MusterError> {
    const project = await this.queries.execute(new FindProject(task.projectId));
    if (project === null || project.teamId !== task.teamId) return new ProjectUnknown(task.projectId);
    const assigned = await this.queries.execute(new FindAssignedAgents(task.projectId, task.capability));
    const wish = task.agent ?? null;
    const skills: Skill[] = [];
    for (const { agent, versionRange } of assigned) {
      if (wish !== null && agent !== wish) continue;
      const version = await this.queries.execute(new FindPublishedVersion(task.teamId, agent, versionRange));
      const skill = version?.definition.skills.find((one) => one.name === task.capability);
      if (skill !== undefined) skills.push({ agent, input: skill.input });
    }
    return skills.length === 0 ? new NoAgent(task.capability, wish) : skills;
  }

  private depthBelow(parentId: string, task: NewTask, answers: Answers): Promise<number> {
    return once(answers.depths, `${parentId} ${task.projectId}`, async () => {
      const parent = await taskById(this.database, parentId);
      if (parent === null || parent.team_id !== task.teamId || parent.project_id !== task.projectId)
        return new ParentUnknown(parentId);
      const depth = parent.depth + 1;
      return depth > maxTaskDepth ? new TooDeep(maxTaskDepth) : depth;
    });
  }
}

async function once<T>(
  known: Map<string, Promise<T | MusterError>>,
  key: string,
  ask: () => Promise<T | MusterError>,
): Promise<T> {
  let answer = known.get(key);
  if (answer === undefined) {
    answer = ask();
    known.set(key, answer);
  }
  const value = await answer;
  if (value instanceof Error) throw value;
  return value;
}
