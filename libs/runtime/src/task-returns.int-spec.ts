import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runtimeRoom, type RuntimeRoom } from '#test/runtime-room';
import { Returns } from './batches/returns.ts';
import { RuntimeModule } from './runtime.module.ts';
import type { Holder } from './sql/leases.ts';

let room: RuntimeRoom;
beforeAll(async () => {
  room = await runtimeRoom(RuntimeModule);
}, 60_000);
afterAll(() => room.close());

const eventsOf = async (taskId: string): Promise<string[]> =>
  (await room.test.sql<{ type: string }>(`select type from events where subject = $1 order by position`, [taskId])).map(
    ({ type }) => type,
  );

/** Tasks that one worker holds. */
async function held(count: number): Promise<{ holders: Holder[]; instanceId: string }> {
  const worker = await room.connect({ capacity: count });
  const made = [];
  for (let n = 0; n < count; n += 1) made.push(await room.create());
  const taken = await room.claim(worker, count);
  expect(taken.map(({ taskId }) => taskId).sort()).toEqual(made.map(({ id }) => id).sort());
  return {
    holders: taken.map(({ taskId, fence }) => ({ taskId, fence, actorId: worker.actor.id })),
    instanceId: worker.instanceId,
  };
}

describe('what comes back', () => {
  it('shares one commit, whether it failed or was given back, and who does not hold an attempt gets nothing done', async () => {
    const { holders, instanceId } = await held(4);
    const [failed, other, released, foreign] = holders;
    if (failed === undefined || other === undefined || released === undefined || foreign === undefined)
      throw new Error('Four were taken.');
    const returns = room.app.get(Returns);
    const answers = await Promise.all([
      returns.add(failed, 'failed', 'broken'),
      returns.add(released, 'released', 'busy'),
      returns.add({ ...foreign, actorId: 'key_of_somebody_else' }, 'released', 'mine'),
      returns.add({ ...foreign, fence: foreign.fence + 1000 }, 'failed', 'mine'),
      returns.add(other, 'failed', 'broken as well'),
    ]);
    expect(answers).toEqual([
      { taskId: failed.taskId, fence: failed.fence, state: 'waiting', retryAt: expect.any(String) },
      { taskId: released.taskId, fence: released.fence, state: 'queued', retryAt: null },
      null,
      null,
      { taskId: other.taskId, fence: other.fence, state: 'waiting', retryAt: expect.any(String) },
    ]);
    const ids = [failed.taskId, released.taskId, other.taskId];
    const commits = await room.test.sql(`select distinct xmin::text from attempts where task_id = any ($1)`, [ids]);
    expect(commits).toHaveLength(1);
    expect(await room.show(failed.taskId)).toMatchObject({
      state: 'waiting',
      wait: { reason: 'retry', nextActionAt: answers[0]?.retryAt },
      error: 'broken',
      attempts: [{ outcome: 'failed', error: 'broken' }],
    });
    expect(await room.show(released.taskId)).toMatchObject({
      state: 'queued',
      error: null,
      attempts: [{ outcome: 'released', error: 'busy' }],
    });
    expect(await room.show(foreign.taskId)).toMatchObject({ state: 'running' });
    expect(await eventsOf(failed.taskId)).toEqual([
      'task.created',
      'task.started',
      'task.attempt_failed',
      'task.waiting',
    ]);
    expect(await eventsOf(released.taskId)).toEqual(['task.created', 'task.started', 'task.released']);
    const places = await room.test.sql(`select task_id, avoid_instances from task_ready where task_id = any ($1)`, [
      ids,
    ]);
    expect(places).toEqual([{ task_id: released.taskId, avoid_instances: [instanceId] }]);
    expect(await room.broken()).toEqual([]);
  });
});
