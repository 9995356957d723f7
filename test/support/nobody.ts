import { permissions } from '@muster/contracts';
import { typeid } from 'typeid-js';
import { type Actor, Authenticator } from '#messages/auth';

/** For trials that come in by no door. */
export class Nobody extends Authenticator {
  authenticate(): Promise<null> {
    return Promise.resolve(null);
  }
  allows(): boolean {
    return false;
  }
  onRevoked(): () => void {
    return () => undefined;
  }
  issueSystemKey(): Promise<string> {
    return Promise.reject(new Error('no keys here'));
  }
}

/** Somebody of a team of her own who may do everything in it. */
export const ada = (): Actor => ({
  kind: 'user',
  id: typeid('user').toString(),
  name: 'Ada',
  teamId: typeid('team').toString(),
  permissions: new Set(permissions),
  projects: new Map(),
  onlyProjectId: null,
});
