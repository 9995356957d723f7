import { isBlobRef, referencedFromBytes, type TaskView } from '@muster/contracts';
import { Injectable } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { type FieldError, MusterError } from '#kernel';
import semver from 'semver';
import { FindAssignedAgents, FindProjectTeam } from '#messages/projects';
import { FindPublishedVersion } from '#messages/registry';
import type { NewTask } from '#messages/runtime';
import { Batcher } from '#platform/batching';
import { type Cache, Caches } from '#platform/caching';
import { Config } from '#platform/config';
import { KeyTaken, type RequestKey } from '#platform/http';
import { Database } from '#platform/database';
import { TaskBlobs } from '../blobs/task-blobs.ts';
import { Lanes } from '../dispatch/lanes.ts';
import { JsonSchemas } from '../domain/json-schema.ts';
import { isReserved, maxChildren, maxInputBytes, maxTaskDepth } from '../domain/lease-rules.ts';
import { priorityRank, taskViewOf, type TaskRow } from '../domain/task-row.ts';
import {
  DeadlineBeforeStart,
  DependencyCycle,
  DependencyRefused,
  InputInvalid,
  InputTooLarge,
  NoAgent,
  ParentArchived,
  ParentCancelled,
  ParentUnknown,
  ProjectUnknown,
  StickyTaskUnknown,
  StickyToNothing,
  TooDeep,
  TooManyChildren,
  VersionWishInvalid,
} from '../runtime.errors.ts';
import type { NewTermedRow } from '../sql/task-terms.ts';
import { hasChildren, isLongEnded, type KeptBy, placesOfKeys, taskById, type TaskKey, taskKept } from '../sql/tasks.ts';
import { Creations } from './creations.ts';
import { TermedCreations } from './termed-creations.ts';

/** A task of a bulk request may depend on earlier items of it, by their places. */
export type BulkTask = Omit<NewTask, 'dependsOn'> & { readonly dependsOn?: readonly (string | number)[] | undefined };

type Sticky = Pick<NewTermedRow, 'stickyTask' | 'stickyKey' | 'stickyTo' | 'stickySeconds'>;

const notSticky: Sticky = { stickyTask: null, stickyKey: null, stickyTo: null, stickySeconds: null };

interface Skill {
  readonly agent: string;
  readonly input: unknown;
}

/** Ids and capabilities have no spaces. */
const skillsKeyOf = (task: NewTask): string =>
  `${task.teamId} ${task.projectId} ${task.capability} ${task.agent === undefined ? '[null,null]' : JSON.stringify([task.agent, rangeOf(task)])}`;
function skillsOf(key: string): SkillsKey {
  const [teamId = '', projectId = '', capability = '', ...wish] = key.split(' ');
  return [teamId, projectId, capability, ...(JSON.parse(wish.join(' ')) as [string | null, string | null])];
}
type SkillsKey = [teamId: string, projectId: string, capability: string, agent: string | null, range: string | null];
/** What they are made of is kept for two seconds: this is for what comes in one breath, and costs a look at three answers each time. */
const skillsKeptMs = 100;

/** What is asked once for all tasks of a request that are alike. */
class Answers {
  readonly depths = new Map<string, Promise<number | MusterError>>();
  readonly owned = new Map<string, Promise<true | MusterError>>();
}

export interface Started {
  readonly taskId: string;
  /** Made when it is asked for: of a thousand new tasks only the ids are told. */
  readonly view: () => TaskView;
  /** False: the idempotency key stands for an earlier task. */
  readonly created: boolean;
}

/**
 * One row, one event, one commit, shared with whatever else is being created. What no assigned agent could do is refused
 * rather than queued for nobody.
 */
@Injectable()
export class TaskStarts {
  private readonly keys: Batcher<TaskKey, KeptBy>;
  private readonly skills: Cache<readonly Skill[] | MusterError>;

  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly schemas: JsonSchemas,
    private readonly lanes: Lanes,
    private readonly creations: Creations,
    private readonly termed: TermedCreations,
    private readonly blobs: TaskBlobs,
    private readonly config: Config,
    caches: Caches,
  ) {
    this.keys = new Batcher({
      name: 'keys of tasks',
      repeatable: true,
      fairnessKey: ({ teamId }) => teamId,
      run: (wanted) => placesOfKeys(database, wanted),
    });
    this.skills = caches.make({
      forgetOn: ['assignment.changed', 'project.deleted', 'agent.published', 'agent.deprecated', 'agent.deleted'],
      read: (key) => this.skillsFor(...skillsOf(key)),
      keep: (skills) => !(skills instanceof Error),
      keptMs: skillsKeptMs,
    });
  }

  /** @param request whose answer is kept in the commit that makes the task: for plain tasks alone, see `isPlain` */
  one(task: NewTask, request: RequestKey | null = null): Promise<Started> {
    return this.start(task, new Answers(), request);
  }

  /** Made by the one statement for all that are like it: nothing is waited for, and nothing is stored elsewhere first. */
  isPlain(task: Pick<NewTask, 'sticky' | 'deadline' | 'notBefore' | 'dependsOn' | 'input'>): boolean {
    return (
      !hasTerms(task) && !isBlobRef(task.input) && JSON.stringify(task.input ?? {}).length * 3 < referencedFromBytes
    );
  }

  /** Each by itself: one that is refused does not keep the others from being made. */
  many(tasks: readonly BulkTask[]): Promise<PromiseSettledResult<Started>[]> {
    const answers = new Answers();
    const started: Promise<Started>[] = [];
    for (const task of tasks) started.push(this.startAfter(task, started, answers));
    return Promise.allSettled(started);
  }

  /** @param earlier what stands before it in the same request */
  private async startAfter(task: BulkTask, earlier: readonly Promise<Started>[], answers: Answers): Promise<Started> {
    const { dependsOn, ...rest } = task;
    if (dependsOn === undefined) return this.start(rest, answers);
    const place = earlier.length;
    const ids: string[] = [];
    for (const named of dependsOn) {
      if (typeof named === 'string') {
        ids.push(named);
        continue;
      }
      const before = named < place ? earlier[named] : undefined;
      if (before === undefined) throw new DependencyCycle(place, named);
      const made = await before.catch((error: unknown) => {
        throw new DependencyRefused(named, error);
      });
      ids.push(made.taskId);
    }
    return this.start({ ...rest, dependsOn: ids }, answers);
  }

  /** A key that stands for a task already answers with it, also where that task could not be asked for any more. */
  private async start(task: NewTask, answers: Answers, request: RequestKey | null = null): Promise<Started> {
    try {
      return await this.begin(task, answers, request);
    } catch (error) {
      const isRefused = error instanceof MusterError && error.status < 500;
      const earlier =
        isRefused && task.idempotencyKey !== undefined ? await this.earlier(task.teamId, task.idempotencyKey) : null;
      if (earlier === null) throw error;
      return startedOf(earlier, false);
    }
  }

  private async earlier(teamId: string, key: string): Promise<TaskRow | null> {
    return taskKept(this.database, await this.keys.add({ teamId, key }));
  }

  private async begin(task: NewTask, answers: Answers, request: RequestKey | null): Promise<Started> {
    const key = task.idempotencyKey ?? null;
    const given = JSON.stringify(task.input ?? {});
    // Its bytes are at most three times its characters.
    const bytes = given.length * 3 < referencedFromBytes ? 0 : Buffer.byteLength(given);
    if (bytes > maxInputBytes) throw new InputTooLarge(bytes, maxInputBytes);
    const agentRange = rangeOf(task);
    const sticky = task.sticky === undefined ? notSticky : await this.stickyOf(task, task.sticky, answers);
    const referred = isBlobRef(task.input) ? await this.blobs.valueOf(task.projectId, task.input) : null;
    const judged = referred === null ? (task.input ?? {}) : referred.value;
    const unfitAgents = isReserved(task.capability) ? [] : await this.agentsThatRefuse(task, judged);
    const depth = task.parentId === undefined ? 0 : await this.depthBelow(task.parentId, task, answers);
    const priority = task.priority ?? 'normal';
    // Nothing large is carried through the tables that work goes through, whoever sends it.
    const isLarge = bytes >= referencedFromBytes && !isReserved(task.capability);
    const stored = isLarge ? await this.blobs.keepValue({ ...task, by: task.requestedBy }, given) : null;
    const input = stored === null ? (task.input ?? {}) : { ...stored.ref };
    const text = stored === null ? given : JSON.stringify(input);
    const blob = referred?.digest ?? stored?.digest ?? null;
    const lane = await this.lanes.of({
      teamId: task.teamId,
      projectId: task.projectId,
      capability: task.capability,
      priority: priorityRank(priority),
      agentWish: task.agent ?? null,
      labels: task.labels ?? {},
      unfitAgents,
      agentRange,
      sticky: sticky.stickyTo !== null,
    });
    const row = {
      teamId: task.teamId,
      lane: lane.id,
      title: task.title ?? null,
      input: text,
      maxAttempts: task.maxAttempts ?? 5,
      notBefore: task.notBefore ?? null,
      parentId: task.parentId ?? null,
      depth,
      reopens: task.reopens ?? null,
      requestedBy: task.requestedBy,
      idempotencyKey: key,
    };
    // What a task refers to is noted in the transaction that makes it; plain tasks go the short way.
    if (hasTerms(task) || blob !== null) {
      const earlier = key === null ? null : await this.earlier(task.teamId, key);
      if (earlier !== null) return startedOf(earlier, false);
      const id = await this.termed.add({
        ...row,
        ...sticky,
        capability: task.capability,
        deadline: task.deadline ?? null,
        dependsOn: [...new Set(task.dependsOn)],
        onDependencyFailure: task.onDependencyFailure ?? 'cancel',
        blob,
      });
      const made = id === null ? null : await taskById(this.database, id);
      return made === null ? this.made(task.teamId, key) : startedOf(made, true);
    }
    const viewOf = (id: string) =>
      ({
        id,
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
        finishedAt: null,
      }) satisfies Omit<TaskView, 'createdAt' | 'updatedAt'>;
    const keeping = request === null ? null : { ...request, answerOf: (id: string) => JSON.stringify(viewOf(id)) };
    const created = await this.creations.add({ ...row, keeping });
    if (created === null) return this.made(task.teamId, key, request);
    return {
      taskId: created.id,
      created: true,
      view: () => {
        const at = created.at.toISOString();
        return { ...viewOf(created.id), createdAt: at, updatedAt: at };
      },
    };
  }

  /** @param request the one whose key was used before, for whatever it was */
  private async made(teamId: string, key: string | null, request: RequestKey | null = null): Promise<Started> {
    const other = await this.earlier(teamId, key ?? '');
    if (other !== null) return startedOf(other, false);
    if (request !== null) throw new KeyTaken();
    throw new Error('The idempotency key was taken and yet nobody has it.');
  }

  /** The assigned agents whose schema the input does not fit; at least one has to take it. */
  private async agentsThatRefuse(task: NewTask, value: unknown): Promise<string[]> {
    const skills = await this.skills.get(skillsKeyOf(task));
    if (skills instanceof Error) throw skills;
    const refusing: string[] = [];
    let errors: FieldError[] = [];
    for (const { agent, input } of skills) {
      const wrong = this.schemas.check(input, value, 'input');
      if (wrong.length === 0) continue;
      refusing.push(agent);
      errors = wrong;
    }
    if (refusing.length === skills.length) throw new InputInvalid(task.capability, errors);
    return refusing;
  }

  private async skillsFor(
    ...[ownTeamId, projectId, capability, wish, range]: SkillsKey
  ): Promise<readonly Skill[] | MusterError> {
    const teamId = await this.queries.execute(new FindProjectTeam(projectId));
    if (teamId !== ownTeamId) return new ProjectUnknown(projectId);
    const assigned = await this.queries.execute(new FindAssignedAgents(projectId, capability));
    const skills: Skill[] = [];
    for (const { agent, versionRange } of assigned) {
      if (wish !== null && agent !== wish) continue;
      const version = await this.queries.execute(new FindPublishedVersion(ownTeamId, agent, both(versionRange, range)));
      const skill = version?.definition.skills.find((one) => one.name === capability);
      if (skill !== undefined) skills.push({ agent, input: skill.input });
    }
    return skills.length === 0 ? new NoAgent(capability, range === null ? wish : `${wish ?? ''} ${range}`) : skills;
  }

  private async stickyOf(
    { parentId, teamId, projectId }: NewTask,
    sticky: NonNullable<NewTask['sticky']>,
    answers: Answers,
  ): Promise<Sticky> {
    const { task, key, to = 'instance', seconds = 60 } = sticky;
    if (task !== undefined && key !== undefined) throw new StickyToNothing();
    const given = { stickyTo: to, stickySeconds: seconds };
    if (key !== undefined) return { ...given, stickyTask: null, stickyKey: `${teamId} ${projectId} ${key}` };
    const other = task ?? parentId;
    if (other === undefined) throw new StickyToNothing();
    // A parent is looked at as such.
    if (task !== undefined)
      await once(answers.owned, task, async () => {
        const found = await taskById(this.database, task);
        return found?.team_id === teamId ? true : new StickyTaskUnknown(task);
      });
    return { ...given, stickyTask: other, stickyKey: null };
  }

  /** An hour before it can be, so that nobody begins anything below it while it goes. */
  private async isBeingArchived(taskId: string): Promise<boolean> {
    const keptMs = this.config.tasksArchiveAfterMs;
    return isLongEnded(this.database, taskId, keptMs === null ? null : keptMs - Math.min(keptMs / 2, 3_600_000));
  }

  private depthBelow(parentId: string, task: NewTask, answers: Answers): Promise<number> {
    return once(answers.depths, `${parentId} ${task.projectId}`, async () => {
      const parent = await taskById(this.database, parentId);
      if (parent === null || parent.team_id !== task.teamId || parent.project_id !== task.projectId)
        return new ParentUnknown(parentId);
      if (parent.state === 'cancelled') return new ParentCancelled(parentId);
      if (parent.finished_at !== null && (await this.isBeingArchived(parentId))) return new ParentArchived(parentId);
      if (await hasChildren(this.database, parentId, maxChildren)) return new TooManyChildren(parentId, maxChildren);
      const depth = parent.depth + 1;
      return depth > maxTaskDepth ? new TooDeep(maxTaskDepth) : depth;
    });
  }
}

/** As it is written in a lane, so that two ways to write one range are one lane. */
function rangeOf({ agent, agentVersion }: NewTask): string | null {
  if (agentVersion === undefined) return null;
  const range = semver.validRange(agentVersion);
  if (range === null || agent === undefined) throw new VersionWishInvalid(agentVersion, agent ?? null);
  return range;
}

/** What is in both ranges; `||` binds less than a space. */
const both = (one: string, other: string | null): string =>
  other === null
    ? one
    : one
        .split('||')
        .flatMap((a) => other.split('||').map((b) => `${a.trim()} ${b.trim()}`.trim()))
        .join(' || ');

function hasTerms({
  dependsOn,
  deadline,
  notBefore,
  sticky,
}: Pick<NewTask, 'dependsOn' | 'deadline' | 'notBefore' | 'sticky'>): boolean {
  if (deadline !== undefined && notBefore !== undefined && Date.parse(notBefore) >= Date.parse(deadline))
    throw new DeadlineBeforeStart(notBefore, deadline);
  return sticky !== undefined || deadline !== undefined || (dependsOn !== undefined && dependsOn.length > 0);
}

const startedOf = (row: TaskRow, created: boolean): Started => ({
  taskId: row.id,
  created,
  view: () => taskViewOf(row),
});

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
