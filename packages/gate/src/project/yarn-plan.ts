import { parseSyml } from '@yarnpkg/parsers';
import { posix } from 'node:path';
import picomatch from 'picomatch';
import { parse as parseYaml } from 'yaml';
import type { SourceTree } from '../source/tree.ts';
import { archivePath, sha512Of, type Archive } from './archives.ts';
import { fileOf, isPackageName, isRegistryTarball, isVersion, manifestFor, NotSupported, pick, runsHere, staysInside } from './foreign-plan.ts'; // prettier-ignore
import { nameAndRest, record, text, type Json } from './lock-values.ts';
import { managersStore, type ForeignPlan, type PackageManager } from './package-manager.ts';

const classic: PackageManager = {
  name: 'yarn',
  manifest: 'yarn/package.json',
  program: 'bin/yarn.js',
  // prettier-ignore
  args: [
    'install', '--frozen-lockfile', '--ignore-scripts', '--non-interactive', '--no-progress', '--production=false', '--no-default-rc',
    '--ignore-engines', '--registry={registry}', `--cache-folder=./${managersStore}`, '--network-timeout=10000',
  ],
  env: {},
  complaint: /^error /,
  lacking: /Couldn't find package "([^"]+)"/,
};

const berry: PackageManager = {
  name: 'yarn',
  manifest: '@yarnpkg/cli-dist/package.json',
  program: 'bin/yarn.js',
  args: ['install', '--immutable', '--mode=skip-build'],
  env: {
    YARN_NPM_REGISTRY_SERVER: '{registry}',
    YARN_UNSAFE_HTTP_WHITELIST: '127.0.0.1',
    YARN_NODE_LINKER: 'node-modules',
    YARN_ENABLE_GLOBAL_CACHE: 'false',
    YARN_CACHE_FOLDER: `./${managersStore}`,
    YARN_CHECKSUM_BEHAVIOR: 'throw',
    YARN_ENABLE_IMMUTABLE_INSTALLS: 'true',
    YARN_ENABLE_SCRIPTS: 'false',
    YARN_ENABLE_TELEMETRY: 'false',
    YARN_ENABLE_CONSTRAINTS_CHECKS: 'false',
    YARN_HTTP_RETRY: '0',
    YARN_NPM_MINIMAL_AGE_GATE: '0',
    YARN_IGNORE_PATH: 'true',
  },
  complaint: /YN0(?!0(?:00|13|19|86))\d{3}|Error/,
  lacking: /YN0035: │ (\S+): Package not found/,
};

const path = 'yarn.lock';

/** Workspaces by what the root's manifest says: folders with a manifest that its patterns name. */
function workspacesOf(tree: SourceTree): string[] {
  const given = tree.json('package.json')?.['workspaces'];
  const patterns = (Array.isArray(given) ? given : (record(given)['packages'] ?? [])) as unknown;
  if (!Array.isArray(patterns) || patterns.length === 0) return [];
  // A pattern of many stars takes longer than anybody waits.
  const hard = (patterns as unknown[]).find((each) => typeof each !== 'string' || !/^!?[\w@./-]*(?:\*{1,2}[\w@./-]*){0,4}$/.test(each) || each.length > 200); // prettier-ignore
  if (hard !== undefined)
    throw new NotSupported(`the workspaces ${JSON.stringify(hard).slice(0, 200)} are not looked for; name folders, or patterns of a few stars`); // prettier-ignore
  const is = picomatch(patterns.map((each) => String(each).replace(/^\.\/|\/$/g, '')));
  return [...tree.files].flatMap(([file, link]) => {
    const place = posix.dirname(file);
    return link === null && posix.basename(file) === 'package.json' && place !== '.' && is(place) ? [place] : [];
  });
}

function manifestsOf(tree: SourceTree, workspaces: readonly string[]): Map<string, string> {
  return new Map(
    ['package.json', ...workspaces.map((place) => `${place}/package.json`)].flatMap((at): [string, string][] => {
      const manifest = tree.json(at);
      return manifest === null ? [] : [[at, JSON.stringify(manifestFor(manifest))]];
    }),
  );
}

/** @throws NotSupported */
export function planYarn(tree: SourceTree, operatorsHost: string | null): { plan: ForeignPlan; problems: string[] } {
  const content = tree.wholeText(path) ?? '';
  let lock: Json;
  try {
    lock = record(parseSyml(content));
  } catch {
    throw new NotSupported(`${path} cannot be read; write it anew`);
  }
  if (lock['__metadata'] !== undefined) return planBerry(tree, lock);
  if (!/^#\s*yarn lockfile v1\s*$/m.test(content)) throw new NotSupported(`${path} is no lock of yarn's`);
  return planClassic(tree, lock, operatorsHost);
}

/**
 * Packages that a lock has others load by another name than theirs, `name as name`, by what loads them. Their own manifests have to ask
 * for that: what the lock says they ask for is no better than the lock.
 * @param isCalled the package that a pattern of the lock stands for
 */
function aliasesOf(lock: Json, isCalled: (pattern: string, entry: Json) => string): (entry: Json) => string[] {
  const known = new Map<string, string>();
  for (const [key, value] of Object.entries(lock))
    for (const pattern of key.split(/,\s*/)) {
      const [as, name] = [nameAndRest(pattern)[0], isCalled(pattern, record(value))];
      if (as !== name) known.set(pattern, `${name} as ${as}`);
    }
  return (entry) =>
    ['dependencies', 'optionalDependencies'].flatMap((kind) =>
      Object.entries(record(entry[kind])).flatMap(([as, range]) => known.get(`${as}@${String(range)}`) ?? []),
    );
}

/** What depends on what, as yarn 1 writes it. */
const quoted = (word: string): string => JSON.stringify(word);

function planClassic(
  tree: SourceTree,
  lock: Json,
  operatorsHost: string | null,
): { plan: ForeignPlan; problems: string[] } {
  // prettier-ignore
  const problems: string[] = [];
  const archives: Archive[] = [];
  const workspaces = workspacesOf(tree);
  const written: string[] = [];
  const isCalled = (pattern: string): string => nameAndRest(/^.+@npm:(.+)$/.exec(pattern)?.[1] ?? pattern)[0];
  const aliases = aliasesOf(lock, isCalled);
  for (const [key, value] of Object.entries(lock)) {
    const entry = record(value);
    const patterns = key.split(/,\s*/);
    const version = text(entry['version']) ?? '';
    const names = patterns.map(isCalled);
    const placed = patterns.map((pattern) => nameAndRest(pattern)[0]);
    const bad = [...names, ...placed].find((name) => !isPackageName(name));
    const name = names[0]!;
    const resolved = text(entry['resolved']);
    const integrity = sha512Of(entry['integrity']);
    if (bad !== undefined) problems.push(`${path} names a package ${bad.slice(0, 200)}, which is no name of one`);
    else if (
      names.some((each) => each !== name) ||
      !isVersion(version) ||
      resolved === null ||
      !isRegistryTarball(resolved, name, operatorsHost)
    )
      // prettier-ignore
      problems.push(`${patterns[0]!.slice(0, 200)} is resolved from ${(resolved ?? 'a folder').slice(0, 200)}, which is not a registry tarball`); // prettier-ignore
    else if (integrity === null) problems.push(`${name}@${version} has no integrity hash`);
    else {
      archives.push({ name, version, integrity, aliases: aliases(entry) });
      written.push(
        [
          `${patterns.map(quoted).join(', ')}:`,
          `  version ${quoted(version)}`,
          `  resolved ${quoted(`{registry}${archivePath({ name, version })}`)}`,
          `  integrity ${integrity}`,
          ...['dependencies', 'optionalDependencies'].flatMap((kind) => {
            const wants = Object.entries(record(entry[kind]));
            return wants.length === 0
              ? []
              : [`  ${kind}:`, ...wants.map(([of, range]) => `    ${quoted(of)} ${quoted(String(range))}`)];
          }),
        ].join('\n'),
      );
    }
  }
  const files = manifestsOf(tree, workspaces);
  files.set(path, `# yarn lockfile v1\n\n\n${written.join('\n\n')}\n`);
  return { plan: { manager: classic, lock: path, files, archives, workspaces }, problems };
}

/** Settings that decide what is laid out where, and how archives are packed anew, which the lock has hashes of. */
const settings = ['nmHoistingLimits', 'nmSelfReferences', 'packageExtensions', 'compressionLevel', 'catalog', 'catalogs', 'supportedArchitectures']; // prettier-ignore

function planBerry(tree: SourceTree, lock: Json): { plan: ForeignPlan; problems: string[] } {
  let given: Json;
  try {
    given = record(parseYaml(tree.text('.yarnrc.yml') ?? '', { maxAliasCount: 20, logLevel: 'error' }));
  } catch {
    throw new NotSupported('.yarnrc.yml cannot be read');
  }
  const linker = text(given['nodeLinker']) ?? 'pnp';
  if (linker !== 'node-modules')
    throw new NotSupported(`packages of ${path} are laid out as node_modules alone, and this project has nodeLinker: ${linker.slice(0, 50)}; set nodeLinker: node-modules in .yarnrc.yml`); // prettier-ignore
  const cacheKey = text(String(record(lock['__metadata'])['cacheKey'])) ?? '';
  if (!/^10(?:c\d)?$/.test(cacheKey))
    throw new NotSupported(`${path} has its hashes by another yarn (${cacheKey.slice(0, 20)}) than the one that it is installed by; renew it with yarn 4`); // prettier-ignore
  const problems: string[] = [];
  const archives: Archive[] = [];
  const workspaces: string[] = [];
  const patches = new Map<string, string>();
  const aliases = aliasesOf(lock, (pattern, entry) => nameAndRest(text(entry['resolution']) ?? pattern)[0]);
  for (const [key, value] of Object.entries(lock)) {
    if (key === '__metadata') continue;
    const entry = record(value);
    const [name, rest] = nameAndRest(text(entry['resolution']) ?? key);
    const placed = key.split(/,\s*/).map((each) => nameAndRest(each)[0]);
    const bad = [name, ...placed].find((each) => !isPackageName(each));
    if (bad !== undefined) {
      problems.push(`${path} names a package ${bad.slice(0, 200)}, which is no name of one`);
      continue;
    }
    const undeclared = key.split(/,\s*/).find((each) => {
      const [as, range] = nameAndRest(each);
      return as !== name && !(range.startsWith('npm:') && nameAndRest(range.slice('npm:'.length))[0] === name);
    });
    if (undeclared !== undefined)
      problems.push(`${undeclared.slice(0, 200)} is ${name}, and nothing asks for it under that name`);
    const here = (text(entry['conditions']) ?? '').split('&').every((each) => {
      const [what, wanted] = each.trim().split('=');
      return wanted === undefined || runsHere({ [what!]: wanted });
    });
    const place = /^workspace:(.*)$/.exec(rest)?.[1];
    if (place !== undefined) {
      if (!staysInside(place)) problems.push(`${path} has a workspace at ${place.slice(0, 200)}, outside the project`);
      else if (place !== '.') workspaces.push(posix.normalize(place));
      continue;
    }
    const patched = /^patch:[^#]*#([^:]*)/.exec(rest)?.[1];
    if (patched !== undefined) {
      for (const each of patched.split('&')) {
        const file = decodeURIComponent(each.replace(/^optional!|^~\//g, '')).replace(/^~\//, '');
        if (!file.startsWith('builtin<')) patches.set(posix.normalize(file), fileOf(tree, file, 'the patch'));
      }
    } else if (/^(?:link|portal|file|exec):/.test(rest))
      throw new NotSupported(`${path} takes ${name} from a folder (${rest.slice(0, 100)}), and that is not done; make it a workspace`); // prettier-ignore
    else if (!rest.startsWith('npm:') || !isVersion(rest.slice('npm:'.length)))
      problems.push(`${name} is resolved from ${rest.slice(0, 200)}, which is not a registry tarball`);
    else if (here)
      archives.push({ name, version: rest.slice('npm:'.length), integrity: null, aliases: aliases(entry) });
    if (here && !new RegExp(`^(?:${cacheKey}/)?[0-9a-f]{128}$`).test(text(entry['checksum']) ?? ''))
      problems.push(`${name}@${rest.slice(0, 100)} has no integrity hash`);
  }
  const files = manifestsOf(tree, workspaces);
  files.set('.yarnrc.yml', JSON.stringify({ ...pick(given, settings), nodeLinker: linker }));
  for (const [at, patch] of patches) files.set(at, patch);
  files.set(path, tree.wholeText(path)!);
  return { plan: { manager: berry, lock: path, files, archives, workspaces }, problems };
}
