import { Injectable } from '@nestjs/common';
import type { Tx } from '#kernel';
import { LeaseGuard, type HeldAttempt } from '#messages/runtime';
import { StaleLease } from './runtime.errors.ts';
import { closeAttempt, wait } from './sql/outcomes.ts';
import { lockByFence } from './sql/leases.ts';

/** Other rooms act under a task's fence through this, in their own transaction. */
@Injectable()
export class SqlLeaseGuard extends LeaseGuard {
  async hold(tx: Tx, taskId: string, fence: number): Promise<HeldAttempt> {
    const task = await lockByFence(tx, taskId, fence);
    if (task === null) throw new StaleLease(taskId, fence);
    const [attempt] = await tx.sql<{ id: string; holder_id: string; agent_version: string }>(
      `select attempt_id as id, holder_id, agent_version from task_running where task_id = $1 and fence = $2`,
      [taskId, fence],
    );
    if (attempt === undefined) throw new StaleLease(taskId, fence);
    return {
      taskId,
      attemptId: attempt.id,
      attempt: task.attempt,
      fence,
      teamId: task.team_id,
      projectId: task.project_id,
      capability: task.capability,
      agent: task.agent,
      agentVersion: attempt.agent_version,
      instanceId: task.instance_id,
      holderId: attempt.holder_id,
    };
  }

  async submitted(tx: Tx, held: HeldAttempt, submissionId: string): Promise<void> {
    const task = await lockByFence(tx, held.taskId, held.fence);
    if (task === null) throw new StaleLease(held.taskId, held.fence);
    await closeAttempt(tx, {
      taskId: held.taskId,
      outcome: 'submitted',
      answer: { taskId: held.taskId, fence: held.fence, submissionId },
    });
    // No next action of ours: the integration room's sweep moves every submission that is not final, and settles this task.
    await wait(tx, held.taskId, { reason: 'verification', ref: submissionId, submissionId });
    const about = { teamId: held.teamId, projectId: held.projectId, subject: held.taskId };
    tx.append(
      { ...about, type: 'task.submitted', data: { taskId: held.taskId, submissionId, fence: held.fence } },
      { ...about, type: 'task.waiting', data: { taskId: held.taskId, reason: 'verification', ref: submissionId } },
    );
  }
}
