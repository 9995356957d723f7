import { createHash } from 'node:crypto';
import type { ProjectPolicy } from '@muster/contracts';
import { GATE_VERSION } from '@muster/gate';
import type { VerificationRequest } from '#messages/quality';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** JSON with sorted keys: the same rules always print the same. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null);
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`).join(',')}}`;
}

/** What is asked: the project's rules, the gate that knows what they mean, what for, and who let it change them, if anyone. */
export const rulesDigestOf = (
  policy: ProjectPolicy,
  { purpose, approvedBy }: Pick<VerificationRequest, 'purpose' | 'approvedBy'>,
): string => sha256(canonical({ gate: GATE_VERSION, policy, purpose, approvedBy: approvedBy ?? undefined }));

/** Two requests of one key have the same answer. */
export const evidenceKeyOf = (request: VerificationRequest, rulesDigest: string): string =>
  sha256(canonical([request.candidateTree, request.baseTree, request.restoresTree, rulesDigest]));
