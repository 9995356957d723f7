import { chmodSync, lstatSync, readlinkSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  commandLine,
  isRoot,
  sandboxPaths,
  type SandboxDriver,
  type SandboxResult,
  type SandboxRun,
} from './driver.ts';
import { noTracelessReads } from './no-traceless-reads.ts';
import { launchWalled, prepare, systemPath } from './unshare.ts';
import { ownFolder } from './own-folder.ts';

/**
 * For root only: puts every source on a stage that the unprivileged user can reach, whatever the folders above it allow, in a
 * mount tree that nobody else sees; then starts bubblewrap as that user.
 *
 * It stays as the first process of a namespace around bubblewrap's own: whatever is ended from outside, however early, the kernel
 * takes everything inside along. Bubblewrap alone forgets what it had started when it is killed before it has set itself up, and
 * dropping to another user makes the kernel forget whose death was to be followed.
 */
const stage = `
set -eu
stage=$1; uid=$2; shift 2
mount -t tmpfs -o mode=0755,size=1m,nosuid,nodev muster "$stage"
n=0
while [ "$1" != -- ]; do
  if [ -d "$1" ]; then mkdir "$stage/$n"; else : > "$stage/$n"; fi
  mount --bind "$1" "$stage/$n"
  n=$((n+1)); shift
done
shift
setpriv --reuid="$uid" --regid="$uid" --clear-groups --inh-caps=-all --no-new-privs "$@"
exit $?
`;

const etc = [
  ['passwd', 'root:x:0:0:root:/tmp:/bin/sh\nagent:x:1000:1000:agent:/tmp/home:/bin/sh\n'],
  ['group', 'root:x:0:\nagent:x:1000:\n'],
  ['hosts', '127.0.0.1 localhost\n::1 localhost\n'],
  ['nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files\n'],
] as const;

/**
 * Runs inside, before the command: says that the walls stand. The limit on processes is set here: outside it would count
 * everything that the user runs, and somebody with a browser and an editor open could not start a sandbox at all.
 */
const enter = `
PATH=${systemPath} prlimit --pid $$ --nproc="$1" || exit
shift
echo ready >&3
exec 3>&-
mkdir -p /tmp/home
exec "$@"
`;

export const bwrapDriver: SandboxDriver = {
  name: 'bwrap',
  watches: true,
  paths: () => ({ work: sandboxPaths.work, report: sandboxPaths.report }),
  async run(run: SandboxRun): Promise<SandboxResult> {
    const prepared = prepare(run);
    const { limits, mounts, env } = prepared;
    const root = isRoot();
    const folder = ownFolder('stage');
    chmodSync(folder, 0o755);
    const sources = mounts.filter((mount) => mount.mode !== 'tmpfs').map((mount) => mount.from);
    const seen = (from: string): string => (root ? join(folder, String(sources.indexOf(from))) : from);
    const exists = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;
    const system = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'].flatMap((name) =>
      !exists(`/${name}`)
        ? []
        : lstatSync(`/${name}`).isSymbolicLink()
          ? ['--symlink', readlinkSync(`/${name}`), `/${name}`]
          : ['--ro-bind', `/${name}`, `/${name}`],
    );
    const settings = [
      'ld.so.cache',
      'ld.so.conf',
      'ld.so.conf.d',
      'alternatives',
      'localtime',
      'ssl/certs',
      'ssl/openssl.cnf',
    ].flatMap((name) => (exists(`/etc/${name}`) ? ['--ro-bind', `/etc/${name}`, `/etc/${name}`] : []));
    // bubblewrap takes the contents of small files from descriptors; the shell in front of it opens them.
    const files =
      etc.map((_file, index) => `${index + 4}<<'END${index}'`).join(' ') +
      '\n' +
      etc.map(([, text], index) => `${text}END${index}\n`).join('');
    const filter = run.watched === true ? noTracelessReads() : null;
    const argv = [
      'bwrap',
      ...(filter === null ? [] : ['--seccomp', '8']),
      '--unshare-user',
      '--unshare-ipc',
      '--unshare-pid',
      '--unshare-uts',
      '--unshare-cgroup-try',
      ...(run.network === 'registry' ? [] : ['--unshare-net']),
      '--disable-userns',
      '--die-with-parent',
      '--new-session',
      '--uid',
      '1000',
      '--gid',
      '1000',
      '--cap-drop',
      'ALL',
      '--ro-bind',
      '/usr',
      '/usr',
      ...system,
      ...settings,
      ...etc.flatMap(([name], index) => ['--ro-bind-data', String(index + 4), `/etc/${name}`]),
      '--proc',
      '/proc',
      '--dev',
      '/dev',
      '--size',
      String(256 * 1024 * 1024),
      '--tmpfs',
      '/dev/shm',
      '--size',
      String(1024 * 1024 * 1024),
      '--tmpfs',
      '/tmp',
      '--symlink',
      '../tmp',
      '/var/tmp',
      ...mounts.flatMap((mount) =>
        mount.mode === 'tmpfs'
          ? ['--size', String(256 * 1024 * 1024), '--tmpfs', mount.to]
          : [mount.mode === 'ro' ? '--ro-bind' : '--bind', seen(mount.from), mount.to],
      ),
      '--remount-ro',
      '/',
      '--chdir',
      sandboxPaths.work,
      '--clearenv',
      ...Object.entries(env).flatMap(([name, value]) => ['--setenv', name, value]),
      '/bin/sh',
      '-c',
      enter,
      'sandbox',
      String(limits.processes),
      ...commandLine(run.command),
    ];
    const limited = [
      'prlimit',
      '--core=0',
      '--nofile=1024',
      `--fsize=${limits.fileMb * 1024 * 1024}`,
      `--data=${limits.memoryMb * 1024 * 1024}`,
      '/bin/sh',
      '-c',
      `filter=$1; shift; exec "$@" ${filter === null ? '' : '8<"$filter" '}${files}`,
      'sh',
      filter ?? '',
      ...argv,
    ];
    try {
      const outermost = (uid: number | null): readonly string[] =>
        uid === null
          ? ['setpriv', '--pdeathsig=KILL', '--no-new-privs', ...limited]
          : [
              'setpriv',
              '--pdeathsig=KILL',
              'unshare',
              '--mount',
              '--pid',
              '--mount-proc',
              '--propagation=private',
              '--fork',
              '--kill-child=KILL',
              '/bin/sh',
              '-c',
              stage,
              'stage',
              folder,
              String(uid),
              ...sources,
              '--',
              ...limited,
            ];
      return await launchWalled(run, prepared, outermost, { watched: filter !== null });
    } finally {
      try {
        rmdirSync(folder);
      } catch {
        // an empty folder in the system's temporary folder
      }
    }
  },
};
