import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TaskAssignment } from '@muster/contracts';
import { runtimeRoom, type RuntimeRoom, type Worker } from '#test/runtime-room';
import { Reports, type Report } from './batches/reports.ts';
import { RuntimeModule } from './runtime.module.ts';

let room: RuntimeRoom;
let worker: Worker;
beforeAll(async () => {
  room = await runtimeRoom(RuntimeModule);
  worker = await room.connect({ capacity: 100 });
}, 60_000);
afterAll(() => room.close());

/** All in the same turn of the event loop, so that they share a commit. */
const together = (
  ...reports: readonly (readonly [TaskAssignment, Report, { fence?: number; actorId?: string }?])[]
) => {
  const batch = room.app.get(Reports);
  return Promise.all(
    reports.map(([{ taskId, fence }, report, by]) =>
      batch.add({ actorId: worker.actor.id, taskId, fence, ...by }, report),
    ),
  );
};
const cost = (key: string, usd: number): Report => ({
  kind: 'cost',
  key,
  usd,
  model: null,
  inputTokens: null,
  outputTokens: null,
});
const progress = (message: string, ratio: number | null = null): Report => ({ kind: 'progress', message, ratio });
const log = (...lines: string[]): Report => ({ kind: 'log', stream: 'stdout', lines });
const claimOne = async (more: object = {}): Promise<TaskAssignment> => {
  const { id } = await room.create(more);
  const task = (await room.claim(worker)).find(({ taskId }) => taskId === id);
  if (task === undefined) throw new Error('it was not handed out');
  return task;
};
const logOf = (taskId: string) =>
  room.test.sql<{ number: number; line: string }>(
    `select number, line from task_log_lines where task_id = $1 order by number`,
    [taskId],
  );

describe('reports that share a commit', () => {
  it('each count for their own task, and the last word of a task is its own', async () => {
    const [one, two] = [await claimOne(), await claimOne()];
    const answers = await together(
      [one, progress('begun', 0.2)],
      [two, progress('other')],
      [one, progress('half', null)],
      [one, { kind: 'checkpoint', state: '{"at":1}' }],
      [one, { kind: 'checkpoint', state: '{"at":2}' }],
      [one, log('a', 'b')],
      [two, log('x')],
      [one, log('c')],
    );
    expect(answers.map((answer) => answer?.renewed.taskId)).toEqual(
      [one, two, one, one, one, one, two, one].map(({ taskId }) => taskId),
    );
    const rows = await room.test.sql(
      `select progress, progress_message, checkpoint, log_lines from task_running where task_id = $1`,
      [one.taskId],
    );
    expect(rows).toEqual([{ progress: 0.2, progress_message: 'half', checkpoint: { at: 2 }, log_lines: 3 }]);
    expect((await logOf(one.taskId)).map(({ line }) => line)).toEqual(['a', 'b', 'c']);
    expect((await logOf(two.taskId)).map(({ line }) => line)).toEqual(['x']);
    expect((await room.eventsOf(one.taskId)).filter((type) => type === 'task.progress')).toHaveLength(2);
  });

  it('are refused one by one: a stale fence and a foreign key take nothing along', async () => {
    const held = await claimOne();
    const answers = await together(
      [held, progress('stale', 0.9), { fence: held.fence - 1 }],
      [held, cost('mine', 0.5)],
      [held, cost('theirs', 5), { actorId: 'key_of_somebody_else' }],
      [held, { kind: 'checkpoint', state: '"stale"' }, { fence: held.fence + 1 }],
    );
    expect(answers.map((answer) => answer?.counted ?? null)).toEqual([null, true, null, null]);
    expect(await room.show(held.taskId)).toMatchObject({ costUsd: 0.5 });
  });

  it('with what PostgreSQL cannot store, lose only that one', async () => {
    const [one, two] = [await claimOne(), await claimOne()];
    const answers = await Promise.allSettled([
      ...[one, two].map((task) => together([task, progress('fine')])),
      together([one, { kind: 'checkpoint', state: String.raw`"\u0000"` }]),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
  });

  it('are kept as well as PostgreSQL can where their words are broken', async () => {
    const held = await claimOne();
    const [nul, half] = ['\u0000', '\ud83d'];
    const answers = await together(
      [held, progress(`a${nul}b`)],
      [held, log(`c${half}`)],
      [held, { ...cost(`d${half}${nul}`, 0.25), model: `m${nul}` } as Report],
    );
    expect(answers.map((answer) => answer?.renewed.taskId)).toEqual([held.taskId, held.taskId, held.taskId]);
    const kept = await room.test.sql(
      `select r.progress_message, l.line, c.key, c.model from task_running r join task_log_lines l using (task_id) join task_costs c using (task_id)
       where r.task_id = $1`,
      [held.taskId],
    );
    expect(kept).toEqual([{ progress_message: 'a\ufffdb', line: 'c\ufffd', key: 'd\ufffd\ufffd', model: 'm\ufffd' }]);
  });

  it('charge a parent, its children and the same key once, whoever reports first', async () => {
    const root = await claimOne();
    const child = await claimOne({ parentId: root.taskId });
    const grandchild = await claimOne({ parentId: child.taskId });
    const answers = await together(
      [root, cost('k', 1)],
      [grandchild, cost('k', 0.000001)],
      [child, cost('k', 0.25)],
      [child, cost('k', 0.25)],
      [child, cost('l', 0.5)],
    );
    expect(answers.map((answer) => answer?.counted)).toEqual([true, true, true, false, true]);
    expect((await together([child, cost('l', 9)]))[0]?.counted).toBe(false);
    expect((await room.show(grandchild.taskId)).costUsd).toBe(0.000001);
    expect((await room.show(child.taskId)).costUsd).toBe(0.750001);
    expect((await room.show(root.taskId)).costUsd).toBe(1.750001);
    expect(await room.broken()).toEqual([]);
  });

  it('drop what is over the limit of a log once, however it arrives', async () => {
    const held = await claimOne();
    const page = log(...Array.from({ length: 499 }, (_, place) => `${place}`));
    await together(...Array.from({ length: 21 }, () => [held, page] as const));
    await together([held, page], [held, log('too late')]);
    const lines = await logOf(held.taskId);
    expect(lines).toHaveLength(10_001);
    expect(lines.at(-1)).toEqual({ number: 10_001, line: '… the rest of this log was dropped' });
    expect(lines.at(-2)?.line).toBe(`${9_999 % 499}`);
  });
});
