import { Injectable } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { FindProject } from '#messages/projects';
import { CancelTask } from '#messages/runtime';
import { Database } from '#platform/database';
import { lessonsOf, payloadsOf, type Claimed, type Payload } from '../sql/claim.ts';
import type { Lane } from '../sql/lanes.ts';
import { Lanes } from './lanes.ts';
import { OpenWork } from './open-work.ts';

/** A claimed task as it goes to its agent. */
export interface Offer {
  readonly taskId: string;
  readonly fence: number;
  readonly lane: number;
  /** A `TaskAssignment` as JSON. */
  readonly text: string;
}

/** Projects as their agents are told of them, by id, as JSON. */
export type About = Promise<ReadonlyMap<string, string>>;

/** Characters of inputs that a process remembers from their creation. */
const rememberedChars = 16 * 1024 * 1024;

/**
 * Says everything that an agent needs to know about a task. Inputs are passed on as the JSON that they are stored as; those
 * of tasks that were created here a moment ago are still remembered and not read again.
 */
@Injectable()
export class Assignments {
  private readonly fresh = new Map<string, Payload>();
  private freshChars = 0;

  constructor(
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly lanes: Lanes,
    private readonly openWork: OpenWork,
  ) {}

  /** A new task, which nobody has tried yet. */
  remember(taskId: string, title: string | null, input: string): void {
    this.fresh.set(taskId, { title, input, checkpoint: null, rework: null });
    this.freshChars += input.length + (title?.length ?? 0);
    if (this.freshChars <= rememberedChars) return;
    for (const oldest of this.fresh.keys()) {
      if (this.freshChars <= rememberedChars / 2) break;
      this.forget(oldest);
    }
  }

  /** Where the branches of these lanes' projects stand: asked for while their tasks are being claimed, to save the time. */
  about(lanes: readonly Lane[]): About {
    // When the statement of the claim is on its way: PostgreSQL is to be at work while files are read here.
    const projects = new Promise((resolve) => setImmediate(resolve)).then(() => this.projects(lanes));
    // Who awaits it hears of it; a claim that took nothing does not.
    projects.catch(() => undefined);
    return projects;
  }

  async of(claimed: readonly Claimed[], about?: About): Promise<Map<number, Offer>> {
    const payloads = new Map<string, Payload>();
    const missing: string[] = [];
    for (const { task_id, number } of claimed) {
      const known = this.forget(task_id);
      if (known !== undefined && number === 1) payloads.set(task_id, known);
      else missing.push(task_id);
    }
    if (missing.length > 0)
      for (const { id, ...payload } of await payloadsOf(this.database, missing)) payloads.set(id, payload);
    const lessons = await this.lessons(claimed.filter(({ number }) => number > 1).map(({ task_id }) => task_id));
    const lanes = await this.lanes.all([...new Set(claimed.map(({ lane }) => lane))]);
    const projects = await (about ?? this.projects([...lanes.values()]));

    const overlaps = await this.openWork.aheadOf(
      claimed.flatMap(({ task_id: id, lane }) => {
        const [projectId, input] = [lanes.get(lane)?.projectId, payloads.get(id)?.input];
        return projectId === undefined || input === undefined ? [] : [{ id, projectId, input }];
      }),
    );
    const offers = new Map<number, Offer>();
    for (const row of claimed) {
      const lane = lanes.get(row.lane);
      const payload = payloads.get(row.task_id);
      const project = lane === undefined ? undefined : projects.get(lane.projectId);
      if (lane === undefined || payload === undefined || project === undefined) {
        await this.commands.execute(new CancelTask(row.task_id, 'its project does not exist any more'));
        continue;
      }
      const ahead = overlaps.get(row.task_id);
      const overlapping = ahead === undefined ? '' : `,"overlaps":${JSON.stringify(ahead)}`;
      // Ids and capabilities are of the characters that JSON leaves alone.
      const text =
        `{"taskId":"${row.task_id}","attemptId":"${row.attempt_id}","attempt":${row.number},"fence":${row.fence},` +
        `"leaseUntil":"${row.lease_until.toISOString()}","capability":"${lane.capability}","title":${JSON.stringify(payload.title)},` +
        `"input":${payload.input},"project":${project},"lessons":${lessons.get(row.task_id) ?? '[]'},` +
        `"checkpoint":${payload.checkpoint ?? 'null'},"rework":${payload.rework ?? 'null'}${overlapping}}`;
      offers.set(row.fence, { taskId: row.task_id, fence: row.fence, lane: row.lane, text });
    }
    return offers;
  }

  private forget(taskId: string): Payload | undefined {
    const known = this.fresh.get(taskId);
    if (known === undefined) return undefined;
    this.fresh.delete(taskId);
    this.freshChars -= known.input.length + (known.title?.length ?? 0);
    return known;
  }

  private async lessons(taskIds: readonly string[]): Promise<Map<string, string>> {
    if (taskIds.length === 0) return new Map();
    const rows = await lessonsOf(this.database, taskIds);
    return new Map(
      [...Map.groupBy(rows, (row) => row.task_id)].map(([taskId, own]) => [
        taskId,
        JSON.stringify(
          own.map(({ number, outcome, error, checkpoint }) => ({
            attempt: number,
            outcome,
            error,
            checkpoint: checkpoint ?? null,
          })),
        ),
      ]),
    );
  }

  private async projects(lanes: readonly Lane[]): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    for (const projectId of new Set(lanes.map((lane) => lane.projectId))) {
      const project = await this.queries.execute(new FindProject(projectId));
      if (project === null) continue;
      const { id, slug, branch, head, gitPath } = project;
      found.set(projectId, JSON.stringify({ id, slug, branch, head, gitPath }));
    }
    return found;
  }
}
