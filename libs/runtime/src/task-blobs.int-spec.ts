import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { refTo, type BlobView, type Problem } from '@muster/contracts';
import type { Actor } from '#messages/auth';
import { Blobs } from '#platform/blobs';
import { runtimeRoom, type RuntimeRoom } from '#test/runtime-room';
import { TaskBlobs } from './blobs/task-blobs.ts';
import { RuntimeModule } from './runtime.module.ts';

let room: RuntimeRoom;
beforeAll(async () => {
  room = await runtimeRoom(RuntimeModule, { MUSTER_BLOBS_RETENTION: '1h' });
}, 60_000);
afterAll(() => room.close());

const digest = (text: string) => createHash('sha256').update(text).digest('hex');
const json = (value: unknown) => JSON.stringify(value);
const refOf = (text: string) => refTo(digest(text), Buffer.byteLength(text));

async function put(path: string, text: string, by: Actor = room.person, type = 'application/octet-stream') {
  const response = await fetch(`${await room.app.getUrl()}/api${path}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${by.id}`, 'content-type': type },
    body: text,
  });
  return { status: response.status, body: (await response.json()) as BlobView & Problem };
}
const store = (text: string, project = room.project) => put(`/projects/${project}/blobs/${digest(text)}`, text);
const create = (input: unknown, project = room.project) =>
  room.call<{ id: string }>(room.person, 'POST', '/tasks', { projectId: project, capability: 'code.change', input });
async function read(text: string, by = room.person, project = room.project) {
  const response = await fetch(`${await room.app.getUrl()}/api/projects/${project}/blobs/${digest(text)}`, {
    headers: { authorization: `Bearer ${by.id}` },
  });
  return { status: response.status, text: await response.text() };
}
const age = () => room.test.sql(`update task_blobs set used_at = used_at - interval '2 hours'`);
const dropUnused = () => room.app.get(TaskBlobs).dropUnused(new AbortController().signal);

describe('a large input', () => {
  const text = json({ file: 'a.ts', more: 'x'.repeat(300_000) });

  it('is stored once by its content, and the task carries the reference', async () => {
    for (let n = 0; n < 2; n += 1)
      expect(await store(text)).toEqual({
        status: 200,
        body: { digest: digest(text), size: text.length, ref: refOf(text) },
      });
    const task = await room.create({ input: refOf(text) });
    expect((await room.show(task.id)).input).toEqual(refOf(text));
    const worker = await room.connect();
    const [given] = await room.claim(worker, 1);
    expect(given?.input).toEqual(refOf(text));
    expect(await read(text, worker.actor)).toEqual({ status: 200, text });
    expect(await room.broken()).toEqual([]);
  });

  it('that is sent as it is goes the same way, alone and among many', async () => {
    const value = { file: 'sent.ts', more: 'z'.repeat(300_000) };
    const { status, body: task } = await create(value);
    expect(status).toBe(201);
    expect((await room.show(task.id)).input).toEqual(refOf(json(value)));
    const many = await room.call<{ items: { taskId: string }[] }>(room.person, 'POST', '/tasks/bulk', {
      projectId: room.project,
      capability: 'code.change',
      tasks: [{ input: value }, { input: { file: 'small.ts' } }],
    });
    const [first, second] = many.body.items;
    expect((await room.show(first?.taskId ?? '')).input).toEqual(refOf(json(value)));
    expect((await room.show(second?.taskId ?? '')).input).toEqual({ file: 'small.ts' });
    await age();
    await dropUnused();
    expect(await read(json(value))).toEqual({ status: 200, text: json(value) });
    expect(await create({ more: 'z'.repeat(300_000) })).toMatchObject({
      status: 422,
      body: { code: 'runtime.input_invalid', errors: [{ path: 'input.file' }] },
    });
    expect(await room.broken()).toEqual([]);
    const worker = await room.connect();
    for (const given of await room.claim(worker, 10)) await room.verb(worker, given, 'complete', { output: {} });
  });

  it("is judged by the skill's schema as if it stood in the task", async () => {
    const unfit = json({ path: 'a.ts' });
    await store(unfit);
    expect(await create(refOf(unfit))).toMatchObject({
      status: 422,
      body: { code: 'runtime.input_invalid', errors: [{ path: 'input.file' }] },
    });
  });

  it('that is not there, is another one, says a wrong size or is no JSON is refused', async () => {
    const never = json({ file: 'never' });
    expect(await create(refOf(never))).toMatchObject({ status: 404, body: { code: 'runtime.blob_unknown' } });
    expect(await put(`/projects/${room.project}/blobs/${digest('other')}`, never)).toMatchObject({
      status: 422,
      body: { code: 'runtime.blob_digest_wrong' },
    });
    expect(await put(`/projects/${room.project}/blobs/nonsense`, never)).toMatchObject({ status: 400 });
    await store('no json');
    expect(await create(refOf('no json'))).toMatchObject({ status: 422, body: { code: 'runtime.blob_not_json' } });
    await store(never);
    expect(await create({ ...refOf(never), size: 1 })).toMatchObject({
      status: 422,
      body: { code: 'runtime.blob_ref_invalid' },
    });
    expect(await create({ ...refOf(never), more: 1 })).toMatchObject({
      status: 422,
      body: { code: 'runtime.blob_ref_invalid' },
    });
    expect(
      await put(`/projects/${room.project}/blobs/${digest('{}')}`, '{}', room.person, 'application/json'),
    ).toMatchObject({
      status: 415,
      body: { code: 'runtime.blob_body_missing' },
    });
    const deep = '['.repeat(100_000) + ']'.repeat(100_000);
    await store(deep);
    expect(await create(refOf(deep))).toMatchObject({ status: 422, body: { code: 'runtime.blob_ref_invalid' } });
  });

  it('that is too large is refused', async () => {
    const huge = json('x'.repeat(17 * 1024 * 1024));
    expect(await store(huge)).toMatchObject({ status: 413 });
  }, 60_000);

  it('of another project or team is as good as none', async () => {
    const secret = json({ file: 'secret' });
    await store(secret);
    const elsewhere = await room.addProject();
    expect(await create(refOf(secret), elsewhere)).toMatchObject({
      status: 404,
      body: { code: 'runtime.blob_unknown' },
    });
    expect((await read(secret, room.person, elsewhere)).status).toBe(404);
    const stranger = room.actor({ teamId: 'team_elsewhere' });
    expect((await read(secret, stranger)).status).toBe(404);
    expect((await put(`/projects/${room.project}/blobs/${digest(secret)}`, secret, stranger)).status).toBe(404);
    const looker = room.actor({ permissions: new Set(['task.read']) });
    expect((await put(`/projects/${room.project}/blobs/${digest(secret)}`, secret, looker)).status).toBe(403);
  });
});

describe('a large output', () => {
  it('is stored by who holds the attempt, and nobody else; completed with twice it is answered the same', async () => {
    const worker = await room.connect();
    await room.create();
    const [task] = await room.claim(worker, 1);
    if (task === undefined) throw new Error('nothing was handed out');
    const text = json({ lines: 'y'.repeat(300_000) });
    const path = `/tasks/${task.taskId}/attempts/${task.fence}/blobs/${digest(text)}`;
    expect(await put(path, text, room.actor())).toMatchObject({ status: 409, body: { code: 'runtime.stale_lease' } });
    expect((await put(path, text, worker.actor)).status).toBe(200);
    const none = json({ lines: 'none' });
    expect(await room.verb(worker, task, 'complete', { output: refOf(none) })).toMatchObject({
      status: 404,
      body: { code: 'runtime.blob_unknown' },
    });
    for (let n = 0; n < 2; n += 1)
      expect((await room.verb(worker, task, 'complete', { output: refOf(text) })).status).toBe(200);
    expect((await room.show(task.taskId)).output).toEqual(refOf(text));
    await age();
    await dropUnused();
    expect((await read(text)).status).toBe(200);
    expect(
      await room.verb(worker, { ...task, fence: task.fence + 1_000 }, 'complete', { output: refOf(text) }),
    ).toMatchObject({
      status: 409,
    });
    expect(await room.broken()).toEqual([]);
  });
});

describe('a large output that is sent as it is', () => {
  it('is kept beside the task, and completed with twice it is answered the same', async () => {
    const worker = await room.connect();
    await room.create();
    const [task] = await room.claim(worker, 1);
    if (task === undefined) throw new Error('nothing was handed out');
    const output = { lines: 'w'.repeat(300_000) };
    for (let n = 0; n < 2; n += 1) expect((await room.verb(worker, task, 'complete', { output })).status).toBe(200);
    expect((await room.show(task.taskId)).output).toEqual(refOf(json(output)));
    await age();
    await dropUnused();
    expect(await read(json(output))).toEqual({ status: 200, text: json(output) });
    expect(await room.verb(worker, { ...task, fence: task.fence + 1_000 }, 'complete', { output })).toMatchObject({
      status: 409,
      body: { code: 'runtime.stale_lease' },
    });
    expect(await room.broken()).toEqual([]);
  });
});

describe('a content that no task refers to', () => {
  it('is taken away a while after it was last asked for, and its file with the last project that has it', async () => {
    const lonely = json({ file: 'lonely' });
    const elsewhere = await room.addProject();
    await store(lonely);
    await store(lonely, elsewhere);
    expect(await dropUnused()).toBe(0);
    await age();
    await store(lonely, elsewhere);
    await dropUnused();
    expect((await read(lonely)).status).toBe(404);
    expect((await read(lonely, room.person, elsewhere)).status).toBe(200);
    await age();
    expect(await dropUnused()).toBe(1);
    expect(await room.app.get(Blobs).get(digest(lonely))).toBeNull();
  });

  it('stays where somebody stores it while it is being taken away', async () => {
    const contended = Array.from({ length: 20 }, (_, n) => json({ file: `contended ${n}` }));
    await Promise.all(contended.map((text) => store(text)));
    await age();
    const [, ...answers] = await Promise.all([dropUnused(), ...contended.map((text) => store(text))]);
    expect(answers.map((answer) => (answer as { status: number }).status)).toEqual(contended.map(() => 200));
    for (const text of contended) expect(await read(text)).toEqual({ status: 200, text });
  });
});
