import { chmodSync, chownSync, lchownSync, opendirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  commandLine,
  defaultLimits,
  isRoot,
  launch,
  sandboxPaths,
  withUid,
  type SandboxDriver,
  type SandboxLimits,
  type SandboxMount,
  type SandboxResult,
  type SandboxRun,
} from './driver.ts';
import { toolchain } from './toolchain.ts';
import { Watch } from './watch.ts';
import { ownFolder } from './own-folder.ts';

export const systemPath = '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin';

/**
 * Runs as the first process of the new namespaces, privileged there, and stays as their process 1: when it goes, the kernel
 * takes everything inside along, and the command can neither signal nor trace it. It builds a root of its own from nothing,
 * so that only what is named here exists inside, and only then lets the command in.
 *
 * Sources are mounted before any privilege is dropped, so a folder behind a 0700 ancestor is reachable inside.
 */
const build = `
set -eu
root=$1; uid=$2; tmp_mb=$3; cwd=$4; nofile=$5; fsize=$6; nproc=$7; data=$8; shift 8
bind() { mount --bind "$1" "$2" 2>/dev/null || mount --rbind "$1" "$2"; }
read_only() { mount -o remount,bind,ro,nosuid,nodev "$1"; }
mount -t tmpfs -o mode=0755,size=16m,nosuid,nodev muster "$root"
cd "$root"
mkdir -p usr etc proc dev tmp run var old muster
ln -s ../tmp var/tmp
bind /usr usr; read_only usr
for d in bin sbin lib lib32 lib64 libx32; do
  if [ -L "/$d" ]; then ln -s "$(readlink "/$d")" "$d"
  elif [ -d "/$d" ]; then mkdir "$d"; bind "/$d" "$d"; read_only "$d"; fi
done
printf 'root:x:0:0:root:/tmp:/bin/sh\\nagent:x:1000:1000:agent:/tmp/home:/bin/sh\\nnobody:x:65534:65534:nobody:/:/bin/sh\\n' > etc/passwd
printf 'root:x:0:\\nagent:x:1000:\\nnogroup:x:65534:\\n' > etc/group
printf '127.0.0.1 localhost\\n::1 localhost\\n' > etc/hosts
printf 'passwd: files\\ngroup: files\\nhosts: files\\n' > etc/nsswitch.conf
: > etc/resolv.conf
for f in ld.so.cache ld.so.conf ld.so.conf.d ld-musl-x86_64.path ld-musl-aarch64.path alternatives localtime ssl/certs ssl/openssl.cnf ca-certificates pki/tls/certs; do
  [ -e "/etc/$f" ] || continue
  if [ -d "/etc/$f" ]; then mkdir -p "etc/$f"; else mkdir -p "$(dirname "etc/$f")"; : > "etc/$f"; fi
  bind "/etc/$f" "etc/$f"; read_only "etc/$f"
done
mount -t proc -o nosuid,nodev,noexec proc proc
for f in null zero full random urandom; do : > "dev/$f"; bind "/dev/$f" "dev/$f"; done
ln -s /proc/self/fd dev/fd; ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr
mkdir dev/shm; mount -t tmpfs -o mode=1777,size=256m,nosuid,nodev muster dev/shm
mount -t tmpfs -o "mode=1777,size=\${tmp_mb}m,nosuid,nodev" muster tmp
mkdir -m 1777 tmp/home
ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null ||
  perl -e 'socket(S,2,2,0) or die; my $r=pack("a16 s x22","lo",0x41); ioctl(S,0x8914,$r) or die' 2>/dev/null ||
  python3 -c 'import fcntl,socket,struct; fcntl.ioctl(socket.socket(socket.AF_INET,socket.SOCK_DGRAM),0x8914,struct.pack("16sh22x",b"lo",0x41))' 2>/dev/null || true
while [ "$1" != -- ]; do
  mode=$1; from=$2; to=.$3; shift 3
  case $mode in
    tmpfs) mkdir -p "$to"; mount -t tmpfs -o mode=1777,size=256m,nosuid,nodev muster "$to" ;;
    *)
      if [ -d "$from" ]; then [ -d "$to" ] || mkdir -p "$to"
      elif [ ! -e "$to" ]; then mkdir -p "$(dirname "$to")"; : > "$to"; fi
      bind "$from" "$to"
      if [ "$mode" = ro ]; then read_only "$to"; else mount -o remount,bind,nosuid,nodev "$to"; fi ;;
  esac
done
shift
pivot_root . old
cd /
umount -l /old
rmdir /old
mount -o remount,bind,ro,nosuid,nodev /
cd "$cwd"
limits="--core=0 --nofile=$nofile --fsize=$fsize --nproc=$nproc --data=$data"
# Two user namespaces, the inner one where no further ones may be made: without them a command could become "root" in a
# namespace of its own and reach the parts of the kernel that only root reaches.
inner='echo 1 > /proc/sys/user/max_user_namespaces && exec unshare --user --map-user=1000 --map-group=1000 setpriv --no-new-privs --inh-caps=-all "$@"'
enter='echo ready >&3; exec "$@" 3>&-'
set +e
if [ "$uid" = 0 ]; then
  sh -c "$inner" sh prlimit $limits sh -c "$enter" sh "$@"
else
  drop="setpriv --reuid=$uid --regid=$uid --clear-groups --inh-caps=-all"
  if $drop unshare --user --map-root-user sh -c "$inner" sh true 2>/dev/null; then
    $drop unshare --user --map-root-user sh -c "$inner" sh prlimit $limits sh -c "$enter" sh "$@"
  else
    $drop --bounding-set=-all --no-new-privs prlimit $limits sh -c "$enter" sh "$@"
  fi
fi
exit $?
`;

/** Gives a tree to the user that a run is dropped to. Links themselves are given, never what they point to. */
export function giveTo(uid: number, folder: string): void {
  lchownSync(folder, uid, uid);
  const entries = opendirSync(folder);
  try {
    for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) giveTo(uid, path);
      else lchownSync(path, uid, uid);
    }
  } finally {
    entries.closeSync();
  }
}

export interface PreparedRun {
  limits: SandboxLimits;
  mounts: SandboxMount[];
  env: Record<string, string>;
}

export function prepare(run: SandboxRun): PreparedRun {
  const tools = toolchain();
  const mounts: SandboxMount[] = [...tools.mounts, { from: run.workDir, to: sandboxPaths.work, mode: 'rw' }];
  if (run.reportDir !== undefined) mounts.push({ from: run.reportDir, to: sandboxPaths.report, mode: 'rw' });
  mounts.push(...(run.mounts ?? []));
  return {
    limits: { ...defaultLimits, ...run.limits },
    mounts,
    env: { PATH: tools.path, HOME: '/tmp/home', CI: 'true', LANG: 'C.UTF-8', TMPDIR: '/tmp', ...run.env },
  };
}

const writableIn = (mounts: readonly SandboxMount[]): string[] =>
  mounts.filter(({ mode }) => mode === 'rw').map(({ from }) => from);

/** Writable folders must belong to whom the run is dropped to; read-only ones only have to be readable. */
export function giveWritable(mounts: readonly SandboxMount[], uid: number): void {
  for (const mount of mounts) {
    if (mount.mode !== 'rw') continue;
    if (statSync(mount.from).isDirectory()) giveTo(uid, mount.from);
    else chownSync(mount.from, uid, uid);
  }
}

/**
 * Sets up walls and runs behind them: as root for an unprivileged user of its own, whose the writable folders become.
 * @param outermost the program that sets them up; `uid` is that user of the host, or null: whoever runs us
 * @param watched the walls let nothing be read without a trace, and what is read is to be told
 */
export async function launchWalled(
  run: SandboxRun,
  { limits, mounts }: PreparedRun,
  outermost: (uid: number | null) => readonly string[],
  { watched = false } = {},
): Promise<SandboxResult> {
  const start = async (uid: number | null): Promise<SandboxResult> => {
    const watch = watched ? new Watch(run.workDir) : null;
    const result = await launch(outermost(uid), {
      env: { PATH: systemPath, LC_ALL: 'C' },
      limits,
      writable: writableIn(mounts),
      watched: watch === null ? null : { folder: run.workDir, watch },
      signal: run.signal,
      groups: run.groups,
      onOutput: run.onOutput,
      handshake: true,
    });
    return watch === null ? result : { ...result, reads: watch.reads() };
  };
  if (!isRoot()) return await start(null);
  return await withUid(async (uid) => {
    giveWritable(mounts, uid);
    return await start(uid);
  });
}

/**
 * The driver that needs nothing installed: util-linux's `unshare`, `setpriv`, `prlimit`, `mount` and `pivot_root`, which every
 * Linux has. As root the command runs as an unprivileged user of its own; otherwise as ourselves within user namespaces.
 */
export const unshareDriver: SandboxDriver = {
  name: 'unshare',
  paths: () => ({ work: sandboxPaths.work, report: sandboxPaths.report }),
  async run(run: SandboxRun): Promise<SandboxResult> {
    const prepared = prepare(run);
    const { limits, mounts, env } = prepared;
    const root = ownFolder('root');
    chmodSync(root, 0o755);
    try {
      return await launchWalled(run, prepared, (uid) => [
        'setpriv',
        '--pdeathsig=KILL',
        'unshare',
        ...(uid === null ? ['--user', '--map-root-user'] : []),
        '--mount',
        '--pid',
        '--ipc',
        '--uts',
        ...(run.network === 'registry' ? [] : ['--net']),
        '--propagation=private',
        '--fork',
        '--kill-child=KILL',
        '/bin/sh',
        '-c',
        build,
        'sandbox',
        root,
        String(uid ?? 0),
        '1024',
        sandboxPaths.work,
        '1024',
        String(limits.fileMb * 1024 * 1024),
        String(limits.processes),
        String(limits.memoryMb * 1024 * 1024),
        ...mounts.flatMap((mount) => [mount.mode, mount.from, mount.to]),
        '--',
        'env',
        '-i',
        ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
        ...commandLine(run.command),
      ]);
    } finally {
      try {
        rmdirSync(root);
      } catch {
        // an empty folder in the system's temporary folder
      }
    }
  },
};
