import { z } from 'zod';
import { idOf, objectId, timestamp } from './ids.ts';
import {
  breach,
  checkCategory,
  checkFacts,
  checkStatus,
  declaredWork,
  finding,
  verdict,
  verificationFacts,
  verificationPurposes,
  verificationView,
} from './verification.ts';

/** What POST /api/verifications/{id}/rerun takes. */
export const rerunVerification = z
  .strictObject({
    checks: z
      .array(z.string().min(1).max(100))
      .max(100)
      .default([])
      .describe('looked at anew, whatever was seen before; default: those that could not be run or could not tell'),
  })
  .prefault({})
  .meta({ id: 'RerunVerification' });
export type RerunVerification = z.input<typeof rerunVerification>;

export const rerunAnswer = z
  .object({
    rerun: z.boolean().describe('false: nothing is run; `because` says why'),
    because: z.string(),
    checks: z.array(z.string()).describe('that are looked at anew'),
    verification: verificationView.describe('the new one; where nothing is run, the one that stands'),
  })
  .meta({ id: 'VerificationRerun' });
export type RerunAnswer = z.infer<typeof rerunAnswer>;

const place = finding.pick({
  check: true,
  rule: true,
  level: true,
  message: true,
  path: true,
  line: true,
  remedy: true,
  reproduce: true,
  fingerprint: true,
});

/** How score and verdict of a verification came about, so that somebody who has never seen it before can follow. */
export const verificationExplanation = z
  .object({
    id: idOf('verification'),
    summary: z.string().describe('what came out and what decided it, in a few sentences'),
    state: z.enum(['pending', 'running', 'finished']),
    verdict: verdict.nullable(),
    evidence: z.boolean().nullable(),
    score: z.number().nullable(),
    threshold: z.number(),
    reasons: z.array(z.string()),
    categories: z
      .array(
        z.object({
          category: checkCategory,
          most: z.number().describe('what it can cost at most: its weight'),
          perError: z.number(),
          perWarning: z.number(),
          errors: z.number().int(),
          warnings: z.number().int(),
          notes: z.number().int(),
          full: z.number().describe('what its findings would cost without that bound'),
          lost: z.number(),
        }),
      )
      .describe('100 less what they lost, rounded down, is the score'),
    lost: z
      .array(place.extend({ category: checkCategory, points: z.number() }))
      .describe('each point that was lost, and how to win it back; the weightiest first'),
    vetoes: z.array(place).describe('what refuses the change whatever its score'),
    checks: z.array(
      checkFacts
        .pick({ check: true, category: true, status: true, summary: true, ms: true, tool: true })
        .extend({ required: z.boolean(), reused: checkFacts.shape.reused.unwrap() }),
    ),
    breaches: z.array(breach),
    rules: z.object({
      commit: objectId.describe('the landed commit that they are read from'),
      digest: z.string(),
      required: z.array(z.string()),
      ofTheServer: z.array(z.string()).describe('of these, what the operator asks of every project'),
      weights: z.record(z.string(), z.number()).describe('that the project sets otherwise than the gate'),
      approvedBy: z.string().nullable().describe('who let the change touch rules'),
    }),
    question: z.object({
      purpose: z.enum(verificationPurposes),
      subjectId: z.string().nullable(),
      candidateTree: objectId,
      baseTree: objectId.nullable(),
      declared: declaredWork,
    }),
    toolchain: verificationFacts.shape.toolchain.nullable(),
    sandbox: verificationFacts.shape.sandbox.nullable(),
    rerunOf: idOf('verification').nullable(),
    supersededBy: idOf('verification').nullable(),
    previous: z
      .object({
        verificationId: idOf('verification'),
        because: z.enum(['rerun', 'earlier_try']),
        verdict: verdict.nullable(),
        score: z.number().nullable(),
        scoreChange: z.number().nullable(),
        fixed: z.array(place).describe('was there and is not any more'),
        added: z.array(place).describe('is there and was not'),
        remaining: z.number().int().describe('findings that cost something or refuse, and were there before'),
        checks: z.array(z.object({ check: z.string(), was: checkStatus.nullable(), is: checkStatus.nullable() })),
        finishedAt: timestamp.nullable(),
      })
      .nullable()
      .describe('what has changed since the verification that was run again, or since the task’s last try'),
  })
  .meta({ id: 'VerificationExplanation' });
export type VerificationExplanation = z.infer<typeof verificationExplanation>;
