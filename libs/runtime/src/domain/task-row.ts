import {
  priorities,
  type InstanceView,
  type Priority,
  type Rework,
  type TaskDetail,
  type TaskState,
  type TaskView,
} from '@muster/contracts';

/** A row of `tasks` as far as the room works with it. */
export interface TaskRow {
  readonly id: string;
  readonly team_id: string;
  readonly project_id: string;
  readonly capability: string;
  readonly title: string | null;
  readonly input: TaskView['input'];
  readonly priority: number;
  readonly state: TaskState;
  readonly wait_reason: NonNullable<TaskView['wait']>['reason'] | null;
  readonly wait_ref: string | null;
  readonly wait_detail: string | null;
  readonly next_action_at: Date | null;
  readonly attempt: number;
  readonly failures: number;
  readonly max_attempts: number;
  readonly fence: number | null;
  readonly lease_until: Date | null;
  readonly lane: number;
  readonly instance_id: string | null;
  readonly agent: string | null;
  readonly checkpoint: unknown;
  readonly rework: Rework | null;
  readonly reworks: number;
  readonly submission_id: string | null;
  readonly output: TaskView['output'];
  readonly error: string | null;
  readonly own_cost_usd: number;
  /** Of that, what was spent before a person last said "again": the budget counts from there. */
  readonly forgiven_cost_usd: number;
  readonly cost_usd: number;
  readonly parent_id: string | null;
  readonly depth: number;
  readonly reopens: string | null;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly finished_at: Date | null;
}

export interface AttemptRow {
  readonly id: string;
  readonly number: number;
  readonly fence: number;
  readonly instance_id: string | null;
  readonly agent: string | null;
  readonly outcome: TaskDetail['attempts'][number]['outcome'];
  readonly error: string | null;
  readonly progress: number | null;
  readonly checkpoint: unknown;
  readonly cost_usd: number;
  readonly started_at: Date;
  readonly ended_at: Date | null;
}

export interface InstanceRow {
  readonly id: string;
  readonly team_id: string;
  readonly only_project_id: string | null;
  readonly actor_id: string;
  readonly agent: string;
  readonly agent_version: string;
  readonly name: string | null;
  readonly system: boolean;
  readonly transport: InstanceView['transport'];
  /** Changes with each hello: an older connection of the same instance can claim nothing more. */
  readonly connection: string;
  readonly state: InstanceView['state'];
  readonly wanted: InstanceView['wanted'];
  readonly wanted_reason: string | null;
  readonly capabilities: readonly string[];
  readonly labels: Record<string, string>;
  readonly capacity: number;
  readonly limits: InstanceLimits;
  /** By capability. */
  readonly output_schemas: Readonly<Record<string, unknown>>;
  readonly connected_at: Date;
  readonly last_seen_at: Date;
}

/** What the agent's definition allows, taken from its published version at hello. */
export interface InstanceLimits {
  /** Tasks at a time for one instance; the lower of this and its capacity counts. */
  readonly concurrency: number;
  readonly timeoutSeconds: number;
  readonly costUsd: number | null;
  readonly attempts: number;
  /** Null: the server's own. */
  readonly retryDelaysSeconds: readonly number[] | null;
}

export const priorityRank = (priority: Priority): number => priorities.indexOf(priority);

const time = (at: Date | null): string | null => (at === null ? null : at.toISOString());

export function taskViewOf(row: TaskRow): TaskView {
  return {
    id: row.id,
    teamId: row.team_id,
    projectId: row.project_id,
    capability: row.capability,
    title: row.title,
    state: row.state,
    wait:
      row.wait_reason === null
        ? null
        : {
            reason: row.wait_reason,
            ref: row.wait_ref,
            nextActionAt: time(row.next_action_at),
            detail: row.wait_detail,
          },
    priority: priorities[row.priority] ?? 'normal',
    input: row.input,
    output: row.output ?? null,
    error: row.error,
    attempt: row.attempt,
    reworks: row.reworks,
    submissionId: row.submission_id,
    parentId: row.parent_id,
    reopens: row.reopens,
    costUsd: Number(row.cost_usd),
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
    finishedAt: time(row.finished_at),
  };
}

export const attemptViewOf = (row: AttemptRow): TaskDetail['attempts'][number] => ({
  id: row.id,
  number: row.number,
  fence: Number(row.fence),
  instanceId: row.instance_id,
  agent: row.agent,
  outcome: row.outcome,
  error: row.error,
  progress: row.progress,
  costUsd: Number(row.cost_usd),
  startedAt: row.started_at.toISOString(),
  endedAt: time(row.ended_at),
});

export const instanceViewOf = (row: InstanceRow & { readonly running: number }): InstanceView => ({
  id: row.id,
  teamId: row.team_id,
  agent: row.agent,
  version: row.agent_version,
  name: row.name,
  state: row.state,
  wanted: row.wanted,
  wantedReason: row.wanted_reason,
  transport: row.transport,
  capabilities: [...row.capabilities],
  labels: row.labels,
  capacity: row.capacity,
  running: Number(row.running),
  connectedAt: row.connected_at.toISOString(),
  lastSeenAt: row.last_seen_at.toISOString(),
});
