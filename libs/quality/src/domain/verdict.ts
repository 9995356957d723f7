import {
  type ProjectPolicy,
  verificationFacts,
  type VerificationFacts,
  type VerificationView,
} from '@muster/contracts';
import { judge } from '@muster/gate';

export interface Asked {
  readonly purpose: VerificationView['purpose'];
  readonly candidateTree: string;
  readonly baseTree: string | null;
  readonly rulesDigest: string;
  readonly policy: ProjectPolicy;
}
export interface Outcome {
  readonly verdict: 'accepted' | 'rejected';
  readonly score: number | null;
  readonly reasons: readonly string[];
  readonly lost: VerificationView['lost'];
  readonly facts: VerificationFacts | null;
  /** May an equal request later be answered with this? */
  readonly reusable: boolean;
}

/** Never accepted, and nobody else's evidence: whoever asks again gets a new try. */
export const unverified = (why: string): Outcome => ({
  verdict: 'rejected',
  score: null,
  reasons: [`could not be verified: ${why}`],
  lost: [],
  facts: null,
  reusable: false,
});

/** What follows from a verifier's answer. Facts about anything else than what was asked are no facts. */
export function outcomeOf(asked: Asked, output: unknown): Outcome {
  const parsed = verificationFacts.safeParse(output);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return unverified(`the verifier's answer is malformed (${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''})`);
  }
  const facts = parsed.data;
  const wrong = [
    facts.candidateTree !== asked.candidateTree && 'another tree',
    facts.baseTree !== asked.baseTree && 'a comparison with another tree',
    facts.rulesDigest !== asked.rulesDigest && 'other rules',
  ].filter((word) => word !== false);
  if (wrong.length > 0) return unverified(`the verifier answered for ${wrong.join(' and ')}`);

  const { score, verdict, reasons, lost } = judge(facts, asked.policy, asked.purpose);
  const needed = asked.purpose === 'post_landing' ? ['post-landing'] : asked.policy.required;
  // A check that did not come about (no sandbox, no time) may come about tomorrow.
  const unsettled = facts.checks.some(
    ({ check, status }) => needed.includes(check) && (status === 'not_run' || status === 'inconclusive'),
  );
  return { score, verdict, reasons, lost, facts, reusable: verdict === 'accepted' || !unsettled };
}
