/** One package of one version, as a lock file pins it. */
export interface LockedPackage {
  name: string;
  version: string;
  place: string;
  integrity: string | null;
  /** Only npm's lock says it. */
  licence: string | null;
  runsOnInstall: boolean;
  dev: boolean;
  /** Where it comes from, as the lock says: an address, or what a tool has for one; null: the registry that is configured. */
  source: string | null;
}
