/** An agent's words as a commit message: no NUL, no trailers that only Muster may write, never empty. */
export function plainMessage(message: string): string {
  const text = message
    .replaceAll('\0', '')
    .split(/\r?\n/)
    .filter((line) => !/^\s*muster-[a-z-]+\s*:/i.test(line))
    .join('\n')
    .trim();
  return text === '' ? 'Change without a message' : text;
}

export const subjectOf = (message: string): string => message.split('\n', 1)[0] ?? '';

/** The landed commit's message: what the submission said, then what Muster knows. */
export function landedMessage(
  message: string,
  ids: { submission: string; task: string | null; verification: string; landing: string; reverts: string | null },
): string {
  return [
    plainMessage(message),
    '',
    `Muster-Submission: ${ids.submission}`,
    ...(ids.task === null ? [] : [`Muster-Task: ${ids.task}`]),
    ...(ids.reverts === null ? [] : [`Muster-Reverts: ${ids.reverts}`]),
    `Muster-Verification: ${ids.verification}`,
    `Muster-Landing: ${ids.landing}`,
    '',
  ].join('\n');
}

/** Names come from outside; git's identity lines take neither angle brackets nor line breaks. */

const identityName = (name: string): string => name.replace(/[<>\u0000-\u001f\u007f]/g, '').trim() || 'unknown';

export interface Identity {
  readonly name: string;
  readonly email: string;
}
export const MUSTER: Identity = { name: 'Muster', email: 'muster@muster' };
export const agentIdentity = (name: string): Identity => {
  const plain = identityName(name);
  return { name: plain, email: `${plain.replace(/[^\w.+@-]+/g, '-')}@muster` };
};
