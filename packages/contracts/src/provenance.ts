import { z } from 'zod';
import { idOf, objectId, timestamp } from './ids.ts';

/** The public half of a key that landings are signed with. */
export const provenanceKey = z
  .object({
    keyId: z.string().describe('SHA-256 of its DER form'),
    algorithm: z.literal('ed25519'),
    pem: z.string(),
    since: timestamp,
    retiredAt: timestamp.nullable().describe('when another took its place'),
  })
  .meta({ id: 'ProvenanceKey' });
export type ProvenanceKey = z.infer<typeof provenanceKey>;
export const provenanceKeys = z.object({ keys: z.array(provenanceKey) }).meta({ id: 'ProvenanceKeys' });
export type ProvenanceKeys = z.infer<typeof provenanceKeys>;

/** What an outsider has to know, and to have got from where he trusts it, to verify a project's branch offline. */
export const trustPolicy = z
  .object({
    version: z.literal(1),
    project: idOf('project'),
    branch: z.string(),
    importedHead: objectId.nullable().describe('where the word of Muster begins'),
    keys: z.array(
      provenanceKey.extend({
        lastCommit: objectId
          .nullable()
          .optional()
          .describe('of a retired key: the last commit of the branch that it vouches for; null: none'),
      }),
    ),
    minimumThreshold: z.number().describe('raise it to what you ask'),
    requiredChecks: z.array(z.string()).describe('checks that you ask to have passed on every landed change'),
  })
  .meta({ id: 'TrustPolicy' });
export type TrustPolicy = z.infer<typeof trustPolicy>;
