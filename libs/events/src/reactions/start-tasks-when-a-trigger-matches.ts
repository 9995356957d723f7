import { Injectable, Logger } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import type { CloudEvent } from '@muster/contracts';
import { Clock, MusterError } from '#kernel';
import { mayTrigger, ownEventPrefixes, ownEventsThatTrigger } from '#messages/events';
import { FindLanding } from '#messages/integration';
import { FindProjectsOfAgent } from '#messages/projects';
import { FindPublishedVersion, FindTriggers, type PublishedVersion } from '#messages/registry';
import { FindTask, StartTask } from '#messages/runtime';
import { Database } from '#platform/database';
import { Reaction, type Reacts } from '#platform/eventlog';
import { fillTemplate, InputTooLarge, matchesWhere } from '../domain/fill-template.ts';

/** Tasks that start tasks that start tasks: where a chain of triggers ends, whatever the definitions say. */
export const LONGEST_CHAIN = 5;
/** How far the family of a task (parents, reopened ones) is followed back. */
const ANCESTORS = 20;

type Trigger = PublishedVersion['definition']['triggers'][number];

/**
 * An event that published definitions name starts their capabilities: on each project where the agent is assigned with
 * them, in the version that the project's range means. Once for each event, agent, capability and project.
 */
@Injectable()
@Reaction({
  name: 'start-tasks-when-a-trigger-matches',
  types: ['*', ...ownEventPrefixes.map((prefix) => `!${prefix}.*`), ...ownEventsThatTrigger],
})
export class StartTasksWhenATriggerMatches implements Reacts {
  readonly #log = new Logger('triggers');

  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  async react(event: CloudEvent): Promise<void> {
    if (!mayTrigger(event.type)) return;
    const named = await this.queries.execute(new FindTriggers(event.teamid, event.type));
    if (named.length === 0) return;
    const depth = (await this.depthBehind(event)) + 1;
    if (depth > LONGEST_CHAIN) {
      this.#log.warn({ event: event.id, type: event.type, depth, message: 'A chain of triggers was ended.' });
      return;
    }
    // Any published version may be what some project's range means: all their capabilities are asked for.
    const wanted = new Map<string, { agent: string; capability: string }>();
    for (const { name: agent, definition } of named) {
      for (const { event: type, capability } of definition.triggers) {
        if (type === event.type) wanted.set(`${agent} ${capability}`, { agent, capability });
      }
    }
    const versions = new Map<string, PublishedVersion | null>();
    for (const { agent, capability } of wanted.values()) {
      const assigned = await this.queries.execute(new FindProjectsOfAgent(event.teamid, agent, capability));
      for (const { projectId, versionRange } of assigned) {
        if (event.projectid !== null && event.projectid !== projectId) continue;
        const key = `${agent} ${versionRange}`;
        let version = versions.get(key);
        if (version === undefined) {
          version = await this.queries.execute(new FindPublishedVersion(event.teamid, agent, versionRange));
          versions.set(key, version);
        }
        const trigger = version?.definition.triggers.find(
          (one) => one.event === event.type && one.capability === capability && matchesWhere(one.where, event.data),
        );
        if (version && trigger) await this.start(event, version, trigger, projectId, depth);
      }
    }
  }

  private async start(
    event: CloudEvent,
    version: PublishedVersion,
    trigger: Trigger,
    projectId: string,
    depth: number,
  ) {
    const { name: agent, definition } = version;
    const { capability, priority } = trigger;
    try {
      const task = await this.commands.execute(
        new StartTask({
          teamId: event.teamid,
          projectId,
          capability,
          agent,
          priority,
          title: `${capability} on ${event.type}`,
          input: fillTemplate(trigger.input, event.data),
          maxAttempts: definition.retry.attempts,
          idempotencyKey: `${event.id}:${agent}:${capability}:${projectId}`,
          requestedBy: event.id,
        }),
      );
      await this.database.sql(
        `insert into triggered_tasks (task_id, team_id, project_id, event_id, agent, capability, depth, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (task_id) do nothing`,
        [task.id, event.teamid, projectId, event.id, agent, capability, depth, this.clock.now()],
      );
    } catch (error) {
      // What this project or input does not allow stays so: the others get their tasks all the same.
      const final = error instanceof InputTooLarge || (error instanceof MusterError && error.status < 500);
      if (!final) throw error;
      this.#log.warn({
        err: error,
        event: event.id,
        agent,
        capability,
        projectId,
        message: 'A trigger started nothing.',
      });
    }
  }

  /** How many triggers stand behind the task that this event tells of. */
  private async depthBehind(event: CloudEvent): Promise<number> {
    let taskId = await this.taskBehind(event);
    for (let step = 0; step < ANCESTORS && taskId !== null; step += 1) {
      const [started] = await this.database.sql<{ depth: number }>(
        `select depth from triggered_tasks where task_id = $1 and team_id = $2`,
        [taskId, event.teamid],
      );
      if (started !== undefined) return started.depth;
      const task = await this.queries.execute(new FindTask(taskId));
      taskId = task?.teamId === event.teamid ? (task.reopens ?? task.parentId) : null;
    }
    return 0;
  }

  private async taskBehind({ data }: CloudEvent): Promise<string | null> {
    for (const word of ['taskId', 'followUpTaskId'] as const) {
      const id = data[word];
      if (typeof id === 'string' && id.startsWith('task_')) return id;
    }
    const landingId = data['landingId'];
    if (typeof landingId !== 'string' || !landingId.startsWith('land_')) return null;
    return (await this.queries.execute(new FindLanding(landingId)))?.taskId ?? null;
  }
}
