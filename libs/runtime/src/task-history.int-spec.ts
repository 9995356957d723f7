import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TaskHistory } from '@muster/contracts';
import { runtimeRoom, type RuntimeRoom } from '#test/runtime-room';
import { RuntimeModule } from './runtime.module.ts';

let room: RuntimeRoom;
beforeAll(async () => {
  room = await runtimeRoom(RuntimeModule);
}, 60_000);
afterAll(() => room.close());

const history = async (taskId: string, query = '') =>
  (await room.call<TaskHistory>(room.person, 'GET', `/tasks/${taskId}/history${query}`)).body;

/** The types of its events, page by page. */
async function allEvents(taskId: string, limit = 50): Promise<string[][]> {
  const pages: string[][] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const { events }: TaskHistory = await history(taskId, `?limit=${limit}${cursor === '' ? '' : `&cursor=${cursor}`}`);
    pages.push(events.items.map(({ type }) => type));
    cursor = events.nextCursor;
  }
  return pages;
}

describe('the history of a task', () => {
  it('tells what each attempt left behind, and every event in order', async () => {
    const worker = await room.connect();
    const task = await room.create();
    const [first] = await room.claim(worker, 1);
    if (first === undefined) throw new Error('the task was not handed out');
    await room.verb(worker, first, 'progress', { ratio: 0.5, message: 'half' });
    await room.verb(worker, first, 'log', { lines: ['one', 'two'] });
    await room.verb(worker, first, 'cost', { key: 'a', usd: 0.25, model: 'm', inputTokens: 10, outputTokens: 5 });
    await room.verb(worker, first, 'cost', { key: 'b', usd: 0.5, model: 'm', inputTokens: 1 });
    await room.verb(worker, first, 'checkpoint', { state: { at: 7 } });
    await room.verb(worker, first, 'release', {});
    const other = await room.connect();
    const [second] = await room.claim(other, 1);
    if (second === undefined) throw new Error('the task was not handed out again');
    await room.verb(other, second, 'complete', { output: { ok: true } });

    const told = await history(task.id);
    expect(told.task).toMatchObject({ id: task.id, state: 'succeeded', output: { ok: true }, dependsOn: [] });
    expect(told.attempts).toMatchObject([
      { fence: second.fence, outcome: 'completed', log: { lines: 0, last: null } },
      {
        fence: first.fence,
        outcome: 'released',
        agentVersion: '1.2.0',
        progress: 0.5,
        progressMessage: 'half',
        log: { lines: 2, last: 'two' },
        checkpointBytes: 9,
        costs: { reports: 2, usd: 0.75, inputTokens: 11, outputTokens: 5, models: ['m'] },
      },
    ]);
    expect(told.events.items.map(({ type }) => type)).toEqual(await room.eventsOf(task.id));
    expect(told.events.nextCursor).toBeNull();

    const pages = await allEvents(task.id, 2);
    expect(Math.max(...pages.map(({ length }) => length))).toBe(2);
    expect(pages.flat()).toEqual(await room.eventsOf(task.id));
  });

  it('is found behind thousands of events of other tasks, some thousand at a time', async () => {
    const task = await room.create();
    await room.test.sql(
      `select append_events(array(
         select row(new_event_id(), 'task.progress', $1, $2, 'task_other', 'normal', '{}'::jsonb, null)::event_draft from generate_series(1, 25000)))`,
      [room.team, room.project],
    );
    await room.call(room.person, 'POST', `/tasks/${task.id}/cancel`, {});
    const pages = await allEvents(task.id);
    expect(pages.flat()).toEqual(['task.created', 'task.cancelled']);
    expect(pages.length).toBeGreaterThan(2);
  });

  it('begins where the task began, also when the clock was moved since', async () => {
    const task = await room.create();
    await room.test.sql(
      `create or replace function muster_now() returns timestamptz language sql volatile as $$ select clock_timestamp() + interval '1 day' $$`,
    );
    await room.call(room.person, 'POST', `/tasks/${task.id}/cancel`, {});
    expect((await allEvents(task.id)).flat()).toEqual(['task.created', 'task.cancelled']);
    await room.test.sql(
      `create or replace function muster_now() returns timestamptz language sql volatile as $$ select clock_timestamp() $$`,
    );
  });

  it("is nobody else's, and a cursor of another kind is refused", async () => {
    const task = await room.create();
    const stranger = room.actor({ teamId: 'team_elsewhere' });
    expect((await room.call(stranger, 'GET', `/tasks/${task.id}/history`)).status).toBe(404);
    const ofWords = Buffer.from('["task_1"]').toString('base64url');
    for (const cursor of ['nonsense', ofWords])
      expect((await room.call(room.person, 'GET', `/tasks/${task.id}/history?cursor=${cursor}`)).status).toBe(400);
    expect((await room.call(room.person, 'GET', `/tasks/${task.id}/history?limit=0`)).status).toBe(400);
  });
});
