import type { Finding, VerifyInput } from '@muster/contracts';

/** What lots are drawn in: the same draw tries the same functions and mutants. */
const drawn: ReadonlySet<string> = new Set(['honesty', 'mutation']);

/** One word for a POSIX shell, whatever it holds. */
const word = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) && !text.startsWith('-') ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** So much of a fingerprint tells it from every other of one verification. */
export const shortFingerprint = (finding: Pick<Finding, 'fingerprint'>): string => finding.fingerprint.slice(0, 12);

/**
 * The command that shows one finding again, in a clone that has the branch, where the work tree is what was verified. Null where that
 * cannot be had: the operator's own checks are not on other machines, and what takes a landing back is judged by more than two trees.
 */
export function reproduceCommand(
  input: Pick<VerifyInput, 'purpose' | 'baseTree'> & Partial<Pick<VerifyInput, 'declared' | 'draw' | 'server'>>,
  finding: Finding,
): string | null {
  const { purpose, baseTree, declared, draw, server } = input;
  if (baseTree === null || (purpose !== 'admission' && purpose !== 'landing')) return null;
  if (server?.checks.some(({ name }) => name === finding.check) === true) return null;
  return [
    'muster verify',
    `--base ${baseTree}`,
    `--check ${word(finding.check)}`,
    `--finding ${shortFingerprint(finding)}`,
    ...(drawn.has(finding.check) && draw !== undefined && draw !== '' ? [`--draw ${word(draw)}`] : []),
    ...((finding.check === 'new-tests' || finding.rule === 'claims.nothing_done') && declared?.title != null
      ? [`--title=${word(declared.title.slice(0, 1000))}`]
      : []),
    ...(finding.check === 'scope' ? (declared?.paths ?? []).map((path) => `--path=${word(path)}`) : []),
  ].join(' ');
}
