import { createHash } from 'node:crypto';
import { approver, landingStrategies, type VerificationView } from '@muster/contracts';
import { z } from 'zod';
import type { LandingRow } from './landing.ts';

/**
 * What Muster says, signed, about a landed commit: an in-toto statement whose predicate is SLSA's verification summary, with
 * Muster's own evidence beside it under `muster`. `previous` is the digest of the statement about the commit below, so that
 * none can be left out or put in between afterwards.
 */
export const landingStatement = z.object({
  _type: z.literal('https://in-toto.io/Statement/v1'),
  subject: z
    .array(z.object({ name: z.string(), digest: z.object({ gitCommit: z.string(), gitTree: z.string() }) }))
    .length(1),
  predicateType: z.literal('https://slsa.dev/verification_summary/v1'),
  predicate: z.object({
    verifier: z.object({ id: z.string(), version: z.record(z.string(), z.string()) }),
    timeVerified: z.string(),
    resourceUri: z.string(),
    policy: z.object({ uri: z.string(), digest: z.object({ sha256: z.string() }) }),
    verificationResult: z.literal('PASSED'),
    verifiedLevels: z.array(z.string()),
    /** The statements that this one sums up, by the SHA-256 of their signed bytes; in the same note. Older ones stand alone. */
    inputAttestations: z.array(z.object({ uri: z.string(), digest: z.object({ sha256: z.string() }) })).default([]),
    muster: z.object({
      landing: z.string(),
      kind: z.enum(['change', 'revert']),
      reverts: z.string().nullable(),
      submission: z.string(),
      task: z.string().nullable(),
      fence: z.number().nullable(),
      agent: z.string().nullable(),
      /** The person who answers for what it changes of the rules: who handed it in, or approved an agent's change to them. */
      approvedBy: approver.nullable().default(null),
      /** The person who let it land, where one had to. */
      releasedBy: approver.nullable().default(null),
      /** Who had approved exactly this content, where the project asks for reviews. */
      reviewers: z.array(approver).default([]),
      before: z.string(),
      strategy: z.enum(landingStrategies).default('squash'),
      /** Commits that came in below the landed one, oldest first. Its tree was verified, not theirs. */
      commits: z.array(z.string()).default([]),
      verification: z.string(),
      purpose: z.string(),
      verdict: z.literal('accepted'),
      score: z.number(),
      threshold: z.number(),
      required: z.array(z.string()).default([]),
      candidateTree: z.string(),
      baseTree: z.string().nullable(),
      checks: z.array(z.object({ check: z.string(), status: z.string(), findings: z.number() })),
      sandbox: z.string().nullable(),
      toolchain: z.string().nullable(),
      previous: z.string().nullable(),
    }),
  }),
});
export type LandingStatement = z.infer<typeof landingStatement>;

/** What the statements need beside the landing's row and its verification: facts about git's objects, which never change. */
export interface Surroundings {
  readonly handedIn: { readonly commit: string; readonly base: string };
  /** SHA-256 of the rules' file in the commit below; null: there is none. */
  readonly policyFile: string | null;
}

const STATEMENT = 'https://in-toto.io/Statement/v1' as const;
export const TEST_RESULT = 'https://in-toto.io/attestation/test-result/v0.1';
export const SOURCE = 'urn:muster:source-provenance:v1';

const subjectOf = (landing: LandingRow) => [
  { name: `refs/heads/${landing.branch}`, digest: { gitCommit: landing.commit, gitTree: landing.landed_tree } },
];
const policyUri = (landing: LandingRow): string => `urn:muster:project:${landing.project_id}:policy:${landing.before}`;

/** What the checks said about the tree that landed. */
export function testResultOf(landing: LandingRow, verification: VerificationView, { policyFile }: Surroundings) {
  const { facts } = verification;
  const named = (...wanted: string[]): string[] =>
    (facts?.checks ?? []).filter(({ status }) => wanted.includes(status)).map(({ check }) => check);
  const cases = (facts?.testCases ?? []).map(({ file, name, status }) => JSON.stringify([file, name, status])).sort();
  const count = (wanted: string): number => (facts?.testCases ?? []).filter(({ status }) => status === wanted).length;
  const warned = named('failed', 'not_run', 'inconclusive');
  return {
    _type: STATEMENT,
    subject: subjectOf(landing),
    predicateType: TEST_RESULT,
    predicate: {
      result: warned.length === 0 ? 'PASSED' : 'WARNED',
      configuration: [
        { uri: policyUri(landing), digest: { sha256: facts?.rulesDigest ?? '' } },
        ...(policyFile === null ? [] : [{ name: 'muster.yaml', digest: { sha256: policyFile } }]),
      ],
      passedTests: named('passed'),
      // Not required, so that they cost points only. What was not run is never passed.
      warnedTests: warned,
      failedTests: [],
      muster: {
        verification: verification.id,
        required: verification.required,
        testCases: {
          passed: count('passed'),
          failed: count('failed'),
          skipped: count('skipped'),
          digest: { sha256: createHash('sha256').update(cases.join('\n')).digest('hex') },
        },
      },
    },
  };
}

/** Where what landed came from: who made it, on what, who let it in, and how it came onto the branch. */
export function sourceOf(landing: LandingRow, { handedIn }: Surroundings) {
  return {
    _type: STATEMENT,
    subject: subjectOf(landing),
    predicateType: SOURCE,
    predicate: {
      repository: `urn:muster:project:${landing.project_id}`,
      activity: landing.kind,
      actor: landing.author,
      branch: landing.branch,
      revision: landing.commit,
      previousRevision: landing.before,
      createdOn: landing.committed_at,
      strategy: landing.strategy,
      commits: [...landing.commits],
      handedIn: { submission: landing.submission_id, commit: handedIn.commit, base: handedIn.base },
      resolved: landing.resolved.map(({ path, how, tool, blob }) => ({ path, how, tool, digest: { gitBlob: blob } })),
      task: landing.task_id,
      approvedBy: landing.approved_by,
      releasedBy: landing.released_by,
    },
  };
}

/** Made of stored values only, in one order: whoever finishes a landing writes the same bytes. */
export function statementOf(
  landing: LandingRow,
  verification: VerificationView,
  inputAttestations: LandingStatement['predicate']['inputAttestations'],
): LandingStatement {
  const { facts } = verification;
  return {
    _type: STATEMENT,
    subject: subjectOf(landing),
    predicateType: 'https://slsa.dev/verification_summary/v1',
    predicate: {
      verifier: { id: 'urn:muster:gate', version: { gate: facts?.toolchain.gate ?? 'unknown' } },
      timeVerified: verification.finishedAt ?? landing.committed_at,
      resourceUri: `urn:muster:project:${landing.project_id}`,
      policy: {
        uri: policyUri(landing),
        digest: { sha256: facts?.rulesDigest ?? '' },
      },
      verificationResult: 'PASSED',
      verifiedLevels: [],
      inputAttestations,
      muster: {
        landing: landing.id,
        kind: landing.kind,
        reverts: landing.reverts_landing_id,
        submission: landing.submission_id,
        task: landing.task_id,
        fence: landing.fence,
        agent: landing.agent,
        approvedBy: landing.approved_by,
        releasedBy: landing.released_by,
        reviewers: [...landing.reviewers],
        before: landing.before,
        strategy: landing.strategy,
        commits: [...landing.commits],
        verification: verification.id,
        purpose: verification.purpose,
        verdict: 'accepted',
        score: landing.score,
        threshold: verification.threshold,
        required: verification.required,
        candidateTree: verification.candidateTree,
        baseTree: verification.baseTree,
        checks: (facts?.checks ?? []).map(({ check, status, findings }) => ({
          check,
          status,
          findings: findings.length,
        })),
        sandbox: facts?.sandbox.driver ?? null,
        toolchain: facts?.toolchain.digest ?? null,
        previous: landing.previous_statement,
      },
    },
  };
}
