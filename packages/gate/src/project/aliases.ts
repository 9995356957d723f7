import { nameAndRest, record, type Json } from './lock-values.ts';

export const dependencyKinds = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'] as const;

/** What manifests ask for under another name, `npm:name@range`, and what they overrule so: `name as name`. */
export function aliasesIn(manifests: readonly Json[]): ReadonlySet<string> {
  const found = new Set<string>();
  const visit = (asked: Json, depth = 0): void => {
    for (const [as, spec] of Object.entries(asked)) {
      if (typeof spec === 'string' && spec.startsWith('npm:'))
        found.add(`${nameAndRest(spec.slice('npm:'.length))[0]} as ${nameAndRest(as)[0]}`);
      // Within overrides a name may stand for what is below it, and `.` for itself.
      else if (depth < 20) visit(Object.fromEntries(Object.entries(record(spec)).map(([each, value]) => [each === '.' ? as : each, value])), depth + 1); // prettier-ignore
    }
  };
  for (const manifest of manifests)
    for (const kind of [...dependencyKinds, 'overrides', 'resolutions']) visit(record(manifest[kind]));
  return found;
}
