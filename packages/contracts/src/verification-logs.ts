import { z } from 'zod';
import { blobDigest } from './blobs.ts';
import { idOf, timestamp } from './ids.ts';
import { checkCategory, checkStatus } from './verification.ts';

/** So much of what a check prints is kept line by line, in characters; the whole is an artefact, if it is more. */
export const keptLogCharacters = 256 * 1024;
/** Of one artefact, and so of the whole log of one check. */
export const maxArtefactBytes = 16 * 1024 * 1024;
/** Artefacts of one verification. */
export const maxArtefacts = 100;

const checkName = z.string().min(1).max(100);

/** A check that has ended, as it is told while others still run. */
export const checkEnded = z.object({
  check: checkName,
  category: checkCategory,
  status: checkStatus,
  summary: z.string().max(4000),
  errors: z.number().int().min(0),
  warnings: z.number().int().min(0),
  ms: z.number().min(0),
  reused: z.boolean().describe('true: it was seen before, and still holds'),
});
export type CheckEnded = z.infer<typeof checkEnded>;

/** What the verifier tells while it works. Telling it again changes nothing. */
export const verificationReport = z.strictObject({
  fence: z.number().int(),
  checks: z.array(checkEnded).max(200).default([]),
  log: z
    .array(
      z.strictObject({
        check: checkName,
        /** How many characters this attempt has told of this check before. */
        at: z.number().int().min(0),
        text: z.string().max(64 * 1024),
      }),
    )
    .max(200)
    .default([]),
});
export type VerificationReport = z.infer<typeof verificationReport>;

export const artefactName = z
  .string()
  .max(120)
  .regex(/^[a-z0-9][a-z0-9._-]*$/, 'must be lower case letters, digits, dots and dashes');
export const artefactMediaType = z
  .string()
  .max(100)
  .regex(/^(text\/plain|application\/(json|xml|[a-z0-9.-]+\+json))$/, 'must be text/plain, or JSON or XML');

/** Where one check of a verification is. `setup` is what is done before all of them; `tests@branch` what it ran on the branch to compare with. */
export const verificationCheck = z.object({
  check: z.string(),
  state: z.enum(['running', 'ended']),
  status: checkStatus.nullable(),
  summary: z.string().nullable(),
  ms: z.number().nullable(),
  reused: z.boolean(),
  logCharacters: z.number().int().describe('of what it printed so far and can be read line by line'),
  wholeLog: z.string().nullable().describe('the artefact with all of it, where it printed more than that'),
});
export type VerificationCheck = z.infer<typeof verificationCheck>;

export const verificationChecks = z
  .object({ items: z.array(verificationCheck), finished: z.boolean() })
  .meta({ id: 'VerificationChecks' });

export const verificationLogQuery = z.strictObject({
  check: checkName.optional(),
  after: z.coerce.number<string>().int().min(0).default(0).describe('the position of an answer before this one'),
  limit: z.coerce.number<string>().int().min(1).max(500).default(200).describe('pieces, each of one or more lines'),
  tail: z.coerce
    .number<string>()
    .int()
    .min(1)
    .max(10_000)
    .optional()
    .describe('the last so many lines of what is kept, instead of reading on'),
  waitSeconds: z.coerce
    .number<string>()
    .int()
    .min(0)
    .max(20)
    .default(0)
    .describe('how long the request stays open for more to come'),
});
export type VerificationLogQuery = z.input<typeof verificationLogQuery>;

/** Some of what checks printed, in the order in which it came. Read on with `after: position`. */
export const verificationLog = z
  .object({
    items: z.array(
      z.object({
        check: z.string(),
        at: timestamp,
        text: z.string().describe('whole lines'),
        position: z.number().int().describe('read on from here with `after`'),
      }),
    ),
    position: z.number().int(),
    more: z.boolean().describe('true: there is more already'),
    finished: z.boolean().describe('true: and nothing else will come'),
  })
  .meta({ id: 'VerificationLog' });
export type VerificationLog = z.infer<typeof verificationLog>;

/**
 * `GET /api/verifications/logs` upgraded to WebSocket. The client sends one `subscribe`; the server answers with what was printed after
 * that position, then with what is printed from then on, and closes with 1000 when nothing else will come.
 */
export const verificationLogSubscribe = z.strictObject({
  type: z.literal('subscribe'),
  verificationId: idOf('verification'),
  check: checkName.optional().describe('of this check only'),
  after: z.number().int().min(0).default(0).describe('the position of a message before this one'),
});
export type VerificationLogSubscribe = z.input<typeof verificationLogSubscribe>;
export const verificationLogMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('subscribed'), position: z.number().int() }),
  verificationLog.pick({ items: true, position: true, finished: true }).extend({ type: z.literal('log') }),
  z.object({ type: z.literal('error'), problem: z.unknown() }),
]);
export type VerificationLogMessage = z.infer<typeof verificationLogMessage>;

/** Something that a check left: results of tests, coverage, what the project is made of. */
export const verificationArtefact = z
  .object({
    name: artefactName,
    check: z.string().nullable().describe('null: of the whole verification'),
    mediaType: z.string(),
    size: z.number().int().nullable().describe('in bytes; null: it is written when it is asked for'),
    digest: blobDigest.nullable(),
    path: z.string().describe('where it is'),
    createdAt: timestamp,
    verificationId: idOf('verification'),
  })
  .meta({ id: 'VerificationArtefact' });
export type VerificationArtefact = z.infer<typeof verificationArtefact>;
