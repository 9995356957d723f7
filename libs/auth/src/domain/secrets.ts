import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

/** 32 random bytes are beyond guessing, so a plain SHA-256 is enough to keep them by. */
export const newSecret = (): string => randomBytes(32).toString('base64url');
export const hashOf = (secret: string): string => hash('sha256', secret, 'hex');

export function sameHash(a: string, b: string): boolean {
  const left = Buffer.from(a, 'hex');
  const right = Buffer.from(b, 'hex');
  return left.length === right.length && timingSafeEqual(left, right);
}

const shape = /^muster_([0-7][0-9a-hjkmnp-tv-z]{25})_([A-Za-z0-9_-]{43})$/;

/** `muster_<id>_<secret>`: recognisable to scanners of secrets, and found by its id without a search over hashes. */
export const credentialOfKey = (keyId: string, secret: string): string =>
  `muster_${keyId.slice('key_'.length)}_${secret}`;

export function parseKeyCredential(credential: string): { keyId: string; secret: string } | null {
  const [, suffix, secret] = shape.exec(credential) ?? [];
  return suffix === undefined || secret === undefined ? null : { keyId: `key_${suffix}`, secret };
}
