import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { extract } from 'tar-stream';
import { typeid } from 'typeid-js';
import { loadConfig } from '#platform/config';
import { Changes } from './changes.ts';
import { Git } from './git.ts';
import type { FileChange } from './edits.ts';
import { NOTHING } from './objects.ts';
import { Repositories } from './repositories.ts';

const someone = { name: 'Ada', email: 'ada@example.org' };
const git = new Git();
let folder: string;
let repositories: Repositories;
let project: string;

const file = (path: string, content: string | null, more: Partial<FileChange> = {}): FileChange => ({
  path,
  content,
  ...more,
});
const commit = (tree: string, parents: string[], message = 'Change', p = project) =>
  repositories.commitTree(p, {
    tree,
    parents,
    message,
    author: someone,
    committer: someone,
    date: new Date(1_700_000_000_000),
  });
const change = async (base: string, ...files: FileChange[]) =>
  commit(await repositories.applyFiles(project, base, files), [base]);
const fresh = async (): Promise<string> => {
  const id = typeid('proj').toString();
  await repositories.create(id, 'main');
  return id;
};
async function untar(projectId: string, tree: string) {
  const entries = new Map<string, { type: string; mode: number; body: string; linkname: string }>();
  const reader = extract();
  repositories.tar(projectId, tree).pipe(reader);
  for await (const entry of reader) {
    const parts: Buffer[] = [];
    for await (const part of entry) parts.push(part as Buffer);
    const { name, type, mode, linkname } = entry.header;
    entries.set(name, {
      type: type ?? '',
      mode: mode ?? 0,
      body: Buffer.concat(parts).toString(),
      linkname: linkname ?? '',
    });
  }
  return entries;
}

let root: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-git-test-'));
  repositories = new Repositories(git, loadConfig({ MUSTER_DATA_DIR: folder }));
  project = await fresh();
  root = await commit(await repositories.emptyTree(project), []);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('refs', () => {
  it('move only from the value that the caller saw', async () => {
    const next = await change(root, file('a', '1'));
    expect(await repositories.updateRef(project, 'refs/heads/main', root, NOTHING)).toBe(true);
    expect(await repositories.updateRef(project, 'refs/heads/main', next, NOTHING)).toBe(false);
    expect(await repositories.updateRef(project, 'refs/heads/main', next, next)).toBe(false);
    expect(await repositories.updateRef(project, 'refs/heads/main', next, root)).toBe(true);
    expect(await repositories.resolve(project, 'refs/heads/main')).toBe(next);
    expect(await repositories.resolve(project, 'refs/heads/none')).toBeNull();
    expect(await repositories.resolve(project, 'f'.repeat(40))).toBeNull();
  });

  it('are the same whether they are packed, loose, both, or not there', async () => {
    const packed = await fresh();
    expect(await repositories.resolve(packed, 'refs/heads/main')).toBeNull();
    const first = await commit(await repositories.emptyTree(packed), [], 'One', packed);
    const second = await commit(await repositories.emptyTree(packed), [first], 'Two', packed);
    await repositories.updateRef(packed, 'refs/heads/main', first, NOTHING);
    await repositories.updateRef(packed, 'refs/heads/a/b', second, NOTHING);
    await git.run(repositories.path(packed), ['pack-refs', '--all']);
    expect(await repositories.resolve(packed, 'refs/heads/main')).toBe(first);
    expect(await repositories.resolve(packed, 'refs/heads/a/b')).toBe(second);
    for (const name of ['refs/heads/a', 'refs/heads/mai', 'refs/heads/ain', 'refs/heads/main/x'])
      expect(await repositories.resolve(packed, name)).toBeNull();
    await repositories.updateRef(packed, 'refs/heads/main', second, first);
    expect(await repositories.resolve(packed, 'refs/heads/main')).toBe(second);
  });

  it('let exactly one of many writers through', async () => {
    const values = await Promise.all(Array.from({ length: 6 }, (_, n) => change(root, file('n', String(n)))));
    const moved = await Promise.all(
      values.map((value) => repositories.updateRef(project, 'refs/muster/race', value, NOTHING)),
    );
    expect(moved.filter(Boolean)).toHaveLength(1);
    expect(await repositories.resolve(project, 'refs/muster/race')).toBe(values[moved.indexOf(true)]);
  });

  it.each([
    '--help',
    'HEAD',
    'refs/heads/../x',
    'refs/heads/a b',
    'refs/heads/x\ndelete refs/heads/main',
    'refs/heads/main@{1}',
  ])('refuse %j as a name', async (name) => {
    await expect(repositories.resolve(project, name)).rejects.toThrow('full ref name');
    await expect(repositories.updateRef(project, name, root, NOTHING)).rejects.toThrow('full ref name');
  });

  it('accept nothing as an object that is not a full id', async () => {
    for (const id of ['--all', 'main', 'HEAD', 'abc', `${root}^`])
      await expect(repositories.treeOf(project, id)).rejects.toThrow('full git object id');
  });
});

describe('files', () => {
  it('are written, kept executable, and deleted', async () => {
    const one = await change(
      root,
      file('bin/run', '#!/bin/sh\n', { executable: true }),
      file('a.txt', 'YQA=', { encoding: 'base64' }),
    );
    const two = await change(one, file('bin/run', '#!/bin/sh\nexit\n'), file('a.txt', null));
    const entries = await untar(project, await repositories.treeOf(project, two));
    expect([...entries.keys()]).toEqual(['bin/run']);
    expect(entries.get('bin/run')).toMatchObject({ mode: 0o755, body: '#!/bin/sh\nexit\n' });
    expect((await repositories.readFile(project, one, 'a.txt', 10))?.toString()).toBe('a\0');
    expect(await repositories.diffFiles(project, one, two)).toEqual([
      { path: 'a.txt', status: 'D' },
      { path: 'bin/run', status: 'M' },
    ]);
  });

  it('of many megabytes come in pieces, between small ones', async () => {
    const large = 'line of text\n'.repeat(300_000);
    const made = await change(root, file('a.txt', 'a'), file('b.txt', large), file('c.txt', ''), file('d.txt', 'd'));
    const entries = await untar(project, await repositories.treeOf(project, made));
    expect([...entries].map(([name, { body }]) => [name, body === large ? 'large' : body])).toEqual([
      ['a.txt', 'a'],
      ['b.txt', 'large'],
      ['c.txt', ''],
      ['d.txt', 'd'],
    ]);
  });

  it('may have names that look like options, quotes and other alphabets', async () => {
    const names = ['--upload-pack=x', '-rf', 'a b"c', "d'$(id)`e`", 'tab\there', 'ünïcode/日本', ':(exclude)x', '*'];
    const made = await change(root, ...names.map((name) => file(name, name)));
    const entries = await untar(project, await repositories.treeOf(project, made));
    expect([...entries.keys()].sort()).toEqual([...names].sort());
    for (const name of names) expect((await repositories.readFile(project, made, name, 100))?.toString()).toBe(name);
    expect(await repositories.readFile(project, made, ':(exclude)y', 100)).toBeNull();
  });

  it.each(['../x', '/etc/passwd', '.git/config', 'a/.GIT/hooks/x', 'a//b', './a', 'a\nb', 'git~1/x', ''])(
    'refuse the path %j',
    async (path) => {
      await expect(repositories.applyFiles(project, root, [file(path, 'x')])).rejects.toMatchObject({
        code: 'repository.path_refused',
        status: 422,
      });
    },
  );

  it('refuse a name twice, a folder over a file, and deleting what is not there', async () => {
    const base = await change(root, file('a', '1'));
    const refused = { code: 'repository.path_refused' };
    await expect(repositories.applyFiles(project, base, [file('b', '1'), file('b', '2')])).rejects.toMatchObject(
      refused,
    );
    await expect(repositories.applyFiles(project, base, [file('a/b', '1')])).rejects.toMatchObject(refused);
    await expect(repositories.applyFiles(project, base, [file('nothing', null)])).rejects.toMatchObject(refused);
    await expect(repositories.applyFiles(project, base, [file('a', null), file('a/b', '1')])).resolves.toMatch(
      /^[0-9a-f]{40}$/,
    );
  });

  it('are not read beyond the size that the caller can bear', async () => {
    const made = await change(root, file('big', 'x'.repeat(100)));
    await expect(repositories.readFile(project, made, 'big', 99)).rejects.toMatchObject({
      code: 'repository.file_too_large',
    });
  });

  it('all go into the tar, whatever attributes inside the tree say', async () => {
    const made = await change(
      root,
      file('.gitattributes', 'secret export-ignore\n*.txt text eol=crlf\nsubst export-subst\n'),
      file('secret', 'kept'),
      file('b.txt', 'a\nb\n'),
      file('subst', '$Format:%H$'),
      file(`${'long/'.repeat(60)}name`, 'deep'),
    );
    const entries = await untar(project, await repositories.treeOf(project, made));
    expect(entries.get('secret')?.body).toBe('kept');
    expect(entries.get('b.txt')?.body).toBe('a\nb\n');
    expect(entries.get('subst')?.body).toBe('$Format:%H$');
    expect(entries.get(`${'long/'.repeat(60)}name`)?.body).toBe('deep');
  });
});

describe('patches', () => {
  const diff = (path: string, body: string) => `diff --git a/${path} b/${path}\n${body}`;
  it('apply to their base, also when they end without a newline', async () => {
    const base = await change(root, file('a', '1\n2\n3\n'));
    const tree = await repositories.applyPatch(
      project,
      base,
      diff('a', '--- a/a\n+++ b/a\n@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3'),
    );
    expect((await repositories.readFile(project, tree, 'a', 100))?.toString()).toBe('1\ntwo\n3\n');
  });
  it.each([
    [
      'another base',
      diff('a', '--- a/a\n+++ b/a\n@@ -1,3 +1,3 @@\n x\n-y\n+z\n w\n'),
      'repository.patch_does_not_apply',
    ],
    ['no patch at all', 'hello', 'repository.patch_does_not_apply'],
    ['a path outside', '--- a/../x\n+++ b/../x\n@@ -0,0 +1 @@\n+x\n', 'repository.patch_does_not_apply'],
    [
      '.git',
      diff('.git/config', 'new file mode 100644\n--- /dev/null\n+++ b/.git/config\n@@ -0,0 +1 @@\n+x\n'),
      'repository.patch_does_not_apply',
    ],
    [
      'a symbolic link',
      diff(
        'l',
        'new file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc/passwd\n\\ No newline at end of file\n',
      ),
      'repository.path_refused',
    ],
    [
      'a submodule',
      diff('s', `new file mode 160000\n--- /dev/null\n+++ b/s\n@@ -0,0 +1 @@\n+Subproject commit ${'a'.repeat(40)}\n`),
      'repository.path_refused',
    ],
  ])('are refused with a reason: %s', async (_, patch, code) => {
    const base = await change(root, file('a', '1\n2\n3\n'));
    await expect(repositories.applyPatch(project, base, patch)).rejects.toMatchObject({ code, status: 422 });
  });
});

describe('merges', () => {
  const lines = (...changed: Array<[number, string]>) => {
    const all = Array.from({ length: 30 }, (_, n) => `line ${n + 1}`);
    for (const [at, text] of changed) all[at - 1] = text;
    return `${all.join('\n')}\n`;
  };
  it('of separate places are clean', async () => {
    const base = await change(root, file('f', lines()));
    const ours = await change(base, file('f', lines([2, 'ours'])));
    const theirs = await change(base, file('f', lines([28, 'theirs'])));
    const merged = await repositories.mergeTree(project, ours, theirs);
    if (!merged.clean) throw new Error('expected a clean merge');
    expect((await repositories.readFile(project, merged.tree, 'f', 10_000))?.toString()).toBe(
      lines([2, 'ours'], [28, 'theirs']),
    );
  });
  it('of one place tell what each side wrote and where', async () => {
    const base = await change(root, file('f', lines()), file('<<<<<<< x', 'a\n'));
    const ours = await change(base, file('f', lines([5, 'ours'], [20, 'ours too'])));
    const theirs = await change(base, file('f', lines([5, 'theirs'], [20, 'theirs too'])));
    expect(await repositories.mergeTree(project, ours, theirs)).toEqual({
      clean: false,
      conflicts: [
        { path: 'f', startLine: 5, base: 'line 5\n', ours: 'ours\n', theirs: 'theirs\n' },
        { path: 'f', startLine: 20, base: 'line 20\n', ours: 'ours too\n', theirs: 'theirs too\n' },
      ],
    });
  });
  it('tell deletions, additions on both sides and binary files in short words', async () => {
    const base = await change(root, file('gone', 'a\n'), file('bin', 'AAEC', { encoding: 'base64' }));
    const ours = await change(
      base,
      file('gone', null),
      file('bin', 'AAED', { encoding: 'base64' }),
      file('new', 'ours\n'),
    );
    const theirs = await change(
      base,
      file('gone', 'b\n'),
      file('bin', 'AAEE', { encoding: 'base64' }),
      file('new', 'theirs\n'),
    );
    const merged = await repositories.mergeTree(project, ours, theirs);
    if (merged.clean) throw new Error('expected conflicts');
    const of = (path: string) => merged.conflicts.find((hunk) => hunk.path === path);
    expect(of('gone')).toMatchObject({ base: 'a\n', ours: '[not there]', theirs: 'b\n' });
    expect(of('bin')?.theirs).toMatch(/^\[a binary file [0-9a-f]{40}\]$/);
    expect(of('new')).toMatchObject({ base: '', ours: 'ours\n', theirs: 'theirs\n', startLine: 1 });
  });
});

describe('reverts', () => {
  it('take back one landed commit and keep what came after', async () => {
    const before = await change(root, file('a', '1\n'), file('b', '1\n'));
    const landed = await change(before, file('a', '2\n'), file('new', 'x\n'));
    const head = await change(landed, file('b', '2\n'));
    const reverted = await repositories.revertTree(project, head, landed, before);
    if (!reverted.clean) throw new Error('expected a clean revert');
    expect(await repositories.diffFiles(project, before, reverted.tree)).toEqual([{ path: 'b', status: 'M' }]);
  });
  it('say so when later work stands on what is to go', async () => {
    const before = await change(root, file('a', '1\n'));
    const landed = await change(before, file('a', '2\n'));
    const head = await change(landed, file('a', '3\n'));
    expect(await repositories.revertTree(project, head, landed, before)).toEqual({
      clean: false,
      conflicts: [{ path: 'a', startLine: 1, base: '2\n', ours: '3\n', theirs: '1\n' }],
    });
  });
});

describe('commits and notes', () => {
  it('keep hostile messages and names as text', async () => {
    const made = await repositories.commitTree(project, {
      tree: await repositories.treeOf(project, root),
      parents: [root],
      message: '--amend\n\n-F /etc/passwd\0\n\nMuster-Task: task_1\nMuster-Task: task_2\n',
      author: { name: 'x <y>\ncommitter evil', email: '' },
      committer: someone,
      date: new Date(0),
    });
    expect(await repositories.log(project, root, made, 10)).toEqual([
      expect.objectContaining({
        commit: made,
        parents: [root],
        subject: '--amend',
        author: { name: 'x  y  committer evil', email: 'unknown@localhost' },
        trailers: { 'Muster-Task': ['task_1', 'task_2'] },
      }),
    ]);
  });
  it('list first parents only, newest first, up to the limit', async () => {
    const one = await change(root, file('a', '1'));
    const side = await change(root, file('b', '1'));
    const two = await commit(await repositories.treeOf(project, one), [one, side]);
    expect((await repositories.log(project, null, two, 10)).map((c) => c.commit)).toEqual([two, one, root]);
    expect((await repositories.log(project, null, two, 1)).map((c) => c.commit)).toEqual([two]);
  });
  it('are all kept when many are written at once, and git itself reads them', async () => {
    const commits = await Promise.all(Array.from({ length: 5 }, (_, n) => change(root, file('note', String(n)))));
    await Promise.all(commits.map((id) => repositories.addNote(project, 'refs/notes/muster', id, `note on ${id}\n`)));
    for (const id of commits) {
      expect(await repositories.readNote(project, 'refs/notes/muster', id)).toBe(`note on ${id}\n`);
      expect(await git.text(repositories.path(project), ['notes', '--ref=refs/notes/muster', 'show', id])).toBe(
        `note on ${id}`,
      );
    }
    expect(await repositories.readNote(project, 'refs/notes/muster', root)).toBeNull();
  });
});

describe('what processes of git that stay are asked', () => {
  const raw = (id: string) => git.text(repositories.path(project), ['cat-file', '-p', id]);

  it('makes the commits of git commit-tree, byte for byte', async () => {
    const tree = await repositories.emptyTree(project);
    const names = ['Ada', ' . "Ada" Lovelace, ', 'a <b> c', 'Zoë\u0007 Ünï', '\\x'];
    for (const name of names) {
      const who = { name, email: `${name.length}.@example.org;` };
      const date = new Date(1_700_000_000_999);
      const message = '\n  Subject \n\n body — ünï\n\n\n';
      const made = await repositories.commitTree(project, {
        tree, parents: [root, root], message, author: who, committer: someone, date,
      }); // prettier-ignore
      const control = (text: string) => text.replace(/[\p{Cc}<>]/gu, ' ').trim();
      const theirs = await git.text(
        repositories.path(project),
        ['commit-tree', tree, '-p', root, '-p', root, '-F', '-'],
        {
          input: `${message.trimEnd()}\n`,
          env: {
            GIT_AUTHOR_NAME: control(who.name), GIT_AUTHOR_EMAIL: control(who.email), GIT_AUTHOR_DATE: '@1700000000 +0000',
            GIT_COMMITTER_NAME: someone.name, GIT_COMMITTER_EMAIL: someone.email, GIT_COMMITTER_DATE: '@1700000000 +0000',
          },
        },
      ); // prettier-ignore
      expect(await raw(made)).toBe(await raw(theirs));
      expect(made).toBe(theirs);
    }
    const nameless = await repositories.commitTree(project, {
      tree, parents: [], message: 'x', author: { name: '<.>', email: '' }, committer: someone, date: new Date(0),
    }); // prettier-ignore
    expect(await raw(nameless)).toContain('author unknown <unknown@localhost> 0 +0000');
  });

  it('is refused for a commit on what is not there', async () => {
    const made = { message: 'x', author: someone, committer: someone, date: new Date(0) };
    const gone = 'e'.repeat(40);
    const tree = await repositories.emptyTree(project);
    await expect(repositories.commitTree(project, { ...made, tree, parents: [gone] })).rejects.toThrow(gone);
    await expect(repositories.commitTree(project, { ...made, tree: gone, parents: [] })).rejects.toThrow(gone);
    await expect(repositories.commitTree(project, { ...made, tree: root, parents: [tree] })).rejects.toThrow(tree);
  });

  it('is answered in order, whatever was refused or conflicted before', async () => {
    const base = await change(root, file('a', '1\n'), file('b', '1\n'));
    const [ours, theirs, beside] = [
      await change(base, file('a', 'ours\n')),
      await change(base, file('a', 'theirs\n')),
      await change(base, file('b', 'theirs\n')),
    ];
    const alone = await commit(await repositories.treeOf(project, base), []);
    const asked = await Promise.allSettled([
      repositories.mergeTree(project, ours, theirs),
      repositories.mergeTree(project, ours, beside),
      repositories.mergeTree(project, ours, alone),
      repositories.mergeTree(project, ours, ours),
      repositories.mergeTree(project, beside, theirs),
      repositories.conflictingPaths(project, theirs, ours),
      repositories.conflictingPaths(project, theirs, beside),
    ]);
    const clean = await change(base, file('a', 'ours\n'), file('b', 'theirs\n'));
    expect(asked[0]).toMatchObject({ value: { clean: false, conflicts: [{ path: 'a', ours: 'ours\n' }] } });
    expect(asked[1]).toEqual({
      status: 'fulfilled',
      value: { clean: true, tree: await repositories.treeOf(project, clean) },
    });
    expect(asked[2]).toMatchObject({ status: 'rejected', reason: { exitCode: 128 } });
    expect(asked[3]).toMatchObject({ value: { clean: true, tree: await repositories.treeOf(project, ours) } });
    expect(asked[4]).toMatchObject({ value: { clean: true } });
    expect(asked[5]).toMatchObject({ value: ['a'] });
    expect(asked[6]).toMatchObject({ value: [] });
  });

  it('is answered whole, however much it is', async () => {
    const body = 'x'.repeat(3_000_000);
    const many = Array.from({ length: 3_000 }, (_, at) => file(`many/${at}`, `${at}`));
    const made = await change(root, file('big', body), file('end', ''), ...many);
    expect((await repositories.readFile(project, made, 'big', 5_000_000))?.equals(Buffer.from(body))).toBe(true);
    expect((await repositories.readFile(project, made, 'many/2999', 10))?.toString()).toBe('2999');
    expect(await repositories.diffFiles(project, root, made)).toHaveLength(3_002);
  });

  it('keeps names that are no UTF-8 as they are', async () => {
    const dir = repositories.path(project);
    const blob = await git.text(dir, ['hash-object', '-w', '--stdin'], { input: 'x' });
    const odd = await git.text(dir, ['mktree', '-z'], {
      input: Buffer.concat([Buffer.from(`100644 blob ${blob}\t`), Buffer.from([0xff, 0xfe]), Buffer.from('\0')]),
    });
    const made = await change(await commit(odd, [root]), file('b', '1'));
    const { stdout } = await git.run(dir, ['ls-tree', '-z', '--name-only', made]);
    expect(stdout.equals(Buffer.from([98, 0, 0xff, 0xfe, 0]))).toBe(true);
  });

  it('is asked of another process when the one that stayed was ended', async () => {
    const id = await fresh();
    const made = await commit(await repositories.emptyTree(id), [], 'One', id);
    const other = await commit(await repositories.emptyTree(id), [made], 'Two', id);
    await repositories.remove(id);
    await repositories.create(id, 'main');
    expect(await repositories.refs(id, 'refs')).toEqual([]);
    await expect(repositories.commit(id, other)).rejects.toThrow(other);
    expect(await commit(await repositories.emptyTree(id), [], 'One', id)).toBe(made);
    expect(await repositories.updateRef(id, 'refs/heads/main', made, NOTHING)).toBe(true);
    git.onApplicationShutdown();
    expect(await repositories.updateRef(id, 'refs/heads/main', NOTHING, made)).toBe(true);
    expect(await repositories.resolve(id, 'refs/heads/main')).toBeNull();
  });

  it('tells commits as git log does', async () => {
    const changes = new Changes(git, repositories);
    const base = await change(root, file('a', '1'));
    const tree = await repositories.treeOf(project, await change(base, file('a', '2')));
    const one = await commit(tree, [base], '  Subject \n\nwith a body\nof lines');
    const two = await commit(await repositories.treeOf(project, base), [one], 'Back\n');
    const logged = await git.run(repositories.path(project), [
      'log', '-z', '--reverse', '--format=%H%n%T%n%P%n%B', two, `^${base}`,
    ]); // prettier-ignore
    const told = await changes.commitsOf(project, base, two);
    expect(told?.map((c) => [c.commit, c.tree, ...c.parents, c.message].join('\n'))).toEqual(
      logged.stdout.toString().split('\0').filter(Boolean),
    );
    const side = await commit(tree, [root], 'Side');
    const joined = await commit(tree, [two, side], 'Joined');
    expect(new Set((await changes.commitsOf(project, base, joined))?.map((c) => c.commit))).toEqual(
      new Set([one, two, side, joined]),
    );
    expect(await repositories.isAncestor(project, base, joined)).toBe(true);
    expect(await repositories.isAncestor(project, side, joined)).toBe(true);
    expect(await repositories.isAncestor(project, joined, base)).toBe(false);
  });
});

describe('a repository', () => {
  it('has its safety settings, checks what it is sent and lives only below the data folder', async () => {
    const id = await fresh();
    await repositories.create(id, 'main');
    const settings = await git.text(repositories.path(id), ['config', '--list', '--includes']);
    expect(settings).toContain('core.fsync=committed,reference');
    expect(settings).toContain('receive.fsckobjects=true');
    expect(await readFile(join(repositories.path(id), 'HEAD'), 'utf8')).toBe('ref: refs/heads/main\n');
    expect(() => repositories.path('../../etc')).toThrow();
    await repositories.remove(id);
    expect(await repositories.exists(id)).toBe(false);
  });
});
