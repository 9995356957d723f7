import type { ProjectPolicy, ReviewNeed, ReviewPolicy, VerificationView } from '@muster/contracts';
import picomatch from 'picomatch';
import { CODE_OWNERS_FILES, type OwnersOf } from './code-owners.ts';

/** Something that people have to say yes to. */
export interface Requirement {
  readonly because: ReviewNeed['because'];
  readonly paths: readonly string[];
  /** Addresses and roles; empty: whoever may review. */
  readonly people: readonly string[];
  readonly approvals: number;
}
export interface Reviewer {
  readonly userId: string;
  readonly email: string;
  readonly role: string | null;
}

/** Whoever answers for the project answers where a file names nobody whom we know. */
export const SOMEBODY_IN_CHARGE = '@maintainer';
const known = /^(@(developer|maintainer|owner)|[^\s@]+@[^\s@]+)$/;
const ranks = ['developer', 'maintainer', 'owner'];
/** No person can let these through: code that comes from elsewhere is no matter of a project's rules. */
const forNobody = new Set(['tampering.link_outside', 'tampering.lock_source']);
const MOST_PATHS_SHOWN = 20;

/** What a change to these paths needs, by the rules of what has landed. */
export function requirementsOf(
  policy: ReviewPolicy,
  ownersOf: OwnersOf | null,
  paths: readonly string[],
  rulesPaths: readonly string[],
): Requirement[] {
  const found: Requirement[] = [];
  const add = (because: Requirement['because'], about: readonly string[], people: readonly string[], approvals = 1) =>
    found.push({ because, paths: about, people, approvals });
  if (rulesPaths.length > 0) add('rules', rulesPaths, [SOMEBODY_IN_CHARGE]);
  for (const { paths: globs, people, approvals } of policy.owners) {
    const theirs = paths.filter((path) => picomatch.isMatch(path, globs, { dot: true }));
    if (theirs.length > 0) add('owners', theirs, people, approvals);
  }
  if (ownersOf !== null) {
    const byOwners = new Map<string, { people: readonly string[]; paths: string[] }>();
    for (const path of paths) {
      // Who may change who owns what could take everything for themselves.
      const isTheFile = (CODE_OWNERS_FILES as readonly string[]).includes(path);
      const named = isTheFile ? [SOMEBODY_IN_CHARGE] : (ownersOf(path) ?? []);
      if (named.length === 0) continue;
      const people = named.filter((one) => known.test(one));
      const owners = people.length > 0 ? people : [SOMEBODY_IN_CHARGE];
      const key = owners.join(' ');
      byOwners.set(key, { people: owners, paths: [...(byOwners.get(key)?.paths ?? []), path] });
    }
    for (const { people, paths: theirs } of byOwners.values()) add('owners', theirs, people);
  }
  if (policy.approvals > 0) add('quorum', [], [], policy.approvals);
  return found;
}

/** What is missing yet. One person counts once for each requirement, and for every requirement that they are meant by. */
export function missingOf(requirements: readonly Requirement[], approvers: readonly Reviewer[]): ReviewNeed[] {
  return requirements.flatMap(({ because, paths, people, approvals }) => {
    const said = new Set(approvers.filter((one) => isMeant(people, one)).map(({ userId }) => userId)).size;
    const missing = approvals - said;
    return missing > 0 ? [{ because, paths: paths.slice(0, MOST_PATHS_SHOWN), people: [...people], missing }] : [];
  });
}

/** Whoever lost their role since has no say any more. */
export function isMeant(people: readonly string[], { email, role }: Reviewer): boolean {
  const rank = ranks.indexOf(role ?? '');
  if (rank < 0) return false;
  if (people.length === 0) return true;
  return people.some((one) =>
    one.startsWith('@') ? rank >= ranks.indexOf(one.slice(1)) : one.toLowerCase() === email.toLowerCase(),
  );
}

/**
 * The paths that a person may let an agent's change touch, where the gate has nothing else against it. Null: it is refused, and
 * nobody has to look. What a person lets through is verified once more, with their name in the question.
 */
export function forAPerson(verification: VerificationView, policy: ProjectPolicy): string[] | null {
  const { facts, score } = verification;
  if (policy.review.rules !== 'ask' || facts === null || verification.approvedBy !== null) return null;
  const vetoes = facts.checks.flatMap(({ findings }) => findings).filter(({ veto }) => veto);
  const isSettled = ({ rule }: { rule: string }): boolean => rule.startsWith('tampering.') && !forNobody.has(rule);
  if (vetoes.length === 0 || !vetoes.every(isSettled)) return null;
  const passed = new Set(facts.checks.filter(({ status }) => status === 'passed').map(({ check }) => check));
  if (!policy.required.every((check) => check === 'tampering' || passed.has(check))) return null;
  const lost = verification.lost.filter(isSettled).reduce((sum, { points }) => sum + points, 0);
  if ((score ?? 0) + lost < verification.threshold) return null;
  return [...new Set(vetoes.map(({ path }) => path ?? 'muster.yaml'))].sort();
}

/** “waits for 1 more approval of @maintainer for deploy/prod.yaml” */
export function inWords({ people, paths, missing }: ReviewNeed): string {
  const whom = people.length === 0 ? 'whoever may review' : people.join(' or ');
  const what = paths.length === 0 ? '' : ` for ${paths.slice(0, 3).join(', ')}${paths.length > 3 ? ' and others' : ''}`;
  return `waits for ${missing} more approval${missing === 1 ? '' : 's'} of ${whom}${what}`;
}
