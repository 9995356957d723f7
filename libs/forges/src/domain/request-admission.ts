import type { RequestPolicy } from '@muster/contracts';
import type { RequestThere } from './forge.ts';

/** Whether any request is taken at all. */
export const takesRequests = ({ from, authors }: RequestPolicy): boolean => from !== 'nobody' || authors.length > 0;

/** Whether any request there is anything to us. */
export const caresForRequests = (policy: RequestPolicy): boolean => policy.out || takesRequests(policy);

/**
 * Why an open request is not handed in, in a sentence for whoever wonders; null: it is. What it would run is what its author wrote, so that
 * the author counts, and nothing that the request says of itself.
 */
export async function reasonToSkip(
  policy: RequestPolicy,
  there: RequestThere,
  branch: string,
  mayWrite: () => Promise<boolean>,
): Promise<string | null> {
  if (there.base !== branch) return `It is for ${there.base}; the project is about ${branch}.`;
  if (there.draft && !policy.drafts) return 'It is a draft. It is handed in when it is said to be ready.';
  if (there.fork && !policy.forks)
    return 'Its branch is in another repository. The project takes none from there (requests.forks).';
  const isListed = policy.authors.some((name) => name.toLowerCase() === there.author.name.toLowerCase());
  if (isListed || policy.from === 'anyone') return null;
  if (policy.from === 'writers' && (await mayWrite())) return null;
  return `${there.author.name || 'Its author'} is nobody whose requests the project takes (requests.from, requests.authors).`;
}
