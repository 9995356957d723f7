import { checkCategories, type Finding, type VerificationExplanation, type VerificationFacts } from '@muster/contracts';
import { chargesOf, pointsPerFinding, requiredChecks, weightOf } from '@muster/gate';
import { type VerificationRow, verificationViewOf } from './verification.ts';

type Place = VerificationExplanation['vetoes'][number];

const placeOf = ({ check, rule, level, message, path, line, remedy, reproduce, fingerprint }: Finding): Place => ({
  ...{ check, rule, level, message, path, line, remedy, fingerprint },
  ...(reproduce === undefined ? {} : { reproduce }),
});
const hundredths = (points: number): number => Math.round(points * 100) / 100;
const points = (count: number): string => `${count} ${count === 1 ? 'point' : 'points'}`;

/** Everything that followed from the facts, and why; nothing is computed otherwise than when the verdict was given. */
export function explanationOf(
  row: VerificationRow,
  previous: { readonly row: VerificationRow; readonly because: 'rerun' | 'earlier_try' } | null,
): VerificationExplanation {
  const { facts, policy, purpose } = row;
  const view = verificationViewOf(row);
  const charges = facts === null ? [] : chargesOf(facts, policy);
  const required = requiredChecks(policy, purpose);
  const vetoes = charges.filter(({ finding }) => finding.veto).map(({ finding }) => placeOf(finding));
  const categories =
    facts === null
      ? []
      : checkCategories.map((category) => {
          const own = charges.filter((each) => each.category === category);
          const { cap, scale } = weightOf(policy, category);
          const count = (level: Finding['level']): number =>
            own.filter(({ finding }) => finding.level === level).length;
          return {
            category,
            most: cap,
            perError: hundredths(pointsPerFinding[category].error * scale),
            perWarning: hundredths(pointsPerFinding[category].warning * scale),
            errors: count('error'),
            warnings: count('warning'),
            notes: count('note'),
            full: hundredths(own.reduce((sum, each) => sum + each.full, 0)),
            lost: hundredths(own.reduce((sum, each) => sum + each.points, 0)),
          };
        });
  return {
    id: row.id,
    summary: summaryOf(row, view.evidence, vetoes),
    state: row.state,
    verdict: row.verdict,
    evidence: view.evidence,
    score: row.score,
    threshold: row.threshold,
    reasons: row.reasons,
    categories,
    lost: charges
      .filter((each) => each.points > 0)
      .map((each) => ({ ...placeOf(each.finding), category: each.category, points: each.points }))
      .sort((a, b) => b.points - a.points),
    vetoes,
    checks: (facts?.checks ?? []).map(({ check, category, status, summary, ms, tool, reused }) => ({
      ...{ check, category, status, summary, ms, tool },
      required: required.includes(check),
      reused: reused ?? null,
    })),
    breaches: row.breaches,
    rules: {
      commit: row.rules_commit,
      digest: row.rules_digest,
      required,
      ofTheServer: row.server_policy.required,
      weights: policy.weights,
      approvedBy: row.approved_by,
    },
    question: {
      purpose,
      subjectId: row.subject_id,
      candidateTree: row.candidate_tree,
      baseTree: row.base_tree,
      declared: row.declared,
    },
    toolchain: facts?.toolchain ?? null,
    sandbox: facts?.sandbox ?? null,
    rerunOf: row.rerun_of,
    supersededBy: row.superseded_by,
    previous: previous === null ? null : deltaOf(row, previous.row, previous.because),
  };
}

function summaryOf(row: VerificationRow, evidence: boolean | null, vetoes: readonly Place[]): string {
  if (row.state !== 'finished') return 'It has not finished yet; `checks` of the verification says where it is.';
  const [reason = ''] = row.reasons;
  if (row.facts === null || row.score === null)
    return `It did not come about, which says nothing about the change: ${reason}`;
  const lost = points(Math.round((100 - row.score) * 100) / 100);
  if (row.verdict === 'accepted')
    return `Accepted with ${row.score} of ${row.threshold} points needed; ${row.score === 100 ? 'no point was lost' : `${lost} were lost`}.`;
  const blind =
    evidence === false ? ' Nothing that was seen refuses it: once it can be looked at, it may be accepted.' : '';
  if (vetoes.length > 0)
    return `Refused by ${vetoes.length === 1 ? 'a finding' : `${vetoes.length} findings`} that no score makes up for (its score is ${row.score}, and ${row.threshold} are needed), first of all: ${reason}${blind}`;
  if (row.score < row.threshold)
    return `Refused because ${row.score} points are fewer than the ${row.threshold} that are needed; ${lost} were lost.${blind}`;
  return `Refused although its ${row.score} points are enough: ${reason}${blind}`;
}

const costly = (facts: VerificationFacts | null): Finding[] =>
  (facts?.checks ?? []).flatMap(({ findings }) => findings).filter(({ level, veto }) => veto || level !== 'note');

function deltaOf(
  now: VerificationRow,
  then: VerificationRow,
  because: 'rerun' | 'earlier_try',
): NonNullable<VerificationExplanation['previous']> {
  const [was, is] = [costly(then.facts), costly(now.facts)];
  const before = new Set(was.map(({ fingerprint }) => fingerprint));
  const after = new Set(is.map(({ fingerprint }) => fingerprint));
  const statusOf = (row: VerificationRow, name: string) =>
    row.facts?.checks.find(({ check }) => check === name)?.status ?? null;
  const names = new Set([...(then.facts?.checks ?? []), ...(now.facts?.checks ?? [])].map(({ check }) => check));
  return {
    verificationId: then.id,
    because,
    verdict: then.verdict,
    score: then.score,
    scoreChange: then.score === null || now.score === null ? null : hundredths(now.score - then.score),
    fixed: now.facts === null ? [] : was.filter(({ fingerprint }) => !after.has(fingerprint)).map(placeOf),
    added: is.filter(({ fingerprint }) => !before.has(fingerprint)).map(placeOf),
    remaining: is.filter(({ fingerprint }) => before.has(fingerprint)).length,
    checks: [...names]
      .sort()
      .map((check) => ({ check, was: statusOf(then, check), is: statusOf(now, check) }))
      .filter((each) => each.was !== each.is),
    finishedAt: then.finished_at?.toISOString() ?? null,
  };
}
