import { projectPolicy } from '@muster/contracts';
import { expect } from '@jest/globals';
import { mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { testsCheck } from '../../packages/gate/src/checks/tests.ts';
import { installDependencies, type InstallOptions } from '../../packages/gate/src/project/dependencies.ts';
import type { Installed } from '../../packages/gate/src/project/installed.ts';
import { sandboxPaths } from '../../packages/gate/src/sandbox/driver.ts';
import { runVerification } from '../../packages/gate/src/verification.ts';
import { type Files, GateDesk } from './gate-desk.ts';
import { SmallRegistry } from './small-registry.ts';

type Verification = Parameters<typeof runVerification>[0];

/** Where packages that a lock names are installed: with a registry of its own and an operator's cache. */
export class LockDesk extends GateDesk {
  readonly registry = new SmallRegistry(this.root);
  readonly npmCache = join(this.root, 'npm-cache');
  /** What scripts of packages make when they are run. */
  readonly ran = join(this.root, 'ran');

  override clear(): void {
    this.registry.close();
    super.clear();
  }

  async install(files: Files, more: Partial<InstallOptions> = {}): Promise<Installed> {
    return await installDependencies(this.tree(files), {
      cacheDir: join(this.root, 'cache'),
      registry: this.registry.url,
      npmCache: this.npmCache,
      driver: (await this.sandbox()).driver,
      ...more,
    });
  }

  /** What the tests of these files come to, in a verification that asks nothing else. */
  async tests(files: Files, more: Partial<Verification> = {}): ReturnType<typeof runVerification> {
    return await runVerification({
      candidateDir: this.tree(files).dir,
      baseDir: this.tree({ 'README.md': 'x\n' }).dir,
      restoresDir: null,
      input: {
        purpose: 'admission',
        candidateTree: 'a'.repeat(40),
        baseTree: 'b'.repeat(40),
        restoresTree: null,
        policy: projectPolicy.parse({}),
        rulesDigest: 'r',
      },
      workDir: join(this.root, 'work'),
      cacheDir: mkdtempSync(join(this.root, 'cache-')),
      sandbox: await this.sandbox(),
      checks: [testsCheck],
      ...more,
    });
  }
}

/** A file with this in place of that, which has to be in it. */
export function instead(files: Files, path: string, that: string | RegExp, by: string): Files {
  const given = files[path]!;
  if (typeof that === 'string') expect(given).toContain(that);
  else expect(given).toMatch(that);
  return { ...files, [path]: given.replace(that, by) };
}

/** The folder with the packages that a run finds at the root of its project. */
export const packagesOf = ({ mounts }: Installed): string =>
  mounts.find(({ to }) => to === `${sandboxPaths.work}/node_modules`)!.from;

/** What an archive that leads out of its folder has written anywhere but there: within the package it is a file like others. */
export const escapedIn = (cacheDir: string): string[] =>
  readdirSync(cacheDir, { recursive: true })
    .map(String)
    .filter((path) => /(^|\/)escaped$/.test(path) && !/node_modules\/hostile\/(?:\w+\/)?escaped$/.test(path));
