import type { SubmissionView, TaskView } from '@muster/contracts';
import { scoreOf } from './checks-of.ts';
import { quotedWords } from './quoted-words.ts';
import type { Told } from './request-comment.ts';

/** What GitHub takes is 256 characters. */
const MOST_TITLE = 200;
const MOST_LINES = 20;
const MOST_REASONS = 10;

/** Whether a request that Muster opens is to be open now. `none`: there is nothing to show. */
export type OfferWish = 'open' | 'closed';

const isOver = (task: TaskView | null): boolean =>
  task === null || ['succeeded', 'failed', 'cancelled'].includes(task.state);

/** A try that was refused is done again as long as its task lives. */
export function offerWishOf({ submission, landing, pushed }: Told, task: TaskView | null): OfferWish {
  switch (submission.state) {
    case 'received':
    case 'verifying':
    case 'queued':
    case 'landing':
      return 'open';
    case 'landed':
      return landing?.rolledBackBy !== null || pushed === 'pushed' ? 'closed' : 'open';
    case 'rejected':
    case 'conflicted':
    case 'failed':
      return isOver(task) ? 'closed' : 'open';
  }
}

export function titleOf({ message }: SubmissionView): string {
  const line = (message.split('\n')[0] ?? '').replace(/[\u0000-\u001f\u007f]+/g, ' ').trim();
  return line.length > MOST_TITLE ? `${line.slice(0, MOST_TITLE - 1)}…` : line || 'A change';
}

function standing({ submission, landing, pushed }: Told, task: TaskView | null): string {
  switch (submission.state) {
    case 'received':
    case 'verifying':
    case 'queued':
    case 'landing':
      return submission.held === null
        ? 'It was accepted, and lands when its turn comes.'
        : `It was accepted, and waits: ${submission.held.replaceAll('_', ' ')}.`;
    case 'landed':
      if (landing === null) return 'It has landed.';
      if (landing.rolledBackBy !== null) return `It landed as \`${landing.commit}\`, and was taken back afterwards.`;
      if (pushed === 'never') return `It landed as \`${landing.commit}\`. Nothing pushes it here.`;
      return `It landed as \`${landing.commit}\`${pushed === 'pushed' ? '' : ', and is pushed here next'}.`;
    case 'rejected':
    case 'conflicted':
    case 'failed':
      return isOver(task)
        ? 'It did not land, and is not worked on any more.'
        : 'It did not land as it is, and is being worked on again.';
  }
}

/** What a request that Muster opens says, in full and always as it is now. What others wrote stands in it as code. */
export function descriptionOf(told: Told, task: TaskView | null, url: string): string {
  const { submission, verification, landing } = told;
  const lines = submission.message
    .split('\n')
    .slice(0, MOST_LINES)
    .filter((line) => line.trim() !== '');
  return [
    `**Muster:** ${standing(told, task)}`,
    ...submission.reasons.slice(0, MOST_REASONS).map((reason) => `- ${quotedWords(reason, 500)}`),
    '',
    ...lines.map((line) => `> ${quotedWords(line, 300)}`),
    '',
    `- commit \`${submission.commit}\` on \`${submission.base}\`, [${submission.id}](${url}/api/submissions/${submission.id})`,
    ...(submission.taskId === null
      ? []
      : [`- task \`${submission.taskId}\`${task?.title == null ? '' : ` ${quotedWords(task.title, 200)}`}`]),
    ...(submission.agent === null ? [] : [`- made by the agent ${quotedWords(submission.agent, 200)}`]),
    ...(verification?.state === 'finished'
      ? [`- verified as tree \`${verification.candidateTree}\`: ${verification.verdict ?? 'no verdict'}, ${scoreOf(verification)}, [${verification.id}](${url}/api/verifications/${verification.id})`] // prettier-ignore
      : []),
    ...(landing === null
      ? []
      : [`- landed tree \`${landing.landedTree}\`; the signed statement is in \`refs/notes/muster\``]),
    '',
    'Muster lands it through its queue and closes this request. Merging it here goes past the queue; closing it here leaves the change as it is.',
  ].join('\n');
}
