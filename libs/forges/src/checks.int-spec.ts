import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import type { ForgeView, ProjectView, SubmissionView } from '@muster/contracts';
import { hangUp } from '../../../test/support/forge-here.ts';
import { finding, ForgeWorld } from '../test/world.ts';

let world: ForgeWorld;
beforeAll(async () => {
  world = await ForgeWorld.begin();
});
beforeEach(() => {
  world.forge.app = { publicKey: world.appKey, now: () => new Date() };
});
afterEach(() => world.forget());
afterAll(() => world.end());

const settled = (project: ProjectView): Promise<ForgeView> =>
  world.until(async () => {
    await world.sayNow();
    const forge = await world.forgeOf(project);
    const isOver = world.forge.checks.length >= 2 && world.forge.checks.every(({ status }) => status === 'completed');
    return forge.owed === 0 && isOver ? forge : null;
  });
async function refusedWith(count: number): Promise<{ project: ProjectView; next: string }> {
  const { there, project } = await world.followed('app', 'apps/repo', { statuses: false, checks: true });
  const next = await world.commit(there, 'b.txt', 'line\n'.repeat(300));
  const { submissionId } = await world.must<{ submissionId: string }>(
    'POST',
    `/api/projects/${project.id}/remotes/from/sync`,
  );
  await world.verify(
    project,
    Array.from({ length: count }, (_, n) => finding(n + 1)),
  );
  await world.until(async () => {
    const { state } = await world.must<SubmissionView>('GET', `/api/submissions/${submissionId}`);
    return state === 'rejected';
  });
  return { project, next };
}
const shown = (name: string) => world.forge.checks.filter((run) => run.name === name);

it('a check run shows the verdict with a line for each finding, fifty with one call, and is over with the last of them', async () => {
  const { project, next } = await refusedWith(120);
  await settled(project);
  const runs = shown('muster/verification');
  expect(runs).toHaveLength(1);
  expect(runs[0]).toMatchObject({
    commit: next,
    status: 'completed',
    conclusion: 'failure',
    output: { summary: expect.stringContaining('of 100 points') },
  });
  expect(runs[0]?.annotations.map(({ start_line: line }) => line)).toEqual(
    Array.from({ length: 120 }, (_, n) => n + 1),
  );
  expect(runs[0]?.annotations[0]).toMatchObject({ path: 'b.txt', annotation_level: 'failure' });
  expect(shown('muster/landing')).toMatchObject([{ status: 'completed', conclusion: 'failure' }]);
  expect(world.forge.said).toEqual([]);
});

it('a check run whose answers were lost is found again, and nothing of it comes twice', async () => {
  const calls = [/POST .*\/check-runs$/, /PATCH .*\/check-runs\//, /PATCH .*\/check-runs\//, /PATCH .*\/check-runs\//];
  world.forge.moods.push(...calls.map((to) => ({ ...hangUp, to })));
  const { project } = await refusedWith(120);
  await settled(project);
  expect(world.forge.moods).toHaveLength(0);
  const runs = shown('muster/verification');
  expect(runs).toHaveLength(1);
  expect(runs[0]).toMatchObject({ status: 'completed', conclusion: 'failure' });
  expect(runs[0]?.annotations.map(({ start_line: line }) => line)).toEqual(
    Array.from({ length: 120 }, (_, n) => n + 1),
  );
});

it('check runs are for apps only', async () => {
  world.forge.app = null;
  const { project } = await world.followed('hub', 'octo/repo');
  const wish = { account: 'hub', repository: 'octo/repo', checks: true };
  expect(await world.server.request('PUT', `/api/projects/${project.id}/forge`, wish)).toMatchObject({
    status: 422,
    body: { code: 'forges.checks_need_app' },
  });
});
