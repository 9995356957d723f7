// Ends a server outright at every named moment of the way from accepted to announced and of the way back, starts the next one, and
// asks for the result of an undisturbed run: the same branch, the same states, and nothing left behind.
//   npm run crash-points -- [--only landing.moved,landing.attested] [--short] [--at-once 2] [--together] [--json]
// Each point has a run of its own, of the chapter that passes it: the line (three changes, of which one proves bad and comes out
// again), the set (two that land together), the resolution (a conflict that tools settle) or the forge (a request that comes in, moves on
// and lands, and one that goes out). `landing.moved@resolution` is that moment in the landing of what tools have settled. With
// --together one run goes through all of all three, one kill after another: harder.
import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { forgeCrashPoints } from '../../dist/libs/forges/src/crash-points.js';
import { crashPoints as landingCrashPoints } from '../../dist/libs/integration/src/crash-points.js';
import { startPostgres } from '../../dist/libs/platform/src/database/embedded-postgres.js';
import { migrate } from '../../dist/libs/platform/src/database/index.js';
import { migrations } from '../../dist/migrations/index.js';
import { ForgeHere } from '../support/forge-here.ts';
import { startCrashServer } from './crash-server.mjs';

/** The moments at which the merge is made, looked at or made again with what tools have settled in it. */
const afterResolution = [
  'candidate.merged',
  'candidate.requested',
  'candidate.recorded',
  'accepted.recorded',
  'landing.evidence_read',
  'landing.intended',
  'landing.checked',
  'landing.moved',
  'landing.signed',
  'landing.completed',
].map((point) => `${point}@resolution`);
const crashPoints = [...landingCrashPoints, ...afterResolution, ...forgeCrashPoints];

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    /** The last moment of each part of the way. */
    short: { type: 'boolean', default: false },
    together: { type: 'boolean', default: false },
    'at-once': { type: 'string', default: String(Math.min(4, availableParallelism())) },
    json: { type: 'boolean', default: false },
  },
});
const lastOfEach = () => [...new Map(crashPoints.map((point) => [point.replace(/\.\w+/, ''), point])).values()];
const all = values.short ? lastOfEach() : [...crashPoints];
const chosen = values.only === undefined ? all : values.only.split(',');
for (const point of chosen) {
  if (crashPoints.includes(point)) continue;
  console.error(`There is no crash point ${point}. There are: ${crashPoints.join(', ')}`);
  process.exit(64);
}
const atOnce = Number(values['at-once']);
if (!Number.isInteger(atOnce) || atOnce < 1) {
  console.error('--at-once is a whole number, at least 1.');
  process.exit(64);
}
const chapters = ['line', 'set', 'resolution', 'forge'];
const chapterOf = (point) => chapters.find((chapter) => point.split(/[.@]/).includes(chapter)) ?? 'line';
const chaptersOf = (points) => chapters.filter((chapter) => points.map(chapterOf).includes(chapter));
const say = (text) => {
  if (!values.json) console.log(text);
};
/** Far beyond what one run takes: a run that hangs has failed. */
const PATIENCE_MS = values.together ? 1_200_000 : 300_000;

const folder = mkdtempSync(join(tmpdir(), 'muster-crash-points-'));
// The embedded PostgreSQL runs as a user of its own.
chmodSync(folder, 0o755);
const postgres = await startPostgres({
  folder: join(folder, 'postgres'),
  settings: { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' },
});

const files = {
  'muster.yaml': 'postLanding: node smoke.js\n',
  'greet.js': 'export const greet = () => "hello";\n',
};
const source = join(folder, 'source');
mkdirSync(source);
const git = (dir, ...args) =>
  execFileSync('git', ['-c', 'user.name=S', '-c', 'user.email=s@example.org', '-c', 'safe.directory=*', ...args], {
    cwd: dir,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();
git(source, 'init', '--quiet', '-b', 'main');
for (const [path, content] of Object.entries(files)) writeFileSync(join(source, path), content);
git(source, 'add', '.');
git(source, 'commit', '--quiet', '-m', 'Begin');

/** What the forge's repository begins with: what is accepted waits there until somebody has released it. */
const plain = join(folder, 'plain');
git(folder, 'clone', '--quiet', source, plain);
writeFileSync(join(plain, 'muster.yaml'), 'landing: { mode: person }\n');
git(plain, 'commit', '--quiet', '-am', 'Wait for a person');

/** Two changes to it conflict in the lock file and in what is made of the parts, and nowhere else. */
const lockOf = (...names) =>
  `${JSON.stringify({ lockfileVersion: 3, packages: Object.fromEntries(names.map((name) => [`node_modules/${name}`, { version: '1.0.0' }])) }, null, 2)}\n`;
const listOf = (...parts) => parts.map((part) => `${part}\n`).join('');
const partOf = (part) => ({
  [`parts-${part}.js`]: `${part}\n`,
  'package-lock.json': lockOf('m', part),
  'parts.txt': listOf(...['m', part].sort()),
});
const withParts = join(folder, 'with-parts');
git(folder, 'clone', '--quiet', source, withParts);
const begin = {
  'muster.yaml': 'generated: [{ files: [parts.txt], run: ls parts-* > parts.txt }]\n',
  'package.json': '{}\n',
  ...partOf('m'),
  'package-lock.json': lockOf('m'),
  'parts.txt': listOf('m'),
};
for (const [path, content] of Object.entries(begin)) writeFileSync(join(withParts, path), content);
git(withParts, 'add', '.');
git(withParts, 'commit', '--quiet', '-m', 'Begin with parts');

/** What the changes are called: the first lands and proves bad in use, the second is good, the third fails where the second is. */
const changes = [
  { name: 'bad-in-use', content: 'bad in use\n' },
  { name: 'good', content: 'good\n' },
  { name: 'bad-with-others', content: 'bad with others\n' },
];

const template = 'crash_template';
const urlOf = (name) => Object.assign(new URL(postgres.url), { pathname: name }).href;
const onServer = async (text) => {
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await client.query(text);
  await client.end();
};
await onServer(`create database ${template}`);
await migrate({ url: urlOf(template), migrations });
const database = async (name) => {
  await onServer(`create database ${name} template ${template}`);
  return urlOf(name);
};

/** One whole story, with the server killed once at each of `points` (none: undisturbed). Every call may be answered by nobody and is made again. */
async function play(points, playing, number) {
  const dataDir = join(folder, `data-${number}`);
  const elsewhere = join(folder, `elsewhere-${number}`);
  mkdirSync(dataDir);
  const temporary = join(folder, `tmp-${number}`);
  mkdirSync(temporary);
  const where = {
    dataDir,
    temporary,
    compiled: join(folder, 'compiled'),
    databaseUrl: await database(`crash_${number}`),
    sources: [source, elsewhere, withParts],
    elsewhere,
    forges: join(folder, `forges-${number}.yaml`),
    diedAt: join(folder, `died-${number}`),
  };
  const began = Date.now();
  git(folder, 'clone', '--quiet', '--no-local', plain, elsewhere);
  git(elsewhere, 'config', 'receive.denyCurrentBranch', 'ignore');
  const forge = new ForgeHere();
  const api = await forge.listen();
  writeFileSync(
    where.forges,
    `accounts: { hub: { kind: github, api: '${api}', token: t, repositories: ['octo/*'] } }\n`,
  );
  const ahead = new Set(points);
  let server = await startCrashServer(where, [...ahead]);
  let starts = 1;
  let starting = Promise.resolve();
  /** Many calls may find the server dead at once; one of them starts the next. */
  const next = () =>
    (starting = starting.then(async () => {
      if (server.alive()) return;
      if (server.signal() !== 'SIGKILL') throw new Error(`the server ended by itself: ${server.printed()}`);
      ahead.delete(readFileSync(where.diedAt, 'utf8'));
      server = await startCrashServer(where, [...ahead]);
      starts += 1;
    }));
  /** The call, again on the next server if this one died over it. */
  const call = async (method, path, body, as = 'admin', headers = {}) => {
    for (;;) {
      await next();
      try {
        return await server.call(method, path, body, as, headers);
      } catch (error) {
        if (Date.now() - began > PATIENCE_MS) throw error;
        // A killed server's sockets may tell before its exit does.
        await sleep(20);
      }
    }
  };
  const post = async (path, body, as, headers) => {
    const { status, body: answer } = await call('POST', path, body, as, headers);
    if (status >= 300)
      throw Object.assign(new Error(`POST ${path}: ${status} ${JSON.stringify(answer)}\n${server.printed()}`), {
        status,
      });
    return answer;
  };
  const get = async (path) => (await call('GET', path)).body;
  const claim = async (as, agent, capabilities, count) => {
    await next();
    try {
      const id = await server.instance(as, agent, capabilities);
      return (await post(`/api/runtime/instances/${id}/claim`, { waitSeconds: 1, count }, as)).tasks;
    } catch (error) {
      // Another server, another key and another instance, or none at the moment.
      if (error.status === undefined || [401, 403, 404, 409].includes(error.status)) return [];
      throw error;
    }
  };

  try {
    const project = await post('/api/projects', { name: 'Crash', source: { path: source } });
    await post('/api/agents', {
      source: 'metadata: { name: author, version: 1.0.0 }\nskills: [{ name: code.change }]\n',
      publish: true,
    });
    await post(`/api/projects/${project.id}/agents`, { agent: 'author', capabilities: ['code.change'] });
    const { secret } = await post('/api/keys', { name: 'author' });
    server.useAuthor(secret);
    const repository = join(dataDir, 'repositories', `${project.id}.git`);
    const verifier = new Verifier({
      post,
      repository,
      claim: () => claim('verifier', 'muster-verifier', ['muster.verify', 'muster.resolve'], 10),
    });
    const means = { call, forge, post, get, claim, verifier, project, dataDir, where, began };
    if (playing.includes('line')) await playLine(means);
    await next();
    const beside = playing.includes('set') ? await playSet(means) : null;
    await next();
    const settled = playing.includes('resolution') ? await playResolution(means) : null;
    await next();
    const there = playing.includes('forge') ? await playForge(means) : null;
    await next();
    const audit = await get(`/api/projects/${project.id}/audit`);
    if (!audit.ok)
      throw new Error(
        `the audit fails: ${JSON.stringify(audit.commits.filter(({ problems }) => problems.length > 0))}`,
      );
    const projects = [project, beside, settled, there].filter((one) => one !== null);
    const repositories = projects.map(({ id }) => join(dataDir, 'repositories', `${id}.git`));
    const events = [];
    const known = new Set();
    for (const { id } of projects) {
      events.push(...(await allEvents(get, id)));
      for (const one of (await get(`/api/submissions?projectId=${id}&limit=100`)).items) known.add(one.id);
    }
    for (const one of repositories) await orphanRefsGone(one, known);
    const saidThere = there === null ? '' : whatWasSaid(forge, elsewhere);
    await server.stop();
    const orphans = await orphansOf({ repositories, known, temporary, dataDir });
    const fsck = repositories.map(fsckOf).join('');
    const twice = [
      'landing.landed',
      'landing.rolled_back',
      'rollback.opened',
      'rollback.completed',
      'submission.accepted',
      'queue.ejected',
      'submission.conflict_resolved',
      'forge.request_opened',
      'forge.request_closed',
    ].filter((type) => {
      const subjects = events.filter((event) => event.type === type).map(({ subject }) => subject);
      return new Set(subjects).size !== subjects.length;
    });
    return {
      neverReached: [...ahead], starts, ms: Date.now() - began, fsck: fsck === '' ? 'clean' : fsck, orphans, toldTwice: twice,
      saidThere,
      tree: repositories.map((one) => git(one, 'rev-parse', 'refs/heads/main^{tree}')).join(),
      history: repositories.flatMap((one) =>
        git(one, 'log', '--first-parent', '--format=%s', 'refs/heads/main').split('\n'),
      ),
    }; // prettier-ignore
  } finally {
    await server.stop();
    await forge.close();
  }
}

/**
 * Three changes that meet in the queue of one project: the verifier admits all of them before anyone may land, then says what each
 * tree deserves. The first lands and comes out again, the third is ejected.
 */
async function playLine({ post, get, claim, verifier, project, began }) {
  const tasks = [];
  for (const { name } of changes)
    tasks.push(
      (
        await post('/api/tasks', {
          projectId: project.id,
          capability: 'code.change',
          title: name,
          maxAttempts: 20,
          input: { name },
        })
      ).id,
    );
  const submissions = [];
  // One at a time: an agent has one slot, and handing in frees it.
  for (const { name, content } of changes) {
    let attempt;
    for (let tries = 0; attempt === undefined; tries += 1) {
      if (tries > 300) throw new Error(`the task of ${name} was not claimed`);
      const claimed = await claim('author', 'author', ['code.change'], 1);
      [attempt] = claimed;
    }
    const files = [{ path: `${attempt.input.name}.js`, content }];
    const { taskId, fence } = attempt;
    submissions.push(
      await post('/api/submissions', { taskId, fence, base: project.head, message: name, files }, 'author'),
    );
  }
  await verifier.admitTogether(3);
  const settled = async () => {
    const rows = await Promise.all(submissions.map(({ id }) => get(`/api/submissions/${id}`)));
    const reverts = (await get(`/api/submissions?projectId=${project.id}`)).items.filter(
      ({ kind }) => kind === 'revert',
    );
    const landings = (await get(`/api/landings?projectId=${project.id}`)).items.filter(
      ({ state }) => state !== 'abandoned',
    );
    const told = await Promise.all(tasks.map((id) => get(`/api/tasks/${id}`)));
    const incidents = (await get(`/api/incidents?projectId=${project.id}`)).items;
    return { rows, reverts, landings, told, incidents };
  };
  const isOver = ({ rows, reverts, landings, told, incidents }) =>
    rows.map(({ state }) => state).join() === 'landed,landed,rejected' &&
    reverts.length === 1 &&
    reverts[0].state === 'landed' &&
    landings.length === 3 &&
    landings.every(({ postLanding }) => postLanding !== 'pending') &&
    landings.some(({ followUpTaskId }) => followUpTaskId !== null) &&
    incidents.map(({ state }) => state).join() === 'resolved' &&
    told.map(({ state }) => state).join() === 'succeeded,succeeded,queued';
  let state = await settled();
  while (!isOver(state)) {
    if (Date.now() - began > PATIENCE_MS) throw new Error(`it did not come to its end: ${JSON.stringify(state)}`);
    await verifier.work();
    state = await settled();
  }
}

/**
 * Two changes to two projects that land together. The second branch is moved past Muster once all is ready, so that what has
 * moved of the first goes back; then all of it lands on what is there.
 */
async function playSet({ post, get, claim, verifier, project, dataDir, where, began }) {
  const other = await post('/api/projects', { name: 'Beside', slug: 'beside', source: { path: source } });
  await post(`/api/projects/${other.id}/agents`, { agent: 'author', capabilities: ['code.change'] });
  const repository = join(dataDir, 'repositories', `${other.id}.git`);
  const projects = [project, other];
  const tasks = [];
  for (const [at, { id: projectId }] of projects.entries()) {
    const input = { name: `together-${at}` };
    tasks.push((await post('/api/tasks', { projectId, capability: 'code.change', title: 'together', maxAttempts: 20, priority: 'critical', input })).id);
  } // prettier-ignore
  const set = await post('/api/sets', { title: 'Together', tasks });
  writeFileSync(`${where.diedAt}.move`, repository);
  const open = new Set(tasks);
  for (let tries = 0; open.size > 0; tries += 1) {
    if (tries > 300) throw new Error('the tasks of the set were not claimed');
    for (const attempt of await claim('author', 'author', ['code.change'], 1)) {
      const at = tasks.indexOf(attempt.taskId);
      if (at < 0) continue;
      const { taskId, fence } = attempt;
      const files = [{ path: `together-${at}.js`, content: 'together\n' }];
      const { head } = await get(`/api/projects/${projects[at].id}`);
      await post('/api/submissions', { taskId, fence, base: head, message: `together-${at}`, files }, 'author');
      open.delete(taskId);
    }
  }
  const isOver = ({ state, members }) =>
    state === 'landed' && members.every((member) => member.state === 'landed' && member.landingId !== null);
  for (let now = await get(`/api/sets/${set.id}`); !isOver(now); now = await get(`/api/sets/${set.id}`)) {
    if (Date.now() - began > PATIENCE_MS) throw new Error(`the set did not come to its end: ${JSON.stringify(now)}`);
    await verifier.work();
  }
  for (;;) {
    const pages = await Promise.all(projects.map(({ id }) => get(`/api/landings?projectId=${id}`)));
    const told = await Promise.all(tasks.map((id) => get(`/api/tasks/${id}`)));
    const pending = pages.flatMap(({ items }) => items).filter(({ postLanding }) => postLanding === 'pending');
    if (pending.length === 0 && told.every(({ state }) => state === 'succeeded')) break;
    if (Date.now() - began > PATIENCE_MS) throw new Error('what has landed together was not checked');
    await verifier.work();
  }
  return other;
}

/**
 * Two changes that are accepted side by side and meet in a lock file and in a generated one: the second is settled by tools, verified as
 * that, and lands.
 */
async function playResolution({ post, get, claim, verifier, began }) {
  const project = await post('/api/projects', { name: 'Parts', slug: 'parts', source: { path: withParts } });
  await post(`/api/projects/${project.id}/agents`, { agent: 'author', capabilities: ['code.change'] });
  const parts = ['y', 'z'];
  const tasks = [];
  for (const part of parts) {
    const task = {
      projectId: project.id,
      capability: 'code.change',
      title: part,
      maxAttempts: 20,
      priority: 'critical',
    };
    tasks.push((await post('/api/tasks', { ...task, input: { part } })).id);
  }
  const submissions = new Map();
  for (let tries = 0; submissions.size < tasks.length; tries += 1) {
    if (tries > 300) throw new Error('the tasks of the parts were not claimed');
    for (const { taskId, fence } of await claim('author', 'author', ['code.change'], 1)) {
      const part = parts[tasks.indexOf(taskId)];
      if (part === undefined) continue;
      const files = Object.entries(partOf(part)).map(([path, content]) => ({ path, content }));
      const made = { taskId, fence, base: project.head, message: `part ${part}`, files };
      submissions.set(part, await post('/api/submissions', made, 'author'));
    }
  }
  await verifier.admitTogether(tasks.length);
  const open = async () =>
    (await get(`/api/tasks?projectId=${project.id}&limit=100`)).items.filter(
      ({ state }) => !['succeeded', 'failed', 'cancelled'].includes(state),
    );
  for (;;) {
    const rows = await Promise.all([...submissions.values()].map(({ id }) => get(`/api/submissions/${id}`)));
    const how = rows.flatMap(({ resolved }) => resolved.map((file) => `${file.path} ${file.how}`)).toSorted();
    const landed = rows.every(({ state }) => state === 'landed');
    if (landed && how.join() !== 'package-lock.json npm-lock,parts.txt generated')
      throw new Error(`it was settled otherwise: ${JSON.stringify(rows)}`);
    if (landed && (await open()).length === 0) return project;
    if (Date.now() - began > PATIENCE_MS)
      throw new Error(`the parts did not come to their end: ${JSON.stringify([rows, await open()])}`);
    await verifier.work();
  }
}

/**
 * A request comes in, moves on by force, is accepted, released and landed; then an agent's change is accepted, shown there, released and
 * landed. The forge is the harness's, and lives on when the server dies.
 */
async function playForge({ call, forge, post, get, claim, verifier, where, began }) {
  const { elsewhere } = where;
  const repository = 'octo/repo';
  forge.folders.set(repository, elsewhere);
  forge.writers.add('ada');
  const project = await post('/api/projects', { name: 'There', slug: 'there', source: { path: elsewhere } });
  await post(`/api/projects/${project.id}/agents`, { agent: 'author', capabilities: ['code.change'] });
  for (const way of ['from', 'to'])
    await call('PUT', `/api/projects/${project.id}/remotes/${way}`, { url: `file://${elsewhere}` });
  const wish = { account: 'hub', repository, requests: { from: 'writers', out: true } };
  await call('PUT', `/api/projects/${project.id}/forge`, wish);
  const { webhookUrl, secret } = await post(`/api/projects/${project.id}/forge/secret`);
  const tell = async (delivery) => {
    const body = { delivery, number: 1, repository: { full_name: repository } };
    const signature = createHmac('sha256', secret).update(JSON.stringify(body)).digest('hex');
    const headers = { 'x-github-event': 'pull_request', 'x-github-delivery': delivery, 'x-hub-signature-256': `sha256=${signature}` };
    await post(new URL(webhookUrl).pathname, body, 'nobody', headers);
  }; // prettier-ignore
  const patience = (what) => {
    if (Date.now() - began > PATIENCE_MS) throw new Error(`${what}: ${JSON.stringify(forge.requests)}`);
  };
  const until = async (what, look) => {
    for (;;) {
      const found = await look();
      if (found) return found;
      patience(what);
      await verifier.work();
    }
  };
  const submissions = async () => (await get(`/api/submissions?projectId=${project.id}&limit=100`)).items;
  const propose = (name) => {
    const base = git(elsewhere, 'rev-parse', 'main');
    const blob = execFileSync('git', ['hash-object', '-w', '--stdin'], { cwd: elsewhere, encoding: 'utf8', input: name }).trim();
    const tree = git(elsewhere, 'rev-parse', `${base}^{tree}`);
    const listed = `${git(elsewhere, 'ls-tree', tree)}\n100644 blob ${blob}\t${name}.js\n`;
    const next = execFileSync('git', ['mktree'], { cwd: elsewhere, encoding: 'utf8', input: listed }).trim();
    const head = git(elsewhere, 'commit-tree', '-m', name, '-p', base, next);
    for (const ref of ['refs/pull/1/head', 'refs/heads/topic']) git(elsewhere, 'update-ref', ref, head);
    return head;
  }; // prettier-ignore
  const release = async (commit) => {
    const held = await until('nothing waits for a person', async () =>
      (await submissions()).find((one) => one.commit === commit && one.held === 'person'),
    );
    await post(`/api/submissions/${held.id}/release`);
  };

  const first = forge.open({ repository, head: propose('first-try'), branch: 'topic' });
  await tell('one');
  await until('the request was not handed in', async () =>
    (await get(`/api/projects/${project.id}/forge/requests`)).items.some(({ submissionId }) => submissionId !== null),
  );
  const head = propose('second-try');
  await tell('two');
  await release(head);
  await until('the request was not closed', () => first.state === 'closed');

  const input = { name: 'offered' };
  const task = await post('/api/tasks', { projectId: project.id, capability: 'code.change', title: 'offered', maxAttempts: 20, input }); // prettier-ignore
  let commit;
  for (let tries = 0; commit === undefined; tries += 1) {
    if (tries > 300) throw new Error('the task of the offer was not claimed');
    for (const { taskId, fence } of await claim('author', 'author', ['code.change'], 1)) {
      if (taskId !== task.id) continue;
      const files = [{ path: 'offered.js', content: 'offered\n' }];
      const { head: base } = await get(`/api/projects/${project.id}`);
      ({ commit } = await post('/api/submissions', { taskId, fence, base, message: 'offered', files }, 'author'));
    }
  }
  const offered = await until('nothing was offered', () =>
    forge.requests.find(({ branch }) => branch === `muster/${task.id}`),
  );
  await until('the offer was not described', () => offered.body.includes('waits: person'));
  await release(commit);
  await until('the offer was not closed', () => offered.state === 'closed');
  await until('not all was settled', async () => {
    const { owed, failingRequests } = await get(`/api/projects/${project.id}/forge`);
    const { items } = await get(`/api/projects/${project.id}/forge/requests`);
    return (
      owed === 0 &&
      failingRequests === 0 &&
      items.every(({ state, nextLookAt }) => state === 'closed' && nextLookAt === null)
    );
  });
  return project;
}

/** What a person sees there in the end, and whatever was said twice in a row. */
function whatWasSaid(forge, elsewhere) {
  const about = new Map();
  const twice = [];
  for (const { commit, context, state, description } of forge.said.toReversed()) {
    const key = `${commit} ${context}`;
    // Commits are other ones in each run.
    const words = `${state}: ${description.replaceAll(/[0-9a-f]{40}/g, 'a commit')}`;
    if (about.get(key) === words) twice.push(`${key} ${words}`);
    about.set(key, words);
  }
  return JSON.stringify({
    requests: forge.requests.map(({ title, state, comments }) => ({ title, state, comments: comments.length })),
    lastSaid: [...about.values()].toSorted(),
    branches: git(elsewhere, 'for-each-ref', '--format=%(refname)', 'refs/heads/muster'),
    twice,
  });
}

async function allEvents(get, projectId) {
  const events = [];
  for (let after = 0; ; after = events.at(-1).position) {
    const page = await get(`/api/events?projectId=${projectId}&limit=500&after=${after}`);
    const items = Array.isArray(page) ? page : (page.items ?? page.events);
    if (items.length === 0) return events;
    events.push(...items);
  }
}

/** Answers verifications over the routes that the real verifier uses. */
class Verifier {
  constructor(means) {
    Object.assign(this, means);
  }
  /** Nothing is answered before all have been asked, so that they meet in the queue. */
  async admitTogether(count) {
    const held = new Map();
    for (let tries = 0; held.size < count; tries += 1) {
      if (tries > 60) throw new Error(`only ${held.size} of ${count} were asked for`);
      for (const task of await this.claim()) held.set(task.input.candidateTree, task);
    }
    for (const task of held.values()) await this.answer(task);
  }
  async work() {
    for (const task of await this.claim()) await this.answer(task);
  }
  async answer(task) {
    await this.complete(task, task.capability === 'muster.resolve' ? this.settled(task) : this.verified(task));
  }
  /** What npm and the project's command would make of both sides. */
  settled({ project, input: { trees } }) {
    const repository = join(this.repository, '..', `${project.id}.git`);
    const paths = git(repository, 'ls-tree', '--name-only', trees.merged).split('\n');
    const parts = paths.flatMap((path) => /^parts-(\w)\.js$/.exec(path)?.[1] ?? []).toSorted();
    const locked = ['m', ...parts.filter((part) => part !== 'm')];
    const files = [{ path: 'parts.txt', encoding: 'utf8', content: listOf(...parts) }];
    return { resolved: true, files, lock: { content: lockOf(...locked), tool: 'npm 11.0.0' }, tool: 'node 24.0.0' };
  }
  verified(task) {
    const { purpose, candidateTree, baseTree, rulesDigest, policy } = task.input;
    const repository = join(this.repository, '..', `${task.project.id}.git`);
    const paths = git(repository, 'ls-tree', '--name-only', candidateTree).split('\n');
    const of = (name) => paths.includes(`${name}.js`);
    // Bad in use shows only on the branch; bad with others only where the others are.
    const bad = purpose === 'post_landing' ? of('bad-in-use') && !of('good') : of('bad-with-others') && of('good');
    const required = purpose === 'post_landing' ? ['post-landing'] : policy.required;
    const checks = required.map((check, at) => ({
      check, category: 'tests', status: bad && at === 0 ? 'failed' : 'passed', summary: 'seen', metrics: {}, tool: null, ms: 1,
      findings: bad && at === 0 ? [{ check, rule: 'tests/failed', level: 'error', veto: true, message: 'it fails', path: 'greet.js', line: 1, remedy: null, fingerprint: 'f' }] : [],
    })); // prettier-ignore
    return {
      candidateTree, baseTree, rulesDigest, checks, baseFailures: [], testCases: [], ms: 5,
      toolchain: { digest: 'd', node: '24', platform: 'linux-x64', sandbox: 'unshare', gate: '0.1.0' },
      sandbox: { driver: 'unshare', proven: true, notes: [] },
    }; // prettier-ignore
  }
  async complete(task, output) {
    try {
      await this.post(`/api/tasks/${task.taskId}/attempts/${task.fence}/complete`, { output }, 'verifier');
    } catch (error) {
      // The task was taken back meanwhile, or its lease went with the server: it is asked again.
      if (![401, 403, 404, 409].includes(error.status)) throw error;
    }
  }
}

const fsckOf = (repository) => {
  try {
    return git(repository, 'fsck', '--full', '--no-dangling', '--no-progress');
  } catch (error) {
    return String(error.stderr);
  }
};

/** Where a remote's branch was last seen is kept. */
const unwantedRefs = (repository, known) =>
  git(repository, 'for-each-ref', '--format=%(refname)', 'refs/muster')
    .split('\n')
    .filter((ref) => ref !== '' && !ref.startsWith('refs/muster/remote/'))
    .filter((ref) => ref.startsWith('refs/muster/queue/') || !known.has(ref.slice(ref.lastIndexOf('/') + 1)));
/** The sweep takes them right after the start, not before it. */
async function orphanRefsGone(repository, known) {
  for (let tries = 0; tries < 100 && unwantedRefs(repository, known).length > 0; tries += 1) await sleep(100);
}

/** Whatever should not be there once the next server has come and gone. */
async function orphansOf({ repositories, known, temporary, dataDir }) {
  const below = (folder) => {
    try {
      return readdirSync(folder);
    } catch {
      return [];
    }
  };
  const locks = (repository) =>
    readdirSync(repository, { recursive: true }).filter((name) => String(name).endsWith('.lock'));
  const strays = () =>
    readdirSync('/proc').filter((pid) => {
      try {
        return (
          /^\d+$/.test(pid) &&
          readlinkSync(`/proc/${pid}/cwd`).startsWith(dataDir) &&
          !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
        );
      } catch {
        return false; // ended meanwhile
      }
    });
  for (let tries = 0; tries < 50 && strays().length > 0; tries += 1) await sleep(100);
  return {
    refs: repositories.flatMap((repository) => unwantedRefs(repository, known)),
    worktrees: repositories.flatMap((repository) => below(join(repository, 'worktrees'))),
    locks: repositories.flatMap(locks),
    // Checkouts, sandboxes and whatever else is made for a moment lives in one of these two.
    sandboxes: [...below(join(dataDir, 'scratch')), ...readdirSync(temporary)],
    processes: strays(),
  };
}

const results = [];
try {
  const runs = values.together ? [chosen] : chosen.map((point) => [point]);
  // The outcome that each run is compared with: that of its chapters when nothing ends.
  const undisturbed = new Map();
  const jobs = [...new Set(runs.map((points) => chaptersOf(points).join()))].map((chapters) => async (number) => {
    const whole = await play([], chapters.split(','), number);
    say(`undisturbed ${chapters}: ${whole.history.length} commits in ${whole.ms} ms`);
    undisturbed.set(chapters, whole);
  });
  let number = 0;
  const several = async (work) => {
    const one = async () => {
      for (let job = work.shift(); job !== undefined; job = work.shift()) await job(number++);
    };
    await Promise.all(Array.from({ length: atOnce }, one));
  };
  await several(jobs);
  await several(
    runs.map((points, at) => async (number) => {
      results[at] = await judge(points, undisturbed.get(chaptersOf(points).join()), number);
      const { ok } = results[at];
      say(`${ok ? 'ok  ' : 'FAIL'} ${points.join(', ')}${ok ? '' : ` ${JSON.stringify(results[at])}`}`);
    }),
  );
} finally {
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
}

/** One run against the undisturbed one. Who lands first of the two good ones is the queue's affair; what is there in the end is not. */
async function judge(points, undisturbed, number) {
  try {
    const { tree, history, orphans, ...seen } = await play(points, chaptersOf(points), number);
    const sameOutcome =
      tree === undisturbed.tree &&
      seen.saidThere === undisturbed.saidThere &&
      history.toSorted().join() === undisturbed.history.toSorted().join();
    const left = Object.values(orphans).flat();
    const ok =
      sameOutcome &&
      seen.fsck === 'clean' &&
      seen.starts === points.length + 1 &&
      [...left, ...seen.neverReached, ...seen.toldTwice].length === 0;
    const counts = Object.fromEntries(Object.entries(orphans).map(([kind, found]) => [kind, found.length]));
    return { points, ok, sameOutcome, ...seen, orphans: counts, left };
  } catch (error) {
    return { points, ok: false, problem: error instanceof Error ? error.message : String(error) };
  }
}
const good = results.filter(({ ok }) => ok).flatMap(({ points }) => points);
const failed = good.length < chosen.length;
const of = (kind) => results.reduce((sum, { orphans }) => sum + (orphans?.[kind] ?? 0), 0);
if (values.json) {
  const orphans = Object.fromEntries(
    ['refs', 'worktrees', 'locks', 'sandboxes', 'processes'].map((kind) => [kind, of(kind)]),
  );
  const fsckClean = results.filter(({ fsck }) => fsck === 'clean').length;
  const summary = {
    points: chosen.length,
    runs: results.length,
    completedOrUndone: good.length,
    fsckClean,
    orphans,
    ok: !failed,
  };
  console.log(JSON.stringify({ ...summary, results }, null, 2)); // prettier-ignore
} else say(`${good.length} of ${chosen.length} crash points end as an undisturbed run does.`);
process.exit(failed ? 1 : 0);
