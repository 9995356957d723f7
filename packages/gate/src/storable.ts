import type { VerificationFacts } from '@muster/contracts';

/** What one answer over a socket may weigh, with room for its envelope. */
const mostBytes = 3 * 1024 * 1024;

const storableText = (text: string): string => text.replaceAll('\u0000', '\ufffd').toWellFormed();

/** A value whose texts PostgreSQL keeps in JSON. */
export function everyText<T>(value: T): T {
  if (typeof value === 'string') return storableText(value) as T;
  if (Array.isArray(value)) return value.map((each: unknown) => everyText(each)) as T;
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [storableText(key), everyText(each as unknown)]),
  ) as T;
}

/**
 * Facts as they can be sent and kept, whatever a stranger's tests printed: no NUL characters and no halves of surrogate pairs,
 * which JSON in PostgreSQL refuses, and no more than a socket takes. What tests say is cut first, then cases that passed; what
 * was found stays.
 */
export function storable(facts: VerificationFacts): VerificationFacts {
  let clean = everyText(facts);
  const weight = (): number => Buffer.byteLength(JSON.stringify(clean));
  for (const length of [1000, 100, 0]) {
    if (weight() <= mostBytes) return clean;
    const testCases = clean.testCases.map((each) => ({ ...each, message: each.message?.slice(0, length) ?? null }));
    const checks = clean.checks.map((check) => ({
      ...check,
      findings: check.findings.map((each) => ({ ...each, message: each.message.slice(0, Math.max(length, 200)) })),
    }));
    clean = everyText({ ...clean, testCases, checks });
  }
  for (const most of [5000, 500, 0]) {
    if (weight() <= mostBytes) return clean;
    const failed = clean.testCases.filter((each) => each.status === 'failed').slice(0, most);
    const others = clean.testCases.filter((each) => each.status !== 'failed').slice(0, most);
    clean = { ...clean, testCases: [...failed, ...others], baseFailures: clean.baseFailures.slice(0, most) };
  }
  for (const most of [1000, 200]) {
    if (weight() <= mostBytes) return clean;
    // Vetoes first: they decide.
    const checks = clean.checks.map((check) => ({
      ...check,
      findings: [...check.findings].sort((a, b) => Number(b.veto) - Number(a.veto)).slice(0, most),
    }));
    clean = { ...clean, checks };
  }
  return clean;
}
