import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { VerificationFacts } from '@muster/contracts';
import { readTrust, type Report, verifyProvenance } from '@muster/verify-provenance';
import { ExportTrust } from './queries/export-trust.ts';
import { RotateProvenanceKey } from './commands/rotate-provenance-key.ts';
import { FILES, startWorld, type World } from '../test/world.ts';

/** Statements as the forger rewrites them. */
interface Words {
  subject: Array<{ name: string; digest: { gitCommit: string; gitTree: string } }>;
  predicate: Record<string, unknown> & { muster: Record<string, unknown> };
}
interface Sealed {
  payloadType: string;
  payload: string;
  signatures: Array<{ keyid: string; sig: string }>;
}

let world: World;
let folder: string;
let genuine: string;
let trust: Record<string, unknown>;
/** The server's own key: what a forger with everything but git's hashes could do. */
let serverKey: KeyObject;
const line: string[] = [];

const git = (dir: string, ...args: string[]): string =>
  execFileSync('git', ['-C', dir, '-c', 'user.name=Mallory', '-c', 'user.email=m@example.org', ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();

const factsOf = (candidateTree: string, statuses: Record<string, string>): VerificationFacts => ({
  candidateTree,
  baseTree: null,
  rulesDigest: 'a'.repeat(64),
  toolchain: { digest: 'b'.repeat(64), node: '24', platform: 'linux-x64', sandbox: 'bubblewrap', gate: '0.1.0' },
  sandbox: { driver: 'bubblewrap', proven: true, notes: [] },
  checks: Object.entries(statuses).map(([check, status]) => ({
    check, category: 'tests' as const, status: status as 'passed', summary: '', findings: [], metrics: {}, tool: null, ms: 1,
  })), // prettier-ignore
  baseFailures: [],
  testCases: [{ name: 'greets', file: 'greet.test.js', status: 'passed', message: null, ms: 1 }],
  ms: 1,
});

beforeAll(async () => {
  world = await startWorld();
  folder = mkdtempSync(join(tmpdir(), 'muster-offline-'));
  const project = await world.project({ ...FILES, 'muster.yaml': 'threshold: 85\n' });
  const through = async (id: string): Promise<void> => {
    await world.submissions.run(id);
    const tree = (await world.row(id)).candidate_tree ?? '';
    const facts = factsOf(tree, { tests: 'passed', secrets: 'passed', lint: 'failed' });
    expect((await world.judge(id, 'accepted', { facts, required: ['tests', 'secrets'] })).state).toBe('landed');
    line.push(await world.head(project));
  };
  const agent = async (files: Record<string, string>): Promise<void> =>
    through((await world.submit(project, files)).id);
  await agent({ 'greet.js': 'one\n' });
  await agent({ 'greet.js': 'two\n' });
  world.neighbours.landing = { strategy: 'merge' };
  await through((await world.push(project, [{ 'm1.js': '1\n' }, { 'm2.js': '2\n' }])).id);
  world.neighbours.landing = { strategy: 'rebase' };
  await through((await world.push(project, [{ 'r1.js': '1\n' }, { 'r2.js': '2\n' }])).id);
  world.neighbours.landing = {};
  await agent({ 'greet.js': 'three\n' });

  genuine = join(folder, 'genuine');
  execFileSync('git', ['clone', '--quiet', world.repositories.path(project.id), genuine]);
  git(genuine, 'fetch', '--quiet', 'origin', 'refs/notes/muster:refs/notes/muster');
  trust = { ...(await world.queries.execute(new ExportTrust(project.id))), requiredChecks: ['tests'] };
  serverKey = createPrivateKey(readFileSync(join(world.dataDir, 'keys', 'provenance-ed25519.pem')));
});
afterAll(async () => {
  await world.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A copy of the clone for the forger to work in. */
class Forgery {
  readonly dir = mkdtempSync(join(folder, 'forgery-'));
  constructor() {
    cpSync(genuine, this.dir, { recursive: true });
  }
  note(commit: string): string {
    return git(this.dir, 'notes', '--ref=muster', 'show', commit);
  }
  write(commit: string, note: string): void {
    const file = join(this.dir, '.git', 'note');
    writeFileSync(file, note);
    git(this.dir, 'notes', '--ref=muster', 'add', '-f', '-F', file, commit);
  }
  sealed(commit: string): Sealed[] {
    return this.note(commit)
      .split('\n')
      .map((text) => JSON.parse(text) as Sealed);
  }
  put(commit: string, sealed: readonly Sealed[]): void {
    this.write(commit, sealed.map((each) => JSON.stringify(each)).join('\n'));
  }
  /** Signed anew, with the server's own key unless another is given; what the summary names is named anew too. */
  resign(
    commit: string,
    change: (summary: Words, test: Words, source: Words) => void,
    key: KeyObject = serverKey,
    onto = commit,
  ): void {
    const [summary, test, source] = this.sealed(commit).map(wordsOf) as [Words, Words, Words];
    change(summary, test, source);
    const inputs = [seal(test, key), seal(source, key)];
    summary.predicate['inputAttestations'] = inputs.map((each) => ({
      uri: 'urn:x',
      digest: { sha256: digestOf(each) },
    }));
    this.put(onto, [seal(summary, key), ...inputs]);
  }
  /** A commit like the last one, with some of it changed, in its place on the branch. */
  replaceTip(made: { tree?: string; parents?: string[]; message?: string }): string {
    const tip = line.at(-1) ?? '';
    const parents = made.parents ?? [line.at(-2) ?? ''];
    const commit = git(
      this.dir, 'commit-tree', made.tree ?? git(this.dir, 'rev-parse', `${tip}^{tree}`), ...parents.flatMap((parent) => ['-p', parent]),
      '-m', made.message ?? git(this.dir, 'log', '-1', '--format=%B', tip),
    ); // prettier-ignore
    git(this.dir, 'update-ref', 'refs/heads/main', commit);
    return commit;
  }
  verify(more: Record<string, unknown> = {}): Report {
    return verifyProvenance(this.dir, readTrust({ ...trust, ...more }));
  }
  reasons(more: Record<string, unknown> = {}): string[] {
    const { ok, refusals } = this.verify(more);
    expect(ok).toBe(false);
    return [...new Set(refusals.map(({ reason }) => reason))].sort();
  }
}
const wordsOf = ({ payload }: Sealed): Words => JSON.parse(Buffer.from(payload, 'base64').toString()) as Words;
const digestOf = ({ payload }: Sealed): string =>
  createHash('sha256').update(Buffer.from(payload, 'base64')).digest('hex');
function seal(words: Words, key: KeyObject): Sealed {
  const type = 'application/vnd.in-toto+json';
  const body = Buffer.from(JSON.stringify(words));
  const der = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const keyid = createHash('sha256').update(der).digest('hex');
  const encoded = Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${body.length} `), body]);
  return {
    payloadType: type,
    payload: body.toString('base64'),
    signatures: [{ keyid, sig: sign(null, encoded, key).toString('base64') }],
  };
}
const at = (place: number): string => line.at(place) ?? '';
const stranger = (): KeyObject => generateKeyPairSync('ed25519').privateKey;

describe('the offline verifier', () => {
  it('vouches for squashes, merges and rebases, with every commit that they brought', () => {
    expect(new Forgery().verify()).toEqual({
      ok: true, branch: 'main', head: at(-1), landings: 5, commits: 8, refusals: [],
    }); // prettier-ignore
  });

  it('is a program that needs a clone and a file, and says it in its exit code', () => {
    const forgery = new Forgery();
    const file = join(folder, 'trust.json');
    writeFileSync(file, JSON.stringify(trust));
    const program = resolve(import.meta.dirname, '../../../packages/verify-provenance/src/main.ts');
    const run = (...args: string[]): { code: number; out: string } => {
      try {
        return {
          code: 0,
          out: execFileSync(process.execPath, [program, ...args], { encoding: 'utf8', stdio: 'pipe' }),
        };
      } catch (error) {
        const { status, stdout } = error as { status: number; stdout: string };
        return { code: status, out: stdout };
      }
    };
    const good = run('--trust', file, '--repo', forgery.dir);
    expect(good).toMatchObject({ code: 0, out: expect.stringContaining('verified 5 landings, 8 commits of main') });
    git(forgery.dir, 'notes', '--ref=muster', 'remove', at(1));
    const bad = run('--trust', file, '--repo', forgery.dir, '--json');
    expect(bad.code).toBe(1);
    expect((JSON.parse(bad.out) as Report).refusals[0]).toMatchObject({ reason: 'note.missing', commit: at(1) });
    expect(run('--repo', forgery.dir).code).toBe(64);
    writeFileSync(file, '{"version":1}');
    expect(run('--trust', file, '--repo', forgery.dir).code).toBe(64);
  });

  describe.each<[forgery: string, reasons: string[], forge: (forgery: Forgery) => Record<string, unknown> | void]>([
    ['a note moved from another commit', ['chain.broken', 'chain.repeated', 'evidence.wrong_base', 'evidence.wrong_tree', 'landing.wrong_base', 'landing.wrong_parents', 'policy.wrong_source', 'statement.wrong_commit', 'statement.wrong_tree', 'trailer.forged', 'evidence.disagrees'],
      (forgery) => forgery.write(at(1), forgery.note(at(0)))],
    ['a landing replayed on top', ['chain.broken', 'chain.repeated', 'landing.wrong_base', 'landing.wrong_parents', 'statement.wrong_commit', 'evidence.wrong_base', 'policy.wrong_source', 'evidence.disagrees'],
      (forgery) => {
        const again = forgery.replaceTip({ parents: [at(-1)] });
        forgery.write(again, forgery.note(at(-1)));
      }],
    ['a removed note', ['chain.broken', 'note.missing'],
      (forgery) => void git(forgery.dir, 'notes', '--ref=muster', 'remove', at(1))],
    ['a commit forced onto the branch', ['note.missing'], (forgery) => void forgery.replaceTip({ parents: [at(-1)], message: 'Innocent' })],
    ['an amended commit under its old note', ['evidence.disagrees', 'statement.wrong_commit', 'trailer.forged'],
      (forgery) => {
        const amended = forgery.replaceTip({ message: 'Say hello better' });
        forgery.write(amended, forgery.note(at(-1)));
      }],
    ['an edited statement', ['chain.broken', 'signature.invalid'],
      (forgery) => {
        const [summary, ...inputs] = forgery.sealed(at(1));
        if (summary === undefined) throw new Error('no summary');
        const words = Buffer.from(summary.payload, 'base64').toString().replace('"score":100', '"score":99');
        forgery.put(at(1), [{ ...summary, payload: Buffer.from(words).toString('base64') }, ...inputs]);
      }],
    ['a statement signed again with another key', ['signature.unknown_key'], (forgery) => forgery.resign(at(-1), () => undefined, stranger())],
    ['another key under the name of the right one', ['signature.invalid'],
      (forgery) => {
        const names = forgery.sealed(at(-1))[0]?.signatures[0]?.keyid ?? '';
        forgery.resign(at(-1), () => undefined, stranger());
        forgery.put(at(-1), forgery.sealed(at(-1)).map((each) => ({ ...each, signatures: each.signatures.map(({ sig }) => ({ keyid: names, sig })) })));
      }],
    ['a policy downgrade to fewer points', ['policy.downgraded'],
      (forgery) => forgery.resign(at(-1), ({ predicate }) => { predicate.muster['threshold'] = 10; })],
    ['a policy downgrade to fewer checks', ['policy.downgraded'],
      (forgery) => forgery.resign(at(-1), ({ predicate }) => { predicate.muster['required'] = ['tests']; })],
    ['rules from elsewhere than the commit below', ['policy.wrong_source'],
      (forgery) => forgery.resign(at(-1), ({ predicate }) => {
        (predicate['policy'] as { uri: string }).uri = `urn:muster:project:${String(trust['project'])}:policy:${at(0)}`;
      })],
    ['other rules than the ones in the commit below', ['policy.wrong_source'],
      (forgery) => forgery.resign(at(-1), (_, { predicate }) => {
        predicate['configuration'] = [{ uri: '', digest: { sha256: 'a'.repeat(64) } }, { name: 'muster.yaml', digest: { sha256: 'c'.repeat(64) } }];
      })],
    ['rules weaker than the outsider asks for', ['policy.below_minimum'], () => ({ minimumThreshold: 90 })],
    ['a test that was dropped from the statements', ['evidence.check_missing'],
      (forgery) => forgery.resign(at(-1), ({ predicate }, test) => {
        predicate.muster['checks'] = (predicate.muster['checks'] as Array<{ check: string }>).filter(({ check }) => check !== 'tests');
        test.predicate['passedTests'] = ['secrets'];
      })],
    ['a test that was dropped from one of them', ['evidence.disagrees'],
      (forgery) => forgery.resign(at(-1), (_, test) => { test.predicate['passedTests'] = ['secrets']; })],
    ['a failed test told as not required', ['evidence.check_not_passed'],
      (forgery) => forgery.resign(at(-1), ({ predicate }, test) => {
        (predicate.muster['checks'] as Array<{ check: string; status: string }>).forEach((each) => { if (each.check === 'tests') each.status = 'failed'; });
        test.predicate['passedTests'] = ['secrets'];
      })],
    ['a refusal told as a pass', ['evidence.not_passed'],
      (forgery) => forgery.resign(at(-1), ({ predicate }) => { predicate['verificationResult'] = 'FAILED'; })],
    ['a score below its threshold', ['evidence.below_threshold'],
      (forgery) => forgery.resign(at(-1), ({ predicate }) => { predicate.muster['score'] = 84; })],
    ['the verification of another tree', ['evidence.wrong_tree'],
      (forgery) => forgery.resign(at(-1), ({ predicate }) => { predicate.muster['candidateTree'] = git(forgery.dir, 'rev-parse', `${at(0)}^{tree}`); })],
    ['a comparison with an older base', ['evidence.wrong_base'],
      (forgery) => forgery.resign(at(-1), ({ predicate }) => { predicate.muster['baseTree'] = git(forgery.dir, 'rev-parse', `${at(0)}^{tree}`); })],
    ['a removed test result', ['evidence.missing'], (forgery) => forgery.put(at(-1), forgery.sealed(at(-1)).slice(0, 2))],
    ['the test result of another landing', ['evidence.altered'],
      (forgery) => forgery.put(at(-1), [0, 1, 2].map((place) => forgery.sealed(at(place === 1 ? -2 : -1))[place] as Sealed))],
    ['a statement more', ['evidence.stray'], (forgery) => forgery.put(at(-1), [...forgery.sealed(at(-1)), forgery.sealed(at(0))[1] as Sealed])],
    ['a summary that names nothing', ['evidence.missing'],
      (forgery) => {
        const words = wordsOf(forgery.sealed(at(-1))[0] as Sealed);
        delete words.predicate['inputAttestations'];
        forgery.put(at(-1), [seal(words, serverKey)]);
      }],
    ['an agent-written trailer', ['evidence.disagrees', 'trailer.forged'],
      (forgery) => {
        const message = git(forgery.dir, 'log', '-1', '--format=%B', at(-1));
        const commit = forgery.replaceTip({ message: message.replace('\n', '\n\nMuster-Landing: land_00000000000000000000000000\n') });
        forgery.resign(at(-1), (...statements) => {
          for (const { subject } of statements) subject.forEach(({ digest }) => { digest.gitCommit = commit; });
        }, serverKey, commit);
      }],
    ['two landings in the other order', ['chain.broken', 'evidence.disagrees', 'evidence.wrong_base', 'evidence.wrong_tree', 'landing.wrong_base', 'landing.wrong_parents', 'statement.wrong_commit', 'statement.wrong_tree', 'note.missing', 'commit.uncovered'],
      (forgery) => {
        // The last two, the other way round: their words stay, and each gets the tree of its place.
        const [last, other] = [at(-1), at(1)].map((commit) => forgery.note(commit));
        const tree = (commit: string): string => git(forgery.dir, 'rev-parse', `${commit}^{tree}`);
        const message = (commit: string): string => git(forgery.dir, 'log', '-1', '--format=%B', commit);
        const first = forgery.replaceTip({ parents: [at(0)], tree: tree(at(-1)), message: message(at(-1)) });
        const second = forgery.replaceTip({ parents: [first], tree: tree(at(1)), message: message(at(1)) });
        forgery.write(first, last ?? '');
        forgery.write(second, other ?? '');
      }],
    ['a landing left out of the chain', ['chain.broken', 'evidence.disagrees', 'evidence.wrong_base', 'landing.wrong_base', 'landing.wrong_parents', 'policy.wrong_source', 'statement.wrong_commit'],
      (forgery) => {
        const commit = forgery.replaceTip({ parents: [at(0)] });
        forgery.write(commit, forgery.note(at(-1)));
      }],
    ['a chain that begins in the middle', ['chain.broken'],
      (forgery) => forgery.resign(at(-1), ({ predicate }) => { predicate.muster['previous'] = null; })],
    ['a statement for another branch', ['statement.wrong_branch'],
      (forgery) => forgery.resign(at(-1), (...statements) => statements.forEach(({ subject }) => subject.forEach((each) => { each.name = 'refs/heads/dev'; })))],
    ['a statement for another project', ['policy.wrong_source', 'statement.wrong_project'], () => ({ project: 'proj_00000000000000000000000000' })],
    ['a second parent that nobody handed in', ['commit.uncovered', 'evidence.disagrees', 'landing.wrong_parents', 'statement.wrong_commit'],
      (forgery) => {
        const stray = git(forgery.dir, 'commit-tree', git(forgery.dir, 'rev-parse', `${at(0)}^{tree}`), '-m', 'Stray');
        const commit = forgery.replaceTip({ parents: [at(-2), stray] });
        forgery.write(commit, forgery.note(at(-1)));
      }],
    ['commits that a rebase brought, and its statement does not tell', ['landing.wrong_parents', 'landing.wrong_base', 'note.missing', 'chain.broken'],
      (forgery) => forgery.resign(at(-2), ({ predicate }, _, source) => {
        predicate.muster['commits'] = [];
        source.predicate['commits'] = [];
      })],
    ['a branch that was moved back', ['history.moved_back'],
      (forgery) => {
        git(forgery.dir, 'update-ref', 'refs/heads/main', at(-2));
        return { knownHead: at(-1) };
      }],
    ['a history that begins anew', ['history.import_left'], (forgery) => {
      const orphan = git(forgery.dir, 'commit-tree', git(forgery.dir, 'rev-parse', `${at(-1)}^{tree}`), '-m', 'Fresh start');
      git(forgery.dir, 'update-ref', 'refs/heads/main', orphan);
    }],
    ['two notes for one commit', ['note.ambiguous'],
      (forgery) => {
        const tree = git(forgery.dir, 'ls-tree', '-r', 'refs/notes/muster').split('\n');
        const [, blob = ''] = /blob ([0-9a-f]+)/.exec(tree[0] ?? '') ?? [];
        const [deep, flat] = [join(forgery.dir, '.git', 'twice'), at(-1)];
        const env = { ...process.env, GIT_INDEX_FILE: deep };
        const run = (...args: string[]) => execFileSync('git', ['-C', forgery.dir, ...args], { encoding: 'utf8', env }).trim();
        run('read-tree', 'refs/notes/muster');
        run('update-index', '--add', '--cacheinfo', `100644,${blob},${flat.slice(0, 4)}/${flat.slice(4)}`);
        run('update-ref', 'refs/notes/muster', git(forgery.dir, 'commit-tree', run('write-tree'), '-m', 'Twice'));
      }],
    ['a note that is no statement', ['note.malformed'], (forgery) => forgery.write(at(-1), 'Verified by hand. Trust me.')],
    ['words that were never in-toto', ['statement.malformed'],
      (forgery) => {
        const [, ...inputs] = forgery.sealed(at(-1));
        forgery.put(at(-1), [seal({ subject: [], predicate: { muster: {} } }, serverKey), ...inputs]);
      }],
    ['a key that had been retired', ['key.retired'],
      () => ({ keys: (trust['keys'] as object[]).map((key) => ({ ...key, lastCommit: at(-2) })) })],
    ['an object replaced on the disk', ['note.missing'],
      (forgery) => {
        // git itself would follow the replacement.
        const evil = git(forgery.dir, 'commit-tree', git(forgery.dir, 'rev-parse', `${at(0)}^{tree}`), '-p', at(-1), '-m', 'Evil');
        git(forgery.dir, 'update-ref', 'refs/heads/main', evil);
        git(forgery.dir, 'replace', evil, at(-1));
      }],
    ['a clone that lacks the history', ['clone.shallow'],
      (forgery) => void writeFileSync(join(forgery.dir, '.git', 'shallow'), `${at(-1)}\n`)],
  ])('refuses %s', (_, expected, forge) => {
    it(`as ${expected.join(', ')}`, () => {
      const forgery = new Forgery();
      const more = forge(forgery) ?? {};
      const found = forgery.reasons(more);
      expect(found.filter((reason) => !expected.includes(reason))).toEqual([]);
      expect(found).toContain(expected[0]);
    });
  }); // prettier-ignore

  it('finds a change of the rules that no person answers for', async () => {
    const project = await world.project({ ...FILES, 'muster.yaml': 'threshold: 85\n' });
    await world.land(project, { 'muster.yaml': 'threshold: 1\n' });
    const dir = join(folder, 'rules');
    execFileSync('git', ['clone', '--quiet', world.repositories.path(project.id), dir]);
    git(dir, 'fetch', '--quiet', 'origin', 'refs/notes/muster:refs/notes/muster');
    const policy = readTrust(await world.queries.execute(new ExportTrust(project.id)));
    expect(verifyProvenance(dir, policy).refusals.map(({ reason }) => reason)).toEqual(['policy.changed_by_nobody']);
  });

  it('follows a key that was changed for another, and refuses what the old one signs afterwards', async () => {
    const project = await world.project();
    await world.land(project, { 'greet.js': 'old key\n' });
    const { keyId } = await world.commands.execute(new RotateProvenanceKey());
    const landed = await world.land(project, { 'greet.js': 'new key\n' });
    expect(landed.statement?.signatures[0]?.keyid).toBe(keyId);
    expect(await world.audit(project)).toMatchObject({ ok: true });
    const dir = join(folder, 'rotated');
    execFileSync('git', ['clone', '--quiet', world.repositories.path(project.id), dir]);
    git(dir, 'fetch', '--quiet', 'origin', 'refs/notes/muster:refs/notes/muster');
    const exported = await world.queries.execute(new ExportTrust(project.id));
    expect(exported.keys.map(({ retiredAt, lastCommit }) => [retiredAt !== null, lastCommit])).toEqual([
      [true, landed.before],
      [false, undefined],
    ]);
    expect(verifyProvenance(dir, readTrust(exported))).toMatchObject({ ok: true, landings: 2 });
    // Who had taken the old key signs the last landing again with it.
    const forgery = new Forgery();
    rmSync(forgery.dir, { recursive: true });
    cpSync(dir, forgery.dir, { recursive: true });
    forgery.resign(landed.commit, () => undefined, serverKey);
    const { refusals } = verifyProvenance(forgery.dir, readTrust(exported));
    expect(refusals.map(({ reason }) => reason)).toEqual(['key.retired']);
  });
});
