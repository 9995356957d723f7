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
  readonly breaches: VerificationView['breaches'];
  readonly facts: VerificationFacts | null;
  /** False: it did not come about. Says nothing about the change, and an equal request later gets a new try. */
  readonly evidence: boolean;
}

/** Never accepted, and nobody else's evidence: whoever asks again gets a new try. */
export const unverified = (why: string): Outcome => ({
  verdict: 'rejected',
  score: null,
  reasons: [`could not be verified: ${why}`],
  lost: [],
  breaches: [],
  facts: null,
  evidence: false,
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

  const { score, verdict, reasons, lost, breaches } = judge(facts, asked.policy, asked.purpose);
  return {
    score,
    verdict,
    reasons,
    lost,
    breaches,
    facts,
    evidence: verdict === 'accepted' || !onlyForWantOfEvidence(asked, facts),
  };
}

/**
 * Was it refused for nothing but what could not be seen: no sandbox, no registry, no time, a check that could not tell? Where
 * something that was seen refuses it too, the refusal stands on that. What the change or the project itself keeps from being
 * run (no tests, no lock file) is theirs to mend.
 */
function onlyForWantOfEvidence(asked: Asked, facts: VerificationFacts): boolean {
  const ended = new Map(facts.checks.map((check) => [check.check, check]));
  if (asked.purpose === 'post_landing') {
    const status = ended.get('post-landing')?.status;
    return status !== 'passed' && status !== 'failed';
  }
  const seen = asked.policy.required.filter((name) => {
    const check = ended.get(name);
    return check?.status !== 'inconclusive' && !(check?.status === 'not_run' && check.blocked === true);
  });
  if (seen.length === asked.policy.required.length) return false;
  return judge(facts, { ...asked.policy, required: seen }, asked.purpose).verdict === 'accepted';
}
