import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { FindOverlaps, ForecastConflicts } from '#messages/integration';
import { ShowQueue } from './queries/show-queue.ts';
import { startWorld, type World } from '../test/world.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(async () => {
  await world.close();
});

it('tells which open changes will not merge with one another, and merges only those that can get into each other’s way', async () => {
  const project = await world.project({
    'a.js': '1\n',
    'far.js': '1\n2\n3\n4\n5\n6\n7\n',
    'old/x.js': 'x\n',
    name: 'a file\n',
  });
  const submit = async (files: Record<string, string | null>) =>
    (await world.submit(project, files, project.head ?? '')).id;
  const one = await submit({ 'a.js': 'one\n', 'far.js': 'ONE\n2\n3\n4\n5\n6\n7\n' });
  const two = await submit({ 'a.js': 'two\n' });
  const far = await submit({ 'far.js': '1\n2\n3\n4\n5\n6\nSEVEN\n' });
  await submit({ 'alone.js': 'alone\n' });
  const folder = await submit({ name: null, 'name/inside.js': 'now a folder\n' });
  const file = await submit({ name: 'still a file\n' });
  const moved = await submit({ 'old/x.js': null, 'new/x.js': 'x\n' });
  const added = await submit({ 'old/y.js': 'y\n' });
  const forecast = await world.queries.execute(new ForecastConflicts(project.id, ['a.js', 'nowhere.js']));
  expect(forecast.conflicts).toEqual(
    [
      { submissions: [one, two], paths: ['a.js'] },
      { submissions: [folder, file], paths: expect.any(Array) },
      { submissions: [moved, added], paths: expect.any(Array) },
    ].toSorted((a, b) => (a.submissions.join() < b.submissions.join() ? -1 : 1)),
  );
  // Of 28 pairs. one and far touch the same file in different places, and a file went from the folder that another adds to: merged to
  // know, and no conflict.
  expect(forecast).toMatchObject({ changes: 8, pairsMerged: 5 });
  expect(forecast.touching).toEqual([one, two].map((submissionId) => ({ submissionId, paths: ['a.js'] })));
  expect(far).not.toBe(one);
});

it('tells a task which changes on their way touch what it says it will touch', async () => {
  const project = await world.project({ 'src/a.js': '1\n', 'src/b.js': '1\n', 'pages/[id].js': '1\n', 'c.js': '1\n' });
  const one = await world.submit(project, { 'src/a.js': '2\n', 'c.js': '2\n' });
  const two = await world.submit(project, { 'pages/[id].js': '2\n' });
  const taskOf = async (id: string) => (await world.row(id)).task_id ?? '';
  const [first, second] = [await taskOf(one.id), await taskOf(two.id)];
  const ask = (paths: string[], taskId = 'task_another') =>
    world.queries.execute(new FindOverlaps(project.id, taskId, paths));
  expect(await ask(['src/**'])).toEqual([{ submissionId: one.id, taskId: first, paths: ['src/a.js'] }]);
  expect(await ask(['pages/[id].js'])).toEqual([{ submissionId: two.id, taskId: second, paths: ['pages/[id].js'] }]);
  expect(await ask(['**'])).toHaveLength(2);
  expect(await ask(['docs/**'])).toEqual([]);
  // Its own earlier try is no news to it.
  expect((await ask(['**'], first)).map(({ submissionId }) => submissionId)).toEqual([two.id]);
  await world.submissions.run(one.id);
  await world.judge(one.id, 'accepted');
  expect((await world.row(one.id)).state).toBe('landed');
  expect((await ask(['**'])).map(({ submissionId }) => submissionId)).toEqual([two.id]);
});

it('shows what is tested on top of what, since when, and when it will probably land', async () => {
  const project = await world.project();
  const names = ['a', 'b', 'c', 'd'];
  const [, b = '', c = '', d = ''] = (
    await world.queue(
      project,
      names.map((name) => ({ [`${name}.js`]: `${name}\n` })),
    )
  ).map(({ id }) => id);
  const queue = await world.queries.execute(new ShowQueue(project.id));
  expect(queue).toMatchObject({ head: await world.head(project), window: 5, waiting: [] });
  expect(
    queue.entries.map(({ submissionId, position, testedOn }) => [
      position,
      submissionId,
      testedOn?.landed,
      testedOn?.submissions,
    ]),
  ).toEqual([
    [1, b, true, []],
    [2, c, false, [b]],
    [3, d, false, [c, b]],
  ]);
  const predicted = queue.entries.map(({ predictedLanding }) => Date.parse(predictedLanding ?? ''));
  expect(predicted).toEqual(predicted.toSorted((x, y) => x - y));
  for (const { since } of queue.entries) expect(Date.parse(since ?? '')).not.toBeNaN();
});
