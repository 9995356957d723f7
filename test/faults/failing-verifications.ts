// Hands in changes that deserve a refusal, while the server, its verifiers and the checks in their sandboxes are killed outright at
// random moments, and asks for a clean outcome of each: refused once, by the check that fails, with nothing left behind.
//   npm run torture:verifications -- [--count 500] [--seed 1] [--short] [--json]
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { MusterClient } from '@muster/sdk';
import { each, fastImport, git, handIn, repositoryOf } from '../../bench/machinery/git.ts';
import { rulesThatWait } from '../../bench/machinery/rules.ts';
import { freePort } from '../../bench/machinery/server.ts';
import { startPostgres } from '../../libs/platform/src/database/embedded-postgres.ts';
import { buildIsThere } from './torture/ground.ts';
import { ProcessKeeper } from './torture/process-keeper.ts';
import { Random } from './torture/random.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string' },
    seed: { type: 'string', default: '1' },
    short: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const whole = (name: string, text: string, least: number): number => {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  console.error(`--${name} is a whole number, at least ${least}.`);
  process.exit(64);
};
const count = whole('count', values.count ?? (values.short ? '20' : '500'), 1);
const seed = whole('seed', values.seed, 0);
if (!buildIsThere()) {
  console.error('There is no built server. Run npm run build first.');
  process.exit(66);
}

/** So many are on their way at once: twice what the verifiers take. */
const OPEN_AT_ONCE = 8;
const VERIFIERS = 2;
/** Between two kills. A verifier that is killed all the time is started again ever later, which would only make this idle. */
const KILL_EVERY_MS = [1_000, 3_000] as const;
/** Nothing is handed in, refused or killed for so long: then something hangs. */
const PATIENCE_MS = 120_000;
const root = resolve(import.meta.dirname, '../..');
const say = (text: string): void => console.error(text);

/** Known among all processes of the machine, inside of a sandbox too, by the time that it would sleep. */
const mark = `86${process.pid}.${seed}`;
const check = [
  '#!/bin/sh',
  // A child that would outlive the check.
  `sleep ${mark} &`,
  'sleep 0.2',
  'for file in bad/*; do [ -e "$file" ] && echo "not ok: $file" && exit 1; done',
  'exit 0',
  '',
].join('\n');

interface Running {
  readonly pid: number;
  readonly parent: number;
  readonly line: string;
}
function processes(): Running[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const line = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return state === 'Z' ? [] : [{ pid: Number(name), parent: Number(parent), line }];
    } catch {
      return []; // ended meanwhile
    }
  });
}
function below(pid: number, all: readonly Running[]): Running[] {
  const children = all.filter(({ parent }) => parent === pid);
  return children.flatMap((child) => [child, ...below(child.pid, all)]);
}

const kills = { server: 0, verifier: 0, check: 0 };
const drawn = new Random(seed);
/** Ends one process outright: mostly something within a verification, sometimes what asked for it. */
function killSomething(server: ProcessKeeper): void {
  if (server.pid === undefined) return;
  const all = processes();
  const verifiers = below(server.pid, all).filter(({ line }) => line.includes('apps/agents/src/verifier/main'));
  const dice = drawn.next();
  const choice = dice < 0.05 ? 'server' : dice < 0.25 ? 'verifier' : 'check';
  if (choice === 'server') {
    server.kill();
    kills.server += 1;
    return;
  }
  // Only those that are at work: the others have nothing that could be lost.
  const busy = verifiers.filter(({ pid }) => below(pid, all).length > 0);
  const verifier = drawn.pick(busy);
  if (verifier === undefined) return;
  // Not the stand-in that the proof of the sandbox tries to kill: gone it would count as an escape.
  const inside = below(verifier.pid, all).filter(({ line }) => line !== 'sleep 300.5');
  const victim = choice === 'verifier' ? verifier : drawn.pick(inside);
  if (victim === undefined) return;
  try {
    process.kill(victim.pid, 'SIGKILL');
    kills[choice] += 1;
  } catch {
    // It ended by itself.
  }
}

const folder = await mkdtemp(join(tmpdir(), 'muster-failing-'));
await chmod(folder, 0o755);
const dataFolder = join(folder, 'data');
await mkdir(dataFolder);
const temporary = join(folder, 'tmp');
await mkdir(temporary);
await chmod(temporary, 0o1777);
const source = join(folder, 'source');
await repositoryOf(source, [
  ['muster.yaml', rulesThatWait('sh check.sh')],
  ['check.sh', check],
]);
const base = await git(source, 'rev-parse', 'main');
const branches = Array.from({ length: count }, (_, at) => `change${at}`);
await fastImport(
  source,
  branches.map((branch) => {
    return { branch, from: base, message: branch, files: [[`bad/${branch}`, `${branch}\n`] as const] };
  }),
);
const commits = new Map<string, string>();
for (const line of (await git(source, 'for-each-ref', '--format=%(objectname) %(refname:short)', 'refs/heads')).split('\n'))
  commits.set(line.slice(line.indexOf(' ') + 1), line.slice(0, line.indexOf(' '))); // prettier-ignore

const postgres = await startPostgres({
  folder: join(folder, 'postgres'),
  settings: { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' },
});
const port = await freePort();
const url = `http://127.0.0.1:${port}`;
const credentials = { email: 'torture@muster.example', password: 'a password for the torture' };
const inherited = Object.entries(process.env).flatMap(([name, value]) =>
  name.startsWith('MUSTER_') || name === 'REDIS_URL' || value === undefined ? [] : [[name, value] as const],
);
const server = new ProcessKeeper({
  name: 'server',
  args: [join(root, 'dist/apps/server/src/main.js')],
  cwd: root,
  log: join(folder, 'server.log'),
  env: {
    ...Object.fromEntries(inherited),
    DATABASE_URL: postgres.url,
    MUSTER_DATA_DIR: dataFolder,
    TMPDIR: temporary,
    MUSTER_HOST: '127.0.0.1',
    MUSTER_PORT: String(port),
    MUSTER_ADMIN_EMAIL: credentials.email,
    MUSTER_ADMIN_PASSWORD: credentials.password,
    MUSTER_IMPORT_PATHS: folder,
    MUSTER_VERIFIERS: String(VERIFIERS),
    MUSTER_LEASE_SECONDS: '4',
    MUSTER_LOG_PRETTY: 'false',
  },
});
const began = Date.now();
const problems: string[] = [];
let left = { refs: 0, worktrees: 0, sandboxes: 0, processes: 0, mounts: 0 };
const outcome = { clean: 0, accepted: 0, withoutEvidence: 0, stuck: 0, duplicated: 0, toldTwice: 0 };
let fsckClean = false;
let branchMoved = true;
try {
  server.start();
  const client = new MusterClient({ url, credentials, retryForMs: PATIENCE_MS });
  const limit = Date.now() + PATIENCE_MS;
  while (!(await client.isReady())) {
    if (Date.now() > limit) throw new Error('The server did not start.');
    await sleep(100);
  }
  const project = await client.projects.create({ name: 'Failing', slug: 'failing', source: { path: source } });
  const { secret } = await client.keys.create({ name: 'pusher', role: 'developer' });
  const all = async () => {
    const found = [];
    let cursor: string | undefined;
    do {
      const page = await client.submissions.list({
        projectId: project.id,
        limit: 100,
        ...(cursor === undefined ? {} : { cursor }),
      });
      found.push(...page.items);
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    return found;
  };
  const isOpen = ({ state }: { readonly state: string }): boolean =>
    !['rejected', 'failed', 'conflicted', 'landed'].includes(state);
  let over = false;
  const nemesis = (async () => {
    while (!over) {
      await sleep(drawn.between(...KILL_EVERY_MS));
      if (!over) killSomething(server);
    }
  })();
  let moved = Date.now();
  let ended = 0;
  let handedIn = 0;
  /** Handed in when few are on their way; a push that nobody answered is made again unless it has arrived. */
  const handInNext = async (): Promise<void> => {
    const known = new Set((await all()).map(({ commit }) => commit));
    const missing = branches.filter((branch) => !known.has(commits.get(branch) ?? ''));
    handedIn = count - missing.length;
    await each(missing.slice(0, OPEN_AT_ONCE), 2, async (branch) => {
      try {
        await handIn(source, `${url}${project.gitPath}`, secret, commits.get(branch) ?? '');
      } catch (error) {
        if (Date.now() - moved > PATIENCE_MS) throw error;
      }
    });
  };
  for (;;) {
    const rows = await all();
    const open = rows.filter(isOpen).length;
    if (rows.length - open > ended) {
      [ended, moved] = [rows.length - open, Date.now()];
      if (ended % 25 < 2) say(`${ended} of ${count} have ended, ${JSON.stringify(kills)}`);
    }
    if (open === 0 && handedIn === count) break;
    if (Date.now() - moved > PATIENCE_MS) {
      problems.push(`nothing has ended for ${PATIENCE_MS} ms`);
      break;
    }
    if (open < OPEN_AT_ONCE / 2) await handInNext();
    else await sleep(200);
  }
  over = true;
  await nemesis;
  while (!(await client.isReady())) await sleep(100);
  // What the last kill left is put away by the one that comes instead: until then it is not said to stay.
  const atWork = (): boolean => {
    const said = readFileSync(join(folder, 'server.log'), 'utf8')
      .split('\n')
      .filter((line) => line.includes(`"pid":${server.pid},`));
    return Array.from({ length: VERIFIERS }, (_, at) => at + 1).every((verifier) => {
      const connected = said.findLastIndex((line) =>
        line.includes(`"${verifier}: verifier: {\\"type\\":\\"connected\\"`),
      );
      return connected > said.findLastIndex((line) => line.includes(`"Verifier ${verifier} ended`)) && connected >= 0;
    });
  };
  for (let tries = 0; !atWork(); tries += 1) {
    if (tries === 600) throw new Error('A verifier that was killed has not come again.');
    await sleep(100);
  }

  const rows = await all();
  const events = new Map<string, number>();
  for (let after = 0; ;) {
    const page = await client.events.list({ projectId: project.id, limit: 500, after });
    for (const { type, subject } of page.items) {
      const told = `${type} ${subject ?? ''}`;
      events.set(told, (events.get(told) ?? 0) + 1);
    }
    const last = page.items.at(-1);
    if (last === undefined) break;
    after = last.position;
  }
  for (const branch of branches) {
    const of = rows.filter(({ commit }) => commit === commits.get(branch));
    const [row] = of;
    if (of.length !== 1) outcome.duplicated += 1;
    if (row === undefined) continue;
    const told = events.get(`submission.rejected ${row.id}`) ?? 0;
    if (told !== 1) outcome.toldTwice += 1;
    const verification = row.verificationId === null ? null : await client.verifications.get(row.verificationId);
    const failed = verification?.facts?.checks.find((one) => one.check === 'tests')?.status === 'failed';
    if (isOpen(row)) outcome.stuck += 1;
    else if (row.state === 'landed') outcome.accepted += 1;
    else if (row.state === 'failed') outcome.withoutEvidence += 1;
    else if (of.length === 1 && told === 1 && verification?.evidence === true && verification.verdict === 'rejected' && failed)
      outcome.clean += 1; // prettier-ignore
    if (row.state !== 'rejected' || !failed)
      problems.push(`${branch} is ${row.state}: ${row.reasons.join('; ')} (${verification?.reasons.join('; ') ?? ''})`);
  }
  const repository = join(dataFolder, 'repositories', `${project.id}.git`);
  const known = new Set(rows.map(({ id }) => `refs/muster/submissions/${id}`));
  const bare = ['-c', 'safe.directory=*'];
  const strange = async (): Promise<string[]> =>
    (await git(repository, ...bare, 'for-each-ref', '--format=%(refname)', 'refs/muster'))
      .split('\n')
      .filter((ref) => ref !== '' && !known.has(ref));
  // The sweep at the start takes what the server before has left.
  for (let tries = 0; tries < 50 && (await strange()).length > 0; tries += 1) await sleep(100);
  branchMoved = (await git(repository, ...bare, 'rev-parse', 'refs/heads/main')) !== base;
  await server.stop();
  const mine = (): Running[] => processes().filter(({ pid, line }) => pid !== process.pid && (line.includes(mark) || (line.includes(folder) && !line.includes('postgres')))); // prettier-ignore
  for (let tries = 0; tries < 100 && mine().length > 0; tries += 1) await sleep(100);
  const entries = (at: string): string[] => (existsSync(at) ? readdirSync(at) : []);
  const sandboxes = entries(join(dataFolder, 'verifiers')).flatMap((number) =>
    entries(join(dataFolder, 'verifiers', number, 'runs')),
  );
  const scratch = [...entries(join(dataFolder, 'scratch')), ...entries(temporary).filter((name) => name.startsWith('muster-'))]; // prettier-ignore
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter((line) => line.includes(folder)); // prettier-ignore
  const refs = await strange();
  const worktrees = entries(join(repository, 'worktrees'));
  problems.push(...[...refs, ...worktrees, ...sandboxes, ...scratch, ...mounts, ...mine().map(({ line }) => line)].map((what) => `left behind: ${what}`)); // prettier-ignore
  left = {
    refs: refs.length,
    worktrees: worktrees.length,
    sandboxes: sandboxes.length + scratch.length,
    processes: mine().length,
    mounts: mounts.length,
  };
  fsckClean = (await git(repository, ...bare, 'fsck', '--full', '--no-dangling', '--no-progress').catch(String)) === '';
  problems.push(...server.crashes);
} catch (error) {
  problems.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
} finally {
  await server.stop();
  await postgres.stop();
}
const ok = outcome.clean === count && fsckClean && !branchMoved && problems.length === 0;
const seconds = Math.round((Date.now() - began) / 1000);
const report = { seed, seconds, verifications: count, kills, ...outcome, branchMoved, fsckClean, left, ok };
for (const problem of problems.slice(0, 30)) say(`    ${problem}`);
if (ok) await rm(folder, { recursive: true, force: true });
else say(`The server's log is in ${folder}.`);
console.log(values.json ? JSON.stringify(report, null, 2) : JSON.stringify(report));
process.exitCode = ok ? 0 : 1;
