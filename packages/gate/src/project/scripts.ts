import type { SourceTree } from '../source/tree.ts';

export type Scripts = Readonly<Record<string, string>>;

const strings = (value: unknown): Record<string, string> =>
  value !== null && typeof value === 'object'
    ? Object.fromEntries(
        Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
      )
    : {};

export const scriptsOf = (tree: SourceTree | null, path = 'package.json'): Scripts =>
  strings(tree?.json(path)?.['scripts']);

export function dependenciesOf(tree: SourceTree): Record<string, string> {
  const manifest = tree.json('package.json') ?? {};
  return {
    ...strings(manifest['optionalDependencies']),
    ...strings(manifest['devDependencies']),
    ...strings(manifest['dependencies']),
  };
}

/**
 * One shell line for a package script with what comes before and after it, `npm run` of other scripts written out. The line
 * is what npm would run, without starting npm for every step, and shows the runner that the report is asked from.
 */
export function lineOf(scripts: Scripts, name: string, depth = 0): string | null {
  const body = scripts[name];
  if (body === undefined || body.trim() === '') return null;
  const inlined = body.replace(
    /(^|&&|;)(\s*)(?:npm|pnpm|yarn)(?:\s+(?:--silent|-s))*(?:\s+(?:run|run-script))?(?:\s+(?:--silent|-s))*\s+([\w:.-]+)(?=\s*(?:$|&&|;))/g,
    (whole, before: string, space: string, other: string) => {
      const line = depth < 4 && other !== name ? lineOf(scripts, other === 't' ? 'test' : other, depth + 1) : null;
      return line === null ? whole : `${before}${space}${/\|/.test(line) ? `( ${line} )` : line}`;
    },
  );
  return [scripts[`pre${name}`], inlined, scripts[`post${name}`]]
    .filter((part) => part !== undefined && part !== '')
    .join(' && ');
}
