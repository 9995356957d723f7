import { existsSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import { sandboxPaths, type SandboxMount } from '../sandbox/driver.ts';

export interface Installed {
  status: 'nothing_needed' | 'installed' | 'refused' | 'not_run';
  reason: string;
  /** True: the machine or its registry is why there are none, and neither the manifest nor the lock. */
  blocked?: boolean;
  /** What of the lock or the manifest was refused, one sentence each. */
  refused: string[];
  mounts: SandboxMount[];
  /** Folders of the project that the mounts need to exist. */
  mountPoints: string[];
  has(packageName: string): boolean;
  /** The host's folder of packages for Python, which a run finds at `sandboxPaths.python`; null: there are none. */
  python: string | null;
  digest: string;
}

export const without = (status: Installed['status'], reason: string, refused: string[] = []): Installed => ({
  status,
  reason,
  refused,
  mounts: [],
  mountPoints: [],
  has: () => false,
  python: null,
  digest: status,
});

export const refusedAsExchanged = (lock: string, problems: readonly string[]): Installed =>
  without('refused', `${lock} gives packages the archives of others`, problems.slice(0, 50));

/** For a tree that nothing is to be installed for. */
export const notInstalled = (reason: string): Installed => without('not_run', reason);

/** Folders of node_modules into which tools write; each run gets fresh ones. */
export const toolCaches = ['.vite', '.vite-temp', '.cache'] as const;

/** Where packages of one content lie, for every tree that wants them. */
export const homeOf = (cacheDir: string, digest: string): string => join(cacheDir, 'dependencies', digest);

/** A folder, and none of the way to it is a link, which might lead anywhere. */
export function isRealFolder(root: string, place: string): boolean {
  let path = root;
  return place.split('/').every((part) => {
    path = join(path, part);
    return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  });
}

/** What lies in a home, as every run gets it: read-only, at the root of the project and in these folders of it. */
export function installedAt(home: string, workspaces: readonly string[], digest: string): Installed {
  const places = ['node_modules', ...workspaces.map((place) => `${place}/node_modules`)].filter((place) =>
    isRealFolder(home, place),
  );
  return {
    status: 'installed',
    reason: 'installed from the lock file',
    refused: [],
    mounts: [
      ...places.map((place) => ({ from: join(home, place), to: `${sandboxPaths.work}/${place}`, mode: 'ro' as const })),
      ...toolCaches.map((cache) => ({
        from: '',
        to: `${sandboxPaths.work}/node_modules/${cache}`,
        mode: 'tmpfs' as const,
      })),
    ],
    mountPoints: places,
    has: (name) => existsSync(join(home, 'node_modules', name)),
    python: null,
    digest,
  };
}
