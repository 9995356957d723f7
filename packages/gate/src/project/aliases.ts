import { nameAndRest, record, type Json } from './lock-values.ts';

export const dependencyKinds = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'] as const;

/** Which package a selector of overrides or resolutions is about: the last of `a>b@1`, `a/b`, `**\/b`. */
const selected = (selector: string): string =>
  /((?:@[^/@]+\/)?[^/@]+)(?:@[^/]*)?$/.exec(selector.slice(selector.lastIndexOf('>') + 1))?.[1] ?? selector;

/** What manifests ask for under another name, `npm:name@range`, and what they overrule so: `name as name`. */
export function aliasesIn(manifests: readonly Json[]): ReadonlySet<string> {
  const found = new Set<string>();
  const visit = (manifest: Json, asked: Json, depth = 0): void => {
    for (const [as, value] of Object.entries(asked)) {
      // `$name` is what the manifest asks of that package itself.
      const spec = typeof value === 'string' && value.startsWith('$') ? specIn(manifest, value.slice(1)) : value;
      if (typeof spec === 'string' && spec.startsWith('npm:'))
        found.add(`${nameAndRest(spec.slice('npm:'.length))[0]} as ${selected(as)}`);
      // Within overrides a name may stand for what is below it, and `.` for itself.
      else if (depth < 20) visit(manifest, Object.fromEntries(Object.entries(record(spec)).map(([each, below]) => [each === '.' ? as : each, below])), depth + 1); // prettier-ignore
    }
  };
  for (const manifest of manifests)
    for (const kind of [...dependencyKinds, 'overrides', 'resolutions']) visit(manifest, record(manifest[kind]));
  return found;
}

const specIn = (manifest: Json, name: string): unknown =>
  dependencyKinds.map((kind) => record(manifest[kind])[name]).find((spec) => spec !== undefined);
