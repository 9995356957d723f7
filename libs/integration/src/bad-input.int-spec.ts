import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ReceivePush } from '#messages/integration';
import type { ProjectRecord } from '#messages/projects';
import { FILES, startWorld, type World } from '../test/world.ts';

let world: World;
let folder: string;
beforeAll(async () => {
  world = await startWorld();
  folder = mkdtempSync(join(tmpdir(), 'muster-bad-input-'));
});
afterAll(async () => {
  await world.close();
  rmSync(folder, { recursive: true, force: true });
});

const who = { name: 'Mallory', email: 'm@example.org' };
const gitIn = (project: ProjectRecord, input: string | Buffer, ...args: string[]): string =>
  execFileSync('git', ['-C', world.repositories.path(project.id), ...args], {
    input,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['pipe', 'pipe', 'pipe'],
  }).trim();
/** A commit as anybody's git may make it, with entries that ours would not. */
const commitWith = async (
  project: ProjectRecord,
  entries: readonly string[],
  more: { parents?: string[]; message?: string } = {},
): Promise<string> => {
  const head = await world.head(project);
  const listed = gitIn(project, '', 'ls-tree', '-z', head);
  const tree = gitIn(project, `${listed}${entries.map((entry) => `${entry}\0`).join('')}`, 'mktree', '-z', '--missing');
  const { parents = [head], message = 'Bring it' } = more;
  return await world.repositories.commitTree(project.id, { tree, parents, message, author: who, committer: who, date: new Date(0) });
}; // prettier-ignore
const blob = (project: ProjectRecord, content: string | Buffer): string =>
  gitIn(project, content, 'hash-object', '-w', '--stdin');
const push = (project: ProjectRecord, commit: string, branch = 'main') =>
  world.commands.execute(
    new ReceivePush({ teamId: project.teamId, projectId: project.id, branch, commit, task: null, pushedBy: 'user_m', person: null }),
  ); // prettier-ignore
/** Whatever was tried: the branch is where it was, and nothing is kept. */
const untouched = async (project: ProjectRecord, attempt: () => Promise<unknown>, code: string): Promise<void> => {
  const before = await world.head(project);
  const [{ count } = { count: 0 }] = await world.opened.sql<{ count: number }>(`select count(*)::int as count from submissions`);
  await expect(attempt()).rejects.toMatchObject({ code, status: 422 });
  expect(await world.head(project)).toBe(before);
  expect(await world.opened.sql(`select count(*)::int as count from submissions`)).toEqual([{ count }]);
}; // prettier-ignore
const landed = async (submissionId: string): Promise<void> => {
  await world.submissions.run(submissionId);
  expect((await world.judge(submissionId, 'accepted')).state).toBe('landed');
};
const contentOf = (project: ProjectRecord, ref: string, path: string): Buffer =>
  execFileSync('git', ['-C', world.repositories.path(project.id), 'cat-file', 'blob', `${ref}:${path}`]);

describe('what looks like an option', () => {
  it('in paths and messages is text, and lands byte by byte', async () => {
    const project = await world.project();
    const names = ['--force', '-rf', '--output=x', ':(exclude)greet.js', 'a b"c\'d$(touch x)`y`', '-', 'HEAD', '@{-1}'];
    const files = Object.fromEntries(names.map((name) => [name, `${name}\n`]));
    const submission = await world.submit(project, files);
    await world.opened.sql(`update submissions set message = $2 where id = $1`, [
      submission.id,
      '--amend --author="Eve <e@e>"\n\n-m; rm -rf /\n$(id)',
    ]);
    await landed(submission.id);
    const head = await world.head(project);
    for (const name of names)
      expect((await world.repositories.readFile(project.id, head, name, 1000))?.toString()).toBe(`${name}\n`);
    const message = gitIn(project, '', 'log', '-1', '--format=%B', head);
    expect(message).toContain('--amend --author="Eve <e@e>"\n\n-m; rm -rf /\n$(id)');
    expect(await world.audit(project)).toMatchObject({ ok: true });
  });

  it.each(['--upload-pack=touch x', '-d', 'main --force', 'refs/heads/main:refs/heads/x', '../../x', 'main.lock'])(
    'in the name of a branch (%s) is no branch',
    async (branch) => {
      const project = await world.project();
      const commit = await commitWith(project, [`100644 blob ${blob(project, 'x')}\tx.js`]);
      await untouched(project, () => push(project, commit, branch), 'integration.unknown_branch');
    },
  );
});

describe('a commit that holds', () => {
  it.each(['.GIT', '.Git', '.g\u200cit', '.gi\u200dt', '\ufeff.git', 'git~1', 'GIT~2', '.git ', '.git.', '.git. .', '.git::$INDEX_ALLOCATION'])(
    'a twin of .git (%j) is refused',
    async (name) => {
      const project = await world.project();
      const tree = gitIn(project, `100644 blob ${blob(project, '[core]\n\tfsmonitor = touch x\n')}\tconfig\0`, 'mktree', '-z');
      const commit = await commitWith(project, [`040000 tree ${tree}\t${name}`]);
      await untouched(project, () => push(project, commit), 'integration.unfit_paths');
    },
  ); // prettier-ignore

  it('a submodule is refused', async () => {
    const project = await world.project();
    const commit = await commitWith(project, [`160000 commit ${'a'.repeat(40)}\tlib`]);
    await untouched(project, () => push(project, commit), 'integration.unfit_paths');
  });

  it('symbolic links lands them as links, and follows none', async () => {
    const project = await world.project();
    const commit = await commitWith(project, [
      `120000 blob ${blob(project, '/etc/passwd')}\tpasswd`,
      `120000 blob ${blob(project, '../../../../muster.config')}\tup`,
    ]);
    await landed((await push(project, commit)).id);
    const head = await world.head(project);
    expect(await world.repositories.readFile(project.id, head, 'passwd', 1_000_000)).toBeNull();
    expect(contentOf(project, head, 'passwd').toString()).toBe('/etc/passwd');
  });

  it('attributes, filters, hooks and settings runs none of them and lands the bytes that were handed in', async () => {
    const project = await world.project();
    const marker = join(folder, 'ran');
    const body = 'line one\r\nline two\n$Id$\n';
    const files = {
      '.gitattributes': '* filter=evil ident text eol=crlf working-tree-encoding=UTF-16\ngreet.js export-ignore export-subst\n',
      'hooks/pre-receive': `#!/bin/sh\ntouch ${marker}\n`,
      'hooks/update': `#!/bin/sh\ntouch ${marker}\nexit 1\n`,
      config: `[filter "evil"]\n\tclean = touch ${marker}\n\tsmudge = touch ${marker}\n[core]\n\tfsmonitor = touch ${marker}\n\thooksPath = hooks\n`,
      '.gitconfig': `[alias]\n\tlog = !touch ${marker}\n`,
      'greet.js': body,
    };
    await landed((await world.submit(project, files)).id);
    const head = await world.head(project);
    for (const [path, content] of Object.entries(files)) expect(contentOf(project, head, path).toString()).toBe(content);
    // What comes after is merged and checked with them in the tree.
    await world.land(project, { 'later.js': 'x\n' });
    expect(existsSync(marker)).toBe(false);
  }); // prettier-ignore

  it('attributes that would merge by themselves still conflicts', async () => {
    const project = await world.project();
    await world.land(project, { '.gitattributes': '* merge=union\ngreet.js merge=ours\n' });
    const base = await world.head(project);
    const mine = await world.submit(project, { 'greet.js': 'mine\n' }, base);
    await world.land(project, { 'greet.js': 'theirs\n' });
    await world.submissions.run(mine.id);
    expect((await world.row(mine.id)).state).toBe('conflicted');
  });

  it('an enormous file lands as what it is, and is read by nobody who does not ask for so much', async () => {
    const project = await world.project();
    const size = 48 * 1024 * 1024;
    const commit = await commitWith(project, [`100644 blob ${blob(project, Buffer.alloc(size, 'x'))}\thuge.bin`]);
    await landed((await push(project, commit)).id);
    const head = await world.head(project);
    await expect(world.repositories.readFile(project.id, head, 'huge.bin', 1_000_000)).rejects.toMatchObject({ status: 422 });
    // A conflict in it is told in short words.
    const base = head;
    const other = await commitWith(project, []);
    expect(other).not.toBe(base);
    const mine = await world.submit(project, { 'huge.bin': 'small\n' }, base);
    await world.land(project, { 'huge.bin': 'other\n' });
    await world.submissions.run(mine.id);
    const { conflicts } = await world.row(mine.id);
    expect(JSON.stringify(conflicts).length).toBeLessThan(100_000);
  }); // prettier-ignore
});

describe('history', () => {
  it('that was rewritten from the root is refused', async () => {
    const project = await world.project();
    const commit = await commitWith(project, [`100644 blob ${blob(project, 'x')}\tx.js`], { parents: [] });
    await untouched(project, () => push(project, commit), 'integration.unknown_base');
  });

  it('a base that is no ancestor of the branch is refused, and so is one that is no commit', async () => {
    const project = await world.project();
    const side = await commitWith(project, [`100644 blob ${blob(project, 'x')}\tside.js`]);
    await untouched(project, () => world.submit(project, { 'x.js': 'x\n' }, side), 'integration.unknown_base');
    await untouched(project, () => world.submit(project, { 'x.js': 'x\n' }, 'f'.repeat(40)), 'integration.unknown_base');
    await untouched(project, () => push(project, 'f'.repeat(40)), 'integration.unknown_commit');
  }); // prettier-ignore

  it('of a branch that was replaced meanwhile: what was made on the old one is not landed on the new one', async () => {
    const project = await world.project();
    const submission = await world.submit(project, { 'x.js': 'x\n' });
    await world.submissions.run(submission.id);
    const anew = await commitWith(project, [`100644 blob ${blob(project, 'y')}\ty.js`], { parents: [] });
    await world.repositories.updateRef(project.id, 'refs/heads/main', anew, await world.head(project));
    await world.judge(submission.id, 'accepted');
    expect(await world.head(project)).toBe(anew);
    expect((await world.row(submission.id)).state).not.toBe('landed');
  });
});

describe('two landings that race', () => {
  it('on one branch: both land, one after the other, and each tree is the verified one', async () => {
    const project = await world.project();
    const base = await world.head(project);
    const both = [await world.submit(project, { 'a.js': 'a\n' }, base), await world.submit(project, { 'b.js': 'b\n' }, base)];
    for (const { id } of both) await world.submissions.run(id);
    for (const { id } of both) world.finish((await world.row(id)).verification_id, 'accepted');
    await Promise.all(both.map(({ id }) => world.submissions.run(id)));
    for (let round = 0; round < 4; round += 1) {
      await world.settled();
      for (const { id } of both) {
        const row = await world.row(id);
        if (row.state === 'verifying') world.finish(row.verification_id, 'accepted');
      }
    }
    await world.settled();
    expect((await Promise.all(both.map(({ id }) => world.row(id)))).map(({ state }) => state)).toEqual(['landed', 'landed']);
    expect(await world.audit(project)).toMatchObject({ ok: true, checked: 3 });
  }); // prettier-ignore

  it('as two servers that finish the same intent: the branch moves once', async () => {
    const project = await world.project();
    const submission = await world.submit(project, { 'a.js': 'a\n' });
    await world.submissions.run(submission.id);
    const row = await world.row(submission.id);
    world.finish(row.verification_id, 'accepted');
    await world.opened.sql(
      `update submissions set state = 'queued', accepted_at = muster_now(), turn = nextval('submission_turns') where id = $1`,
      [submission.id],
    );
    const intents = await Promise.all([world.steps.intend(await world.row(submission.id)), world.steps.intend(await world.row(submission.id))]);
    const [intent] = intents.filter((each) => each !== null);
    if (intent === undefined) throw new Error('nobody intended it');
    expect(intents.filter((each) => each !== null)).toHaveLength(1);
    await Promise.all([world.steps.finish(intent), world.steps.finish(intent)]);
    expect(await world.head(project)).toBe(intent.commit);
    expect(await world.events(intent.id)).toEqual(['landing.landed']);
    expect(await world.audit(project)).toMatchObject({ ok: true, checked: 2 });
  }); // prettier-ignore
});

/** A small file system of its own needs rights that not everybody has who runs this. */
const smallDisk = ((): string | null => {
  const place = mkdtempSync(join(tmpdir(), 'muster-small-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m,mode=0777', 'tmpfs', place], { stdio: 'ignore' });
    return place;
  } catch {
    rmSync(place, { recursive: true, force: true });
    return null;
  }
})();
if (smallDisk === null)
  console.warn('SKIPPED: a disk that fills up; a tmpfs cannot be mounted here (it needs CAP_SYS_ADMIN).');

(smallDisk === null ? describe.skip : describe)('a disk that fills up', () => {
  const place = smallDisk ?? '';
  let full: World;
  beforeAll(async () => {
    full = await startWorld({ dataDir: place });
  });
  afterAll(async () => {
    await full?.close().catch(() => undefined);
    execFileSync('umount', [place]);
    rmSync(place, { recursive: true, force: true });
  });
  const ballast = join(place, 'ballast');
  const fill = (): void => {
    const { bavail, bsize } = statfsSync(place);
    try {
      writeFileSync(ballast, Buffer.alloc(bavail * bsize));
    } catch {
      // To the last byte, in smaller and smaller pieces.
    }
    for (let at = 0; at < 1000 && statfsSync(place).bavail > 0; at += 1)
      try {
        writeFileSync(`${ballast}${at}`, 'x');
      } catch {
        break;
      }
  };
  const free = (): void => {
    for (const name of execFileSync('ls', [place], { encoding: 'utf8' }).split('\n'))
      if (name.startsWith('ballast')) rmSync(join(place, name));
  };

  it('hands nothing in and says so, lands nothing half, and goes on once there is room', async () => {
    const project = await full.project(FILES);
    const waiting = await full.submit(project, { 'greet.js': 'accepted before\n' });
    await full.submissions.run(waiting.id);
    const before = await full.head(project);
    full.finish((await full.row(waiting.id)).verification_id, 'accepted');
    fill();
    await expect(full.submit(project, { 'new.js': 'no room\n'.repeat(10_000) })).rejects.toMatchObject({ code: 'git.disk_full', status: 507 });
    await full.submissions.run(waiting.id);
    expect(await full.head(project)).toBe(before);
    expect((await full.row(waiting.id)).state).not.toBe('landed');
    expect((await full.row(waiting.id)).failures).toBeGreaterThan(0);
    free();
    for (let round = 0; round < 3; round += 1) {
      await full.due();
      await full.submissions.run(waiting.id);
    }
    expect((await full.row(waiting.id)).state).toBe('landed');
    const path = full.repositories.path(project.id);
    expect(execFileSync('git', ['-C', path, 'fsck', '--full', '--no-dangling', '--no-progress'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })).toBe('');
    expect(await full.audit(project)).toMatchObject({ ok: true });
    await full.land(project, { 'new.js': 'room\n' });
  }); // prettier-ignore
});
