import { lookup } from 'node:dns/promises';
import { readdir, realpath, stat, writeFile } from 'node:fs/promises';
import { BlockList, isIP } from 'node:net';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { branchName } from '@muster/contracts';
import { childEnvironment } from '#platform/config';
import { type Git, GitFailed } from '#platform/git';
import { NotARepository, SourceRefused, SourceTooLarge } from '../projects.errors.ts';

export interface ImportRules {
  readonly dataDir: string;
  readonly importPaths: readonly string[];
  readonly importHosts: readonly string[];
}
const MAX_BYTES = 2 * 1024 * 1024 * 1024;
const TIMEOUT_MS = 10 * 60_000;

/** Histories of real projects hold mistakes of old tools that hurt nobody; everything else that git's check finds refuses the import. */
const harmless = [
  'missingSpaceBeforeDate',
  'zeroPaddedFilemode',
  'badTimezone',
  'zeroPaddedDate',
  'missingEmail',
  'missingNameBeforeEmail',
  'missingSpaceBeforeEmail',
  'badDate',
  'badDateOverflow',
  'extraHeaderEntry',
  'badTagName',
  'missingTaggerEntry',
];

const nonPublic = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const)
  nonPublic.addSubnet(net, bits, 'ipv4');
for (const [net, bits] of [
  ['::', 96],
  ['64:ff9b::', 96],
  ['100::', 64],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  nonPublic.addSubnet(net, bits, 'ipv6');
/** Addresses that only a machine inside the operator's network can mean. */
export const isPublic = (address: string): boolean => {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return isPublic(mapped);
  return isIP(address) === 4
    ? !nonPublic.check(address, 'ipv4')
    : isIP(address) === 6
      ? !/^::ffff:/i.test(address) && !nonPublic.check(address, 'ipv6')
      : false;
};

interface Checked {
  readonly location: string;
  readonly protocols: string;
  readonly settings: readonly string[];
}

/** Where a URL leads, by the operator's rules, and the settings by which git goes there and nowhere else. */
export async function checkUrl(text: string, rules: ImportRules): Promise<Checked> {
  const url = new URL(text);
  if (url.protocol === 'file:') return checkPath(fileURLToPath(url), rules);
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw new SourceRefused(
      `Projects are imported over https, not ${url.protocol.replace(':', '')}. Give the https address of the repository, or upload an archive to POST /api/projects/import.`,
    );
  if (url.username !== '' || url.password !== '')
    throw new SourceRefused(
      'The address holds a user name or password, which would be kept in logs. Upload an archive to POST /api/projects/import instead.',
    );
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const listed = rules.importHosts.some((allowed) => allowed.toLowerCase() === host);
  if (!listed && !rules.importHosts.includes('*'))
    throw new SourceRefused(
      `Projects may not be imported from ${host}. The operator lists the hosts in MUSTER_IMPORT_HOSTS.`,
    );
  if (!listed && url.protocol === 'http:')
    throw new SourceRefused(
      `Plain http is not safe to import from. Use https, or have the operator list ${host} in MUSTER_IMPORT_HOSTS.`,
    );
  const addresses = isIP(host) !== 0 ? [{ address: host }] : await lookup(host, { all: true }).catch(() => []);
  const address = addresses[0]?.address;
  if (address === undefined) throw new NotARepository(`the name ${host} is not known`);
  if (!listed && !addresses.every((found) => isPublic(found.address)))
    throw new SourceRefused(
      `${host} is a private address. The operator can allow it by listing ${host} in MUSTER_IMPORT_HOSTS.`,
    );
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return {
    location: url.href,
    protocols: url.protocol === 'https:' ? 'https' : 'http:https',
    // Connects to the address that was checked, whatever the name says a moment later; a redirect could name another.
    settings: [
      `http.curloptResolve=${host}:${port}:${isIP(address) === 6 ? `[${address}]` : address}`,
      'http.followRedirects=false',
      'credential.helper=',
    ],
  };
}

async function checkPath(path: string, rules: ImportRules): Promise<Checked> {
  const refused = new SourceRefused(
    `Projects may not be imported from ${JSON.stringify(path)}. The operator lists the folders in MUSTER_IMPORT_PATHS.`,
  );
  const real = await realpath(path).catch(() => null);
  const allowed = await Promise.all(rules.importPaths.map((folder) => realpath(folder).catch(() => null)));
  // The same answer for what is missing and what is not allowed: nobody explores the disk with it.
  if (
    real === null ||
    !allowed.some(
      (folder) => folder !== null && (real === folder || real.startsWith(folder === sep ? sep : folder + sep)),
    )
  )
    throw refused;
  if (!(await stat(real)).isDirectory()) throw new NotARepository(`${JSON.stringify(path)} is not a folder`);
  return { location: real, protocols: 'file', settings: [] };
}

async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) =>
        stat(join(entry.parentPath, entry.name)).then(
          (found) => found.size,
          () => 0,
        ),
      ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

export interface ImportedSource {
  /** The branch that became the project's. */
  readonly branch: string;
}

/**
 * Brings one branch and the tags of another repository into an empty one. Only the default branch, unless another one is
 * asked for; other people's pull requests and notes stay where they are.
 */
export async function importSource(
  git: Git,
  dir: string,
  source: { readonly url: string } | { readonly path: string },
  wanted: string | undefined,
  rules: ImportRules,
): Promise<ImportedSource> {
  const checked = 'url' in source ? await checkUrl(source.url, rules) : await checkPath(source.path, rules);
  // Folders that the operator lists may belong to another user; the transport reads this file only.
  const settings = join(rules.dataDir, 'import.gitconfig');
  await writeFile(settings, '[safe]\n\tdirectory = *\n');
  const { PATH: _, HOME: __, ...network } = childEnvironment({});
  const env = { ...network, LC_ALL: 'C', GIT_ALLOW_PROTOCOL: checked.protocols, GIT_CONFIG_GLOBAL: settings };
  const fixed = checked.settings.flatMap((setting) => ['-c', setting]);
  try {
    const listed = await git.text(
      dir,
      [
        ...fixed,
        'ls-remote',
        '--symref',
        '--',
        checked.location,
        'HEAD',
        ...(wanted === undefined ? [] : [`refs/heads/${wanted}`]),
      ],
      { env, timeoutMs: 60_000, maxBytes: 1024 * 1024, apart: true },
    );
    const branch = wanted ?? /^ref: refs\/heads\/(.+)\tHEAD$/m.exec(listed)?.[1] ?? 'main';
    const remote = wanted === undefined ? 'HEAD' : `refs/heads/${wanted}`;
    if (!new RegExp(`^[0-9a-f]{40}\\t${remote.replace(/[^\w/]/g, '\\$&')}$`, 'm').test(listed))
      throw new SourceRefused(
        /^[0-9a-f]{64}\t/m.test(listed)
          ? 'The repository uses SHA-256 object names, which are not supported. Convert it to SHA-1.'
          : wanted === undefined
            ? 'The repository has no commit on its default branch yet. Push one first, or create an empty project.'
            : `The repository has no branch "${wanted}". Leave "branch" out to take its default branch.`,
      );
    if (!branchName.safeParse(branch).success)
      throw new SourceRefused(
        `The default branch is called ${JSON.stringify(branch)}, which is not a plain branch name. Name another branch.`,
      );
    await fetchRefs(
      git,
      dir,
      checked,
      [...fixed, ...harmless.flatMap((problem) => ['-c', `fetch.fsck.${problem}=warn`])],
      [`+${remote}:refs/heads/${branch}`, '+refs/tags/*:refs/tags/*'],
      env,
    );
    await git.run(dir, ['symbolic-ref', 'HEAD', `refs/heads/${branch}`]);
    return { branch };
  } catch (error) {
    if (!(error instanceof GitFailed)) throw error;
    const said = error.stderr.split('\n').filter((line) => line.trim() !== '');
    const telling = said.filter((line) => /^(fatal|error|remote|stopped)/.test(line));
    throw new NotARepository(
      (telling.length > 0 ? telling : said)
        .slice(0, 3)
        .join('; ')
        .replace(/^fatal: /, '')
        .slice(0, 500) || 'git failed',
    );
  }
}

/** Within limits of size and time, every object checked. */
export async function fetchRefs(
  git: Git,
  dir: string,
  checked: Pick<Checked, 'location'>,
  settings: readonly string[],
  refs: readonly string[],
  env: Record<string, string>,
  timeoutMs = TIMEOUT_MS,
): Promise<void> {
  const stop = new AbortController();
  let large = false;
  // git fetch has no limit of its own: the folder is watched.
  const watch = setInterval(() => {
    void sizeOf(join(dir, 'objects')).then((size) => {
      if (size > MAX_BYTES) {
        large = true;
        stop.abort();
      }
    });
  }, 2000);
  try {
    await git.run(
      dir,
      [
        ...settings,
        '-c',
        'fetch.fsckObjects=true',
        '-c',
        'fetch.unpackLimit=1',
        '-c',
        'http.lowSpeedLimit=1000',
        '-c',
        'http.lowSpeedTime=60',
        'fetch',
        '--quiet',
        '--no-tags',
        '--no-write-fetch-head',
        '--no-recurse-submodules',
        '--no-auto-maintenance',
        '--',
        checked.location,
        ...refs,
      ],
      { env, timeoutMs, signal: stop.signal, apart: true },
    );
  } catch (error) {
    if (large) throw new SourceTooLarge(`${MAX_BYTES} bytes`);
    throw error;
  } finally {
    clearInterval(watch);
  }
}
