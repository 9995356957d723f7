import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { resolveInput } from '@muster/contracts';
import { readTrust, verifyProvenance } from '@muster/verify-provenance';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProjectRecord } from '#messages/projects';
import type { Envelope } from './domain/dsse.ts';
import { ExportTrust } from './queries/export-trust.ts';
import { FILES, startWorld, type World } from '../test/world.ts';

let world: World;
let folder: string;
beforeAll(async () => {
  world = await startWorld();
  folder = mkdtempSync(join(tmpdir(), 'muster-resolution-'));
});
afterAll(async () => {
  await world?.close();
  rmSync(folder, { recursive: true, force: true });
});

const lockOf = (...names: string[]): string =>
  `${JSON.stringify({ lockfileVersion: 3, packages: Object.fromEntries(names.map((name) => [name, { version: '1.0.0' }])) }, null, 2)}\n`;
const manifestOf = (first: string, last: string): string =>
  `{\n  "dependencies": {\n${first}    "in-between": "1",\n    "in-the-middle": "1",\n    "near-the-end": "1"${last}\n  }\n}\n`;
const start = { ...FILES, 'package.json': manifestOf('', ''), 'package-lock.json': lockOf('node_modules/in-between') };
const left = {
  'package.json': manifestOf('    "a-left": "1",\n', ''),
  'package-lock.json': lockOf('node_modules/in-between', 'node_modules/a-left'),
};
const right = {
  'package.json': manifestOf('', ',\n    "z-right": "1"'),
  'package-lock.json': lockOf('node_modules/in-between', 'node_modules/z-right'),
};
const both = lockOf('node_modules/in-between', 'node_modules/a-left', 'node_modules/z-right');

/** The verifier's answer to the task that asks for the file anew; then the submission goes on. */
const answer = async (id: string, output: object): Promise<void> => {
  const { resolution } = await world.row(id);
  const task = world.neighbours.task(resolution?.taskId ?? '');
  world.neighbours.tasks.set(task.id, { ...task, state: 'succeeded', output: output as typeof task.output });
  await world.submissions.run(id);
  await world.submissions.idle();
};
const asked = () => world.neighbours.started.filter(({ task }) => task.capability === 'muster.resolve');
/** Both begin at the start; `left` has landed, and the other one meets it. */
const meet = async (other: Record<string, string> = right): Promise<{ project: ProjectRecord; id: string }> => {
  const project = await world.project(start);
  const late = await world.submit(project, other);
  await world.land(project, left);
  await world.submissions.run(late.id);
  return { project, id: late.id };
};

describe('a conflict in a lock file alone', () => {
  it('is given to a tool, verified in full as what came of it, and landed and signed as such', async () => {
    for (const strategy of ['squash', 'merge', 'rebase'] as const) {
      world.neighbours.landing = { strategy };
      const before = asked().length;
      const { project, id } = await meet();
      const head = await world.head(project);
      expect(asked()).toHaveLength(before + 1);
      expect(resolveInput.parse(asked().at(-1)?.task.input)).toEqual({
        how: 'npm-lock',
        path: 'package-lock.json',
        manifests: { 'package.json': manifestOf('    "a-left": "1",\n', ',\n    "z-right": "1"') },
        base: start['package-lock.json'],
        ours: left['package-lock.json'],
        theirs: right['package-lock.json'],
      });
      // However often it is woken meanwhile, it is one task, and nobody is given anything back.
      await world.submissions.run(id);
      expect(asked()).toHaveLength(before + 1);
      expect(await world.row(id)).toMatchObject({ state: 'received', conflicts: [] });

      await answer(id, { resolved: true, content: both, tool: 'npm 11.0.0' });
      const row = await world.row(id);
      expect(row.state).toBe('verifying');
      const read = (path: string) => world.repositories.readFile(project.id, row.candidate_tree ?? '', path, 100_000);
      expect((await read('package-lock.json'))?.toString()).toBe(both);
      expect((await read('package.json'))?.toString()).toBe(
        manifestOf('    "a-left": "1",\n', ',\n    "z-right": "1"'),
      );
      expect(world.neighbours.requests.at(-1)).toMatchObject({
        candidateTree: row.candidate_tree,
        purpose: 'admission',
      });

      expect((await world.judge(id, 'accepted')).state).toBe('landed');
      const landing = await world.landingOf(id);
      const blob = await world.repositories.writeBlob(project.id, both);
      const made = { path: 'package-lock.json', how: 'npm-lock', tool: 'npm 11.0.0', blob };
      expect(landing).toMatchObject({
        before: head,
        resolved: [made],
        strategy: strategy === 'merge' ? 'merge' : 'squash',
      });
      expect(landing.landed_tree).toBe(landing.verified_tree);
      expect(await world.events(id)).toContain('submission.conflict_resolved');
      const [note = ''] = ((await world.repositories.readNote(project.id, 'refs/notes/muster', landing.commit)) ?? '')
        .split('\n')
        .filter((line) => Buffer.from((JSON.parse(line) as Envelope).payload, 'base64').includes('"resolved"'));
      const source = JSON.parse(Buffer.from((JSON.parse(note) as Envelope).payload, 'base64').toString()) as object;
      expect(source).toMatchObject({
        predicate: {
          resolved: [{ path: 'package-lock.json', how: 'npm-lock', tool: 'npm 11.0.0', digest: { gitBlob: blob } }],
        },
      });
      expect(await world.audit(project)).toMatchObject({ ok: true });
      const clone = join(folder, strategy);
      execFileSync('git', ['clone', '--quiet', world.repositories.path(project.id), clone]);
      execFileSync('git', ['-C', clone, 'fetch', '--quiet', 'origin', 'refs/notes/muster:refs/notes/muster']);
      const trust = readTrust(await world.queries.execute(new ExportTrust(project.id)));
      expect(verifyProvenance(clone, trust)).toMatchObject({ ok: true, refusals: [] });
    }
    world.neighbours.landing = {};
  }, 60_000);

  it.each([
    ['the tool has no answer', async (id: string) => answer(id, { resolved: false, why: 'both sides changed it' })],
    ['its answer cannot be read', async (id: string) => answer(id, { resolved: 'perhaps' })],
    [
      'its task failed',
      async (id: string) => {
        const task = world.neighbours.task((await world.row(id)).resolution?.taskId ?? '');
        world.neighbours.tasks.set(task.id, { ...task, state: 'failed', error: 'no verifier' });
        await world.submissions.run(id);
      },
    ],
    [
      'nobody took it up in time',
      async (id: string) => {
        const task = world.neighbours.task((await world.row(id)).resolution?.taskId ?? '');
        world.neighbours.tasks.set(task.id, { ...task, createdAt: '2026-01-01T00:00:00Z' });
        await world.submissions.run(id);
        expect(world.neighbours.cancelled).toContain(task.id);
      },
    ],
  ])('goes back to whoever handed it in, with both sides, where %s', async (_why, end) => {
    const { id } = await meet();
    await end(id);
    const row = await world.row(id);
    expect(row).toMatchObject({ state: 'conflicted', resolution: { files: null, why: expect.any(String) } });
    expect(row.conflicts.map(({ path }) => path)).toEqual(['package-lock.json']);
  });

  it('is made anew for the head that it meets, never taken over from another one', async () => {
    const { project, id } = await meet();
    await world.land(project, { 'package-lock.json': lockOf('node_modules/in-between', 'node_modules/b-left') });
    await answer(id, { resolved: true, content: both, tool: 'npm 11.0.0' });
    const { resolution, state } = await world.row(id);
    expect({ state, on: resolution?.on, files: resolution?.files }).toEqual({
      state: 'received',
      on: await world.head(project),
      files: null,
    });
  });
});

describe('no tool is asked', () => {
  it.each([
    ['something else conflicts as well', { ...right, 'greet.js': 'right\n' }, { 'greet.js': 'left\n' }],
    ['the manifest itself conflicts', { ...right, 'package.json': manifestOf('    "z-left": "2",\n', '') }, {}],
    ['one side took the lock file away', { 'greet.js': 'right\n' }, null],
  ])('where %s', async (_what, other, more) => {
    const before = asked().length;
    const project = await world.project(start);
    const late = await world.submit(project, more === null ? { ...other, 'package-lock.json': null } : other);
    await world.land(project, { ...left, ...more });
    await world.submissions.run(late.id);
    expect((await world.row(late.id)).state).toBe('conflicted');
    expect(asked()).toHaveLength(before);
  });
});
