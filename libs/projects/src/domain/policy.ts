import { type LandingStrategy, projectPolicy, type PolicyView, type ProjectPolicy } from '@muster/contracts';
import { parse } from 'yaml';

export const POLICY_FILE = 'muster.yaml';
/** Rules are a page of text, not a data set. */
export const POLICY_MAX_BYTES = 100_000;

export interface PolicyBounds {
  readonly minThreshold: number;
  readonly maxTimeoutSeconds: number;
  readonly landingStrategies: readonly LandingStrategy[];
}

const bounded = (policy: ProjectPolicy, bounds: PolicyBounds): ProjectPolicy => ({
  ...policy,
  threshold: Math.max(policy.threshold, bounds.minThreshold),
  timeoutSeconds: Math.min(policy.timeoutSeconds, bounds.maxTimeoutSeconds),
  landing: {
    ...policy.landing,
    strategy: bounds.landingStrategies.includes(policy.landing.strategy)
      ? policy.landing.strategy
      : (bounds.landingStrategies[0] ?? 'squash'),
  },
});

/** The rules that are in force. Rules that cannot be read never mean no rules: the defaults hold, and the view says why. */
export function policyOf(source: string | { readonly unreadable: string } | null, bounds: PolicyBounds): PolicyView {
  const defaults = (problem: string | null): PolicyView => ({
    policy: bounded(projectPolicy.parse({}), bounds),
    source: 'default',
    problem,
  });
  if (source === null) return defaults(null);
  if (typeof source !== 'string') return defaults(source.unreadable);
  let document: unknown;
  try {
    document = parse(source, { maxAliasCount: 20, logLevel: 'error' }) as unknown;
  } catch (error) {
    return defaults(
      `${POLICY_FILE} is not valid YAML: ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)}`,
    );
  }
  const parsed = projectPolicy.safeParse(document ?? {});
  if (parsed.success) return { policy: bounded(parsed.data, bounds), source: 'muster.yaml', problem: null };
  const issues = parsed.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.join('.') || 'the document'}: ${issue.message}`);
  return defaults(`${POLICY_FILE} does not say valid rules: ${issues.join('; ')}`);
}
