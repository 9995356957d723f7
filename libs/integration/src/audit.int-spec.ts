import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TellAudit } from './commands/tell-audit.ts';
import { NOTES_REF } from './domain/landing.ts';
import { startWorld, type World } from '../test/world.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(async () => {
  await world.close();
});

const someone = { name: 'x', email: 'x@x' };
const two = async () => {
  const project = await world.project();
  const first = await world.land(project, { 'greet.js': 'one\n' });
  const second = await world.land(project, { 'greet.js': 'two\n' });
  expect(await world.audit(project)).toMatchObject({ ok: true, checked: 3 });
  return { project, first, second };
};
const problemsAt = async (project: Awaited<ReturnType<World['project']>>, commit: string): Promise<string> => {
  const report = await world.audit(project);
  expect(report.ok).toBe(false);
  return report.commits.find((c) => c.commit === commit)?.problems.join(' ') ?? '';
};

describe('the audit', () => {
  it('keeps the private key to this server, and publishes the public one', async () => {
    await two();
    const file = await stat(join(world.dataDir, 'keys', 'provenance-ed25519.pem'));
    expect(file.mode & 0o777).toBe(0o600);
    const rows = await world.database.sql<{ pem: string }>('select pem from provenance_keys');
    expect(rows).toHaveLength(1);
    expect(rows[0]?.pem).toContain('BEGIN PUBLIC KEY');
  });

  it('is told in the stream where it is asked to, and names what it found', async () => {
    const { project, second } = await two();
    const told = async () => {
      const report = await world.commands.execute(new TellAudit(project.id, 'user_ada'));
      const [event] = await world.database.sql<{ type: string; priority: string; data: Record<string, unknown> }>(
        `select type, priority, data from events where subject = $1 order by position desc limit 1`,
        [project.id],
      );
      return { report, event };
    };
    const well = await told();
    expect(well.report).toEqual(await world.audit(project));
    expect(well.event).toMatchObject({ type: 'landing.audit_passed', data: { checked: 3, wrong: 0, problems: [], by: 'user_ada' } }); // prettier-ignore
    const tree = await world.repositories.applyFiles(project.id, second.commit, [{ path: 'x', content: 'evil\n' }]);
    const forced = await world.repositories.commitTree(project.id, {
      tree, parents: [second.commit], message: 'Innocent', author: someone, committer: someone, date: new Date(0),
    }); // prettier-ignore
    await world.repositories.updateRef(project.id, 'refs/heads/main', forced, second.commit);
    const { report, event } = await told();
    expect(report.ok).toBe(false);
    expect(event).toMatchObject({
      type: 'landing.audit_failed',
      data: {
        wrong: 1,
        problems: [{ commit: forced, problems: [expect.stringContaining('no provenance')] }],
      },
    });
    expect(event?.priority).not.toBe(well.event?.priority);
  });

  it('finds a commit that was forced onto the branch', async () => {
    const { project, second } = await two();
    const tree = await world.repositories.applyFiles(project.id, second.commit, [
      { path: 'greet.js', content: 'evil\n' },
    ]);
    const forced = await world.repositories.commitTree(project.id, {
      tree, parents: [second.commit], message: 'Innocent', author: someone, committer: someone, date: new Date(0),
    }); // prettier-ignore
    await world.repositories.updateRef(project.id, 'refs/heads/main', forced, second.commit);
    expect(await problemsAt(project, forced)).toContain('no provenance');
  });

  it('finds a note whose words were changed, a note from another commit, and a note that is gone', async () => {
    const { project, first, second } = await two();
    const bundle = (await world.repositories.readNote(project.id, NOTES_REF, second.commit)) ?? '';
    const [summary = '', ...inputs] = bundle.trim().split('\n');
    const note = JSON.parse(summary) as { payload: string };
    const body = Buffer.from(note.payload, 'base64').toString().replace('"score":100', '"score":101');
    const changed = JSON.stringify({ ...note, payload: Buffer.from(body).toString('base64') });
    const tampered = [changed, ...inputs].join('\n');
    await world.repositories.addNote(project.id, NOTES_REF, second.commit, tampered);
    expect(await problemsAt(project, second.commit)).toContain('signature');
    await world.repositories.addNote(project.id, NOTES_REF, second.commit, [summary, inputs[0] ?? ''].join('\n'));
    expect(await problemsAt(project, second.commit)).toContain('not the ones beside it');

    const transplanted = (await world.repositories.readNote(project.id, NOTES_REF, first.commit)) ?? '';
    await world.repositories.addNote(project.id, NOTES_REF, second.commit, transplanted);
    expect(await problemsAt(project, second.commit)).toContain('it was moved here');

    await world.repositories.addNote(project.id, NOTES_REF, second.commit, 'hello');
    expect(await problemsAt(project, second.commit)).toContain('not a signed statement');
  });

  it('finds a branch that was moved back, and a landing that was left out of the chain', async () => {
    const { project, first, second } = await two();
    await world.repositories.updateRef(project.id, 'refs/heads/main', first.commit, second.commit);
    expect(await problemsAt(project, second.commit)).toContain('moved back');

    // The second one again, as if the first had never been: the same tree, the same note, another parent.
    const replayed = await world.repositories.commitTree(project.id, {
      tree: second.landed_tree, parents: [project.head ?? ''], message: second.message, author: someone, committer: someone, date: new Date(0),
    }); // prettier-ignore
    const note = (await world.repositories.readNote(project.id, NOTES_REF, second.commit)) ?? '';
    await world.repositories.addNote(project.id, NOTES_REF, replayed, note);
    await world.repositories.updateRef(project.id, 'refs/heads/main', replayed, first.commit);
    const problems = await problemsAt(project, replayed);
    expect(problems).toContain('it was moved here');
    expect(problems).toContain('The chain is broken');
  });

  it('finds records that were changed afterwards', async () => {
    const { project, second } = await two();
    const verification = world.neighbours.verifications.get(second.verification_id);
    if (verification === undefined) throw new Error('no verification');
    world.neighbours.verifications.set(verification.id, { ...verification, verdict: 'rejected' });
    expect(await problemsAt(project, second.commit)).toContain('says rejected');
    world.neighbours.verifications.set(verification.id, verification);
    await world.opened.sql(`update landings set statement_digest = 'x' where id = $1`, [second.id]);
    expect(await problemsAt(project, second.commit)).toContain('holds another statement');
  });

  it('finds a history that does not descend from the import', async () => {
    const { project, second } = await two();
    const orphan = await world.repositories.commitTree(project.id, {
      tree: second.landed_tree, parents: [], message: 'Fresh start', author: someone, committer: someone, date: new Date(0),
    }); // prettier-ignore
    await world.repositories.updateRef(project.id, 'refs/heads/main', orphan, second.commit);
    expect(await problemsAt(project, orphan)).toContain('history was rewritten');
  });
});
