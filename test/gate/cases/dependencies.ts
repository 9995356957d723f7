import { publicRegistries } from '../../../packages/gate/src/project/lock.ts';
import type { CorpusCase } from '../case.ts';
import type { Draft } from '../draft.ts';
import { bad, everySize } from './bad.ts';
import { honest } from './honest-case.ts';

type Entry = Record<string, unknown>;
const hashOf = (letter: string): string => `sha512-${letter.repeat(86)}==`;
const address = (name: string, version: string): string =>
  `https://${publicRegistries[0]!}/${name}/-/${name.replace(/^.*\//, '')}-${version}.tgz`;
const entryOf = (name: string, version: string, letter: string, more: Entry = {}): Entry => ({
  version,
  resolved: address(name, version),
  integrity: hashOf(letter),
  dev: true,
  license: 'MIT',
  ...more,
});

/** Edits the entries of the lock; undefined takes one out. */
function lock(draft: Draft, entries: Record<string, Entry | undefined>): void {
  draft.json('package-lock.json', (value) => {
    for (const [name, entry] of Object.entries(entries)) {
      if (entry === undefined) delete value['packages']![`node_modules/${name}`];
      else value['packages']![`node_modules/${name}`] = entry;
    }
  });
}

/** Asks for a version in the manifest and in the lock's copy of it; null: no longer. */
function want(draft: Draft, name: string, range: string | null): void {
  const edit = (kinds: Record<string, Record<string, unknown>>): void => {
    if (range === null) delete kinds['devDependencies']![name];
    else kinds['devDependencies']![name] = range;
  };
  draft.json('package.json', edit);
  draft.json('package-lock.json', (value) => edit(value['packages']![''] as never));
}

const uses = "import * as paint from 'yocto-paint';\n";
const says = "console.log(paint.green?.('done') ?? 'done');\n";
/** A branch with a package that its build uses, and one that comes along with it. */
const painted = (draft: Draft): void => {
  want(draft, 'yocto-paint', '^2.1.0');
  lock(draft, {
    'yocto-paint': entryOf('yocto-paint', '2.1.0', 'C', { dependencies: { 'yocto-hues': '^1.0.0' } }),
    'yocto-hues': entryOf('yocto-hues', '1.0.1', 'D'),
  });
  draft.edit('build.js', "import { cpSync } from 'node:fs';\n", `import { cpSync } from 'node:fs';\n${uses}`);
  draft.append('build.js', says);
};
const onPainted = (each: CorpusCase): CorpusCase => ({ ...each, branch: painted });
const bumped = (more: Entry = {}): Entry =>
  entryOf('yocto-paint', '2.1.1', 'E', { dependencies: { 'yocto-hues': '^1.0.0' }, ...more });

const requirements = (version: string, digit: string): string =>
  `# made by pip-compile\npyyaml==${version} \\\n    --hash=sha256:${digit.repeat(64)} \\\n    --hash=sha256:${digit.repeat(32)}${'0'.repeat(32)}\n`;

/** Packages that are renewed, added and taken out, as people and bots do it, and as those do who mean no good. */
export const dependencyCases: readonly CorpusCase[] = [
  onPainted(
    honest(
      'dependencies',
      'a patch of a package, with its lock',
      'gazette',
      'Bump yocto-paint from 2.1.0 to 2.1.1',
      (draft) => {
        want(draft, 'yocto-paint', '^2.1.1');
        lock(draft, { 'yocto-paint': bumped() });
      },
    ),
  ),
  onPainted(
    honest('dependencies', 'within its range, in the lock alone', 'gazette', 'Update the lock file', (draft) =>
      lock(draft, { 'yocto-paint': bumped(), 'yocto-hues': entryOf('yocto-hues', '1.2.0', 'F') }),
    ),
  ),
  onPainted(
    honest('dependencies', 'one that is gone, with its use', 'gazette', 'Remove colours from the build', (draft) => {
      want(draft, 'yocto-paint', null);
      lock(draft, { 'yocto-paint': undefined, 'yocto-hues': undefined });
      draft.edit('build.js', uses, '');
      draft.edit('build.js', says, "console.log('done');\n");
    }),
  ),
  onPainted(
    honest('dependencies', 'a successor under the old name', 'gazette', 'Take the maintained yocto-paint', (draft) => {
      want(draft, 'yocto-paint', 'npm:@next/yocto-paint@^2.2.0');
      const successor = entryOf('@next/yocto-paint', '2.2.0', 'G', { name: '@next/yocto-paint' });
      lock(draft, { 'yocto-paint': successor, 'yocto-hues': undefined });
    }),
  ),
  {
    ...honest('dependencies', 'a pinned requirement with its hashes', 'stockroom', 'Bump pyyaml to 6.0.2', (draft) =>
      draft.write('requirements.txt', requirements('6.0.2', 'b')),
    ),
    branch: (draft) => draft.write('requirements.txt', requirements('6.0.1', 'a')),
  },
  {
    ...onPainted(
      honest(
        'dependencies',
        'a version that begins to run a script, by a person',
        'gazette',
        'Bump yocto-paint',
        (draft) => {
          want(draft, 'yocto-paint', '^2.1.1');
          lock(draft, { 'yocto-paint': bumped({ hasInstallScript: true }) });
        },
      ),
    ),
    approvedBy: 'a maintainer',
  },

  ...bad(
    'lock that points elsewhere',
    'to another host',
    'gazette',
    ['tampering.lock_source'],
    (draft) =>
      lock(draft, {
        'yocto-paint': bumped({ resolved: 'https://packages.example.org/yocto-paint/-/yocto-paint-2.1.1.tgz' }),
      }),
    { title: 'Bump yocto-paint', branch: painted, unrun: true, sizes: everySize },
  ),
  ...bad(
    'lock that points elsewhere',
    'to a repository',
    'gazette',
    ['tampering.lock_source'],
    (draft) => lock(draft, { 'yocto-paint': bumped({ resolved: 'git+ssh://git@example.org/yocto/paint.git#4f2c1d' }) }),
    { title: 'Bump yocto-paint', branch: painted, unrun: true },
  ),
  ...bad(
    'lock that points elsewhere',
    'to a file',
    'gazette',
    ['tampering.lock_source'],
    (draft) => lock(draft, { 'yocto-paint': bumped({ resolved: 'file:vendor/yocto-paint-2.1.1.tgz' }) }),
    { title: 'Bump yocto-paint', branch: painted, unrun: true },
  ),
  ...bad(
    'lock that swaps a package',
    'the address of another, in the lock alone',
    'gazette',
    ['tampering.lock_source'],
    (draft) => lock(draft, { 'yocto-paint': bumped({ resolved: address('yocto-pain', '2.1.1') }) }),
    { title: 'Update the lock file', branch: painted, unrun: true, sizes: everySize },
  ),
  ...bad(
    'lock that swaps a package',
    'another under its name, in the lock alone',
    'gazette',
    ['tampering.lock_source'],
    (draft) => lock(draft, { 'yocto-hues': entryOf('yocto-hue', '1.0.1', 'H', { name: 'yocto-hue' }) }),
    { title: 'Update the lock file', branch: painted, unrun: true },
  ),
  ...bad(
    'dependency under another hash',
    'the same version, without one',
    'gazette',
    ['dependencies.integrity_changed'],
    (draft) => lock(draft, { 'yocto-hues': entryOf('yocto-hues', '1.0.1', 'D', { integrity: undefined }) }),
    { title: 'Update the lock file', branch: painted, unrun: true },
  ),
  ...bad(
    'dependency not locked',
    'the lock has an older one than the manifest asks for',
    'gazette',
    ['dependencies.not_locked'],
    (draft) => want(draft, 'yocto-paint', '^2.1.1'),
    { title: 'Bump yocto-paint', branch: painted, sizes: everySize },
  ),
  ...bad(
    'dependency not locked',
    'the lock alone goes back to what the manifest has left',
    'gazette',
    ['dependencies.not_locked'],
    (draft) => lock(draft, { 'yocto-paint': entryOf('yocto-paint', '1.9.0', 'I') }),
    { title: 'Update the lock file', branch: painted },
  ),
  ...bad(
    'dependency that begins to run a script',
    'with a patch of it',
    'gazette',
    ['dependencies.install_script'],
    (draft) => {
      want(draft, 'yocto-paint', '^2.1.1');
      lock(draft, { 'yocto-paint': bumped({ hasInstallScript: true }) });
    },
    { title: 'Bump yocto-paint', branch: painted, sizes: everySize },
  ),
];
