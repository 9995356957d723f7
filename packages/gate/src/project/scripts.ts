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

/** Flags of `run-s`, `run-p` and `npm-run-all` that change how output looks, and nothing of what runs. */
const looks = new Set(['-l', '--print-label', '-n', '--print-name', '--aggregate-output', '--silent']);

/** Scripts whose names fit, in the manifest's order: `*` stands for one part between colons, `**` for any number of them. */
function scriptsLike(scripts: Scripts, pattern: string): string[] {
  if (!pattern.includes('*')) return scripts[pattern] === undefined ? [] : [pattern];
  const parts = pattern
    .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, (stars) => (stars.length > 1 ? '.*' : '[^:]*'));
  return Object.keys(scripts).filter((name) => new RegExp(`^${parts}$`).test(name));
}

/**
 * A line with its `run-s`, `run-p` and `npm-run-all` written out, so that the runner among them can be asked for a report. What
 * runs side by side runs one after another here, all of it, and fails when one of it failed. What is not plain stays as it is.
 */
export function spelledOut(scripts: Scripts, line: string, depth = 0): string {
  return line.replace(
    /(^|&&|;)(\s*)(run-s|run-p|npm-run-all)((?:\s+[\w:.*-]+)+)(?=\s*(?:$|&&|;))/g,
    (whole, before: string, space: string, program: string, words: string) => {
      const steps: string[] = [];
      let all = program === 'run-p';
      for (const word of words.trim().split(/\s+/)) {
        if (looks.has(word)) continue;
        if (
          program === 'npm-run-all' &&
          steps.length === 0 &&
          /^(-p|--parallel|-s|--sequential|--serial)$/.test(word)
        ) {
          all = word.includes('p');
          continue;
        }
        if (word === '-c' || word === '--continue-on-error') {
          all = true;
          continue;
        }
        const names = word.startsWith('-') || depth > 3 ? [] : scriptsLike(scripts, word);
        if (names.length === 0) return whole;
        for (const name of names) {
          const own = spelledOut(scripts, lineOf(scripts, name) ?? '', depth + 1);
          // What changes folders, or has an end of its own, would change the steps after it.
          steps.push(own === '' || /[;|()]|(^|\s)(cd|exit)\s/.test(own) ? `npm run --silent ${name}` : own);
        }
      }
      const together = all
        ? `failed=0; ${steps.map((step) => `${step}; failed=$((failed + $?)); `).join('')}test "$failed" -eq 0`
        : steps.join(' && ');
      return `${before}${space}${together}`;
    },
  );
}
