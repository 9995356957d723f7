import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TaskCancelled, TaskExplanation, TaskView } from '@muster/contracts';
import { runtimeRoom, type RuntimeRoom } from '#test/runtime-room';
import { TreeCancel } from './dispatch/tree-cancel.ts';
import { RuntimeModule } from './runtime.module.ts';

let room: RuntimeRoom;
beforeAll(async () => {
  room = await runtimeRoom(RuntimeModule);
}, 60_000);
afterAll(() => room.close());

const cancelTree = (taskId: string) =>
  room.call<TaskCancelled>(room.person, 'POST', `/tasks/${taskId}/cancel`, { tree: true, reason: 'not wanted' });
const explain = async (taskId: string) =>
  (await room.call<TaskExplanation>(room.person, 'GET', `/tasks/${taskId}/explain`)).body;
const list = async (query: string) =>
  (await room.call<{ items: TaskView[] }>(room.person, 'GET', `/tasks?${query}`)).body.items.map(({ id }) => id);

describe('a tree of tasks', () => {
  it('is cancelled whole: what runs is ended, what is written later refused, nothing begun below it', async () => {
    const worker = await room.connect();
    const root = await room.create();
    const child = await room.create({ parentId: root.id });
    const sibling = await room.create({ parentId: root.id });
    const grandchild = await room.create({ parentId: child.id });
    const other = await room.create();
    const held = await room.claim(worker, 3);
    const done = held.find(({ taskId }) => taskId === child.id);
    if (done === undefined) throw new Error('the child was not handed out');
    expect((await room.verb(worker, done, 'complete', { output: null })).status).toBe(200);

    expect(await list(`parentId=${root.id}`)).toEqual([sibling.id, child.id]);
    const answer = await cancelTree(root.id);
    expect(answer).toMatchObject({
      status: 200,
      body: { state: 'cancelled', tree: { cancelled: 3, complete: true } },
    });
    for (const { id } of [root, sibling, grandchild]) expect((await room.show(id)).state).toBe('cancelled');
    expect((await room.show(child.id)).state).toBe('succeeded');
    expect((await room.show(other.id)).state).toBe('queued');
    for (const task of held.filter(({ taskId }) => taskId !== child.id))
      expect((await room.verb(worker, task, 'complete', { output: null })).body).toMatchObject({
        code: 'runtime.stale_lease',
      });
    const late = await room.call(room.person, 'POST', '/tasks', {
      projectId: room.project,
      capability: 'code.change',
      input: { file: 'a.ts' },
      parentId: root.id,
    });
    expect({ status: late.status, code: late.body.code }).toEqual({ status: 409, code: 'runtime.parent_cancelled' });
    expect((await cancelTree(root.id)).body.tree).toEqual({ cancelled: 0, complete: true });
    expect(await room.broken()).toEqual([]);
    await room.call(room.person, 'POST', `/tasks/${other.id}/cancel`, {});
  });

  it('that a killed server left half cancelled is finished by the next', async () => {
    const root = await room.create();
    const child = await room.create({ parentId: root.id });
    await room.call(room.person, 'POST', `/tasks/${root.id}/cancel`, { reason: 'no' });
    await room.test.sql(`insert into task_due (task_id, kind, at) values ($1, 'tree', muster_now())`, [root.id]);
    await room.app.get(TreeCancel).once();
    expect(await room.show(child.id)).toMatchObject({ state: 'cancelled', error: 'no' });
    expect(await room.test.sql(`select 1 from task_due where kind = 'tree'`)).toEqual([]);
  });
});

describe('an explanation', () => {
  it('names the blocker and what would change it', async () => {
    const plain = await room.create();
    room.assigned = [];
    expect((await explain(plain.id)).blocker).toBe('no_agent_assigned');
    room.assigned = [{ agent: 'coder', versionRange: '^2.0.0' }];
    const worker = await room.connect({ capacity: 1, labels: { os: 'linux' } });
    await room.test.sql(`update instances set state = 'offline' where id <> $1`, [worker.instanceId]);
    expect(await explain(plain.id)).toMatchObject({
      blocker: 'version',
      instances: [{ instanceId: worker.instanceId, blocker: 'version' }],
    });
    room.assigned = [{ agent: 'coder', versionRange: '*' }];
    expect((await explain(plain.id)).blocker).toBe('none');
    const labelled = await room.create({ labels: { os: 'plan9' } });
    expect(await explain(labelled.id)).toMatchObject({ blocker: 'labels' });

    await room.test.sql(`update instances set state = 'paused' where id = $1`, [worker.instanceId]);
    expect((await explain(plain.id)).blocker).toBe('paused');
    await room.test.sql(`update instances set state = 'idle' where id = $1`, [worker.instanceId]);

    const [held] = await room.claim(worker);
    expect(held?.taskId).toBe(plain.id);
    const next = await room.create();
    expect(await explain(next.id)).toMatchObject({ blocker: 'at_capacity', state: 'queued' });
    expect(await explain(plain.id)).toMatchObject({ blocker: 'none', state: 'running', ref: worker.instanceId });
    const after = await room.create({ dependsOn: [plain.id] });
    expect(await explain(after.id)).toMatchObject({ blocker: 'dependency', ref: plain.id });
    const later = await room.create({ notBefore: '2999-01-01T00:00:00Z' });
    expect(await explain(later.id)).toMatchObject({ blocker: 'not_before', until: '2999-01-01T00:00:00.000Z' });

    await room.test.sql(
      `insert into dispatch_stops (team_id, stopped_at, stopped_by, reason) values ($1, now(), 'x', 'lunch')`,
      [room.team],
    );
    expect((await explain(next.id)).blocker).toBe('dispatch_stopped');
    await room.test.sql(`delete from dispatch_stops`);
    await room.test.sql(`update instances set state = 'offline'`);
    expect((await explain(next.id)).blocker).toBe('no_instance_connected');
  });
});

describe('a list', () => {
  it('is filtered by priority, agent and moment of creation', async () => {
    const urgent = await room.create({ priority: 'critical' });
    expect(await list('priority=critical')).toEqual([urgent.id]);
    expect(await list(`priority=critical&createdAfter=${new Date(Date.now() - 60_000).toISOString()}`)).toEqual([
      urgent.id,
    ]);
    expect(await list(`createdBefore=${new Date(Date.now() - 3_600_000 * 24).toISOString()}`)).toEqual([]);
    expect(await list('agent=nobody')).toEqual([]);
    expect((await list('agent=coder')).length).toBeGreaterThan(0);
  });
});
