import { execFileSync } from 'node:child_process';
import { posix } from 'node:path';
import type { Link } from './draft.ts';
import type { Packages } from './packages.ts';

export interface RealCommit {
  commit: string;
  subject: string;
  /** Does it change the product's own code? */
  ofTheCode: boolean;
  /** The trees before and after it, read when they are needed. */
  trees: () => Record<'before' | 'after', ReadonlyMap<string, string | Link>>;
}

interface ProductCommit {
  commit: string;
  /** The suites that try what it changes: they need no database, no sandbox and no server. */
  suites: readonly string[];
  /** What these load besides what the others do. */
  packages?: readonly string[];
}

/** Commits of the product's own code with its tests, of which the suites that try it run by themselves. Chosen by hand, and pinned. */
const productCommits: readonly ProductCommit[] = [
  {
    commit: '066e14f408bddd1400d2503f6348178bdc85da9c',
    suites: ['libs/platform/src/rounds/rounds.spec.ts'],
    packages: ['@nestjs/common', '@nestjs/schedule', '@nestjs/testing'],
  },
  { commit: '42dc24cc44b3b6549c6ee52cc710e4f80fa70f5f', suites: ['libs/forges/src/gitlab-requests.spec.ts'] },
  {
    commit: '5afeb00836a68b93942be378c833ad8e95512b96',
    suites: ['packages/gate/src/source/source.spec.ts'],
    packages: ['picomatch', 'semver', 'tar-stream'],
  },
  {
    commit: 'e6237a9578d68e8018ce29bc3ece29782ca6095b',
    suites: ['libs/registry/src/domain/check-definition.spec.ts'],
    packages: ['ajv', 'ajv-formats', 'semver', 'typeid-js'],
  },
];

/** The oldest of them, so that the same ones are judged however the history goes on. */
const mostCommits = 80;
/** Real, and really at fault: the gate is right to refuse them. */
const flawed: ReadonlyMap<string, string> = new Map([
  ['Tell a newcomer what this is and how to run it', 'links to a page that only came with a later commit'],
]);

const git = (root: string, args: string[], input?: string): string =>
  execFileSync('git', ['-C', root, ...args], {
    encoding: 'utf8',
    maxBuffer: 512 * 1024 * 1024,
    stdio: ['pipe', 'pipe', 'ignore'],
    ...(input === undefined ? {} : { input }),
  });

/** What only a running PostgreSQL, or minutes of compiling, could judge: the product's own code, and what it is built with. */
const needsTheWholeHouse = (path: string): boolean =>
  (/\.(?:ts|tsx|mts|js|mjs)$/.test(path) &&
    !/\.(?:spec|int-spec|e2e-spec)\.ts$|(?:^|\/)(?:test|bench|examples|fixtures|docs)\/|\.config\.[mc]?[jt]s$/.test(
      path,
    )) ||
  /(?:^|\/)(?:package\.json|package-lock\.json|tsconfig[^/]*\.json)$/.test(path);

/**
 * Real commits of this repository that leave the product's code alone: tests, documents, charts, tools. Each is judged as a whole, on
 * the whole tree but for manifests and settings, in whose place stand some under which the suites without a database run.
 */
export function realCommits(root: string, packages: Packages, say: (line: string) => void): RealCommit[] {
  return [...commitsBesideTheCode(root, packages, say), ...commitsOfTheCode(root, packages, say)];
}

function commitsOfTheCode(root: string, packages: Packages, say: (line: string) => void): RealCommit[] {
  const found = productCommits.flatMap((given): RealCommit[] => {
    const { commit } = given;
    try {
      const [subject = '', parent = ''] = git(root, ['log', '-1', '--format=%s%n%P', commit]).split('\n');
      git(root, ['cat-file', '-e', `${parent}^{tree}`]);
      const trees = (): Record<'before' | 'after', ReadonlyMap<string, string | Link>> => ({
        before: treeAt(root, parent, packages, given),
        after: treeAt(root, commit, packages, given),
      });
      return [{ commit, subject, ofTheCode: true, trees }];
    } catch {
      return []; // a shallow clone, or none, does not hold it
    }
  });
  if (found.length < productCommits.length)
    say(
      `SKIPPED: ${productCommits.length - found.length} of ${productCommits.length} real commits of product code, which are not held here (git fetch --unshallow).`,
    );
  return found;
}

function commitsBesideTheCode(root: string, packages: Packages, say: (line: string) => void): RealCommit[] {
  let log: string[];
  try {
    log = git(root, ['log', '--reverse', '--no-merges', '--format=%H %P\t%s', 'HEAD']).split('\n').filter(Boolean);
  } catch {
    say('SKIPPED: the real commits, because this is no clone of the repository.');
    return [];
  }
  const found: RealCommit[] = [];
  for (const line of log) {
    if (found.length === mostCommits) break;
    const [ids = '', subject = ''] = line.split('\t');
    const [commit = '', parent] = ids.split(' ');
    if (parent === undefined) continue;
    let paths: string[];
    try {
      paths = git(root, ['diff-tree', '--no-commit-id', '--name-only', '-r', '-z', parent, commit])
        .split('\0')
        .filter(Boolean);
    } catch {
      continue; // a shallow clone ends here
    }
    if (flawed.has(subject) || paths.length === 0 || paths.some(needsTheWholeHouse)) continue;
    found.push({
      commit,
      subject,
      ofTheCode: false,
      trees: () => ({ before: treeAt(root, parent, packages), after: treeAt(root, commit, packages) }),
    });
  }
  if (found.length < mostCommits)
    say(
      `SKIPPED: ${mostCommits - found.length} of ${mostCommits} real commits, which this clone does not hold (git fetch --unshallow).`,
    );
  return found;
}

const hermetic = [
  'libs/kernel',
  'libs/platform/src/batching',
  'libs/platform/src/rounds',
  'libs/runtime/src/domain',
  'libs/events/src/domain',
  'packages/contracts',
];

/** The names of a commit's own packages, and of all that they depend on. */
function namedBy(manifests: readonly string[]): string[] {
  const names = manifests.flatMap((text) => {
    const { name, dependencies, devDependencies } = JSON.parse(text) as Record<string, object | string | undefined>;
    return [...(typeof name === 'string' ? [name] : []), ...Object.keys({ ...Object(dependencies), ...Object(devDependencies) } as object)];
  });
  return [...new Set(names)].filter((name) => name !== 'muster').sort();
} // prettier-ignore

const swc = (type: 'commonjs' | 'es6'): object => ({
  '^.+\\.ts$': [
    '@swc/jest',
    {
      jsc: {
        target: 'es2023',
        parser: { syntax: 'typescript', decorators: true },
        ...(type === 'es6' && {
          transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
        }),
      },
      module: { type },
    },
  ],
});

const besideTheCode = (paths: readonly string[]): object => ({
  roots: hermetic
    .filter((folder) => paths.some((path) => path.startsWith(`${folder}/`)))
    .map((folder) => `<rootDir>/${folder}`),
  testMatch: ['**/*.spec.ts'],
  moduleNameMapper: {
    '^#kernel$': '<rootDir>/libs/kernel/src/index.ts',
    '^@muster/contracts$': '<rootDir>/packages/contracts/src/index.ts',
  },
  transform: swc('commonjs'),
});

/** As the product itself has it tested: as modules, whose packages are read from their sources. */
const ofTheCode = ({ suites }: ProductCommit): object => ({
  roots: [...new Set(suites.map((path) => `<rootDir>/${posix.dirname(path)}`))],
  testMatch: suites.map((path) => `<rootDir>/${path}`),
  extensionsToTreatAsEsm: ['.ts'],
  testEnvironmentOptions: { customExportConditions: ['muster-source', 'node', 'node-addons'] },
  moduleNameMapper: { '^@muster/contracts$': '<rootDir>/packages/contracts/src/index.ts' },
  testTimeout: 60_000,
  transform: swc('es6'),
});

function treeAt(root: string, commit: string, packages: Packages, product?: ProductCommit): Map<string, string | Link> {
  const all = git(root, ['ls-tree', '-r', '-z', '--full-tree', commit])
    .split('\0')
    .flatMap((line) => {
      const match = /^(\d{6}) blob ([0-9a-f]+)\t([\s\S]*)$/.exec(line);
      return match === null ? [] : [{ mode: match[1]!, id: match[2]!, path: match[3]! }];
    });
  const manifests = all.filter(({ path }) => /^(?:(?:packages|apps)\/[^/]+\/)?package\.json$/.test(path));
  const entries = all.filter(
    ({ path }) =>
      !/(?:^|\/)(?:package\.json|package-lock\.json|tsconfig[^/]*\.json|\.npmrc)$|^jest\.config|^eslint\.config|^test\/gate\//.test(
        path,
      ),
  );
  const texts = blobsOf(
    root,
    [...entries, ...manifests].map(({ id }) => id),
  );
  const files = new Map<string, string | Link>();
  for (const { mode, id, path } of entries) {
    const text = texts.get(id) ?? '';
    files.set(path, mode === '120000' ? { to: text } : text);
  }
  const names = [
    '@jest/globals',
    '@swc/core',
    '@swc/jest',
    '@types/node',
    'jest',
    'prettier',
    'typescript',
    'zod',
    'yaml',
    ...(product?.packages ?? []),
  ];
  const own = JSON.parse(texts.get(manifests.find(({ path }) => path === 'package.json')?.id ?? '') ?? '{}') as {
    imports?: unknown;
    scripts?: Record<string, string>;
  };
  const manifest = {
    name: 'muster',
    version: '0.1.0',
    private: true,
    license: 'Apache-2.0',
    scripts: {
      // Documents name them; what they run is not there.
      ...Object.fromEntries(
        Object.keys(own.scripts ?? {})
          .filter((name) => !/^(?:pre|post|install)/.test(name))
          .map((name) => [name, 'node --version']),
      ),
      build: 'tsc --noCheck --outDir dist -p .',
      lint: 'prettier --check --no-error-on-unmatched-pattern docs/**/*.md README.md CONTRIBUTING.md',
      test: product === undefined ? 'jest' : 'node --experimental-vm-modules node_modules/jest/bin/jest.js',
    },
    ...(product !== undefined && { type: 'module', imports: own.imports }),
    jest: product === undefined ? besideTheCode(entries.map(({ path }) => path)) : ofTheCode(product),
    devDependencies: Object.fromEntries(names.map((name) => [name, packages.version(name)])),
    // What suites need that are not run here: named as the commit names it, and not installed.
    peerDependencies: Object.fromEntries(
      namedBy(manifests.map(({ id }) => texts.get(id) ?? '{}'))
        .filter((name) => !names.includes(name))
        .map((name) => [name, '*']),
    ),
  };
  const options = {
    target: 'es2023',
    module: 'nodenext',
    types: ['node'],
    strict: true,
    skipLibCheck: true,
    allowImportingTsExtensions: true,
    rewriteRelativeImportExtensions: true,
    noUncheckedIndexedAccess: true,
  };
  files.set('package.json', `${JSON.stringify(manifest, null, 2)}\n`);
  files.set('package-lock.json', `${JSON.stringify(packages.lockFor(manifest), null, 2)}\n`);
  files.set(
    'tsconfig.json',
    `${JSON.stringify({ compilerOptions: options, include: ['packages/contracts/src'], exclude: ['**/*.spec.ts'] }, null, 2)}\n`,
  );
  return files;
}

const known = new Map<string, string>();

/** What git keeps under these names; read once, since most files stay the same from commit to commit. */
function blobsOf(root: string, ids: readonly string[]): ReadonlyMap<string, string> {
  const missing = [...new Set(ids)].filter((id) => !known.has(id));
  const out = execFileSync('git', ['-C', root, 'cat-file', '--batch'], {
    input: `${missing.join('\n')}\n`,
    maxBuffer: 512 * 1024 * 1024,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  let at = 0;
  for (const id of missing) {
    const end = out.indexOf(10, at);
    const size = Number(out.toString('latin1', at, end).split(' ')[2]);
    if (!Number.isInteger(size)) throw new Error(`git does not hold ${id}`);
    known.set(id, out.toString('utf8', end + 1, end + 1 + size));
    at = end + 1 + size + 1;
  }
  return known;
}
