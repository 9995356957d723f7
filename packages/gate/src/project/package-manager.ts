import { createHash, randomUUID } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { SandboxError, type SandboxDriver } from '../sandbox/driver.ts';
import { inSlot } from '../sandbox/slots.ts';
import { toolchain } from '../sandbox/toolchain.ts';
import { gatherArchives, type Archive, type ArchiveSource } from './archives.ts';
import {
  homeOf,
  installedAt,
  isRealFolder,
  refusedAsExchanged,
  toolCaches,
  without,
  type Installed,
} from './installed.ts';
import { makeReadable } from './readable.ts';

const require = createRequire(import.meta.url);

/** A package manager of ours, pinned by our own lock file like everything else that the gate is made of. */
export interface PackageManager {
  readonly name: string;
  /** How its manifest is loaded, and its program beside that. */
  readonly manifest: string;
  readonly program: string;
  readonly args: readonly string[];
  /** `{registry}` stands for the registry that it is given. */
  readonly env: Readonly<Record<string, string>>;
  /** Of what it printed, why it failed. */
  readonly complaint: RegExp;
  /** Says that it asked a registry for what stands in no lock. */
  readonly lacking?: RegExp;
}

/** What a lock of another tool than npm asks for, read and found to be what can be installed. */
export interface ForeignPlan {
  readonly manager: PackageManager;
  readonly lock: string;
  /** All that the manager gets to see of the project. `{registry}` in the lock stands for the registry that it is given. */
  readonly files: ReadonlyMap<string, string>;
  readonly archives: readonly Archive[];
  readonly workspaces: readonly string[];
}

/**
 * Runs beside the manager, within its walls: the only registry that it can reach, which has the archives that the lock names and has never
 * heard of anything else.
 */
const registryProgram = `
import { spawn } from 'node:child_process';
import { createReadStream, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
const here = new URL('.', import.meta.url).pathname;
const { archives, lock, program, args, env } = JSON.parse(readFileSync(here + 'plan.json', 'utf8'));
const server = createServer((request, response) => {
  let file;
  try {
    const path = decodeURIComponent(request.url.split('?')[0]);
    if (Object.hasOwn(archives, path)) file = archives[path];
  } catch {}
  if (file === undefined) return response.writeHead(404, { 'content-type': 'application/json' }).end('{}');
  const archive = createReadStream(here + file);
  archive.on('error', () => response.destroy());
  archive.pipe(response);
});
server.listen(0, '127.0.0.1', () => {
  const registry = 'http://127.0.0.1:' + server.address().port;
  const put = (text) => text.replaceAll('{registry}', registry);
  writeFileSync(lock, put(readFileSync(lock, 'utf8')));
  const child = spawn(process.execPath, [program, ...args.map(put)], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...Object.fromEntries(Object.entries(env).map(([name, text]) => [name, put(text)])) },
  });
  child.on('exit', (code) => {
    process.exitCode = code ?? 1;
    server.close();
    server.closeAllConnections();
  });
});
`;

/** What a manager keeps while it works; gone before anybody else sees the folder. */
export const managersStore = '.muster-store';

export interface ManagerOptions extends ArchiveSource {
  readonly driver?: SandboxDriver | null;
  readonly onLog?: ((line: string) => void) | undefined;
}

const running = new Map<string, Promise<Installed>>();

/**
 * Installs what a lock of pnpm or yarn names, once per content: by that tool itself, which has to leave the lock as it is and runs no scripts. It
 * works in the sandbox without a network, on the manifests, the lock and the archives, which were compared with the lock's hashes before.
 */
export async function installByManager(plan: ForeignPlan, options: ManagerOptions): Promise<Installed> {
  const driver = options.driver ?? null;
  if (driver === null)
    return { ...without('not_run', `${plan.manager.name} is not run without a sandbox, which there is none of here`), blocked: true }; // prettier-ignore
  const manifest = require.resolve(plan.manager.manifest);
  const { version } = require(manifest) as { version: string };
  const { nodeVersion } = toolchain();
  const digest = createHash('sha256')
    .update(
      JSON.stringify([
        [...plan.files],
        plan.archives,
        [plan.manager.name, version, plan.manager.args, plan.manager.env],
        nodeVersion.split('.')[0],
        process.platform,
        process.arch,
      ]),
    )
    .digest('hex')
    .slice(0, 40);
  const key = `${options.cacheDir} ${digest}`;
  const work = running.get(key) ?? install(plan, { ...options, driver, digest, version, package: dirname(manifest) });
  running.set(key, work);
  try {
    return await work;
  } finally {
    running.delete(key);
  }
}

async function install(
  plan: ForeignPlan,
  options: ManagerOptions & { driver: SandboxDriver; digest: string; version: string; package: string },
): Promise<Installed> {
  const { driver, digest } = options;
  const { manager } = plan;
  const home = homeOf(options.cacheDir, digest);
  if (existsSync(home)) return installedAt(home, plan.workspaces, digest);
  const base = driver.scratch ?? join(options.cacheDir, 'dependencies');
  const folder = join(base, `.${digest}-${randomUUID()}`);
  try {
    const archives = join(folder, 'archives');
    const gathered = await gatherArchives(plan.archives, archives, options);
    if (gathered.status === 'missing') return { ...without('not_run', gathered.reason), blocked: gathered.blocked };
    if (gathered.status === 'exchanged') return refusedAsExchanged(plan.lock, gathered.problems);
    const work = join(folder, 'work');
    try {
      for (const [path, text] of plan.files) {
        mkdirSync(dirname(join(work, path)), { recursive: true });
        writeFileSync(join(work, path), text);
      }
    } catch (error) {
      // A workspace where a file of ours belongs, or a path that no disk takes.
      if (!/^(?:EEXIST|EISDIR|ENOTDIR|ENAMETOOLONG)/.test((error as Error).message)) throw error;
      return without('not_run', `the manifests that ${plan.lock} names cannot be laid out: ${(error as Error).message.slice(0, 8)}`); // prettier-ignore
    }
    const direct = driver.name === 'none-i-accept-the-risk';
    const seen = direct ? options.package : `/opt/${manager.name}`;
    const program = `${seen}/${manager.program}`;
    const { args, env } = manager;
    writeFileSync(join(archives, 'plan.json'), JSON.stringify({ archives: gathered.files, lock: plan.lock, program, args, env })); // prettier-ignore
    writeFileSync(join(archives, 'registry.mjs'), registryProgram);
    makeReadable(archives);
    options.onLog?.(`installing dependencies from ${plan.lock} with ${manager.name} ${options.version}`);
    const ran = await inSlot(() =>
      driver.run({
        command: ['node', `${direct ? archives : '/opt/archives'}/registry.mjs`],
        workDir: work,
        mounts: direct
          ? []
          : [
              { from: archives, to: '/opt/archives', mode: 'ro' },
              { from: options.package, to: seen, mode: 'ro' },
            ],
        env: { NO_COLOR: '1', NODE_DISABLE_COMPILE_CACHE: '1' },
        network: 'none',
        limits: { timeoutMs: 300_000, diskMb: 8192, outputBytes: 200_000 },
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      }),
    );
    if (ran.exitCode !== 0) {
      const why = ran.timedOut
        ? 'it ran out of time'
        : (ran.stopped ?? complaintIn(`${ran.stdout}\n${ran.stderr}`, manager));
      return {
        ...without('not_run', `${manager.name} ${options.version} did not install ${plan.lock} as it is: ${why}`),
        blocked: ran.timedOut || ran.stopped !== null,
      };
    }
    rmSync(join(work, managersStore), { recursive: true, force: true });
    if (!isRealFolder(work, 'node_modules')) {
      // Nothing to install, or something that took its place.
      rmSync(join(work, 'node_modules'), { recursive: true, force: true });
      mkdirSync(join(work, 'node_modules'));
    }
    for (const cache of toolCaches)
      if (!isRealFolder(work, `node_modules/${cache}`)) {
        rmSync(join(work, 'node_modules', cache), { recursive: true, force: true });
        mkdirSync(join(work, 'node_modules', cache));
      }
    makeReadable(work);
    mkdirSync(dirname(home), { recursive: true });
    // A sandbox may want its folders elsewhere, on another disk.
    const ready = join(dirname(home), `.${digest}-${randomUUID()}-ready`);
    if (driver.scratch === undefined) renameSync(work, home);
    else {
      try {
        cpSync(work, ready, { recursive: true, verbatimSymlinks: true });
        renameSync(ready, home);
      } finally {
        rmSync(ready, { recursive: true, force: true });
      }
    }
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof SandboxError) return { ...without('not_run', error.message), blocked: true };
    if (!existsSync(home)) throw error; // else by another verifier
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return installedAt(home, plan.workspaces, digest);
}

function complaintIn(said: string, { complaint, lacking }: PackageManager): string {
  const lines = said
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const asked = lacking?.exec(said)?.[1];
  const from = lines.findIndex((line) => complaint.test(line));
  return [
    ...(asked === undefined ? [] : [`the lock file has nothing for ${asked}, which the project asks for`]),
    ...(from < 0 ? lines.slice(-5) : lines.slice(from, from + 6)),
  ]
    .join('; ')
    .slice(0, 1000);
}
