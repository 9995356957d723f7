import { readFileSync } from 'node:fs';
import { gatePolicy, type GatePolicy } from '@muster/contracts';
import { parse } from 'yaml';

/** What the operator's file says, or what is wrong with it in one sentence. */
export function readGatePolicy(path: string): GatePolicy | string {
  let document: unknown;
  try {
    document = parse(readFileSync(path, 'utf8'), { maxAliasCount: 20, logLevel: 'error' }) as unknown;
  } catch (error) {
    return `${path} cannot be read: ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)}`;
  }
  const parsed = gatePolicy.safeParse(document ?? {});
  if (parsed.success) return parsed.data;
  return `${path}: ${parsed.error.issues.map((issue) => `${issue.path.join('.') || 'the document'}: ${issue.message}`).join('; ')}`;
}
