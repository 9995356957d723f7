import { createHash } from 'node:crypto';
import { declaredWork, gatePolicy, type GatePolicy, type ProjectPolicy } from '@muster/contracts';
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

/** What the project asks, and at least what the server does. */
export const withServerRules = (policy: ProjectPolicy, server: GatePolicy): ProjectPolicy => ({
  ...policy,
  required: [...new Set([...policy.required, ...server.required])],
});

const nothingAsked = gatePolicy.parse({});
const nothingSaid = declaredWork.parse({});

/** Whether a change is let in and whether it lands is one question: on the same trees the answer is the same, and is not computed twice. */
const questionOf = (purpose: VerificationRequest['purpose']): string => (purpose === 'landing' ? 'admission' : purpose);

/** What is asked: the project's rules, the server's, what the work claims to be, the gate that knows what they mean, what for, and who let it change them, if anyone. */
export const rulesDigestOf = (
  policy: ProjectPolicy,
  { purpose, approvedBy, declared }: Pick<VerificationRequest, 'purpose' | 'approvedBy' | 'declared'>,
  server: GatePolicy = nothingAsked,
): string =>
  sha256(
    canonical({
      gate: GATE_VERSION,
      policy,
      server: { ...server, seed: sha256(server.seed) },
      declared: declared ?? nothingSaid,
      purpose: questionOf(purpose),
      approvedBy: approvedBy ?? undefined,
    }),
  );

/** What lots are drawn with: the same whenever the same is asked, and not to be known beforehand without the operator's seed. */
export const drawOf = (server: GatePolicy, evidenceKey: string): string =>
  sha256(`${server.seed}\n${evidenceKey}`).slice(0, 16);

/** Two requests of one key have the same answer. */
export const evidenceKeyOf = (request: VerificationRequest, rulesDigest: string): string =>
  sha256(canonical([request.candidateTree, request.baseTree, request.restoresTree, rulesDigest]));
