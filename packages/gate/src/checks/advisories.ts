import { adviceOn, AdvisoriesUnreachable } from '../project/advisories.ts';
import { lockedPackages, lockFileOf } from '../project/lock.ts';
import { changePurposes, findingOf, outcome, type Check } from './check.ts';

/** Are versions that the change brings known to be vulnerable? What was there before is counted and not charged. */
export const advisoriesCheck: Check = {
  name: 'advisories',
  category: 'security',
  languages: ['*'],
  needs: [],
  purposes: changePurposes,
  async run({ server, against, candidate, signal }) {
    const source = server.advisories;
    const known = new Set(lockedPackages(against).map((each) => `${each.name}@${each.version}`));
    const all = new Map(lockedPackages(candidate).map((each) => [`${each.name}@${each.version}`, each]));
    const fresh = [...all].filter(([key]) => !known.has(key)).map(([, each]) => each);
    if (fresh.length === 0) return outcome('passed', 'the change brings no new version of a package', [], { new: 0 });
    if (source === undefined) return outcome('not_run', 'the operator names no source of advisories');
    try {
      const { advisories, ageDays, source: where } = await adviceOn(fresh, source, signal);
      const age = ageDays < 1 ? 'from today' : `${Math.floor(ageDays)} days old`;
      const findings = advisories.map((each) =>
        findingOf({
          check: 'advisories',
          rule: `advisories.${each.severity}`,
          level: each.severity === 'low' ? 'note' : each.severity === 'moderate' ? 'warning' : 'error',
          veto: each.severity === 'critical',
          message: `${each.name}@${each.version} is known to be vulnerable (${each.id}, ${each.severity}): ${each.title}`,
          path: lockFileOf(candidate),
          remedy: `Take a version of ${each.name} that is not affected.`,
          key: `${each.id} ${each.name}@${each.version}`,
        }),
      );
      const metrics = { new: fresh.length, vulnerable: advisories.length, ageDays: Math.floor(ageDays) };
      const summary = `${advisories.length} advisories on ${fresh.length} new versions; ${where}, ${age}`;
      if (findings.some((each) => each.level === 'error')) return outcome('failed', summary, findings, metrics);
      if (ageDays > source.maxAgeDays)
        return outcome('inconclusive', `${summary}, which is older than ${source.maxAgeDays} days`, findings, metrics);
      return outcome('passed', summary, findings, metrics);
    } catch (error) {
      if (!(error instanceof AdvisoriesUnreachable)) throw error;
      return { ...outcome('not_run', error.message), blocked: true };
    }
  },
};
