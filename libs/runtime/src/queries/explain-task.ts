import type { TaskBlocker, TaskExplanation } from '@muster/contracts';
import { type IQueryHandler, Query, QueryBus, QueryHandler } from '@nestjs/cqrs';
import semver from 'semver';
import { FindAssignedAgents } from '#messages/projects';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { LimitBudget } from '../domain/limit-budget.ts';
import { inWords, type LimitRow } from '../domain/limit-view.ts';
import { isReserved, silentAfterSeconds } from '../domain/lease-rules.ts';
import type { TaskRow } from '../domain/task-row.ts';
import { Lanes } from '../dispatch/lanes.ts';
import { OpenWork } from '../dispatch/open-work.ts';
import { TaskUnknown } from '../runtime.errors.ts';
import { placeOf, standingOf, type InstanceStanding, type PlaceRow } from '../sql/explain.ts';
import type { Lane } from '../sql/lanes.ts';
import { listLimits } from '../sql/limits.ts';
import { taskById } from '../sql/tasks.ts';
import { termsOf } from '../sql/task-terms.ts';

/** Instances that are looked at one by one; a team with more of them is told about the ones with the most room. */
const maxInstances = 200;

type Said = Pick<TaskExplanation, 'blocker' | 'summary' | 'change'> &
  Partial<Pick<TaskExplanation, 'until' | 'ref' | 'instances'>>;

/** Why a task is not being worked on, and what would change that. */
export class ExplainTask extends Query<TaskExplanation> {
  constructor(readonly taskId: string) {
    super();
  }
}

@QueryHandler(ExplainTask)
export class ExplainTaskHandler implements IQueryHandler<ExplainTask> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly lanes: Lanes,
    private readonly config: Config,
    private readonly openWork: OpenWork,
  ) {}

  async execute({ taskId }: ExplainTask): Promise<TaskExplanation> {
    const task = await taskById(this.database, taskId);
    if (task === null) throw new TaskUnknown(taskId);
    const said =
      task.state === 'waiting'
        ? await this.waiting(task)
        : task.state === 'queued'
          ? await this.queued(task)
          : unblocked(task);
    const open = task.finished_at === null;
    const overlaps = open ? await this.openWork.of(task.project_id, taskId, task.input) : [];
    return { taskId, state: task.state, until: null, ref: null, overlaps: [...overlaps], instances: [], ...said };
  }

  private async waiting(task: TaskRow): Promise<Said> {
    const ref = task.wait_ref;
    const until = task.next_action_at?.toISOString() ?? null;
    switch (task.wait_reason) {
      case 'retry':
        return {
          blocker: 'retry_at',
          until,
          summary: `Attempt ${task.attempt} failed; it is tried again at ${until ?? 'the next look'}: ${task.error ?? 'no reason given'}`,
          change: 'Wait until then. A person can cancel it.',
        };
      case 'dependency': {
        const { dependsOn } = await termsOf(this.database, task.id);
        const open = dependsOn.filter(({ state }) => state !== 'succeeded');
        return {
          blocker: 'dependency',
          ref,
          summary: `Waits for ${open.map((one) => `${one.taskId} (${one.state})`).join(', ')}.`,
          change:
            `When ${open.length === 1 ? 'that one succeeds' : 'all of them succeed'}, it is queued at once. Ask why ${ref ?? 'they'} does not go on: muster tasks explain ${ref ?? ''}`.trimEnd(),
        };
      }
      case 'verification':
        return {
          blocker: 'verification',
          ref,
          summary: `Its change was handed in as ${ref ?? task.submission_id ?? 'a submission'} and is being verified.`,
          change: 'The verdict. Nothing happens while no verifier is connected: see GET /api/instances.',
        };
      case 'landing':
        return {
          blocker: 'landing',
          ref,
          summary: `Its change was accepted and is in the landing queue as ${ref ?? 'a landing'}.`,
          change: 'The landing. Quiet hours, a release by a person or changes ahead of it can hold it up.',
        };
      case 'person':
        return {
          blocker: 'person',
          ref,
          summary: `Waits for a person: ${task.wait_detail ?? task.error ?? 'no reason given'}`,
          change: `Mend the cause, then: muster tasks retry ${task.id}. Or cancel it.`,
        };
      default:
        return {
          blocker: 'lock',
          ref,
          until,
          summary: `Waits for ${task.wait_reason ?? 'an unknown reason'}: ${task.wait_detail ?? ref ?? ''}`.trimEnd(),
          change: 'What it waits for.',
        };
    }
  }

  private async queued(task: TaskRow): Promise<Said> {
    const [place, lanes] = await Promise.all([placeOf(this.database, task.id), this.lanes.all([task.lane])]);
    const lane = lanes.get(task.lane);
    if (place === null || lane === undefined) throw new TaskUnknown(task.id);
    if (!place.ready && place.delayed_until !== null)
      return {
        blocker: 'not_before',
        until: place.delayed_until.toISOString(),
        summary: `It is not to be handed out before ${place.delayed_until.toISOString()}.`,
        change: 'Wait until then.',
      };
    if (place.stopped)
      return {
        blocker: 'dispatch_stopped',
        summary: `Dispatch is stopped${place.stopped_reason === null ? '' : `: ${place.stopped_reason}`}.`,
        change: 'Start it again: POST /api/runtime/start.',
      };
    const system = isReserved(task.capability);
    const assigned = system ? [] : await this.queries.execute(new FindAssignedAgents(task.project_id, task.capability));
    const wished = assigned.filter(({ agent }) => lane.agentWish === null || agent === lane.agentWish);
    if (!system && wished.length === 0)
      return {
        blocker: 'no_agent_assigned',
        summary:
          lane.agentWish === null
            ? `No agent is assigned to the project with the capability ${task.capability}.`
            : `The agent ${lane.agentWish}, which the task asks for, is not assigned with the capability ${task.capability}.`,
        change: `Assign one: POST /api/projects/${task.project_id}/agents.`,
      };
    const standing = await standingOf(this.database, {
      teamId: task.team_id,
      capability: task.capability,
      system,
      silentAfterSeconds: silentAfterSeconds(this.config.leaseSeconds),
      limit: maxInstances,
    });
    if (standing.length === 0)
      return {
        blocker: 'no_instance_connected',
        summary: `No instance with the capability ${task.capability} is connected.`,
        change: `Start one of ${system ? "Muster's verifiers" : wished.map(({ agent }) => agent).join(', ')}.`,
      };
    const limits = system ? [] : await listLimits(this.database, task.team_id, [task.project_id]);
    const used = limits.filter(
      (limit) =>
        (limit.capability === null || limit.capability === lane.capability) &&
        !new LimitBudget([limit], [{ ...limit, nextStartInMs: null }]).take([limit], place.expired_agent),
    );
    return judge(lane, place, system ? null : wished, standing, used);
  }
}

function unblocked(task: TaskRow): Said {
  if (task.state === 'running')
    return {
      blocker: 'none',
      ref: task.instance_id,
      until: task.lease_until?.toISOString() ?? null,
      summary: `${task.agent ?? 'An agent'} works on it as ${task.instance_id ?? 'an instance'}, attempt ${task.attempt}, under a lease until ${task.lease_until?.toISOString() ?? 'an unknown moment'}.`,
      change: 'Nothing needs to.',
    };
  return {
    blocker: 'none',
    summary: `It has ended as ${task.state}${task.error === null ? '' : `: ${task.error}`}.`,
    change: 'Nothing will: create a new task to do it again.',
  };
}

/** In the order in which they rule an instance out: who gets furthest is nearest to being able to take it. */
const order: readonly TaskBlocker[] = [
  'agent_not_assigned',
  'version',
  'input_unfit',
  'labels',
  'other_project',
  'paused',
  'silent',
  'avoided',
  'kept_for_another',
  'limit',
  'at_capacity',
  'none',
];
const changes: Partial<Record<TaskBlocker, string>> = {
  agent_not_assigned: 'Assign one of the connected agents with this capability, or connect an assigned one.',
  version: 'Connect an instance of a version in the range of the assignment and of the task, or widen the range.',
  input_unfit: 'Connect an agent whose schema takes this input, or create the task with another input.',
  labels: 'Connect an instance that carries all labels of the task.',
  other_project: 'Connect an instance with a key that is not bound to another project.',
  paused: 'Resume one of them: POST /api/instances/{instanceId}/resume.',
  silent: 'They send no heartbeats: look at their processes and networks.',
  avoided:
    'Connect another instance. When nobody else has taken it in time, a person is asked or the same ones may try again.',
  kept_for_another: 'The instance that knows the work may have it first; then anybody.',
  at_capacity: 'Wait until one of their tasks ends, raise their capacity, or connect another instance.',
  none: 'Nothing needs to: it is handed out in its turn.',
};

function judge(
  lane: Lane,
  place: PlaceRow,
  assigned: readonly { readonly agent: string; readonly versionRange: string }[] | null,
  standing: readonly InstanceStanding[],
  used: readonly LimitRow[],
): Said {
  const limitOn = (agent: string): LimitRow | undefined =>
    used.find((limit) => limit.agent === null || limit.agent === agent);
  const judged = standing.map((instance) => ({
    instanceId: instance.id,
    agent: instance.agent,
    version: instance.agent_version,
    ...reasonAgainst(lane, place, assigned, instance, limitOn(instance.agent)),
  }));
  const best = judged.reduce((a, b) => (order.indexOf(b.blocker) > order.indexOf(a.blocker) ? b : a));
  const { blocker } = best;
  const alike = judged.filter((one) => one.blocker === blocker);
  const keptUntil = place.sticky_until ?? place.preferred_until;
  const limit = blocker === 'limit' ? limitOn(best.agent) : undefined;
  const until =
    blocker === 'avoided'
      ? place.avoid_until
      : blocker === 'kept_for_another'
        ? keptUntil
        : (limit?.nextStartAt ?? null);
  return {
    blocker,
    ref: limit?.id ?? null,
    until: until?.toISOString() ?? null,
    summary:
      blocker === 'none'
        ? `${best.instanceId} (${best.agent}) can take it; ${place.ahead === 0 ? 'nothing is' : `${place.ahead}${place.ahead === 1000 ? ' or more' : ''} are`} ahead of it in its lane.`
        : `${alike.length === judged.length ? `All ${judged.length}` : `${alike.length} of ${judged.length}`} connected instances that could do it: ${best.why}${alike.length > 1 ? ' (and the like)' : ''}.`,
    change: limit === undefined ? (changes[blocker] ?? 'Nothing that is known.') : changeOf(limit),
    instances: judged,
  };
}

function changeOf(limit: LimitRow): string {
  const next =
    limit.nextStartAt === null
      ? 'Wait until one of those that run ends'
      : `Wait for the next start, which is allowed at ${limit.nextStartAt.toISOString()}`;
  return `${next}; or raise the limit: PUT /api/limits; or remove it: muster limits remove ${limit.id}`;
}

function reasonAgainst(
  lane: Lane,
  place: PlaceRow,
  assigned: readonly { readonly agent: string; readonly versionRange: string }[] | null,
  one: InstanceStanding,
  limit: LimitRow | undefined,
): { blocker: TaskBlocker; why: string } {
  const own = assigned?.filter(({ agent }) => agent === one.agent) ?? [];
  if (assigned !== null && own.length === 0)
    return { blocker: 'agent_not_assigned', why: `${one.agent} is not one of the agents that this task may go to` };
  if (assigned !== null && !own.some(({ versionRange }) => semver.satisfies(one.agent_version, versionRange)))
    return {
      blocker: 'version',
      why: `${one.agent} ${one.agent_version} is not in the assigned range ${own.map(({ versionRange }) => versionRange).join(', ')}`,
    };
  if (lane.agentRange !== null && !semver.satisfies(one.agent_version, lane.agentRange))
    return {
      blocker: 'version',
      why: `${one.agent} ${one.agent_version} is not in the range ${lane.agentRange} that the task asks for`,
    };
  if (lane.unfitAgents.includes(one.agent))
    return { blocker: 'input_unfit', why: `the input does not fit the schema of ${one.agent}` };
  const missing = Object.entries(lane.labels).filter(([name, value]) => one.labels[name] !== value);
  if (missing.length > 0)
    return {
      blocker: 'labels',
      why: `${one.id} lacks ${missing.map(([name, value]) => `${name}=${value}`).join(', ')}`,
    };
  if (one.only_project_id !== null && one.only_project_id !== lane.projectId)
    return { blocker: 'other_project', why: `${one.id} may work on another project only` };
  if (one.wanted !== 'run' || one.state !== 'idle')
    return {
      blocker: 'paused',
      why: `${one.id} is ${one.wanted === 'run' ? one.state : `asked to ${one.wanted}`}${one.wanted_reason === null ? '' : ` (${one.wanted_reason})`}`,
    };
  if (one.silent) return { blocker: 'silent', why: `${one.id} has not been heard of for several heartbeats` };
  const avoids = place.avoid_until !== null && (place.avoid_until > place.now || place.avoid_then_person === true);
  if (avoids && place.avoid_instances?.includes(one.id) === true)
    return { blocker: 'avoided', why: `${one.id} has failed it or gave it back, and another one is to have it` };
  const kept = place.preferred_until !== null && place.preferred_until > place.now;
  if (kept && place.preferred_instance_id !== one.id)
    return { blocker: 'kept_for_another', why: `it is kept for ${place.preferred_instance_id ?? 'another instance'}` };
  if (place.sticky_to === 'instance' && place.sticky_instance !== one.id)
    return {
      blocker: 'kept_for_another',
      why: `it is kept for ${place.sticky_instance ?? 'another instance'}, which did the work before`,
    };
  if (place.sticky_to === 'agent' && place.sticky_agent !== one.agent)
    return {
      blocker: 'kept_for_another',
      why: `it is kept for ${place.sticky_agent ?? 'another agent'}, which did the work before`,
    };
  if (limit !== undefined)
    return {
      blocker: 'limit',
      why: `the limit ${limit.id} allows ${inWords(limit)}: ${limit.running} run${limit.maxStarts === null ? '' : `, ${limit.started} began within ${limit.perSeconds ?? 0} s`}`,
    };
  if (one.held >= one.room)
    return { blocker: 'at_capacity', why: `${one.id} works on ${one.held} of ${one.room} tasks` };
  return { blocker: 'none', why: 'can take it' };
}
