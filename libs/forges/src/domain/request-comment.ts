import { createHash } from 'node:crypto';
import type { LandingView, SubmissionView, VerificationView } from '@muster/contracts';
import { placedFindings, scoreOf } from './checks-of.ts';
import { quotedWords } from './quoted-words.ts';

const MOST_FINDINGS = 30;
const MOST_REASONS = 10;
const MOST_CONFLICTS = 20;

/** Whether what has landed can be seen at the forge. */
export type Pushed = 'pushed' | 'not_yet' | 'never';

export interface Told {
  readonly submission: SubmissionView;
  readonly verification: VerificationView | null;
  readonly landing: LandingView | null;
  readonly pushed: Pushed;
  /** Why it was closed, or is not taken any more; null: it is open and taken. */
  readonly why: string | null;
}

const headline: Record<SubmissionView['state'], string> = {
  received: 'is being verified',
  verifying: 'is being verified',
  queued: 'was accepted, and waits for its turn to land',
  landing: 'is landing',
  landed: 'has landed',
  rejected: 'was refused',
  conflicted: 'cannot be merged with what has landed',
  failed: 'could not be verified',
};

function landed({ landing, pushed }: Told): string[] {
  if (landing === null) return [];
  if (landing.rolledBackBy !== null) return [`It landed as \`${landing.commit}\`, and was taken back afterwards.`];
  const where = {
    pushed: 'It is on the branch here.',
    not_yet: 'It will be pushed here next, and this request closed.',
    never: 'Nothing pushes it here: this request is left as it is.',
  }[pushed];
  return [`It landed as \`${landing.commit}\`. ${where}`];
}

function findings(verification: VerificationView): string[] {
  const found = placedFindings(verification);
  if (found.length === 0) return [];
  const lines = found.slice(0, MOST_FINDINGS).map(({ level, rule, path, line, message, remedy }) => {
    const place = quotedWords(line === null ? path : `${path}:${line}`, 300);
    const mend = remedy === null ? '' : ` What mends it: ${quotedWords(remedy, 300)}`;
    return `- **${level}** ${place} ${quotedWords(rule, 100)} ${quotedWords(message, 400)}${mend}`;
  });
  if (found.length > MOST_FINDINGS) lines.push(`- and ${found.length - MOST_FINDINGS} more`);
  return ['', '**Findings**', '', ...lines];
}

/** The one comment about a request: what is so now, in full. What others wrote stands in it as code. */
export function commentOf(told: Told, url: string, mark: string): string {
  const { submission, verification } = told;
  const why = submission.state === 'landed' ? null : told.why;
  const isOver = verification?.state === 'finished';
  const reasons = submission.reasons.length > 0 ? submission.reasons : isOver ? verification.reasons : [];
  return [
    `**Muster:** \`${submission.commit.slice(0, 12)}\` ${why !== null && submission.state === 'failed' ? 'was taken back' : headline[submission.state]}.`,
    '',
    ...(why === null ? [] : [`${quotedWords(why, 500)}`, '']),
    ...landed(told),
    ...(isOver && verification.evidence !== false ? [`${scoreOf(verification)}.`] : []),
    ...(submission.held === null ? [] : [`It waits: ${submission.held.replaceAll('_', ' ')}.`]),
    ...reasons.slice(0, MOST_REASONS).map((reason) => `- ${quotedWords(reason, 500)}`),
    ...submission.conflicts.slice(0, MOST_CONFLICTS).map(({ path }) => `- conflict in ${quotedWords(path, 300)}`),
    ...(isOver ? findings(verification) : []),
    '',
    `[${submission.id}](${url}) – this comment is kept up to date.`,
    `<!-- muster:${mark} -->`,
  ].join('\n');
}

export const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');
