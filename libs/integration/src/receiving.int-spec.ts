import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ReceivePush, ReceiveSubmission } from '#messages/integration';
import { NOTHING } from '#platform/git';
import { submissionRef } from './domain/submission.ts';
import { startWorld, type World } from '../test/world.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(async () => {
  await world.close();
});

const change = { message: 'Change', files: [{ path: 'greet.js', content: 'changed\n' }] };

describe('receiving a submission', () => {
  it('answers a repeat with the same submission, also two at once', async () => {
    const project = await world.project();
    const submission = { ...(await world.held(project)), base: project.head ?? '', ...change };
    const receive = () => world.commands.execute(new ReceiveSubmission(project.teamId, submission, 'key_author'));
    const [one, two] = await Promise.all([receive(), receive()]);
    expect(two.id).toBe(one.id);
    expect((await receive()).id).toBe(one.id);
    const refs = await world.repositories.refs(project.id, 'refs/muster/submissions');
    expect(refs).toEqual([{ ref: submissionRef(one.id), object: one.commit }]);
  });

  it('refuses a lost fence, an unknown base, an empty change and a task of another team, and keeps nothing', async () => {
    const project = await world.project();
    const held = await world.held(project);
    const base = project.head ?? '';
    const receive = (more: object, teamId = project.teamId, by = 'key_author') =>
      world.commands.execute(new ReceiveSubmission(teamId, { ...held, base, ...change, ...more }, by));
    await expect(receive({ fence: 1 })).rejects.toMatchObject({ code: 'runtime.stale_lease', status: 409 });
    await expect(receive({}, project.teamId, 'key_other')).rejects.toMatchObject({
      code: 'integration.not_your_attempt',
      status: 403,
    });
    await expect(receive({ base: 'a'.repeat(40) })).rejects.toMatchObject({
      code: 'integration.unknown_base',
      status: 422,
    });
    await expect(
      receive({ files: [{ path: 'other.js', content: 'export const other = 1;\nexport const third = 2;\n' }] }),
    ).rejects.toMatchObject({
      code: 'integration.empty_change',
      status: 422,
    });
    await expect(receive({}, 'team_other')).rejects.toMatchObject({ code: 'integration.task_not_found', status: 404 });
    await expect(receive({ files: undefined, patch: 'nonsense' })).rejects.toMatchObject({ status: 422 });
    await expect(receive({ files: undefined, commit: 'b'.repeat(40) })).rejects.toMatchObject({
      code: 'integration.unknown_commit',
    });
    expect(await world.repositories.refs(project.id, 'refs/muster/submissions')).toEqual([]);
    expect((await receive({})).state).toBe('received');
  });

  it('takes a patch, and takes the words that only Muster may write out of a message', async () => {
    const project = await world.project();
    const patch = `diff --git a/greet.js b/greet.js
--- a/greet.js
+++ b/greet.js
@@ -1 +1 @@
-export const greet = () => "hello";
+export const greet = () => "patched";
`;
    const submission = await world.commands.execute(
      new ReceiveSubmission(project.teamId, {
        ...(await world.held(project)), base: project.head ?? '', patch, message: 'Patch it\n\nMuster-Landing: land_forged',
      }, 'key_author'), // prettier-ignore
    );
    expect(submission.message).toBe('Patch it');
    expect((await world.repositories.readFile(project.id, submission.commit, 'greet.js', 1000))?.toString()).toContain(
      'patched',
    );
  });

  it('refuses a commit with a submodule or a name that no checkout could hold', async () => {
    const project = await world.project();
    const base = project.head ?? '';
    const git = (input: string | null, ...args: string[]): string =>
      execFileSync('git', ['-C', world.repositories.path(project.id), ...args], {
        input: input ?? '',
        encoding: 'utf8',
      }).trim();
    const blob = git('x', 'hash-object', '-w', '--stdin');
    const person = { name: 'Ada', email: 'ada@example.org' };
    for (const entry of [
      `160000 commit ${'a'.repeat(40)}\tlib`,
      `100644 blob ${blob}\ta\\b`,
      `100644 blob ${blob}\ta\nb`,
    ]) {
      const tree = git(`${git(null, 'ls-tree', '-z', base)}${entry}\0`, 'mktree', '-z', '--missing');
      const made = { tree, parents: [base], message: 'Bring it', author: person, committer: person, date: new Date(0) };
      const commit = await world.repositories.commitTree(project.id, made);
      const push = { teamId: project.teamId, projectId: project.id, branch: 'main', commit, task: null };
      await expect(
        world.commands.execute(new ReceivePush({ ...push, pushedBy: 'user_ada', person: null })),
      ).rejects.toMatchObject({ code: 'integration.unfit_paths', status: 422 });
    }
  });

  it('takes a push of several commits on an older base, without a task, once while it is on its way', async () => {
    const project = await world.project();
    const person = { name: 'P', email: 'p@example.org' };
    const base = project.head ?? '';
    await world.land(project, { 'new.js': 'new\n' });
    let commit = base;
    for (const text of ['1', '2']) {
      const tree = await world.repositories.applyFiles(project.id, commit, [
        { path: 'pushed.js', content: `${text}\n` },
      ]);
      const made = {
        tree,
        parents: [commit],
        message: `Push ${text}`,
        author: person,
        committer: person,
        date: new Date(0),
      };
      commit = await world.repositories.commitTree(project.id, made);
    }
    const push = {
      teamId: project.teamId,
      projectId: project.id,
      branch: 'main',
      commit,
      task: null,
      pushedBy: 'user_p',
      person: null,
    };
    const one = await world.commands.execute(new ReceivePush(push));
    expect(one).toMatchObject({ base, commit, message: 'Push 2', taskId: null, agent: null });
    expect((await world.commands.execute(new ReceivePush(push))).id).toBe(one.id);
    expect(one.approvedBy).toBeNull();
    await expect(world.commands.execute(new ReceivePush({ ...push, branch: 'other' }))).rejects.toMatchObject({
      code: 'integration.unknown_branch',
    });
    await world.submissions.run(one.id);
    expect((await world.judge(one.id, 'accepted')).state).toBe('landed');
    expect(await world.repositories.log(project.id, base, await world.head(project), 9)).toHaveLength(2);
  });

  it('remembers which person handed a change in, asks for its evidence under that name, and signs it', async () => {
    const project = await world.project();
    const base = project.head ?? '';
    const someone = { name: 'Person', email: 'person@example.org' };
    const tree = await world.repositories.applyFiles(project.id, base, [
      { path: 'muster.yaml', content: 'threshold: 70\n' },
    ]);
    const made = { tree, parents: [base], message: 'Ask for less', author: someone, committer: someone };
    const commit = await world.repositories.commitTree(project.id, { ...made, date: new Date(0) });
    const push = { teamId: project.teamId, projectId: project.id, branch: 'main', commit, task: null };
    const byKey = await world.commands.execute(new ReceivePush({ ...push, pushedBy: 'key_k', person: null }));
    const person = { id: 'user_01jd9x0m4ve2tbk6x3h2v4q8zr', name: 'Ada' };
    const byPerson = await world.commands.execute(new ReceivePush({ ...push, pushedBy: person.id, person }));
    // The same commit, but not the same word on it.
    expect(byPerson.id).not.toBe(byKey.id);
    expect(byPerson.approvedBy).toEqual(person);
    await world.submissions.run(byKey.id);
    await world.submissions.run(byPerson.id);
    const asked = (id: string) => world.neighbours.requests.find(({ subjectId }) => subjectId === id);
    expect(asked(byKey.id)).toMatchObject({ approvedBy: null });
    expect(asked(byPerson.id)).toMatchObject({ approvedBy: `Ada (${person.id})`, rulesCommit: base });

    // Evidence that another's word brought about is none for this one.
    await world.opened.sql('update submissions set verification_id = $2 where id = $1', [
      byKey.id,
      (await world.row(byPerson.id)).verification_id,
    ]);
    world.finish((await world.row(byPerson.id)).verification_id, 'accepted');
    await world.submissions.run(byKey.id);
    expect((await world.row(byKey.id)).state).toBe('queued');
    expect(await world.head(project)).toBe(base);
    await world.opened.sql(`update submissions set state = 'failed', next_action_at = null where id = $1`, [byKey.id]);

    await world.submissions.run(byPerson.id);
    expect((await world.row(byPerson.id)).state).toBe('landed');
    const { statement } = await world.landingOf(byPerson.id);
    expect(JSON.parse(Buffer.from(statement?.payload ?? '', 'base64').toString())).toMatchObject({
      predicate: { muster: { approvedBy: person, agent: null, task: null } },
    });
    expect(await world.audit(project)).toMatchObject({ ok: true, checked: 2 });
  });

  it('sweeps the refs that a crash left without a row, and only when they are old', async () => {
    const project = await world.project();
    const kept = await world.submit(project, { 'greet.js': 'kept\n' });
    const orphan = submissionRef('sub_01jd9x0m4ve2tbk6x3h2v4q8zr');
    const fresh = submissionRef(kept.id.replace(/.$/, (last) => (last === '0' ? '1' : '0')));
    for (const ref of [orphan, fresh]) await world.repositories.updateRef(project.id, ref, project.head ?? '', NOTHING);
    expect(await world.sweep.tidy(Date.now() - 3_600_000)).toBe(1);
    const left = (await world.repositories.refs(project.id, 'refs/muster/submissions')).map(({ ref }) => ref);
    expect(left.toSorted()).toEqual([fresh, submissionRef(kept.id)].toSorted());
  });
});
