import { MusterError, type FieldError } from '#kernel';

/** The fence is not the task's current one: somebody else has the task, or it has ended. */
export class StaleLease extends MusterError {
  constructor(taskId: string, fence: number) {
    super(
      'runtime.stale_lease',
      409,
      'This attempt is no longer yours: stop working on it and drop its results. The task goes on without it.',
      {
        data: { taskId, fence },
      },
    );
  }
}

export class TaskUnknown extends MusterError {
  constructor(taskId: string) {
    super(
      'runtime.task_unknown',
      404,
      'There is no such task here. Check its id, and that your key belongs to its team.',
      { data: { taskId } },
    );
  }
}

export class TaskFinished extends MusterError {
  constructor(taskId: string, state: string) {
    super(
      'runtime.task_finished',
      409,
      `The task has ended as ${state} and stays so. Create a new task to do it again.`,
      { data: { taskId, state } },
    );
  }
}

export class TaskNotWaitingForAPerson extends MusterError {
  constructor(taskId: string, state: string) {
    super('runtime.not_waiting', 409, `Only a task that waits for a person can be retried; this one is ${state}.`, {
      data: { taskId, state },
    });
  }
}

export class ProjectUnknown extends MusterError {
  constructor(projectId: string) {
    super(
      'runtime.project_unknown',
      404,
      'There is no such project here. Check its id, and that your key belongs to its team.',
      { data: { projectId } },
    );
  }
}

export class ParentArchived extends MusterError {
  constructor(parentId: string) {
    super(
      'runtime.parent_archived',
      409,
      `${parentId} ended long ago, and nothing can be begun below it any more. Create the task without a parent, or below one that you create for it.`,
      { data: { parentId } },
    );
  }
}

export class ParentUnknown extends MusterError {
  constructor(parentId: string) {
    super(
      'runtime.parent_unknown',
      404,
      'The parent is not a task of this project. Give the id of a task of the same project, or leave parentId out.',
      {
        data: { parentId },
      },
    );
  }
}

export class ParentCancelled extends MusterError {
  constructor(parentId: string) {
    super(
      'runtime.parent_cancelled',
      409,
      'The parent was cancelled, and nothing is begun below it any more. Stop, or start the task without a parent.',
      { data: { parentId } },
    );
  }
}

export class TooDeep extends MusterError {
  constructor(limit: number) {
    super('runtime.too_deep', 422, `Tasks nest at most ${limit} levels. Start this one without a parent.`);
  }
}

export class NoAgent extends MusterError {
  constructor(capability: string, wish: string | null) {
    super(
      'runtime.no_agent',
      422,
      wish === null
        ? `No agent is assigned to this project with the capability ${capability}. Assign one: POST /api/projects/{projectId}/agents.`
        : `The agent ${wish} is not assigned to this project with the capability ${capability}. Assign it, or leave agent out.`,
      { data: { capability, ...(wish === null ? {} : { agent: wish }) } },
    );
  }
}

export class InputInvalid extends MusterError {
  constructor(capability: string, errors: readonly FieldError[]) {
    super(
      'runtime.input_invalid',
      422,
      `The input does not fit what the agents assigned to ${capability} take. Correct the fields named in errors.`,
      {
        errors,
        data: { capability },
      },
    );
  }
}

export class OutputInvalid extends MusterError {
  constructor(capability: string, errors: readonly FieldError[]) {
    super(
      'runtime.output_invalid',
      422,
      `The output does not fit the schema that the agent's own definition declares for ${capability}. The lease is unchanged: correct it and complete again.`,
      { errors, data: { capability } },
    );
  }
}

export class ReservedCapability extends MusterError {
  constructor(capability: string) {
    super(
      'runtime.reserved_capability',
      403,
      'Capabilities under muster. belong to the system: nobody else may ask for them or answer them.',
      {
        data: { capability },
      },
    );
  }
}

export class AgentUnknown extends MusterError {
  constructor(agent: string, version: string) {
    super(
      'runtime.agent_unknown',
      422,
      `Your team has no published version of the agent ${agent} in the range ${version}. Register and publish its definition first.`,
      {
        data: { agent, version },
      },
    );
  }
}

export class CapabilityUndeclared extends MusterError {
  constructor(agent: string, version: string, undeclared: readonly string[]) {
    super(
      'runtime.capability_undeclared',
      422,
      `${agent} ${version} does not declare ${undeclared.join(', ')}. Publish a version that does, or leave it out of hello.`,
      {
        data: { agent, version, undeclared },
      },
    );
  }
}

export class InstanceUnknown extends MusterError {
  constructor(instanceId: string) {
    super(
      'runtime.instance_unknown',
      404,
      'There is no such instance of yours, or it has said goodbye. Say hello again.',
      { data: { instanceId } },
    );
  }
}

export class HelloFirst extends MusterError {
  constructor() {
    super('runtime.hello_first', 409, 'Say hello first: the first message on this socket is hello, once.');
  }
}

export class AlreadyConnected extends MusterError {
  constructor() {
    super(
      'runtime.already_connected',
      409,
      'This socket has said hello already. Open another socket for another instance.',
    );
  }
}

export class NothingToRun extends MusterError {
  constructor(agent: string, version: string) {
    super(
      'runtime.nothing_to_run',
      422,
      `${agent} ${version} does not say how it is started. Publish a version whose definition has runtime.command, or start its process yourself.`,
      { data: { agent, version } },
    );
  }
}

export class SupervisionRefused extends MusterError {
  constructor(reason: string) {
    super('runtime.supervision_refused', 403, `The server does not start this agent: ${reason}.`, { data: { reason } });
  }
}

export class TooManySupervised extends MusterError {
  constructor(limit: number) {
    super(
      'runtime.too_many_supervised',
      409,
      `This server runs ${limit} supervised instances already. Stop one first, or start this one at another server.`,
      { data: { limit } },
    );
  }
}

export class NotSupervised extends MusterError {
  constructor(instanceId: string) {
    super(
      'runtime.not_supervised',
      409,
      'The server did not start the process of this instance, so it has no say over it. Start or look at it where it runs.',
      { data: { instanceId } },
    );
  }
}

export class LogElsewhere extends MusterError {
  constructor(instanceId: string) {
    super(
      'runtime.log_elsewhere',
      409,
      'The process runs on the machine of another server, which keeps its log. Ask that server.',
      { data: { instanceId } },
    );
  }
}

export class OperatorsOnly extends MusterError {
  constructor() {
    super(
      'runtime.operators_only',
      403,
      'Only the team that runs the server starts and stops it for all teams. Leave scope out for your own team, or ask them.',
    );
  }
}

export class DeadlinePassed extends MusterError {
  constructor(deadline: string) {
    super(
      'runtime.deadline_passed',
      400,
      'The deadline is over already, so the task would fail at once. Give a moment in the future, or leave deadline out.',
      { data: { deadline } },
    );
  }
}

export class DeadlineBeforeStart extends MusterError {
  constructor(notBefore: string, deadline: string) {
    super(
      'runtime.deadline_before_start',
      400,
      'The task may not begin before its deadline is over. Give an earlier notBefore or a later deadline.',
      { data: { notBefore, deadline } },
    );
  }
}

export class DependencyUnknown extends MusterError {
  constructor(taskIds: readonly string[]) {
    super(
      'runtime.dependency_unknown',
      422,
      `${taskIds.join(', ')}: no such task of this team. dependsOn names tasks that exist already.`,
      { data: { taskIds } },
    );
  }
}

export class DependencyFailed extends MusterError {
  constructor(tasks: readonly string[]) {
    super(
      'runtime.dependency_failed',
      422,
      `${tasks.join(', ')} will not succeed any more, so this task would wait for ever. Leave it out of dependsOn, or create it anew first.`,
      { data: { tasks } },
    );
  }
}

/** Tasks depend on earlier ones alone, so the only way to a circle is to name a later place of the same request. */
export class DependencyCycle extends MusterError {
  constructor(place: number, named: number) {
    super(
      'runtime.dependency_cycle',
      422,
      `Item ${place} depends on item ${named}, which is ${place === named ? 'itself' : 'not before it'}. An item may depend only on earlier ones, so that no circle comes about: reorder them.`,
      { data: { place, named } },
    );
  }
}

export class DependencyRefused extends MusterError {
  constructor(place: number, cause: unknown) {
    super(
      'runtime.dependency_refused',
      422,
      `Item ${place}, which this one depends on, was refused. Correct that one and send both again.`,
      { data: { place }, cause },
    );
  }
}

export class InputTooLarge extends MusterError {
  constructor(bytes: number, limitBytes: number) {
    super(
      'runtime.input_too_large',
      413,
      `The input has ${bytes} bytes, and a task takes at most ${limitBytes}. Put what is large into the repository or where the agent can fetch it, and name the place in the input.`,
      { data: { bytes, limitBytes } },
    );
  }
}

export class TooManyChildren extends MusterError {
  constructor(parentId: string, limit: number) {
    super(
      'runtime.too_many_children',
      422,
      `${parentId} has ${limit} tasks directly below it already, which is as many as one may have. Create some in between, or a tree without a parent.`,
      { data: { parentId, limit } },
    );
  }
}

export class VersionWishInvalid extends MusterError {
  constructor(range: string, agent: string | null) {
    super(
      'runtime.version_wish_invalid',
      400,
      agent === null
        ? 'A range of versions counts for one agent. Name it in agent, or leave agentVersion out.'
        : `${range} is no range of versions. Give one as npm knows them: 1.2.0, ^1.2.0, >=1 <3.`,
      { data: { range, agent } },
    );
  }
}

export class StickyToNothing extends MusterError {
  constructor() {
    super(
      'runtime.sticky_to_nothing',
      400,
      'Sticky needs somebody to stick to: give sticky.task or sticky.key (not both), or a parentId.',
    );
  }
}

export class StickyTaskUnknown extends MusterError {
  constructor(taskId: string) {
    super(
      'runtime.sticky_task_unknown',
      422,
      `${taskId}: no such task of this team. sticky.task names a task that exists already.`,
      { data: { taskId } },
    );
  }
}

export class LimitUnknown extends MusterError {
  constructor(limitId: string) {
    super(
      'runtime.limit_unknown',
      404,
      'There is no such limit, or not any more: GET /api/limits shows those that hold.',
      {
        data: { limitId },
      },
    );
  }
}

export class TooManyLimits extends MusterError {
  constructor(most: number) {
    super(
      'runtime.too_many_limits',
      409,
      `The team has ${most} limits already. Remove one first, or let one count more than one capability or agent.`,
      { data: { most } },
    );
  }
}

export class BlobUnknown extends MusterError {
  constructor(projectId: string, digest: string) {
    super(
      'runtime.blob_unknown',
      404,
      `${projectId} has no content ${digest}. Store it first with PUT /api/projects/{projectId}/blobs/{digest}; what no task refers to is not kept for ever.`,
      { data: { projectId, digest } },
    );
  }
}

export class BlobDigestWrong extends MusterError {
  constructor(said: string, is: string) {
    super(
      'runtime.blob_digest_wrong',
      422,
      `The address says ${said}, and the SHA-256 of what was sent is ${is}. Send the bytes that you hashed, as application/octet-stream.`,
      { data: { said, is } },
    );
  }
}

export class BlobTooLarge extends MusterError {
  constructor(bytes: number, limitBytes: number) {
    super(
      'runtime.blob_too_large',
      413,
      `The content has ${bytes} bytes, and an input or output takes at most ${limitBytes}. Put what is larger into the repository, and name the place.`,
      { data: { bytes, limitBytes } },
    );
  }
}

export class BlobRefInvalid extends MusterError {
  constructor(why: string) {
    super(
      'runtime.blob_ref_invalid',
      422,
      `This is no reference that can be followed: ${why}. It is {"$ref":"blob:sha256:…","size":…,"mediaType":"application/json"}, as storing the content answered it.`,
      { data: { why } },
    );
  }
}

export class BlobNotJson extends MusterError {
  constructor(digest: string) {
    super(
      'runtime.blob_not_json',
      422,
      `${digest} is no JSON in UTF-8, and only such a content can be an input or output. Store the JSON of the value and refer to that.`,
      { data: { digest } },
    );
  }
}

export class BlobBodyMissing extends MusterError {
  constructor() {
    super(
      'runtime.blob_body_missing',
      415,
      'Send the content itself as the body, with the content type application/octet-stream.',
    );
  }
}
