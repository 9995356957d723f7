import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { FindLandingUnderWay } from '#messages/integration';
import { Packing } from '#platform/git';
import { startWorld, type World } from '../test/world.ts';

const run = promisify(execFile);
let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(async () => {
  await world.close();
});

it('changes are handed in, verified, landed, cloned and taken back while their repository is packed again and again', async () => {
  const project = await world.project();
  const dir = world.repositories.path(project.id);
  const packing = world.get(Packing);
  let stop = false;
  let packed = 0;
  const again = (async () => {
    for (; !stop && packed < 500; packed += 1) await packing.pack(project.id);
  })();
  try {
    const first = await world.land(project, { 'first.js': 'first\n' });
    for (let at = 0; at < 5; at += 1) await world.land(project, { [`landed-${at}.js`]: `${at}\n` });
    const queued = await world.queue(project, [{ 'a.js': 'a\n' }, { 'b.js': 'b\n' }, { 'c.js': 'c\n' }]);
    const clone = join(world.dataDir, 'clone');
    await run('git', ['clone', '--quiet', '--bare', '--no-local', dir, clone]);
    for (const { id } of queued.slice(1)) await world.judge(id, 'accepted');
    await world.settled();
    const revert = await world.rollBack(first.id);
    await world.submissions.run(revert.id);
    await world.judge(revert.id, 'accepted');
    await run('git', ['fetch', '--quiet', dir, 'refs/heads/main', 'refs/notes/muster'], { cwd: clone });
    await run('git', ['fsck', '--full', '--strict'], { cwd: clone });
    for (const { id } of [...queued, revert]) expect((await world.row(id)).state).toBe('landed');
    expect((await world.landing(first.id)).state).toBe('rolled_back');
    await rm(clone, { recursive: true });
  } finally {
    stop = true;
    await again;
  }
  expect(packed).toBeGreaterThan(2);
  await run('git', ['fsck', '--full', '--strict', '--no-dangling'], { cwd: dir });
  expect(await world.audit(project)).toMatchObject({ ok: true });
});

it('a landing is under way from its intent until it is told', async () => {
  const project = await world.project();
  const landing = await world.land(project, { 'a.js': 'a\n' });
  const underWay = () => world.queries.execute(new FindLandingUnderWay(project.id));
  expect(await underWay()).toBe(false);
  await world.opened.sql(`update landings set state = 'intended' where id = $1`, [landing.id]);
  expect(await underWay()).toBe(true);
  await world.opened.sql(`update landings set state = 'landed' where id = $1`, [landing.id]);
});
