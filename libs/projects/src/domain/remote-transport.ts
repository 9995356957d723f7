import { lookup } from 'node:dns/promises';
import { writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { childEnvironment } from '#platform/config';
import type { Git, GitFailed } from '#platform/git';
import { NotARepository, SourceRefused } from '../projects.errors.ts';
import { checkUrl, fetchRefs, type ImportRules, isPublic } from './import-source.ts';

export interface RemoteRules extends ImportRules {
  readonly remoteTimeoutMs: number;
  /** A file in the form of git's credential store, of the operator. */
  readonly remoteCredentials: string | null;
  /** A file with the certificates that vouch for hosts, instead of the system's. */
  readonly remoteCa: string | null;
  readonly remoteSshKey: string | null;
  readonly remoteKnownHosts: string | null;
}
interface Reachable {
  readonly location: string;
  readonly protocols: string;
  readonly settings: readonly string[];
  readonly env: Record<string, string>;
  readonly timeoutMs: number;
}

/** Where a branch stands is told at once, or not worth waiting for. */
const ASK_MS = 60_000;
/** In single quotes for the shell by which git starts ssh and its helpers. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** Checked anew each time: what a name stands for changes. Connections go to the address that was checked. */
export async function reach(url: string, rules: RemoteRules): Promise<Reachable> {
  const settings = join(rules.dataDir, 'import.gitconfig');
  await writeFile(settings, '[safe]\n\tdirectory = *\n[core]\n\thooksPath = /dev/null\n');
  const { PATH: _, HOME: __, ...network } = childEnvironment({});
  const env = { ...network, LC_ALL: 'C', GIT_CONFIG_GLOBAL: settings };
  if (url.startsWith('ssh:')) return await reachBySsh(new URL(url), rules, env);
  const checked = await checkUrl(url, rules);
  const helper =
    rules.remoteCredentials === null || checked.protocols === 'file'
      ? []
      : [`credential.helper=store --file=${quoted(rules.remoteCredentials)}`];
  return {
    location: checked.location,
    protocols: checked.protocols,
    settings: [
      ...checked.settings,
      ...helper,
      ...(rules.remoteCa === null ? [] : [`http.sslCAInfo=${rules.remoteCa}`]),
    ],
    env: { ...env, GIT_ALLOW_PROTOCOL: checked.protocols },
    timeoutMs: rules.remoteTimeoutMs,
  };
}

async function reachBySsh(url: URL, rules: RemoteRules, env: Record<string, string>): Promise<Reachable> {
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (url.password !== '' || !/^[a-z0-9._-]*$/i.test(url.username) || url.username.startsWith('-'))
    throw new SourceRefused('An ssh address holds a plain user name and no password: ssh://git@host/path.');
  if (!/^[a-z0-9][a-z0-9.:-]*$/.test(host) || !/^\/[\w./~@+-]+$/.test(url.pathname) || url.pathname.startsWith('/-'))
    throw new SourceRefused('An ssh address looks like ssh://git@host/owner/repository.git.');
  if (rules.remoteSshKey === null || rules.remoteKnownHosts === null)
    throw new SourceRefused(
      'This server has no ssh key for remotes. The operator sets MUSTER_REMOTE_SSH_KEY and MUSTER_REMOTE_KNOWN_HOSTS.',
    );
  const listed = rules.importHosts.some((allowed) => allowed.toLowerCase() === host);
  if (!listed && !rules.importHosts.includes('*'))
    throw new SourceRefused(`${host} is not among the hosts that the operator lists in MUSTER_IMPORT_HOSTS.`);
  const addresses = isIP(host) !== 0 ? [{ address: host }] : await lookup(host, { all: true }).catch(() => []);
  const address = addresses[0]?.address;
  if (address === undefined) throw new NotARepository(`the name ${host} is not known`);
  if (!listed && !addresses.every((found) => isPublic(found.address)))
    throw new SourceRefused(`${host} is a private address. The operator can list ${host} in MUSTER_IMPORT_HOSTS.`);
  const ssh = [
    'ssh', '-F', '/dev/null', '-i', quoted(rules.remoteSshKey),
    ...[
      'BatchMode=yes', 'IdentitiesOnly=yes', 'StrictHostKeyChecking=yes', `UserKnownHostsFile=${rules.remoteKnownHosts}`,
      `HostName=${address}`, `HostKeyAlias=${host}`, 'ConnectTimeout=20', 'ServerAliveInterval=15', 'ServerAliveCountMax=4',
      'ForwardAgent=no', 'PermitLocalCommand=no', 'ProxyCommand=none', 'ClearAllForwardings=yes',
    ].map((option) => `-o ${quoted(option)}`),
  ].join(' '); // prettier-ignore
  return {
    location: url.href,
    protocols: 'ssh',
    settings: [],
    env: { ...env, GIT_ALLOW_PROTOCOL: 'ssh', GIT_SSH_COMMAND: ssh, GIT_SSH_VARIANT: 'ssh' },
    timeoutMs: rules.remoteTimeoutMs,
  };
}

const fixed = ({ settings }: Reachable): string[] => settings.flatMap((setting) => ['-c', setting]);

/** Where the branch stands over there; null: there is none yet. */
export async function headThere(git: Git, dir: string, there: Reachable, branch: string): Promise<string | null> {
  const args = [...fixed(there), 'ls-remote', '--', there.location, `refs/heads/${branch}`];
  const said = await git.text(dir, args, {
    env: there.env,
    timeoutMs: Math.min(ASK_MS, there.timeoutMs),
    maxBytes: 1024 * 1024,
    apart: true,
  });
  return new RegExp(`^([0-9a-f]{40})\\trefs/heads/${branch.replace(/[^\w/]/g, '\\$&')}$`, 'm').exec(said)?.[1] ?? null;
}

/** What git said of why it could not, in as many words as people read. */
export const saidBy = ({ stderr }: GitFailed): string =>
  stderr
    .split('\n')
    .filter((line) => /^(fatal|error|remote|stopped|ssh)/.test(line))
    .slice(0, 3)
    .join('; ')
    .slice(0, 500) || 'git failed';

/** Brings the branch into `ref`. What it says and what it sends may differ: only what has arrived and was checked counts. */
export async function fetchBranch(git: Git, dir: string, there: Reachable, branch: string, ref: string): Promise<void> {
  await fetchRef(git, dir, there, `refs/heads/${branch}`, ref);
}

export async function fetchRef(git: Git, dir: string, there: Reachable, theirs: string, ours: string): Promise<void> {
  await fetchRefs(git, dir, there, fixed(there), [`+${theirs}:${ours}`], there.env, there.timeoutMs);
}

/** Never by force. False: the branch there holds what ours does not. */
export function pushBranch(git: Git, dir: string, there: Reachable, refs: readonly string[]): Promise<Pushed> {
  return push(git, dir, there, [], refs);
}

/** A branch of our own, over what is known to be on it (null: nothing); git itself sees to it that it still is. Null takes it away. */
export function pushOver(
  git: Git,
  dir: string,
  there: Reachable,
  branch: string,
  { known, next }: { readonly known: string | null; readonly next: string | null },
): Promise<Pushed> {
  const ref = `refs/heads/${branch}`;
  return push(git, dir, there, [`--force-with-lease=${ref}:${known ?? ''}`], [`${next ?? ''}:${ref}`]);
}

type Pushed = { readonly pushed: true } | { readonly pushed: false; readonly why: string };

async function push(
  git: Git,
  dir: string,
  there: Reachable,
  options: readonly string[],
  refs: readonly string[],
): Promise<Pushed> {
  const { stdout, stderr, code } = await git.run(
    dir,
    [
      ...fixed(there), '-c', 'http.lowSpeedLimit=1000', '-c', 'http.lowSpeedTime=60', 'push', '--porcelain', '--no-verify',
      '--recurse-submodules=no', ...options,
      // A repository on our own disk has hooks, too, and they would be run by us.
      ...(there.protocols === 'file' ? ['--receive-pack=git -c core.hooksPath=/dev/null receive-pack'] : []),
      '--', there.location, ...refs,
    ],
    { env: there.env, timeoutMs: there.timeoutMs, maxBytes: 1024 * 1024, apart: true, ok: [0, 1] },
  ); // prettier-ignore
  if (code === 0) return { pushed: true };
  const refused = stdout
    .toString('utf8')
    .split('\n')
    .filter((line) => line.startsWith('!'));
  return { pushed: false, why: [...refused, ...stderr.split('\n').slice(0, 2)].join('; ').slice(0, 500) };
}
