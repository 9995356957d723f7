import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import type { Overlap, TaskExplanation } from '@muster/contracts';
import { runtimeRoom, type RuntimeRoom } from '#test/runtime-room';
import { RuntimeModule } from './runtime.module.ts';

let room: RuntimeRoom;
beforeAll(async () => {
  room = await runtimeRoom(RuntimeModule);
}, 60_000);
afterEach(() => {
  room.overlapping = () => Promise.resolve([]);
});
afterAll(() => room.close());

const overlap: Overlap = {
  submissionId: 'sub_01jd9x0m4ve2tbk6x3h2v4q8zr',
  taskId: 'task_01jd9x0m4ve2tbk6x3h2v4q8zr',
  paths: ['src/balance.ts'],
};
const explain = async (taskId: string): Promise<TaskExplanation> =>
  (await room.call<TaskExplanation>(room.person, 'GET', `/tasks/${taskId}/explain`)).body;

it('a task that says what it will touch is handed out with what is on its way there, and shows it before', async () => {
  const asked: object[] = [];
  room.overlapping = ({ projectId, taskId, paths }) => {
    asked.push({ projectId, taskId, paths });
    return Promise.resolve([overlap]);
  };
  const declaring = await room.create({ input: { file: 'a.ts', paths: ['src/**'] } });
  const silent = await room.create({ input: { file: 'a.ts' } });
  const odd = await room.create({ input: { file: 'a.ts', paths: { not: 'a list' } } });
  expect(await explain(declaring.id)).toMatchObject({ state: 'queued', overlaps: [overlap] });
  expect((await explain(silent.id)).overlaps).toEqual([]);
  expect((await explain(odd.id)).overlaps).toEqual([]);
  const worker = await room.connect();
  const handedOut = await room.claim(worker);
  expect(new Map(handedOut.map(({ taskId, overlaps }) => [taskId, overlaps]))).toEqual(
    new Map([
      [declaring.id, [overlap]],
      [silent.id, undefined],
      [odd.id, undefined],
    ]),
  );
  const question = { projectId: room.project, taskId: declaring.id, paths: ['src/**'] };
  expect(asked).toEqual([question, question]);
  for (const task of handedOut) await room.verb(worker, task, 'complete', { output: null });
  expect(await explain(declaring.id)).toMatchObject({ state: 'succeeded', overlaps: [] });
});

it.each([
  ['fails', () => Promise.reject(new Error('no such repository'))],
  ['does not come', () => new Promise<Overlap[]>(() => undefined)],
])('a forecast that %s keeps no task from its agent', async (_, answer) => {
  room.overlapping = answer;
  const task = await room.create({ input: { file: 'a.ts', paths: ['src/**'] } });
  const worker = await room.connect();
  const [handedOut] = await room.claim(worker);
  expect(handedOut).toMatchObject({ taskId: task.id });
  expect(handedOut?.overlaps).toBeUndefined();
  await room.verb(worker, handedOut!, 'complete', { output: null });
});
