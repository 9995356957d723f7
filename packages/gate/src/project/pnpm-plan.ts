import { posix } from 'node:path';
import { parse as parseYaml } from 'yaml';
import type { SourceTree } from '../source/tree.ts';
import { aliasesIn } from './aliases.ts';
import { sha512Of, type Archive } from './archives.ts';
import { fileOf, isPackageName, isRegistryTarball, isVersion, manifestFor, NotSupported, pick, runsHere, staysInside } from './foreign-plan.ts'; // prettier-ignore
import { nameAndRest, record, text, type Json } from './lock-values.ts';
import { managersStore, type ForeignPlan, type PackageManager } from './package-manager.ts';

const manager: PackageManager = {
  name: 'pnpm',
  manifest: 'pnpm',
  program: 'bin/pnpm.cjs',
  // prettier-ignore
  args: [
    'install', '--frozen-lockfile', '--ignore-scripts', '--ignore-pnpmfile', '--prod=false', '--reporter=append-only',
    '--package-import-method=hardlink', `--store-dir=./${managersStore}`, '--registry={registry}/',
    '--config.manage-package-manager-versions=false', '--config.confirm-modules-purge=false', '--config.engine-strict=false',
    '--config.update-notifier=false', '--config.side-effects-cache=false', '--config.fetch-retries=0',
  ],
  env: {},
  complaint: /\bERR_PNPM_|ERROR/,
};

/** Settings that decide what is laid out where. What would run code of the project, or ask elsewhere, is none of them. */
// prettier-ignore
const settings = [
  'packages', 'overrides', 'packageExtensions', 'patchedDependencies', 'ignoredOptionalDependencies', 'catalog', 'catalogs',
  'autoInstallPeers', 'dedupePeerDependents', 'dedupeInjectedDeps', 'excludeLinksFromLockfile', 'hoist', 'hoistPattern', 'publicHoistPattern',
  'shamefullyHoist', 'hoistWorkspacePackages', 'nodeLinker', 'linkWorkspacePackages', 'preferWorkspacePackages', 'injectWorkspacePackages',
  'sharedWorkspaceLockfile', 'symlink', 'virtualStoreDirMaxLength', 'peersSuffixMaxLength', 'strictPeerDependencies', 'peerDependencyRules',
];
const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const npmrcSettings = new Set(settings.map(kebab));

const withoutPeers = (id: string): string => id.replace(/\(.*$/s, '');
const kinds = ['dependencies', 'devDependencies', 'optionalDependencies'] as const;

/** What pnpm-workspace.yaml says; null: there is none. */
function settingsOf(tree: SourceTree): Json | null {
  const workspace = tree.text('pnpm-workspace.yaml');
  if (workspace === null) return null;
  try {
    return record(parseYaml(workspace, { maxAliasCount: 20, logLevel: 'error' }));
  } catch {
    throw new NotSupported('pnpm-workspace.yaml cannot be read');
  }
}

/** @throws NotSupported */
export function planPnpm(tree: SourceTree, operatorsHost: string | null): { plan: ForeignPlan; problems: string[] } {
  const path = 'pnpm-lock.yaml';
  const content = tree.wholeText(path) ?? '';
  let lock: Json;
  try {
    lock = record(parseYaml(content, { maxAliasCount: 20, logLevel: 'error' }));
  } catch {
    throw new NotSupported(`${path} cannot be read; write it anew`);
  }
  if (String(lock['lockfileVersion']) !== '9.0')
    throw new NotSupported(`${path} is a lock of version ${String(lock['lockfileVersion']).slice(0, 20)}, and installed from is version 9.0; renew it with pnpm 9 or 10`); // prettier-ignore
  if (lock['pnpmfileChecksum'] !== undefined)
    throw new NotSupported(`${path} was made with a .pnpmfile.cjs, a program of the project that changes what is installed, and it is not run; do without it, overrides and packageExtensions do the same`); // prettier-ignore
  const problems: string[] = [];
  const archives: Archive[] = [];
  const packages: Json = {};
  for (const [id, value] of Object.entries(record(lock['packages']))) {
    const entry = record(value);
    const [name, version] = nameAndRest(id);
    const { integrity: given, tarball, ...rest } = record(entry['resolution']);
    const address = text(tarball);
    if (!isPackageName(name)) problems.push(`${path} names a package ${name.slice(0, 200)}, which is no name of one`);
    else if (rest['directory'] !== undefined || version.startsWith('file:'))
      throw new NotSupported(`${path} takes ${name} from a folder as a copy (${version.slice(0, 100)}), and that is not done; link it as a workspace`); // prettier-ignore
    else if (
      Object.keys(rest).length > 0 ||
      !isVersion(version) ||
      (address !== null && !isRegistryTarball(address, name, operatorsHost))
    )
      problems.push(`${name} is resolved from ${(address ?? text(rest['repo']) ?? version).slice(0, 200)}, which is not a registry tarball`); // prettier-ignore
    else if (sha512Of(given) === null) problems.push(`${name}@${version} has no integrity hash`);
    else {
      const integrity = sha512Of(given)!;
      if (runsHere(entry)) archives.push({ name, version, integrity });
      packages[id] = { ...entry, resolution: { integrity } };
    }
  }
  const manifest = tree.json('package.json') ?? {};
  const catalogs = [lock['catalog'], ...Object.values(record(lock['catalogs']))].map((catalog) => ({
    dependencies: Object.fromEntries(
      Object.entries(record(catalog)).map(([name, value]) => [name, record(value)['specifier']]),
    ),
  }));
  const extensions = [manifest['pnpm'], settingsOf(tree)].flatMap((each) =>
    Object.values(record(record(each)['packageExtensions'])),
  );
  const ofTheProject = aliasesIn([{ overrides: lock['overrides'] }, ...catalogs, ...extensions.map(record)]);
  /** Packages that the lock has something load by another name than theirs, by what loads them. */
  const aliases = new Map<string, string[]>();
  const wants = (of: Json, from: string | null, id = ''): void => {
    for (const kind of kinds)
      for (const [name, value] of Object.entries(record(of[kind]))) {
        const version = typeof value === 'string' ? value : (text(record(value)['version']) ?? '');
        if (!isPackageName(name))
          problems.push(`${path} puts a package at ${name.slice(0, 200)}, which is no name of one`); // prettier-ignore
        else if (version.startsWith('link:')) {
          if (from === null || !staysInside(posix.join(from, version.slice('link:'.length))))
            problems.push(`${path} links ${name} to ${version.slice(5, 200)}, outside the project`);
        } else if (
          packages[`${name}@${withoutPeers(version)}`] === undefined &&
          packages[withoutPeers(version)] === undefined &&
          problems.length === 0
        )
          // prettier-ignore
          problems.push(`${path} names ${name}@${version.slice(0, 100)} and does not say what that is`);
        else if (packages[withoutPeers(version)] !== undefined) {
          const alias = `${nameAndRest(withoutPeers(version))[0]} as ${name}`;
          const specifier = { dependencies: { [name]: record(value)['specifier'] } };
          if (alias === `${name} as ${name}` || ofTheProject.has(alias)) continue;
          if (from === null) aliases.set(id, [...(aliases.get(id) ?? []), alias]);
          else if (!aliasesIn([specifier]).has(alias))
            problems.push(`${path} gives ${from} ${alias.slice(0, 400)}, and nothing asks for it under that name`);
        }
      }
  };
  const importers = record(lock['importers']);
  for (const [place, importer] of Object.entries(importers)) {
    if (!staysInside(place)) problems.push(`${path} has a workspace at ${place.slice(0, 200)}, outside the project`);
    else wants(record(importer), place);
  }
  for (const [id, snapshot] of Object.entries(record(lock['snapshots'])))
    wants(record(snapshot), null, withoutPeers(id));

  const files = new Map<string, string>();
  const workspaces = Object.keys(importers).filter((place) => place !== '.' && staysInside(place));
  for (const place of ['.', ...workspaces]) {
    const at = posix.join(place, 'package.json');
    const manifest = tree.json(at);
    if (manifest === null) continue;
    const own = pick(record(manifest['pnpm']), settings);
    files.set(at, JSON.stringify({ ...manifestFor(manifest), ...(place === '.' ? { pnpm: own } : {}) }));
  }
  const workspace = settingsOf(tree);
  if (workspace !== null) files.set('pnpm-workspace.yaml', JSON.stringify(pick(workspace, settings)));
  const npmrc = (tree.text('.npmrc') ?? '')
    .split(/\r?\n/)
    .filter((line) => npmrcSettings.has(/^\s*([\w-]+)(?:\[\])?\s*=/.exec(line)?.[1] ?? '') && !line.includes('${'));
  files.set('.npmrc', `${npmrc.join('\n')}\n`);
  for (const patch of Object.values(record(lock['patchedDependencies']))) {
    const at = text(record(patch)['path']);
    if (at !== null) files.set(posix.normalize(at), fileOf(tree, at, 'the patch'));
  }
  files.set(path, JSON.stringify({ ...lock, packages }));
  const asking = archives.map((each) => {
    const own = aliases.get(`${each.name}@${each.version}`);
    return own === undefined ? each : { ...each, aliases: own };
  });
  return { plan: { manager, lock: path, files, archives: asking, workspaces }, problems };
}
