import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { resolveInput } from '@muster/contracts';
import { readTrust, verifyProvenance } from '@muster/verify-provenance';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProjectRecord } from '#messages/projects';
import type { Envelope } from './domain/dsse.ts';
import { ExportTrust } from './queries/export-trust.ts';
import { ReadMergedTree } from './queries/read-merged-tree.ts';
import { FILES, startWorld, type World } from '../test/world.ts';

let world: World;
let folder: string;
beforeAll(async () => {
  world = await startWorld();
  folder = mkdtempSync(join(tmpdir(), 'muster-resolution-'));
});
afterEach(() => {
  world.neighbours.landing = {};
  world.neighbours.generated = [];
  world.neighbours.offered = ['muster.verify', 'muster.resolve'];
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
/** Both begin at the start; the first has landed, and the other one meets it. */
const meet = async (
  other: Record<string, string> = right,
  first: Record<string, string> = left,
  begin: Record<string, string> = start,
): Promise<{ project: ProjectRecord; id: string }> => {
  const project = await world.project(begin);
  const late = await world.submit(project, other);
  await world.land(project, first);
  await world.submissions.run(late.id);
  return { project, id: late.id };
};

/** What the signed source statement of a landed commit says was resolved. */
const signed = async (project: ProjectRecord, commit: string): Promise<unknown> => {
  const note = (await world.repositories.readNote(project.id, 'refs/notes/muster', commit)) ?? '';
  const payloads = note
    .split('\n')
    .map((line) => Buffer.from((JSON.parse(line) as Envelope).payload, 'base64').toString());
  const source = payloads.find((payload) => payload.includes('"resolved"')) ?? '{}';
  return (JSON.parse(source) as { predicate?: { resolved?: unknown } }).predicate?.resolved;
};
/** The audit finds nothing, and neither does an outsider with a clone. */
const holds = async (project: ProjectRecord): Promise<void> => {
  expect(await world.audit(project)).toMatchObject({ ok: true });
  const clone = mkdtempSync(join(folder, 'clone-'));
  execFileSync('git', ['clone', '--quiet', world.repositories.path(project.id), clone]);
  execFileSync('git', ['-C', clone, 'fetch', '--quiet', 'origin', 'refs/notes/muster:refs/notes/muster']);
  const trust = readTrust(await world.queries.execute(new ExportTrust(project.id)));
  expect(verifyProvenance(clone, trust)).toMatchObject({ ok: true, refusals: [] });
};
const filesAt = async (project: ProjectRecord, tree: string | null, ...paths: string[]): Promise<unknown[]> =>
  await Promise.all(
    paths.map(async (path) =>
      (await world.repositories.readFile(project.id, tree ?? '', path, 100_000))?.toString('utf8'),
    ),
  );

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
      expect(await signed(project, landing.commit)).toEqual([
        { path: 'package-lock.json', how: 'npm-lock', tool: 'npm 11.0.0', digest: { gitBlob: blob } },
      ]);
      await holds(project);
    }
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
    // With why no tool had settled it, for whoever does now.
    const told = world.neighbours.settled.find(({ submissionId }) => submissionId === id)?.outcome;
    expect(told).toMatchObject({ kind: 'rework', rework: { reason: 'conflicted', conflicts: row.conflicts } });
    expect(told?.kind === 'rework' && told.rework.summary.split('\n')).toEqual([
      'It conflicts with what landed on main in the meantime, in package-lock.json.',
      `No tool could settle the conflict: ${row.resolution?.why ?? ''}`,
    ]);
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

const makesGen = { files: ['gen/**'], run: 'node generate.js', timeoutSeconds: 60 };
const genOf = (...parts: string[]): Record<string, string> => ({
  'gen/index.js': parts.map((part) => `export * from '${part}';\n`).join(''),
  'gen/count.txt': `${parts.length}\n`,
});
const partOf = (part: string): Record<string, string> => ({ [`parts/${part}.js`]: `${part}\n` });
const genStart = { ...start, ...partOf('m'), ...genOf('m') };
const genLeft = { ...partOf('a'), ...genOf('a', 'm') };
const genRight = { ...partOf('b'), ...genOf('b', 'm') };
/** Each side counted two, and git has that without asking. */
const rebuilt = (more: object = {}): object => ({
  resolved: true,
  files: Object.entries(genOf('a', 'b', 'm')).map(([path, content]) => ({ path, encoding: 'utf8', content })),
  lock: null,
  tool: 'node 24.0.0',
  ...more,
});

describe('a conflict in generated files', () => {
  it('is given to the command of the landed rules, and what it made is verified, landed and signed as such', async () => {
    world.neighbours.generated = [makesGen];
    for (const strategy of ['squash', 'merge', 'rebase'] as const) {
      world.neighbours.landing = { strategy };
      const { project, id } = await meet(genRight, genLeft, genStart);
      const { commit, tree } = await world.row(id);
      const on = await world.head(project);
      const ours = await world.repositories.treeOf(project.id, on);
      const conflict = await world.repositories.contentConflicts(project.id, on, commit);
      expect(resolveInput.parse(asked().at(-1)?.task.input)).toEqual({
        how: 'generated',
        submissionId: id,
        on,
        trees: { merged: conflict?.tree, ours, theirs: tree },
        rules: [makesGen],
        install: true,
        conflicts: ['gen/index.js'],
        lock: null,
      });
      await answer(id, rebuilt());
      const row = await world.row(id);
      expect(row.state).toBe('verifying');
      expect(await filesAt(project, row.candidate_tree, 'gen/index.js', 'gen/count.txt', 'parts/a.js', 'parts/b.js')).toEqual(
        [genOf('a', 'b', 'm')['gen/index.js'], '3\n', 'a\n', 'b\n'],
      ); // prettier-ignore
      expect((await world.judge(id, 'accepted')).state).toBe('landed');
      const landing = await world.landingOf(id);
      const how = { how: 'generated', tool: 'node 24.0.0: node generate.js' };
      const made = [
        { path: 'gen/index.js', ...how },
        { path: 'gen/count.txt', ...how },
      ];
      expect(landing).toMatchObject({ resolved: made, strategy: strategy === 'merge' ? 'merge' : 'squash' });
      expect(landing.landed_tree).toBe(landing.verified_tree);
      expect(await world.events(id)).toContain('submission.conflict_resolved');
      expect(await signed(project, landing.commit)).toMatchObject(made);
      await holds(project);
    }
  }, 60_000);

  it('may come with one in a lock file, which is settled first and recorded beside it', async () => {
    world.neighbours.generated = [makesGen];
    const { project, id } = await meet({ ...right, ...genRight }, { ...left, ...genLeft }, genStart);
    expect(asked().at(-1)?.task.input).toMatchObject({
      how: 'generated',
      conflicts: ['gen/index.js'],
      lock: { path: 'package-lock.json', ours: left['package-lock.json'], theirs: right['package-lock.json'] },
    });
    await answer(id, rebuilt({ lock: { content: both, tool: 'npm 11.0.0' } }));
    expect((await world.judge(id, 'accepted')).state).toBe('landed');
    const { landed_tree: tree, resolved } = await world.landingOf(id);
    expect(resolved.map(({ path, how }) => [path, how])).toEqual([
      ['package-lock.json', 'npm-lock'],
      ['gen/index.js', 'generated'],
      ['gen/count.txt', 'generated'],
    ]);
    expect(await filesAt(project, tree, 'package-lock.json', 'gen/count.txt')).toEqual([both, '3\n']);
    await holds(project);
  }, 60_000);

  it.each([
    ['leaves out what conflicts', rebuilt({ files: [{ path: 'gen/count.txt', encoding: 'utf8', content: '3\n' }] })],
    ['stands where a folder is', rebuilt({ files: [...(rebuilt() as { files: object[] }).files, { path: 'gen', encoding: 'utf8', content: '' }] })],
    ['stands below a file', rebuilt({ files: [...(rebuilt() as { files: object[] }).files, { path: 'gen/count.txt/x', encoding: 'utf8', content: '' }] })],
    ['leads out of the project', rebuilt({ files: [{ path: '../x', encoding: 'utf8', content: '' }] })],
    ['is none', { resolved: false, why: 'it makes another every time' }],
  ])('goes back to whoever handed it in where the answer %s', async (_what, said) => {
    world.neighbours.generated = [{ ...makesGen, files: ['gen/**', 'gen'] }];
    const { id } = await meet(genRight, genLeft, genStart);
    await answer(id, said);
    expect(await world.row(id)).toMatchObject({ state: 'conflicted', resolution: { files: null, why: expect.any(String) } });
  }); // prettier-ignore

  it('may be one that git cannot merge line by line', async () => {
    world.neighbours.generated = [makesGen];
    const binary = (files: Record<string, string>): Record<string, string> =>
      Object.fromEntries(
        Object.entries(files).map(([path, text]) => [path, path.startsWith('gen/') ? `\0${text}` : text]),
      );
    const { project, id } = await meet(binary(genRight), binary(genLeft), binary(genStart));
    const content = Buffer.from('\0all\n').toString('base64');
    await answer(id, rebuilt({ files: [{ path: 'gen/index.js', encoding: 'base64', content }] }));
    const { candidate_tree: tree, state } = await world.row(id);
    expect([state, ...(await filesAt(project, tree, 'gen/index.js'))]).toEqual(['verifying', '\0all\n']);
  });

  it('takes nothing of an answer that is not declared', async () => {
    world.neighbours.generated = [makesGen];
    const { project, id } = await meet(genRight, genLeft, genStart);
    const { files } = rebuilt() as { files: object[] };
    await answer(id, rebuilt({ files: [...files, { path: 'greet.js', encoding: 'utf8', content: 'mine\n' }] }));
    const { candidate_tree: tree } = await world.row(id);
    expect(await filesAt(project, tree, 'greet.js', 'gen/count.txt')).toEqual([FILES['greet.js'], '3\n']);
  });

  it('has its three trees read by the verifier, and nothing else, only while it is open', async () => {
    world.neighbours.generated = [makesGen];
    const { project, id } = await meet(genRight, genLeft, genStart);
    const { on, trees } = asked().at(-1)?.task.input as { on: string; trees: Record<string, string> };
    const read = async (commit: string, tree: string): Promise<number> => {
      let bytes = 0;
      for await (const chunk of await world.queries.execute(new ReadMergedTree(id, commit, tree)))
        bytes += (chunk as Buffer).length;
      return bytes;
    };
    for (const tree of Object.values(trees)) expect(await read(on, tree)).toBeGreaterThan(0);
    const elsewhere = await world.submit(project, { 'greet.js': 'secret\n' });
    const other = await world.row(elsewhere.id);
    await expect(read(on, other.tree)).rejects.toThrow('There is no submission');
    await expect(read(other.commit, other.tree)).rejects.toThrow('There is no submission');
    await expect(read('0'.repeat(40), trees['ours'] ?? '')).rejects.toThrow('There is no submission');
    await answer(id, { resolved: false, why: 'none' });
    await expect(read(on, trees['ours'] ?? '')).rejects.toThrow('There is no submission');
  });
});

describe('a verifier that does not know how to settle conflicts', () => {
  it('costs no time: without one that offers it the conflict goes back at once', async () => {
    const before = asked().length;
    world.neighbours.offered = ['muster.verify'];
    const { id } = await meet();
    expect((await world.row(id)).state).toBe('conflicted');
    expect(asked()).toHaveLength(before);
  });

  it('costs no time either where it takes the place of one that does', async () => {
    const { id } = await meet();
    expect((await world.row(id)).state).toBe('received');
    world.neighbours.offered = ['muster.verify'];
    await world.submissions.run(id);
    const { state, resolution } = await world.row(id);
    expect({ state, why: resolution?.why }).toEqual({
      state: 'conflicted',
      why: 'No verifier that is connected offers muster.resolve.',
    });
    expect(world.neighbours.cancelled).toContain(resolution?.taskId);
  });

  it('is waited for a minute where none is connected at all, as after a restart', async () => {
    world.neighbours.offered = [];
    const { id } = await meet();
    expect((await world.row(id)).state).toBe('received');
    const task = world.neighbours.task((await world.row(id)).resolution?.taskId ?? '');
    const created = new Date(Date.parse(task.createdAt) - 61_000).toISOString();
    world.neighbours.tasks.set(task.id, { ...task, createdAt: created });
    await world.submissions.run(id);
    expect(await world.row(id)).toMatchObject({
      state: 'conflicted',
      resolution: { why: 'No verifier is connected.' },
    });
  });

  it('lets one that has begun come to its end', async () => {
    const { id } = await meet();
    const task = world.neighbours.task((await world.row(id)).resolution?.taskId ?? '');
    world.neighbours.tasks.set(task.id, { ...task, state: 'running' });
    world.neighbours.offered = ['muster.verify'];
    await world.submissions.run(id);
    expect((await world.row(id)).state).toBe('received');
  });
});

describe('the task that settles a conflict', () => {
  it('is cancelled where nobody waits for it any more', async () => {
    const { project, id } = await meet();
    const first = (await world.row(id)).resolution?.taskId;
    await world.land(project, { 'package-lock.json': lockOf('node_modules/in-between', 'node_modules/b-left') });
    await world.submissions.run(id);
    const second = (await world.row(id)).resolution?.taskId;
    expect(second).not.toBe(first);
    expect(world.neighbours.cancelled).toContain(first);
    const row = await world.row(id);
    world.neighbours.tasks.set(row.task_id ?? '', { ...world.neighbours.task(row.task_id ?? ''), state: 'cancelled' });
    await world.submissions.run(id);
    expect((await world.row(id)).state).toBe('failed');
    expect(world.neighbours.cancelled).toContain(second);
  });
});

describe('the same change on both sides', () => {
  const lines = (second: string, last: string): string => `first\n${second}\nthird\nfourth\nfifth\n${last}\n`;
  it('is in what lands once, and is recorded and signed as what git settled', async () => {
    const begin = { ...FILES, 'shared.txt': lines('second', 'last') };
    const first = { 'shared.txt': lines('SECOND', 'last'), 'new.txt': 'new\n', 'greet.js': 'left\n' };
    const other = { 'shared.txt': lines('SECOND', 'LAST'), 'new.txt': 'new\n', 'other.js': 'right\n' };
    for (const strategy of ['squash', 'merge', 'rebase'] as const) {
      world.neighbours.landing = { strategy };
      const before = asked().length;
      const { project, id } = await meet(other, first, begin);
      const row = await world.row(id);
      expect(row.state).toBe('verifying');
      expect(await filesAt(project, row.candidate_tree, 'shared.txt', 'new.txt', 'greet.js')).toEqual(
        [lines('SECOND', 'LAST'), 'new\n', 'left\n'],
      ); // prettier-ignore
      expect((await world.judge(id, 'accepted')).state).toBe('landed');
      const landing = await world.landingOf(id);
      const how = { how: 'identical-hunks', tool: expect.stringMatching(/^git \d/) };
      const made = [
        { path: 'new.txt', ...how },
        { path: 'shared.txt', ...how },
      ];
      expect(landing.resolved).toMatchObject(made);
      expect(await signed(project, landing.commit)).toMatchObject(made);
      expect((await world.events(id)).filter((type) => type === 'submission.conflict_resolved')).toHaveLength(1);
      expect(asked()).toHaveLength(before);
      await holds(project);
    }
  }, 60_000);

  it('is not what two changes to one file are at different places', async () => {
    const begin = { ...FILES, 'shared.txt': lines('second', 'last') };
    const { id } = await meet(
      { 'shared.txt': lines('second', 'LAST') },
      { 'shared.txt': lines('SECOND', 'last') },
      begin,
    );
    expect((await world.judge(id, 'accepted')).state).toBe('landed');
    expect((await world.landingOf(id)).resolved).toEqual([]);
    expect(await world.events(id)).not.toContain('submission.conflict_resolved');
  });
});

describe('no tool is asked', () => {
  it.each([
    ['a source conflicts beside what is generated', { ...genRight, 'greet.js': 'right\n' }, { ...genLeft, 'greet.js': 'left\n' }],
    ['one side took a generated file away', { ...genRight, 'gen/index.js': null }, genLeft],
  ])('where %s', async (_what, other, first) => {
    world.neighbours.generated = [makesGen];
    const before = asked().length;
    const project = await world.project(genStart);
    const late = await world.submit(project, other);
    await world.land(project, first);
    await world.submissions.run(late.id);
    expect((await world.row(late.id)).state).toBe('conflicted');
    expect(asked()).toHaveLength(before);
  }); // prettier-ignore

  it('for generated files that the landed rules do not declare', async () => {
    const before = asked().length;
    const { id } = await meet(genRight, genLeft, genStart);
    expect((await world.row(id)).state).toBe('conflicted');
    expect(asked()).toHaveLength(before);
  });

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
