import type { Finding, VerificationView } from '@muster/contracts';
import type { Annotation, Check, Status } from './forge.ts';
import { quotedWords } from './quoted-words.ts';

/** Ten calls; who wants all of them opens the verification. */
const MOST_ANNOTATIONS = 500;
const MOST_REASONS = 20;
const levels = { error: 'failure', warning: 'warning', note: 'notice' } as const;

/** What was found in files, the weightiest first, in an order that stays the same. */
export function placedFindings(verification: VerificationView | null): Array<Finding & { readonly path: string }> {
  const weight = ({ veto, level }: Finding): number => (veto ? 0 : { error: 1, warning: 2, note: 3 }[level]);
  return (verification?.facts?.checks ?? [])
    .flatMap(({ findings }) => findings)
    .flatMap((finding) => (finding.path === null ? [] : [{ ...finding, path: finding.path }]))
    .sort((a, b) => weight(a) - weight(b));
}

const annotationOf = ({
  path,
  line,
  level,
  rule,
  message,
  remedy,
}: ReturnType<typeof placedFindings>[number]): Annotation => ({
  path,
  line: line ?? 1,
  level: levels[level],
  title: rule.slice(0, 255),
  // Annotations are shown as they are, not as Markdown.
  message: [message, ...(remedy === null ? [] : [remedy])].join('\n').replaceAll('\0', ''),
});

export function scoreOf(verification: VerificationView): string {
  const score = verification.score === null ? 'no score' : `${verification.score} of 100 points`;
  return `${score}, ${verification.threshold} are asked for`;
}

/** A status as a check run: with what the verification has found. */
export function checkOf(status: Status, externalId: string, verification: VerificationView | null): Check {
  const { context, state, description, url } = status;
  const found = placedFindings(verification);
  const summary =
    verification === null
      ? [quotedWords(description, 1000)]
      : [
          `**${scoreOf(verification)}.**`,
          ...verification.reasons.slice(0, MOST_REASONS).map((reason) => `- ${quotedWords(reason, 500)}`),
          ...(found.length > MOST_ANNOTATIONS
            ? [`The first ${MOST_ANNOTATIONS} of ${found.length} findings are shown.`]
            : []),
        ];
  return {
    context,
    state,
    description,
    url,
    externalId,
    summary: summary.join('\n'),
    annotations: found.slice(0, MOST_ANNOTATIONS).map(annotationOf),
  };
}
