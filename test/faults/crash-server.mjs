// A server of the crash-points run: a process of its own, with the real rooms, that ends itself outright when a chosen moment comes.
// Started by its own path it is the server; imported it starts one and talks to it.
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const self = fileURLToPath(import.meta.url);
const password = 'a password for crash tests';

/** @param points the crash points at the first of which to be reached it ends itself; none: never */
export async function startCrashServer(where, points) {
  const child = spawn(process.execPath, [self], {
    env: {
      PATH: process.env.PATH,
      TMPDIR: where.temporary,
      // Half of a start is compiling what the one before it has compiled.
      NODE_COMPILE_CACHE: where.compiled,
      CRASH_POINTS: points.join(),
      CRASH_DIED_AT: where.diedAt,
      CRASH_DATA_DIR: where.dataDir,
      CRASH_DATABASE_URL: where.databaseUrl,
      CRASH_SOURCES: where.sources.join(':'),
      CRASH_FORGES: where.forges,
      CRASH_PASSWORD: password,
    },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  let printed = '';
  let signal = null;
  let ended = false;
  const exited = new Promise((done) =>
    child.once('exit', (_, by) => {
      [ended, signal] = [true, by];
      done();
    }),
  );
  child.stderr.on('data', (chunk) => (printed = (printed + String(chunk)).slice(-20_000)));
  child.stdout.on('data', (chunk) => (printed = (printed + String(chunk)).slice(-20_000)));
  // On a pipe of its own: the log is on the others, and a server that takes up what was left may log before it is ready.
  const hello = await new Promise((done) => {
    let text = '';
    child.stdio[3].on('data', (chunk) => (text += String(chunk)));
    child.stdio[3].on('end', () => done(text === '' ? null : JSON.parse(text)));
  });
  const tokens = { verifier: hello?.verifierKey ?? '', author: where.authorKey ?? '', admin: '' };
  const instances = new Map();
  const call = async (method, path, body, as = 'admin', headers = {}) => {
    if (hello === null) throw new Error(`the server did not start: ${printed}`);
    const response = await fetch(hello.url + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(tokens[as] === '' ? {} : { authorization: `Bearer ${tokens[as]}` }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? null : JSON.parse(text) };
  };
  const server = {
    call,
    printed: () => printed,
    alive: () => !ended,
    signal: () => signal,
    /** How the author's key is known to this server and to those after it. */
    useAuthor(key) {
      where.authorKey = key;
      tokens.author = key;
    },
    /** Whoever worked for the server before this one says hello to this one as well. */
    async instance(as, agent, capabilities) {
      if (!instances.has(as)) {
        const hail = { agent, capabilities, capacity: 10 };
        const { status, body: answer } = await call('POST', '/api/runtime/instances', hail, as);
        if (status >= 300) throw new Error(`${agent} was refused: ${status} ${JSON.stringify(answer)}`);
        instances.set(as, answer.instanceId);
      }
      return instances.get(as);
    },
    async stop() {
      if (!ended) child.kill('SIGTERM');
      await exited;
    },
  };
  if (hello !== null) {
    const login = await call('POST', '/api/auth/login', { email: 'admin@localhost', password }).catch(() => null);
    tokens.admin = login?.body?.accessToken ?? '';
  } else await exited;
  return server;
}

/** Moves the branch of the repository that the file names, once, as somebody would who goes past Muster. */
function moveBehindItsBack(file) {
  if (!existsSync(file)) return;
  const repository = readFileSync(file, 'utf8');
  const git = (...args) =>
    execFileSync('git', ['-c', 'user.name=S', '-c', 'user.email=s@example.org', '-c', 'safe.directory=*', ...args], {
      cwd: repository,
      encoding: 'utf8',
      env: { ...process.env, GIT_AUTHOR_DATE: '@0 +0000', GIT_COMMITTER_DATE: '@0 +0000' },
    }).trim();
  const commit = git('commit-tree', '-m', 'Past Muster', '-p', 'refs/heads/main', 'refs/heads/main^{tree}');
  git('update-ref', 'refs/heads/main', commit);
  rmSync(file);
}

if (process.argv[1] === self) {
  await import('reflect-metadata');
  const dist = (path) => import(new URL(`../../dist/${path}`, import.meta.url).href);
  const { loadConfig } = await dist('libs/platform/src/config/index.js');
  const { startServer } = await dist('apps/server/src/server.js');
  const { rooms } = await dist('apps/server/src/rooms.js');
  const { CrashPoints, IntegrationModule } = await dist('libs/integration/src/index.js');
  const { ForgeCrashPoints, ForgesModule } = await dist('libs/forges/src/index.js');
  const { Authenticator } = await dist('libs/messages/src/auth/index.js');
  const { env } = process;
  const points = new Set(env.CRASH_POINTS.split(','));

  /** Left by whichever server came to it: what is landed afterwards is what tools have settled. */
  const resolved = `${env.CRASH_DIED_AT}.resolved`;
  const endAt = (moment) => {
    if (moment === 'resolution.recorded') writeFileSync(resolved, '');
    const later = `${moment}@resolution`;
    const point = points.has(later) && existsSync(resolved) ? later : moment;
    if (!points.has(point)) return;
    writeFileSync(env.CRASH_DIED_AT, point);
    // Nothing runs after this line, no handler and no promise.
    process.kill(process.pid, 'SIGKILL');
  };
  class EndThere extends CrashPoints {
    reach(point) {
      if (point === 'set.intended') moveBehindItsBack(`${env.CRASH_DIED_AT}.move`);
      endAt(point);
    }
  }
  class EndThereToo extends ForgeCrashPoints {
    reach(point) {
      endAt(point);
    }
  }
  const config = loadConfig({
    MUSTER_PORT: '0',
    MUSTER_DATA_DIR: env.CRASH_DATA_DIR,
    DATABASE_URL: env.CRASH_DATABASE_URL,
    MUSTER_ADMIN_PASSWORD: env.CRASH_PASSWORD,
    MUSTER_IMPORT_PATHS: env.CRASH_SOURCES,
    MUSTER_FORGES: env.CRASH_FORGES,
    MUSTER_VERIFIERS: '0',
    MUSTER_LEASE_SECONDS: '8',
    MUSTER_LOG_LEVEL: 'error',
  });
  const told = new Map([
    [IntegrationModule, IntegrationModule.with(new EndThere())],
    [ForgesModule, ForgesModule.with(new EndThereToo())],
  ]);
  const equipped = rooms.map((room) => ({ ...room, module: told.get(room.module) ?? room.module }));
  const { MusterLogger } = await dist('libs/observability/src/index.js');
  const server = await startServer(config, new MusterLogger(config), equipped);
  const verifierKey = await server.app.get(Authenticator).issueSystemKey('verifier');
  process.on('SIGTERM', () => void server.drain().then(() => process.exit(0)));
  writeFileSync(3, JSON.stringify({ url: server.url, verifierKey }));
  closeSync(3);
}
