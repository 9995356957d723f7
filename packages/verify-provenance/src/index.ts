export { reasons, type Reason } from './reasons.ts';
export { readTrust, TrustError, type Trust, type TrustedKey } from './trust.ts';
export { verifyProvenance, type Report, type Refusal } from './verify.ts';
