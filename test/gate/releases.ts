import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Link } from './draft.ts';
import type { Packages } from './packages.ts';
import { publishedProjects, type Published } from './published.ts';
import { readTree } from './workshop.ts';

export interface RealRelease {
  project: string;
  from: Published;
  to: Published;
}

type Files = Map<string, string | Link>;

/** Each published version with the one before it. */
export const realReleases: readonly RealRelease[] = Object.entries(publishedProjects).flatMap(([project, versions]) =>
  versions.slice(1).map((to, at) => ({ project, from: versions[at]!, to })),
);

/**
 * Two published versions of somebody else's package as the trees before and after a change. Their tarballs come from npm's cache, or
 * through npm from the registry that this machine uses, and have to be the very ones that are named here. Nothing of them is kept.
 */
export class Releases {
  private readonly packages: Packages;
  private readonly found = new Map<string, Files>();

  constructor(packages: Packages) {
    this.packages = packages;
  }

  /** Fetches what these need. Throws where it cannot be had, or is not what it was. */
  fetch(releases: readonly RealRelease[]): void {
    const wanted = new Map<string, { project: string; version: Published }>();
    for (const { project, from, to } of releases)
      for (const version of [from, to]) wanted.set(`${project}@${version.version}`, { project, version });
    if (wanted.size === 0) return;
    const dir = mkdtempSync(join(tmpdir(), 'muster-releases-'));
    try {
      const packed = JSON.parse(
        execFileSync('npm', ['pack', '--json', '--prefer-offline', '--ignore-scripts', ...wanted.keys()], {
          cwd: dir,
          encoding: 'utf8',
          maxBuffer: 64 * 1024 * 1024,
          stdio: ['ignore', 'pipe', 'pipe'],
        }),
      ) as { id: string; filename: string }[];
      for (const { id, filename } of packed) {
        const { project, version } = wanted.get(id)!;
        const path = join(dir, filename.replace('@', '').replace('/', '-'));
        const hash = `sha512-${createHash('sha512').update(readFileSync(path)).digest('base64')}`;
        if (hash !== version.integrity) throw new Error(`${id} is not what was published: its hash is ${hash}`);
        const into = join(dir, 'unpacked', id);
        mkdirSync(into, { recursive: true });
        execFileSync('tar', ['-xzf', path, '-C', into, '--strip-components=1', '--no-same-owner']);
        this.found.set(id, this.tree(project, readTree(into)));
      }
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }

  trees({ project, from, to }: RealRelease): Record<'before' | 'after', ReadonlyMap<string, string | Link>> {
    const of = ({ version }: Published): Files => {
      const files = this.found.get(`${project}@${version}`);
      if (files === undefined) throw new Error(`${project}@${version} was not fetched`);
      return files;
    };
    return { before: of(from), after: of(to) };
  }

  /**
   * The package as it was published, but for its manifest's scripts and development packages and its linter's settings: in their place
   * stand some that need nothing but what this repository installs. Tests and benchmarks that load anything else are left out.
   */
  private tree(project: string, published: Files): Files {
    const about = published.get('package.json');
    if (typeof about !== 'string') throw new Error(`${project} was published without a package.json`);
    const manifest = JSON.parse(about) as Record<string, unknown> & {
      name: string;
      version: string;
      dependencies?: Record<string, string>;
    };
    const files: Files = new Map();
    for (const [path, text] of published) {
      if (/^(?:package\.json|eslint\.config\.[cm]?js|tsconfig\.json|\.npmrc|\.taprc)$/.test(path)) continue;
      if (/^(?:test|bench|benchmarks?|examples?)\/|\.(?:tst|test-d)\.ts$/.test(path) && typeof text === 'string' && !this.loads(project, text)) continue;
      files.set(path, text);
    } // prettier-ignore
    const versions = (names: string[]): Record<string, string> =>
      Object.fromEntries(names.map((name) => [name, this.packages.version(name)]));
    const dependencies = versions(Object.keys(manifest.dependencies ?? {}));
    const tested = [...files]
      .filter(([path]) => path.startsWith('test/'))
      .flatMap(([, text]) => (typeof text === 'string' ? loadedBy(text) : []));
    const devDependencies = versions(
      [...new Set(['@types/node', 'eslint', 'typescript', ...tested])]
        .filter((name) => dependencies[name] === undefined && name !== project)
        .sort(),
    );
    const { scripts: _scripts, devDependencies: _development, ...kept } = manifest;
    const standIn = {
      ...kept,
      scripts: {
        build: `node -e "require('.')"`,
        lint: 'eslint --no-warn-ignored "*.js" "lib/**/*.js"',
        test: 'node --test "test/**/*.test.js"',
      },
      dependencies,
      devDependencies,
    };
    const options = {
      allowJs: true,
      checkJs: false,
      noEmit: true,
      target: 'es2023',
      module: 'nodenext',
      types: ['node'],
      skipLibCheck: true,
    };
    files.set('package.json', `${JSON.stringify(standIn, null, 2)}\n`);
    files.set('package-lock.json', `${JSON.stringify(this.packages.lockFor(standIn), null, 2)}\n`);
    files.set(
      'tsconfig.json',
      `${JSON.stringify({ compilerOptions: options, include: ['*.js', 'lib', 'types'] }, null, 2)}\n`,
    );
    files.set(
      'eslint.config.mjs',
      "export default [{ rules: { eqeqeq: ['error', 'smart'], 'no-unreachable': 'error', 'prefer-const': 'error' } }];\n",
    );
    return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Whether all that a file loads is there: in Node.js, in this repository, or in the package itself. */
  private loads(project: string, text: string): boolean {
    return loadedBy(text).every((name) => name === project || this.packages.has(name));
  }
}

/** The packages that a file loads when it is loaded itself: what is indented may be a text, or be loaded later. */
function loadedBy(text: string): string[] {
  const named = [...text.matchAll(/^\S.*?(?:\brequire\(|\bfrom\s)\s*['"]([^'"]+)['"]/gm)].map((match) => match[1]!);
  return named
    .filter((name) => !/^[./]|^node:/.test(name) && !builtinModules.includes(name))
    .map((name) =>
      name
        .split('/')
        .slice(0, name.startsWith('@') ? 2 : 1)
        .join('/'),
    );
}
