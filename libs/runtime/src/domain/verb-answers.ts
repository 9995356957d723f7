import type { TaskState } from '@muster/contracts';
import type { TaskRow } from './task-row.ts';

/** What a verb that keeps the lease answers. */
export interface Renewed {
  readonly taskId: string;
  readonly fence: number;
  readonly leaseUntil: string | null;
}
/** What a verb that ends the attempt answers; repeated with the same fence it answers the same. */
export interface Ended {
  readonly taskId: string;
  readonly fence: number;
  readonly state: TaskState;
  /** When the task is tried again by itself. */
  readonly retryAt: string | null;
}

export const renewedOf = (held: {
  readonly task_id: string;
  readonly fence: number;
  readonly lease_until: Date;
}): Renewed => ({ taskId: held.task_id, fence: Number(held.fence), leaseUntil: held.lease_until.toISOString() });

export const endedOf = (task: TaskRow, fence: number): Ended => ({
  taskId: task.id,
  fence,
  state: task.state,
  retryAt: task.wait_reason === 'retry' ? (task.next_action_at?.toISOString() ?? null) : null,
});
