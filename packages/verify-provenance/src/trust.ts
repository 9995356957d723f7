import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { isList, isObject, isText } from './shape.ts';

export interface TrustedKey {
  readonly key: KeyObject;
  /** Of a retired key: the last commit that it vouches for; null: none of this branch. Undefined: it still signs. */
  readonly lastCommit: string | null | undefined;
}

/** What whoever verifies believes beforehand. It has to come from somewhere else than the clone. */
export interface Trust {
  readonly project: string;
  readonly branch: string;
  /** Where the word of Muster begins; null: with the first commit. */
  readonly importedHead: string | null;
  readonly keys: ReadonlyMap<string, TrustedKey>;
  readonly minimumThreshold: number;
  readonly requiredChecks: readonly string[];
  /** A commit seen on the branch before: it must still be there, or the branch was moved back. */
  readonly knownHead: string | null;
  /** Commits from which on fewer checks or points are fine, because somebody looked into it. */
  readonly acceptedDowngrades: ReadonlySet<string>;
}

export class TrustError extends Error {}

const OBJECT = /^([0-9a-f]{40}|[0-9a-f]{64})$/;

/** Reads a trust policy as the server exports it. Throws a TrustError that names what is wrong. */
export function readTrust(value: unknown): Trust {
  const hold = (condition: boolean, what: string): void => {
    if (!condition) throw new TrustError(`The trust policy is not usable: ${what}.`);
  };
  hold(isObject(value), 'it is not a JSON object');
  const given = value as Record<string, unknown>;
  hold(given['version'] === 1, '"version" is not 1');
  const { project, branch, importedHead, keys, minimumThreshold = 0, requiredChecks = [] } = given;
  const { knownHead = null, acceptedDowngrades = [] } = given;
  hold(isText(project) && project !== '', '"project" is missing');
  hold(isText(branch) && branch !== '' && !branch.startsWith('-'), '"branch" is missing');
  const commit = (name: string, id: unknown): void =>
    hold(id === null || (isText(id) && OBJECT.test(id)), `"${name}" is not a commit id`);
  hold(importedHead !== undefined, '"importedHead" is missing');
  commit('importedHead', importedHead);
  commit('knownHead', knownHead);
  hold(typeof minimumThreshold === 'number', '"minimumThreshold" is not a number');
  hold(isList(requiredChecks) && requiredChecks.every(isText), '"requiredChecks" is not a list of names');
  hold(isList(acceptedDowngrades) && acceptedDowngrades.every(isText), '"acceptedDowngrades" is not a list of commits');
  hold(isList(keys) && keys.length > 0, '"keys" is empty');
  const trusted = new Map<string, TrustedKey>();
  for (const each of keys as readonly unknown[]) {
    hold(isObject(each) && isText(each['pem']), 'a key has no "pem"');
    const { pem, lastCommit } = each as { pem: string; lastCommit?: unknown };
    if (lastCommit !== undefined) commit('lastCommit', lastCommit);
    let key: KeyObject;
    try {
      key = createPublicKey(pem);
    } catch {
      throw new TrustError('The trust policy is not usable: a "pem" is no public key.');
    }
    hold(key.asymmetricKeyType === 'ed25519', 'a key is not Ed25519');
    // Its own name for itself is not believed.
    const id = createHash('sha256')
      .update(key.export({ type: 'spki', format: 'der' }))
      .digest('hex');
    trusted.set(id, { key, lastCommit: lastCommit as string | null | undefined });
  }
  return {
    project: project as string,
    branch: branch as string,
    importedHead: importedHead as string | null,
    keys: trusted,
    minimumThreshold: minimumThreshold as number,
    requiredChecks: requiredChecks as string[],
    knownHead: knownHead as string | null,
    acceptedDowngrades: new Set(acceptedDowngrades as string[]),
  };
}
