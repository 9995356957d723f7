import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { typeid } from 'typeid-js';
import { loadConfig } from '#platform/config';
import { Git } from './git.ts';
import { Packing } from './packing.ts';
import { NOTHING } from './objects.ts';
import { Repositories } from './repositories.ts';

const run = promisify(execFile);
const someone = { name: 'Ada', email: 'ada@example.org' };
const made = { author: someone, committer: someone, date: new Date(1_700_000_000_000) };
let folder: string;
/** Two servers on one folder. */
let servers: Array<{ git: Git; repositories: Repositories; packing: Packing }>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-packing-'));
  servers = ['one', 'two'].map((name) => {
    const git = new Git();
    const settings = { MUSTER_DATA_DIR: join(folder, name), MUSTER_SHARED_DIR: join(folder, 'shared') };
    const repositories = new Repositories(git, loadConfig(settings));
    return { git, repositories, packing: new Packing(git, repositories) };
  });
});
afterAll(async () => {
  for (const { git } of servers) git.onApplicationShutdown();
  await rm(folder, { recursive: true, force: true });
});

const server = (number: number) => servers[number] ?? servers[0]!;
async function project(): Promise<{ id: string; dir: string; root: string }> {
  const { repositories } = server(0);
  const id = typeid('proj').toString();
  await repositories.create(id, 'main');
  const root = await repositories.commitTree(id, { tree: await repositories.emptyTree(id), parents: [], message: 'Root', ...made }); // prettier-ignore
  await repositories.updateRef(id, 'refs/heads/main', root, NOTHING);
  return { id, dir: repositories.path(id), root };
}
/** With nothing missing and nothing broken; what no ref leads to may be there. */
const check = (dir: string) => run('git', ['fsck', '--full', '--strict', '--no-dangling'], { cwd: dir });
const allObjects = async (dir: string): Promise<string[]> =>
  (await run('git', ['cat-file', '--batch-all-objects', '--batch-check=%(objectname)', '--unordered'], { cwd: dir })).stdout
    .split('\n')
    .toSorted(); // prettier-ignore

it('puts what was gathered into few files and takes no object away, also none that no ref leads to', async () => {
  const { repositories, packing } = server(0);
  const { id, dir, root } = await project();
  const files = Array.from({ length: 40 }, (_, at) => ({ path: `f/${at}`, content: `${at}\n` }));
  const tree = await repositories.applyFiles(id, root, files);
  const change = await repositories.commitTree(id, { tree, parents: [root], message: 'Change', ...made });
  await repositories.updateRef(id, 'refs/muster/submissions/sub_1', change, NOTHING);
  await repositories.addNote(id, 'refs/notes/muster', root, 'signed');
  // A candidate that is being verified at this moment: nothing leads to it.
  const candidate = await repositories.applyFiles(id, change, [{ path: 'candidate', content: 'only here\n' }]);
  const before = await allObjects(dir);
  expect(await packing.look(id)).toMatchObject({ packs: 0, looseRefs: 3 });

  await packing.pack(id);
  expect(await packing.look(id)).toMatchObject({ looseObjects: 0, packs: 1, looseRefs: 0 });
  expect(await allObjects(dir)).toEqual(before);
  expect((await repositories.readFile(id, candidate, 'candidate', 100))?.toString()).toBe('only here\n');
  expect(await repositories.readNote(id, 'refs/notes/muster', root)).toBe('signed');
  expect(await repositories.resolve(id, 'refs/muster/submissions/sub_1')).toBe(change);
  await check(dir);

  // Little that is new is not put together with much that is old.
  const packs = async () => (await readdir(join(dir, 'objects', 'pack'))).filter((name) => name.endsWith('.pack'));
  const [large] = await packs();
  await repositories.applyFiles(id, change, [{ path: 'one', content: 'more\n' }]);
  await packing.pack(id);
  expect(await packs()).toEqual(expect.arrayContaining([large]));
  expect(await packing.look(id)).toMatchObject({ looseObjects: 0, packs: 2 });
});

it('is in nobody’s way: processes that stand, other servers, clones and refs that move meanwhile', async () => {
  const [one, two] = [server(0), server(1)];
  const { id, dir, root } = await project();
  let stop = false;
  let packed = 0;
  const packing = (async () => {
    for (; !stop && packed < 200; packed += 1) await one.packing.pack(id);
  })();
  const landOn = async ({ repositories }: typeof one, name: string, times: number) => {
    let moved = 0;
    for (let head = root, tries = 0; moved < times && tries < times * 20; tries += 1) {
      const content = `${name} ${moved}\n`;
      head = (await repositories.resolve(id, 'refs/heads/main')) ?? root;
      const tree = await repositories.applyFiles(id, head, [{ path: `${name}/${moved}`, content }]);
      const next = await repositories.commitTree(id, { tree, parents: [head], message: content, ...made });
      await repositories.setRef(id, `refs/muster/queue/${name}`, next);
      if (await repositories.updateRef(id, 'refs/heads/main', next, head)) moved += 1;
      await repositories.setRef(id, `refs/muster/queue/${name}`, null);
    }
    return moved;
  };
  const clones = (async () => {
    for (let at = 0; at < 4; at += 1) {
      const clone = join(folder, `clone-${at}`);
      await run('git', ['clone', '--quiet', '--bare', '--no-local', dir, clone]);
      await check(clone);
    }
  })();
  expect(await Promise.all([landOn(one, 'a', 12), landOn(two, 'b', 12), clones])).toEqual([12, 12, undefined]);
  stop = true;
  await packing;
  expect(packed).toBeGreaterThan(3);
  await check(dir);
  const head = (await two.repositories.resolve(id, 'refs/heads/main')) ?? '';
  for (const name of ['a', 'b'])
    for (let at = 0; at < 12; at += 1)
      expect((await two.repositories.readFile(id, head, `${name}/${at}`, 100))?.toString()).toBe(`${name} ${at}\n`);
  expect(await one.repositories.refs(id, 'refs/muster/queue')).toEqual([]);
});

it('asks again where packing has taken a folder away under what git was writing', async () => {
  const { id, dir, root } = await project();
  const programs = join(folder, 'programs');
  const failed = join(folder, 'failed');
  await mkdir(programs);
  // Git as it is, but for the one moment that cannot be hit on purpose.
  const { stdout: git } = await run('sh', ['-c', 'command -v git']);
  const script = `#!/bin/sh
for one in hash-object apply; do
  case " $* " in *" $one "*) if [ ! -e '${failed}'-"$one" ]; then
    : >'${failed}'-"$one"
    echo 'error: unable to create temporary file: No such file or directory' >&2
    exit 128
  fi ;; esac
done
exec ${git.trim()} "$@"
`;
  await writeFile(join(programs, 'git'), script, { mode: 0o755 });
  const path = process.env['PATH'];
  process.env['PATH'] = `${programs}:${path}`;
  const fresh = new Git();
  try {
    const repositories = new Repositories(fresh, loadConfig({ MUSTER_DATA_DIR: join(folder, 'one'), MUSTER_SHARED_DIR: join(folder, 'shared') })); // prettier-ignore
    const tree = await repositories.applyFiles(id, root, [{ path: 'a', content: 'a\n' }]);
    const patch = `diff --git a/b b/b\nnew file mode 100644\n--- /dev/null\n+++ b/b\n@@ -0,0 +1 @@\n+b\n`;
    const patched = await repositories.applyPatch(id, root, patch);
    expect(await readdir(folder)).toEqual(expect.arrayContaining(['failed-hash-object', 'failed-apply']));
    expect((await repositories.readFile(id, tree, 'a', 100))?.toString()).toBe('a\n');
    expect((await repositories.readFile(id, patched, 'b', 100))?.toString()).toBe('b\n');
    await check(dir);
  } finally {
    process.env['PATH'] = path;
    fresh.onApplicationShutdown();
  }
});

it('takes away what killed processes of git were writing, once it is old', async () => {
  const { packing } = server(0);
  const { id, dir } = await project();
  const left = ['objects/pack/tmp_pack_old', 'objects/pack/.tmp-7-pack-old.pack', 'objects/aa/tmp_obj_old', 'objects/info/commit-graphs/commit-graph-chain.lock', 'objects/tmp_objdir-incoming-old/pack/x']; // prettier-ignore
  const fresh = ['objects/pack/tmp_pack_new', 'objects/tmp_objdir-incoming-new/pack/x'];
  for (const name of [...left, ...fresh]) {
    await mkdir(join(dir, name, '..'), { recursive: true });
    await writeFile(join(dir, name), 'x');
  }
  for (const name of [...left, 'objects/tmp_objdir-incoming-old']) await utimes(join(dir, name), 1, 1);
  await packing.pack(id);
  const there = await readdir(join(dir, 'objects'), { recursive: true });
  expect(there.filter((name) => name.includes('old') || name.endsWith('.lock'))).toEqual([]);
  expect(there).toEqual(expect.arrayContaining(fresh.map((name) => name.slice('objects/'.length))));
});

it('ends when its repository is to go', async () => {
  const { packing, repositories } = server(0);
  const { id, dir, root } = await project();
  await repositories.applyFiles(
    id,
    root,
    Array.from({ length: 60 }, (_, at) => ({ path: `${at}`, content: `${at}` })),
  );
  const packed = packing.pack(id).then(
    () => 'packed',
    () => 'stopped',
  );
  await packing.stop(id);
  expect(await packed).toBe('stopped');
  await repositories.remove(id);
  await expect(readdir(dir)).rejects.toThrow('ENOENT');
});

it('leaves refs that are found by a few reads, also among thousands', async () => {
  const { git, repositories } = server(0);
  const { id, dir, root } = await project();
  await run('git', ['-c', 'user.name=A', '-c', 'user.email=a@example.org', 'tag', '-a', '-m', 'x', 'v1', root], { cwd: dir }); // prettier-ignore
  const names = Array.from({ length: 5_000 }, (_, at) => `refs/muster/submissions/sub_${at.toString(36)}`);
  await git.run(dir, ['-c', 'core.fsync=none', 'update-ref', '--stdin'], {
    input: names.map((name) => `create ${name} ${root}\n`).join(''),
  });
  await git.run(dir, ['pack-refs', '--all']);
  for (const name of ['refs/heads/main', names[0]!, names[4_999]!, names[2_500]!, names[1_234]!])
    expect(await repositories.resolve(id, name)).toBe(root);
  for (const { ref, object } of await repositories.refs(id, 'refs'))
    if (ref.endsWith('z') || !ref.startsWith('refs/muster'))
      expect([ref, await repositories.resolve(id, ref)]).toEqual([
        ref,
        object === root || ref.endsWith('v1') ? root : '',
      ]);
  for (const name of ['refs/a', 'refs/muster/submissions/sub_', 'refs/muster/submissions/sub_zzzz', 'refs/zzz'])
    expect(await repositories.resolve(id, name)).toBeNull();
});
