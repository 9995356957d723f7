import { createHash, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { z } from 'zod';

/** A DSSE envelope (https://github.com/secure-systems-lab/dsse): the signature covers type and bytes, not their JSON form. */
export const envelope = z.object({
  payloadType: z.string(),
  payload: z.string(),
  signatures: z.array(z.object({ keyid: z.string(), sig: z.string() })).min(1),
});
export type Envelope = z.infer<typeof envelope>;

export const IN_TOTO = 'application/vnd.in-toto+json';

/** Pre-authentication encoding: what is signed. */
export function preAuthenticationEncoding(type: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${body.length} `), body]);
}

/** The SHA-256 of the public key's DER form. */
export function keyIdOf(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

export function signEnvelope(body: Buffer, privateKey: KeyObject): Envelope {
  return {
    payloadType: IN_TOTO,
    payload: body.toString('base64'),
    signatures: [
      {
        keyid: keyIdOf(createPublicKey(privateKey)),
        sig: sign(null, preAuthenticationEncoding(IN_TOTO, body), privateKey).toString('base64'),
      },
    ],
  };
}

/** The signed bytes, or null when no signature of the envelope verifies with a known key. */
export function openEnvelope(sealed: Envelope, keys: ReadonlyMap<string, string>): Buffer | null {
  const body = Buffer.from(sealed.payload, 'base64');
  const good = sealed.signatures.some(({ keyid, sig }) => {
    const pem = keys.get(keyid);
    return (
      pem !== undefined &&
      verify(
        null,
        preAuthenticationEncoding(sealed.payloadType, body),
        createPublicKey(pem),
        Buffer.from(sig, 'base64'),
      )
    );
  });
  return good && sealed.payloadType === IN_TOTO ? body : null;
}

export const digestOf = (body: Buffer): string => createHash('sha256').update(body).digest('hex');
