import { createHash, verify } from 'node:crypto';
import type { Reason } from './reasons.ts';
import { isList, isObject, isText } from './shape.ts';
import type { Trust } from './trust.ts';

const IN_TOTO = 'application/vnd.in-toto+json';

export interface Opened {
  readonly statement: unknown;
  /** SHA-256 of the signed bytes. */
  readonly digest: string;
  readonly keyId: string;
}
export type Refused = { readonly reason: Reason; readonly detail: string };

/** A DSSE envelope: the signature covers the type and the bytes, whatever JSON is made of them afterwards. */
export function openEnvelope(line: string, { keys }: Trust): Opened | Refused {
  const sealed = parseJson(line);
  if (
    !isObject(sealed) ||
    !isText(sealed['payload']) ||
    !isText(sealed['payloadType']) ||
    !isList(sealed['signatures'])
  )
    return { reason: 'note.malformed', detail: 'It is not a DSSE envelope.' };
  if (sealed['payloadType'] !== IN_TOTO)
    return { reason: 'note.malformed', detail: `Its payload is ${sealed['payloadType'].slice(0, 100)}.` };
  const body = Buffer.from(sealed['payload'], 'base64');
  // Two spellings of the same bytes would be two notes that verify.
  if (body.toString('base64') !== sealed['payload'])
    return { reason: 'note.malformed', detail: 'Its payload is not plain base64.' };
  const encoded = Buffer.concat([Buffer.from(`DSSEv1 ${IN_TOTO.length} ${IN_TOTO} ${body.length} `), body]);
  let known = false;
  for (const signature of sealed['signatures']) {
    if (!isObject(signature) || !isText(signature['keyid']) || !isText(signature['sig'])) continue;
    const trusted = keys.get(signature['keyid']);
    if (trusted === undefined) continue;
    known = true;
    if (!verify(null, encoded, trusted.key, Buffer.from(signature['sig'], 'base64'))) continue;
    const statement = parseJson(body.toString('utf8'));
    return { statement, digest: createHash('sha256').update(body).digest('hex'), keyId: signature['keyid'] };
  }
  return known
    ? { reason: 'signature.invalid', detail: 'What is written there was not signed.' }
    : { reason: 'signature.unknown_key', detail: 'Its key is not in the trust policy.' };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
