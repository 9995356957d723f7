import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { agentDefinition, type CreateTask, type TaskAssignment, type TaskExplanation } from '@muster/contracts';
import { runtimeRoom, type RuntimeRoom, type Worker } from '#test/runtime-room';
import { RuntimeModule } from './runtime.module.ts';

let room: RuntimeRoom;
beforeAll(async () => {
  room = await runtimeRoom(RuntimeModule);
  room.definitions.set(
    'reviewer',
    agentDefinition.parse({
      metadata: { name: 'reviewer', version: '2.0.0' },
      skills: [{ name: 'code.change' }],
      limits: { concurrency: 100 },
    }),
  );
  room.assigned.push({ agent: 'reviewer', versionRange: '*' });
}, 60_000);
afterAll(() => room.close());
beforeEach(async () => {
  for (const { id } of await room.test.sql<{ id: string }>(`select id from tasks where finished_at is null`))
    await room.call(room.person, 'POST', `/tasks/${id}/cancel`, {});
  await room.test.sql(`update instances set state = 'offline'`);
});

const refused = async (more: object) => {
  const task = { projectId: room.project, capability: 'code.change', input: { file: 'a.ts' }, ...more };
  const { status, body } = await room.call(room.person, 'POST', '/tasks', task);
  return { status, code: body.code };
};
const explain = async (taskId: string) =>
  (await room.call<TaskExplanation>(room.person, 'GET', `/tasks/${taskId}/explain`)).body;
const ids = async (worker: Worker) => (await room.claim(worker)).map(({ taskId }) => taskId);
/** Done by this worker. */
const done = async (worker: Worker, more: Partial<CreateTask> = {}): Promise<string> => {
  const { id } = await room.create(more);
  const [task] = await room.claim(worker);
  expect(task?.taskId).toBe(id);
  await room.verb(worker, task as TaskAssignment, 'complete', { output: null });
  return id;
};
const passes = (seconds: number) =>
  room.test.sql(`update task_ready set ready_at = ready_at - make_interval(secs => $1)`, [seconds]);

describe('a task that asks for a range of versions', () => {
  it('is done by a version in it alone, and explain says so', async () => {
    const worker = await room.connect();
    // What was published when it was created is newer than what is connected.
    const { id } = await room.create({ agent: 'coder', agentVersion: '>=1.2.0' });
    await room.test.sql(`update instances set agent_version = '1.1.0' where id = $1`, [worker.instanceId]);
    expect(await ids(worker)).toEqual([]);
    expect(await explain(id)).toMatchObject({ blocker: 'version', instances: [{ blocker: 'version' }] });
    await room.test.sql(`update instances set agent_version = '1.3.0' where id = $1`, [worker.instanceId]);
    expect(await ids(worker)).toEqual([id]);
  });

  it('shares a lane with tasks that write the same range otherwise', async () => {
    const [one, other] = [
      await room.create({ agent: 'coder', agentVersion: '^1.2.0' }),
      await room.create({ agent: 'coder', agentVersion: '>=1.2.0 <2.0.0-0' }),
    ];
    const lanes = await room.test.sql(`select distinct lane from tasks where id in ($1, $2)`, [one.id, other.id]);
    expect(lanes).toHaveLength(1);
  });

  it('is refused where nobody has published such a version, without an agent, and with a range that is none', async () => {
    const nobody = { agent: 'coder', agentVersion: '^3.0.0' };
    expect(await refused(nobody)).toEqual({ status: 422, code: 'runtime.no_agent' });
    expect(await refused({ agentVersion: '^1.0.0' })).toEqual({ status: 400, code: 'runtime.version_wish_invalid' });
    expect(await refused({ agent: 'coder', agentVersion: 'latest, please' })).toEqual({
      status: 400,
      code: 'runtime.version_wish_invalid',
    });
    // Nor does a range that says "or" let it out of the range of the assignment.
    room.assigned = [{ agent: 'coder', versionRange: '<1.0.0 || >=1.2.0' }];
    expect(await refused({ agent: 'coder', agentVersion: '^0.1.0 || ^3.0.0' })).toMatchObject({ status: 422 });
    expect((await room.create({ agent: 'coder', agentVersion: '^0.1.0 || ^1.2.0' })).state).toBe('queued');
    room.assigned = [
      { agent: 'coder', versionRange: '*' },
      { agent: 'reviewer', versionRange: '*' },
    ];
  });
});

describe('a sticky task', () => {
  it('goes to the instance that did the other one, and after its time to anybody', async () => {
    const [knows, other] = [await room.connect(), await room.connect()];
    const first = await done(knows);
    const [a, b] = [
      await room.create({ sticky: { task: first, seconds: 30 } }),
      await room.create({ sticky: { task: first, seconds: 300 } }),
    ];
    expect(await ids(other)).toEqual([]);
    expect(await explain(a.id)).toMatchObject({ blocker: 'none' });
    await passes(31);
    expect(await ids(other)).toEqual([a.id]);
    expect(await ids(knows)).toEqual([b.id]);
    expect(await room.broken()).toEqual([]);
  });

  it('waits for nobody who is gone', async () => {
    const [knows, other] = [await room.connect(), await room.connect()];
    const first = await done(knows);
    const { id } = await room.create({ sticky: { task: first } });
    await room.test.sql(`update instances set state = 'offline' where id = $1`, [knows.instanceId]);
    expect(await ids(other)).toEqual([id]);
  });

  it('sticks to its parent, also while that still runs, and to an agent instead of an instance', async () => {
    const [parentOf, same, another] = [
      await room.connect(),
      await room.connect(),
      await room.connect({ agent: 'reviewer', capabilities: ['code.change'] }),
    ];
    const parent = await room.create();
    expect(await ids(parentOf)).toEqual([parent.id]);
    const child = await room.create({ parentId: parent.id, sticky: { to: 'agent' } });
    expect(await ids(another)).toEqual([]);
    expect(await explain(child.id)).toMatchObject({
      instances: expect.arrayContaining([
        expect.objectContaining({ instanceId: another.instanceId, blocker: 'kept_for_another' }),
      ]),
    });
    expect(await ids(same)).toEqual([child.id]);
  });

  it('follows the last task with the same key, whoever did that, through retries and dependencies', async () => {
    const [a, b] = [await room.connect(), await room.connect()];
    await done(a, { sticky: { key: 'session' } });
    const second = await room.create({ sticky: { key: 'session' } });
    const third = await room.create({ sticky: { key: 'session' }, dependsOn: [second.id] });
    expect(await ids(b)).toEqual([]);
    const [held] = await room.claim(a);
    expect(held?.taskId).toBe(second.id);
    await room.verb(a, held as TaskAssignment, 'release', { reason: 'not me' });
    await passes(120);
    const [taken] = await room.claim(b);
    expect(taken?.taskId).toBe(second.id);
    await room.verb(b, taken as TaskAssignment, 'complete', { output: null });
    expect(await ids(a)).toEqual([]);
    expect(await ids(b)).toEqual([third.id]);
    expect((await room.create({ sticky: { key: 'another' } })).state).toBe('queued');
    expect(await ids(a)).toHaveLength(1);
  });

  it('may be one of many in a request, and is refused when there is nobody to stick to', async () => {
    const [knows, other] = [await room.connect({ capacity: 50 }), await room.connect({ capacity: 50 })];
    const first = await done(knows);
    const tasks = Array.from({ length: 20 }, () => ({ input: { file: 'a.ts' }, sticky: { task: first } }));
    const body = { projectId: room.project, capability: 'code.change', tasks };
    expect((await room.call(room.person, 'POST', '/tasks/bulk', body)).status).toBe(200);
    expect(await ids(other)).toEqual([]);
    expect(await room.claim(knows, 50)).toHaveLength(20);
    expect(await refused({ sticky: {} })).toEqual({ status: 400, code: 'runtime.sticky_to_nothing' });
    expect(await refused({ sticky: { task: first, key: 'k' } })).toEqual({
      status: 400,
      code: 'runtime.sticky_to_nothing',
    });
    const unknown = { sticky: { task: 'task_01jd9x0m4ve2tbk6x3h2v4q8zr' } };
    expect(await refused(unknown)).toEqual({ status: 422, code: 'runtime.sticky_task_unknown' });
    expect((await refused({ sticky: { key: 'k', seconds: 1e9 } })).status).toBe(400);
  });
});
