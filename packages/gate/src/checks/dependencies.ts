import type { Finding } from '@muster/contracts';
import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import semver from 'semver';
import { foreignLockNames, type ForeignLock, type ForeignLockName } from '../project/foreign-locks.ts';
import { foreignLock, lockFileOf, lockedPackages, publicRegistries, sbomOf } from '../project/lock.ts';
import type { LockedPackage } from '../project/locked-package.ts';
import { mostSourceBytes } from '../source/fresh.ts';
import { isPython, isScript, isTestFile } from '../source/paths.ts';
import { importsOf } from '../source/reached.ts';
import type { SourceTree } from '../source/tree.ts';
import { changePurposes, findingOf, outcome, type Check } from './check.ts';

const byPlace = (packages: readonly LockedPackage[]): Map<string, LockedPackage> =>
  new Map(packages.map((each) => [each.place, each]));
const kinds = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'] as const;
const wanted = (tree: SourceTree | null, path = 'package.json'): Map<string, string> => {
  const manifest = tree?.json(path) ?? {};
  return new Map(
    kinds.flatMap((kind) =>
      Object.entries((manifest[kind] ?? {}) as Record<string, unknown>).filter(
        (entry): entry is [string, string] => typeof entry[1] === 'string',
      ),
    ),
  );
};

/** Names that many people type, and that others therefore register misspelt. */
const wellKnown =
  'express lodash react react-dom axios chalk commander moment request typescript webpack eslint jest mocha vitest prettier dotenv mongoose mongodb redis ioredis socket.io next vue svelte angular jquery underscore async bluebird uuid debug semver yargs inquirer fastify koa passport jsonwebtoken bcrypt cors body-parser cookie-parser multer nodemailer sequelize typeorm prisma knex mysql mysql2 sqlite3 graphql apollo-server rxjs zod joi ajv yup dayjs date-fns luxon immer redux zustand classnames tailwindcss postcss autoprefixer sass esbuild rollup vite parcel babel-core cross-env cross-spawn rimraf glob minimist fs-extra node-fetch undici got superagent cheerio puppeteer playwright electron nodemon pm2 winston pino morgan helmet colors ws validator marked handlebars ejs pug'.split(
    ' ',
  );
const popular: ReadonlySet<string> = new Set(wellKnown);

/** One letter more, less, other, or two changed about. */
function isSlipOf(name: string, other: string): boolean {
  if (name === other || Math.abs(name.length - other.length) > 1 || other.length < 4) return false;
  let at = 0;
  while (at < name.length && name[at] === other[at]) at++;
  const [a, b] = [name.slice(at), other.slice(at)];
  return (
    a.slice(1) === b ||
    a === b.slice(1) ||
    a.slice(1) === b.slice(1) ||
    (a.length > 1 && a[0] === b[1] && a[1] === b[0] && a.slice(2) === b.slice(2))
  );
}

const matches = (licence: string, pattern: string): boolean =>
  pattern.endsWith('*')
    ? licence.toUpperCase().startsWith(pattern.slice(0, -1).toUpperCase())
    : licence.toUpperCase() === pattern.toUpperCase();
/** A choice of licences is denied when every one of them is, a list of them when one is. */
export function isDenied(expression: string, deny: readonly string[]): boolean {
  const bare = expression.replace(/[()]/g, ' ').trim();
  if (/\sOR\s/i.test(bare)) return bare.split(/\sOR\s/i).every((each) => isDenied(each, deny));
  return bare.split(/\sAND\s|\sWITH\s/i).some((each) => deny.some((pattern) => matches(each.trim(), pattern)));
}

const builtins: ReadonlySet<string> = new Set(builtinModules);
const packageOf = (name: string): string | null => {
  if (/^[./#]|^[a-z]+:|^~|^@\/|^\$/.test(name) || builtins.has(name.split('/')[0]!)) return null;
  const parts = name.split('/');
  return name.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? null);
};

const nameOf = (tree: SourceTree, path: string): string => {
  const name = tree.json(path)?.['name'];
  return typeof name === 'string' ? name : '';
};

const renewed = (lock: ForeignLockName): string =>
  `Run ${{ 'pnpm-lock.yaml': 'pnpm', 'yarn.lock': 'yarn', 'bun.lock': 'bun' }[lock]} install and hand in the lock file too.`;

/** From where anybody takes packages, and not under the name that the project's own have. */
function isForAnybody(tree: SourceTree, { name, source }: LockedPackage): boolean {
  const scope = /^@[^/]+\//.exec(nameOf(tree, 'package.json'))?.[0];
  if (scope !== undefined && name.startsWith(scope)) return false;
  if (source === null) return !(tree.text('.npmrc') ?? '').includes('registry');
  return publicRegistries.some((host) => source.includes(`://${host}/`));
}

/** Yarn hashes the archive that it makes itself, so another yarn, or none, has another hash for the same. */
const hashedByAnother = (one: string, other: string): boolean =>
  [one, other].some((each) => each.startsWith('yarn:')) && one.split('/')[0] !== other.split('/')[0];

/** What a manifest asks for and the lock was not made for. */
function unfit(
  lock: ForeignLock,
  lockName: ForeignLockName,
  path: string,
  against: SourceTree | null,
  candidate: SourceTree,
): { name: string; message: string }[] {
  const was = wanted(against, path);
  const resolutions = candidate.json('package.json')?.['resolutions'];
  const overruled = new Set([
    ...lock.overruled,
    ...Object.keys(resolutions !== null && typeof resolutions === 'object' ? resolutions : {}),
  ]);
  const workspaces = new Set(
    [...candidate.files.keys()].filter((each) => /(^|\/)package\.json$/.test(each)).map((each) => nameOf(candidate, each)),
  ); // prettier-ignore
  const peers = candidate.json(path)?.['peerDependencies'] as Record<string, unknown> | undefined;
  const known = lock.wants.get(posix.dirname(path));
  if (known === undefined && lock.ranges === null) return [];
  return [...wanted(candidate, path)].flatMap(([name, spec]) => {
    if (was.get(name) === spec || overruled.has(name) || workspaces.has(name) || peers?.[name] !== undefined) return [];
    if (/^(?:workspace|link|portal|file|patch):/.test(spec)) return [];
    const fits = lock.ranges === null ? known?.get(name) === spec.replace(/^npm:(?=[^@]*$)/, '') : lock.ranges.has(`${name}@${spec}`); // prettier-ignore
    return fits ? [] : [{ name, message: `${path} asks for ${name} ${spec}, and ${lockName} was not made for that.` }];
  });
}

/** What the change makes the project depend on: manifest and lock agree, packages are what they seem, and come under a licence that will do. */
export const dependenciesCheck: Check = {
  name: 'dependencies',
  category: 'dependencies',
  languages: ['*'],
  needs: [],
  purposes: changePurposes,
  run({ policy, against, candidate, changes, approvedBy }) {
    if (!policy.checks.dependencies) return outcome('not_run', 'switched off in muster.yaml');
    const findings: Finding[] = [];
    const lockPath = lockFileOf(candidate);
    const report = (
      rule: string,
      level: Finding['level'],
      path: string,
      message: string,
      remedy: string,
      key: string,
      veto = false,
    ): void => {
      findings.push(
        findingOf({ check: 'dependencies', rule: `dependencies.${rule}`, level, veto, message, path, remedy, key }),
      );
    };
    const touched = new Set(changes.map((each) => each.path));
    const [was, is] = [wanted(against), wanted(candidate)];
    const added = [...is].filter(([name, spec]) => was.get(name) !== spec);
    const locked = lockedPackages(candidate);
    const before = lockedPackages(against);
    const known = new Map(before.map((each) => [`${each.name}@${each.version}`, each]));
    const names = new Set(before.map((each) => each.name));

    const foreign = foreignLockNames.find((name) => name === lockPath);
    if (foreign !== undefined) {
      const lock = foreignLock(candidate, foreign);
      if (lock === null && touched.has(foreign))
        report('lock_unreadable', 'error', foreign, `${foreign} is none that its tool would read.`, renewed(foreign), foreign); // prettier-ignore
      if (lock !== null)
        for (const path of [...touched].filter((each) => /(^|\/)package\.json$/.test(each)))
          for (const { name, message } of unfit(lock, foreign, path, against, candidate))
            report('not_locked', 'error', path, message, renewed(foreign), name);
    } else if (lockPath !== null && (touched.has('package.json') || touched.has(lockPath))) {
      const [topBefore, topNow] = [byPlace(before), byPlace(locked)];
      const moved = [...is].filter(
        ([name]) => topBefore.get(`node_modules/${name}`)?.version !== topNow.get(`node_modules/${name}`)?.version,
      );
      for (const [name, spec] of new Map([...added, ...(against === null ? [] : moved)])) {
        const top = topNow.get(`node_modules/${name}`);
        const optional = candidate.json('package.json')?.['peerDependencies'] as Record<string, unknown> | undefined;
        if (top === undefined && optional?.[name] === undefined && !/^(?:file|link|workspace):/.test(spec))
          report(
            'not_locked',
            'error',
            'package.json',
            `package.json asks for ${name} ${spec}, and ${lockPath} knows nothing of it.`,
            'Run npm install and hand in the lock file too.',
            name,
          );
        else if (
          top !== undefined &&
          semver.validRange(spec) !== null &&
          !semver.satisfies(top.version, spec, { includePrerelease: true })
        )
          report(
            'not_locked',
            'error',
            'package.json',
            `package.json asks for ${name} ${spec}, and ${lockPath} has ${top.version}.`,
            'Run npm install and hand in the lock file too.',
            name,
          );
      }
    }
    for (const [name, spec] of added) {
      if (spec === '*' || spec === '' || /^(?:latest|next|x)$/.test(spec))
        report(
          'any_version',
          'warning',
          'package.json',
          `${name} may be any version: ${spec || 'nothing said'}.`,
          'Name a range.',
          name,
        );
      const slip =
        was.has(name) || popular.has(name) || names.has(name)
          ? undefined
          : wellKnown.find((other) => isSlipOf(name, other));
      if (slip !== undefined)
        report(
          'name_like',
          'error',
          'package.json',
          `${name} is one slip of the finger away from ${slip}.`,
          `If ${slip} is meant, write it so.`,
          name,
        );
      const earlier = was.get(name);
      const [low, high] = [semver.validRange(spec), earlier === undefined ? null : semver.validRange(earlier)];
      if (
        low !== null &&
        high !== null &&
        earlier !== undefined &&
        semver.lt(semver.minVersion(low) ?? '0.0.0', semver.minVersion(high) ?? '0.0.0')
      )
        report(
          'downgraded',
          'warning',
          'package.json',
          `${name} goes back from ${earlier} to ${spec}.`,
          'Say in the change why, or keep the newer one.',
          name,
        );
    }
    const isSameLock = lockPath === lockFileOf(against);
    // Another tool's lock may not have said who runs scripts.
    const earlier = Map.groupBy(isSameLock ? before : [], ({ name }) => name);
    const lockSaysLicences = isSameLock && before.length > 0 && before.filter(({ licence }) => licence !== null).length * 10 >= before.length * 9; // prettier-ignore
    for (const each of locked) {
      const same = known.get(`${each.name}@${each.version}`);
      if (each.runsOnInstall && same?.runsOnInstall !== true) {
        // What was quiet until now and begins to run scripts is how packages that were taken over show; also under the same version, which the lock was quiet about.
        const quiet = earlier.get(each.name) ?? [];
        const begins = quiet.length > 0 && quiet.every(({ runsOnInstall }) => !runsOnInstall);
        report(
          'install_script',
          begins && approvedBy === null ? 'error' : 'warning',
          lockPath ?? '',
          `${each.name}@${each.version} runs a script of its own on every machine that installs it${begins ? `, which ${quiet[0]!.version} did not` : ''}.`,
          begins
            ? 'Stay with the version before, or have a person who has looked at it hand it in.'
            : 'Make sure that it has to; npm can be told not to run it.',
          `${each.name}@${each.version}`,
        );
      }
      if (same === undefined) {
        if (each.licence !== null && isDenied(each.licence, policy.licences.deny) && !own(candidate, each.licence))
          report(
            'licence',
            'error',
            lockPath ?? '',
            `${each.name}@${each.version} is under ${each.licence}, which this project does not take in.`,
            'Use something else, or have a person change the licences in muster.yaml.',
            `${each.name}@${each.version}`,
          );
        // What is under no licence is nobody's to use. Some tools write none into their locks; then nothing follows.
        else if (
          each.licence === null &&
          approvedBy === null &&
          lockSaysLicences &&
          is.has(each.name) &&
          !was.has(each.name) &&
          isForAnybody(candidate, each)
        )
          report(
            'licence_missing',
            policy.licences.deny.length > 0 ? 'error' : 'warning',
            lockPath ?? '',
            `${each.name}@${each.version} says nothing of a licence, and is nobody's to use without one.`,
            'Use something else, or have a person who knows under which it is hand it in.',
            `${each.name}@${each.version}`,
          );
      } else if (
        same.integrity !== null &&
        each.integrity !== same.integrity &&
        !(each.integrity === null ? !isSameLock : hashedByAnother(each.integrity, same.integrity)) &&
        !locked.some(
          (other) => other.name === each.name && other.version === each.version && other.integrity === same.integrity,
        )
      ) {
        report(
          'integrity_changed',
          'error',
          lockPath ?? '',
          `${each.name}@${each.version} is the same version as before with ${each.integrity === null ? 'no hash' : 'another hash'}.`,
          `Put the lock file back and ${foreign === undefined ? 'run npm install' : 'have its own tool renew it'}.`,
          `${each.name}@${each.version}`,
          true,
        );
      }
    }
    if (is.size > 0 || was.size > 0) {
      const declared = new Set(
        [...candidate.files.keys()]
          .filter((path) => /(^|\/)package\.json$/.test(path))
          .flatMap((path) => [...wanted(candidate, path).keys(), nameOf(candidate, path)]),
      );
      const patterns = Object.keys(
        (candidate.json('tsconfig.json')?.['compilerOptions'] as { paths?: object } | undefined)?.paths ?? {},
      ).map((each) => each.replace(/\*$/, ''));
      for (const { path, status, addedLines } of changes) {
        const text = candidate.text(path);
        if (
          status === 'removed' ||
          !isScript(path) ||
          text === null ||
          text.length > mostSourceBytes ||
          /(^|\/)(?:fixtures|examples?|docs?)\//.test(path)
        )
          continue;
        const earlier = new Set(against?.text(path) == null ? [] : importsOf(path, against.text(path)!));
        for (const name of new Set(importsOf(path, text))) {
          const wants = packageOf(name);
          if (
            wants === null ||
            earlier.has(name) ||
            declared.has(wants) ||
            declared.has(`@types/${wants.replace(/^@/, '').replace('/', '__')}`) ||
            patterns.some((each) => name.startsWith(each))
          )
            continue;
          // What comes along with something else works today; a name that nothing brings does not.
          const present = locked.some((each) => each.name === wants);
          const line =
            text.split('\n').findIndex((each, index) => addedLines.has(index + 1) && each.includes(name)) + 1;
          findings.push(
            findingOf({
              check: 'dependencies',
              rule: 'dependencies.undeclared',
              level: present || isTestFile(path) ? 'warning' : 'error',
              message: `${path} imports ${wants}, which package.json does not name${present ? '; it only comes along with something else' : ''}.`,
              path,
              line: line > 0 ? line : null,
              remedy: 'Name it in package.json and renew the lock file.',
              key: `${path} ${wants}`,
            }),
          );
        }
      }
      const text = [...candidate.files.keys()]
        .filter(
          (path) =>
            (isScript(path) || /\.(?:json|ya?ml|css|vue|svelte|astro|html|cjs|rc)$|rc$/.test(path)) &&
            !/(?:package-lock|npm-shrinkwrap)\.json$|pnpm-lock\.yaml$/.test(path),
        )
        .slice(0, 5000);
      for (const [name] of added) {
        if (was.has(name) || name.startsWith('@types/')) continue;
        const used = text.some((path) =>
          (path === 'package.json'
            ? JSON.stringify({
                ...candidate.json(path),
                dependencies: 0,
                devDependencies: 0,
                optionalDependencies: 0,
                peerDependencies: 0,
              })
            : (candidate.text(path) ?? '')
          ).includes(name),
        );
        if (!used)
          report(
            'unused',
            'warning',
            'package.json',
            `Nothing in the project mentions ${name}, which the change adds.`,
            'Leave it out until something needs it.',
            name,
          );
      }
    }
    for (const { path, addedLines } of changes) {
      if (!/(^|\/)requirements[^/]*\.txt$/.test(path) || isPython(path)) continue;
      for (const [index, line] of (candidate.text(path) ?? '').split('\n').entries())
        if (
          addedLines.has(index + 1) &&
          /^\s*(?:git\+|https?:|-e\s+git|--(?:extra-)?index-url|--find-links|--trusted-host)|@\s*(?:git\+|https?:)/.test(
            line,
          )
        )
          findings.push(
            findingOf({
              check: 'dependencies',
              rule: 'dependencies.source',
              level: 'error',
              message: `${path} takes a package from elsewhere than the registry: ${line.trim().slice(0, 150)}`,
              path,
              line: index + 1,
              remedy: 'Name a version of a package in the registry.',
              key: line.trim(),
            }),
          );
    }
    const fresh = locked.filter((each) => !known.has(`${each.name}@${each.version}`)).length;
    const failed = findings.some((each) => each.level === 'error');
    const sbom = sbomOf(candidate);
    const components = (sbom['components'] as unknown[]).length;
    const result = outcome(
      failed ? 'failed' : 'passed',
      findings.length === 0
        ? `${fresh} new packages of ${components}`
        : `${findings.length} things about ${added.length} dependencies`,
      findings,
      { components, new: fresh },
    );
    return {
      ...result,
      artefacts: [
        { name: 'sbom.cdx.json', mediaType: 'application/vnd.cyclonedx+json', text: JSON.stringify(sbom, null, 2) },
      ],
    };
  },
};

/** Whoever is under a licence may take in what is under it. */
const own = (tree: SourceTree, licence: string): boolean => tree.json('package.json')?.['license'] === licence;
