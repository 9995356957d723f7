import { describe, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { SystemIds } from '#kernel';
import { madeAt } from '../sweep.ts';
import { agentIdentity, landedMessage, plainMessage } from './commit-message.ts';
import { keyIdOf, openEnvelope, preAuthenticationEncoding, signEnvelope } from './dsse.ts';

describe('a commit message', () => {
  it('loses NULs and the trailers that only Muster may write, and is never empty', () => {
    expect(plainMessage('Fix\0 it\n\nMuster-Landing: land_x\n  muster-task : y\nCo-authored-by: A <a@b>')).toBe(
      'Fix it\n\nCo-authored-by: A <a@b>',
    );
    expect(plainMessage('Muster-Task: only')).toBe('Change without a message');
  });
  it('ends with what Muster knows', () => {
    const ids = { submission: 'sub_1', task: null, verification: 'ver_1', landing: 'land_1', reverts: 'land_0' };
    expect(landedMessage('Fix', ids)).toBe(
      'Fix\n\nMuster-Submission: sub_1\nMuster-Reverts: land_0\nMuster-Verification: ver_1\nMuster-Landing: land_1\n',
    );
  });
  it('names an author that git accepts', () => {
    expect(agentIdentity('a <b>\n c')).toEqual({ name: 'a b c', email: 'a-b-c@muster' });
    expect(agentIdentity('<>')).toEqual({ name: 'unknown', email: 'unknown@muster' });
  });
});

describe('an envelope', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const keys = new Map([[keyIdOf(publicKey), publicKey.export({ type: 'spki', format: 'pem' }).toString()]]);
  it('is encoded as DSSE says', () => {
    expect(preAuthenticationEncoding('http://example.com/HelloWorld', Buffer.from('hello world')).toString()).toBe(
      'DSSEv1 29 http://example.com/HelloWorld 11 hello world',
    );
  });
  it('opens with a known key only, and only as it was signed', () => {
    const sealed = signEnvelope(Buffer.from('{"a":1}'), privateKey);
    expect(openEnvelope(sealed, keys)?.toString()).toBe('{"a":1}');
    expect(signEnvelope(Buffer.from('{"a":1}'), privateKey)).toEqual(sealed);
    expect(openEnvelope(sealed, new Map())).toBeNull();
    expect(openEnvelope({ ...sealed, payload: Buffer.from('{"a":2}').toString('base64') }, keys)).toBeNull();
    expect(openEnvelope({ ...sealed, payloadType: 'text/plain' }, keys)).toBeNull();
    expect(
      openEnvelope({ ...sealed, signatures: [{ keyid: [...keys.keys()][0] ?? '', sig: 'AAAA' }] }, keys),
    ).toBeNull();
  });
});

describe('the age of an id', () => {
  it('is in the id', () => {
    expect(Math.abs(madeAt(new SystemIds().next('submission')) - Date.now())).toBeLessThan(5_000);
    expect(madeAt('main')).toBe(Number.POSITIVE_INFINITY);
  });
});
