import { spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

/** What the kernel holds a run to as a whole, whatever its processes do. */
export interface GroupLimits {
  readonly totalMemoryMb: number;
  readonly processes: number;
  /** Cores' worth of time. */
  readonly cpus: number;
}

/** One run's group. Its processes cannot leave it: nothing of the tree of groups is mounted inside. */
export interface RunGroup {
  /** The program that starts another one within the group, to be put before its own words. */
  readonly enter: readonly string[];
  /** Whether the kernel had to end something for the sake of memory. */
  outOfMemory(): boolean;
  /** How often a process was refused. */
  refusedProcesses(): number;
  /** Ends everything in it, also what is being started meanwhile where the kernel can. */
  end(): void;
  /** Ends whatever is left and takes the group away. */
  remove(): Promise<void>;
}

export interface Cgroups {
  readonly version: 1 | 2;
  create(limits: GroupLimits): RunGroup;
}

const controllers = ['memory', 'pids', 'cpu'] as const;
type Controller = (typeof controllers)[number];
const prefix = 'muster-run-';
/** The walls' own processes, beside what a run may have. */
const processesOfWalls = 32;
const periodUs = 100_000;

const read = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
};
const writable = (folder: string): boolean => {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
};
const numberAfter = (text: string | null, name: string): number =>
  Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text ?? '')?.[1] ?? 0);

interface Hierarchy {
  readonly version: 1 | 2;
  /** Empty for version 2, which has one hierarchy for all. */
  readonly controllers: readonly string[];
  /** Our own group in it. */
  readonly own: string;
}

/** Where this process is in each hierarchy that is mounted here. */
function hierarchies(): Hierarchy[] {
  const groups = (read('/proc/self/cgroup') ?? '').split('\n').flatMap((line) => {
    const [, named, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    return path === undefined ? [] : [{ named: (named ?? '').split(',').filter(Boolean), path }];
  });
  return (read('/proc/self/mountinfo') ?? '').split('\n').flatMap((line): Hierarchy[] => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root = '/', point] = before.split(' ');
    const [type, , options = ''] = after.split(' ');
    if (point === undefined || (type !== 'cgroup' && type !== 'cgroup2')) return [];
    const names = type === 'cgroup2' ? [] : options.split(',');
    const group = groups.find(({ named }) =>
      type === 'cgroup2' ? named.length === 0 : named.length > 0 && named.every((name) => names.includes(name)),
    );
    if (group === undefined) return [];
    // A container may see a part of the tree under a name of its own.
    const below = group.path.startsWith(root) ? group.path.slice(root === '/' ? 0 : root.length) : '/';
    return [{ version: type === 'cgroup2' ? 2 : 1, controllers: group.named, own: join(point, below) }];
  });
}

interface Ground {
  readonly version: 1 | 2;
  /** In which folder groups are made, by controller; for version 2 the same one. */
  readonly folders: ReadonlyMap<Controller, string>;
}

/**
 * Version 2 lets a group with processes have no limited groups below it. So runs become neighbours of ours, in a unit whose tree was
 * given to us (`Delegate=yes` with `DelegateSubgroup=server`); a slice belongs to the system's own manager.
 */
function groundOfVersion2(own: string): Ground | string {
  const tried: string[] = [];
  for (const folder of [own, ...(dirname(own).endsWith('.slice') ? [] : [dirname(own)])]) {
    const offered = (read(join(folder, 'cgroup.controllers')) ?? '').split(/\s+/).filter(Boolean);
    const missing = controllers.filter((name) => !offered.includes(name));
    if (missing.length > 0) tried.push(`${folder} has no ${missing.join(', ')}`);
    else if (!writable(folder)) tried.push(`${folder} is not ours to write to`);
    else
      try {
        writeFileSync(join(folder, 'cgroup.subtree_control'), controllers.map((name) => `+${name}`).join(' '));
        return { version: 2, folders: new Map(controllers.map((name) => [name, folder])) };
      } catch (error) {
        tried.push(`${folder}: ${String(error)}`);
      }
  }
  return tried.join('; ');
}

function groundOfVersion1(all: readonly Hierarchy[]): Ground | string {
  const folders = new Map<Controller, string>();
  for (const name of controllers) {
    const own = all.find(({ version, controllers: held }) => version === 1 && held.includes(name))?.own;
    if (own === undefined) return `there is no ${name} hierarchy`;
    if (!writable(own)) return `${own} is not ours to write to`;
    folders.set(name, own);
  }
  return { version: 1, folders };
}

let made = 0;

class Group implements RunGroup {
  private readonly folders: ReadonlyMap<Controller, string>;
  private readonly version: 1 | 2;

  constructor({ version, folders }: Ground, limits: GroupLimits) {
    this.version = version;
    const name = `${prefix}${process.pid}-${++made}`;
    this.folders = new Map([...folders].map(([controller, folder]) => [controller, join(folder, name)]));
    try {
      for (const folder of new Set(this.folders.values())) mkdirSync(folder);
      this.limit(limits);
    } catch (error) {
      this.takeAway();
      throw error;
    }
  }

  get enter(): readonly string[] {
    const lists = [...new Set(this.folders.values())].map((folder) => join(folder, 'cgroup.procs'));
    // The shell itself goes in (0 is whoever writes), and becomes what it was asked to start.
    const join_ = 'while [ "$1" != -- ]; do echo 0 > "$1" || exit 125; shift; done; shift; exec "$@"';
    return ['/bin/sh', '-c', join_, 'group', ...lists, '--'];
  }

  outOfMemory(): boolean {
    const file = this.version === 2 ? 'memory.events' : 'memory.oom_control';
    return numberAfter(this.text('memory', file), 'oom_kill') > 0;
  }

  refusedProcesses(): number {
    return numberAfter(this.text('pids', 'pids.events'), 'max');
  }

  async remove(): Promise<void> {
    // What was just ended holds its group for a moment.
    for (let tries = 0; tries < 200; tries += 1) {
      this.end();
      if (this.takeAway()) return;
      await new Promise((resolve) => setTimeout(resolve, Math.min(1 + tries, 20)));
    }
  }

  end(): void {
    if (this.version === 2) this.write('memory', 'cgroup.kill', '1', true);
    for (const pid of (this.text('pids', 'cgroup.procs') ?? '').split('\n').filter(Boolean).map(Number))
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it is gone already
      }
  }

  private takeAway(): boolean {
    let all = true;
    for (const folder of new Set(this.folders.values()))
      try {
        rmdirSync(folder);
      } catch (error) {
        all &&= (error as NodeJS.ErrnoException).code === 'ENOENT';
      }
    return all;
  }

  private limit({ totalMemoryMb, processes, cpus }: GroupLimits): void {
    const memory = String(totalMemoryMb * 1024 * 1024);
    const tasks = String(processes + processesOfWalls);
    const quota = String(Math.max(1000, Math.round(cpus * periodUs)));
    this.write('pids', 'pids.max', tasks);
    if (this.version === 2) {
      this.write('memory', 'memory.max', memory);
      this.write('memory', 'memory.swap.max', '0', true);
      this.write('memory', 'memory.oom.group', '1', true);
      this.write('cpu', 'cpu.max', `${quota} ${periodUs}`);
    } else {
      this.write('memory', 'memory.limit_in_bytes', memory);
      // With swap, where the kernel counts it.
      this.write('memory', 'memory.memsw.limit_in_bytes', memory, true);
      this.write('cpu', 'cpu.cfs_period_us', String(periodUs));
      this.write('cpu', 'cpu.cfs_quota_us', quota);
    }
  }

  private text(controller: Controller, file: string): string | null {
    return read(join(this.folders.get(controller)!, file));
  }

  private write(controller: Controller, file: string, value: string, optional = false): void {
    try {
      writeFileSync(join(this.folders.get(controller)!, file), value);
    } catch (error) {
      if (!optional) throw error;
    }
  }
}

/** What verifiers left that were killed: their groups are empty, and somebody has to take them away. */
function sweep({ folders }: Ground): void {
  for (const folder of new Set(folders.values()))
    for (const name of readdirSync(folder)) {
      const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1];
      if (pid === undefined || read(`/proc/${pid}/stat`) !== null) continue;
      try {
        rmdirSync(join(folder, name));
      } catch {
        // somebody is still in there, and its own verifier's namespace ends them
      }
    }
}

const inGroup = (group: RunGroup, script: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const [program, ...words] = [...group.enter, '/bin/sh', '-c', script];
    const child = spawn(program, words, { stdio: 'ignore', env: { PATH: '/usr/bin:/bin' }, timeout: 20_000 });
    child.once('error', reject);
    child.once('close', () => resolve());
  });

/** Lets something try to take more than it may, and looks whether the kernel said no. */
async function prove(cgroups: Cgroups): Promise<string | null> {
  const trying = async (limits: GroupLimits, script: string, held: (group: RunGroup) => boolean): Promise<boolean> => {
    const group = cgroups.create(limits);
    try {
      await inGroup(group, script);
      return held(group);
    } finally {
      await group.remove();
    }
  };
  const cpus = availableParallelism();
  const hoard = 'head -c 256m /dev/zero | tail > /dev/null';
  if (!(await trying({ totalMemoryMb: 48, processes: 64, cpus }, hoard, (group) => group.outOfMemory())))
    return 'something held more memory than its group may';
  const multiply = 'n=0; while [ $n -lt 80 ]; do sleep 10 & n=$((n+1)); done';
  if (!(await trying({ totalMemoryMb: 256, processes: 8, cpus }, multiply, (group) => group.refusedProcesses() > 0)))
    return 'something started more processes than its group may';
  return null;
}

/**
 * Groups for runs, where the system lets this user make limited ones; the kernel has said no in them before they are used. Otherwise
 * why not, in words.
 */
export async function detectCgroups(): Promise<Cgroups | string> {
  try {
    const all = hierarchies();
    const second = all.find(({ version }) => version === 2);
    const two = second === undefined ? 'there is no cgroup2 here' : groundOfVersion2(second.own);
    const one = typeof two === 'string' ? groundOfVersion1(all) : null;
    const ground = typeof two === 'string' ? one! : two;
    if (typeof ground === 'string') return `${two as string}; version 1: ${ground}`;
    sweep(ground);
    const cgroups: Cgroups = { version: ground.version, create: (limits) => new Group(ground, limits) };
    const wrong = await prove(cgroups);
    return wrong === null ? cgroups : `version ${ground.version}: ${wrong}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
