import type { SubmissionView } from '@muster/contracts';
import type { Status } from './forge.ts';

/** What GitHub takes at most. */
const MAX_DESCRIPTION = 140;

type Said = Pick<Status, 'state' | 'description'>;
type Submission = Pick<SubmissionView, 'state' | 'reasons' | 'held' | 'landingId'>;

const firstLine = (reasons: readonly string[], otherwise: string): string => reasons[0]?.split('\n')[0] ?? otherwise;

/** What became of a submission, in a forge's words: only what is so now, so that events may come twice or late. */
function said({ state, reasons, held }: Submission): { verification: Said; landing: Said } {
  const waits: Said = { state: 'pending', description: 'Waits for its verification' };
  switch (state) {
    case 'received':
    case 'verifying':
      return { verification: { state: 'pending', description: 'Is being verified' }, landing: waits };
    case 'queued':
    case 'landing':
      return {
        verification: { state: 'success', description: 'Accepted' },
        landing: {
          state: 'pending',
          description: held === null ? 'In the landing queue' : `Waits: ${held.replaceAll('_', ' ')}`,
        },
      };
    case 'landed':
      return {
        verification: { state: 'success', description: 'Accepted' },
        landing: { state: 'success', description: 'Landed' },
      };
    case 'rejected':
      return {
        verification: { state: 'failure', description: firstLine(reasons, 'Refused') },
        landing: { state: 'failure', description: 'Did not land' },
      };
    case 'conflicted':
      return {
        verification: { state: 'failure', description: 'Cannot be merged with what has landed' },
        landing: { state: 'failure', description: 'Did not land' },
      };
    case 'failed':
      return {
        verification: { state: 'error', description: firstLine(reasons, 'Could not be verified') },
        landing: { state: 'error', description: 'Did not land' },
      };
  }
}

export function statusesOf(submission: Submission, url: string): Status[] {
  return Object.entries(said(submission)).map(([what, { state, description }]) => ({
    context: `muster/${what}`,
    state,
    description: description.replaceAll('\0', '').slice(0, MAX_DESCRIPTION),
    url,
  }));
}
