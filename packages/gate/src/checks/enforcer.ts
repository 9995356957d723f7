import type { Finding } from '@muster/contracts';
import picomatch from 'picomatch';
import { mostSourceBytes } from '../source/fresh.ts';
import { functionsIn } from '../source/functions.ts';
import { isProductSource, isPython, isScript, isTestFile } from '../source/paths.ts';
import type { SourceTree } from '../source/tree.ts';
import { findingOf, outcome, type Check } from './check.ts';

const emptyByCustom = /(^|\/)(__init__\.py|py\.typed|\.gitkeep|\.keep)$/;
const promises =
  /\b(?:to-?do|fixme|tbd|coming soon|work in progress|lorem ipsum|placeholder|not (?:yet )?implemented|to be (?:written|done|added|filled in))\b/i;
/** A page that holds so few words besides its headings, and promises some, is one that nobody has written yet. */
const fewWords = 25;

/** Why a file only stands where something is to come, or null when it is the thing itself. */
export function placeholderIn(path: string, text: string): string | null {
  if (emptyByCustom.test(path) || isTestFile(path)) return null;
  if (/\.(?:md|mdx|markdown|rst|adoc|txt)$/i.test(path)) {
    const words = text
      .replace(/^\s*#.*$/gm, '')
      .split(/\s+/)
      .filter(Boolean);
    return words.length <= fewWords && promises.test(text) ? 'it holds no more than the promise of a text' : null;
  }
  if (!isProductSource(path)) return null;
  const code = text
    .replace(isPython(path) ? /#[^\n]*|("""|''')[\s\S]*?\1/g : /\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, '')
    .trim();
  if (code === '' || /^(?:export\s*\{\s*\}\s*;?|['"]use strict['"];?|pass)$/.test(code))
    return text.trim() === '' ? 'it is empty' : 'it holds nothing but comments';
  // What others are to fill in is no promise of ours.
  if (/\b(?:abstract|ABC|Protocol|abstractmethod|overload)\b/.test(code)) return null;
  const functions = functionsIn(path, text);
  const isStub = (each: (typeof functions)[number]): boolean =>
    each.shape !== 'full' ||
    (each.placeholder !== null && /^\S.{0,300}$/s.test(each.tokens) && /\b(?:throw|raise)\b/.test(each.tokens));
  return functions.length > 0 && functions.every(isStub) && functions.some((each) => each.placeholder !== null)
    ? 'none of its functions does anything yet'
    : null;
}

const isReadable = (tree: SourceTree, path: string): boolean => (tree.text(path)?.length ?? Infinity) < mostSourceBytes;

/**
 * What the enforcer goes by besides what other checks see: files that are placeholders, and which files of the critical paths a change
 * touches. Notes only; what follows from them is the policy's (`breachesOf`).
 */
export const enforcerCheck: Check = {
  name: 'enforcer',
  category: 'honesty',
  languages: ['*'],
  needs: [],
  purposes: ['admission', 'landing'],
  run({ policy, against, candidate, changes }) {
    const isCritical = picomatch(policy.enforcer.critical, { dot: true });
    const findings: Finding[] = [];
    for (const { path, status, addedLines } of changes) {
      if (status === 'removed' || !isReadable(candidate, path)) continue;
      const why = placeholderIn(path, candidate.text(path) ?? '');
      const before = against?.has(path) === true ? placeholderIn(path, against.text(path) ?? '') : null;
      if (why !== null && before === null)
        findings.push(
          findingOf({
            check: 'enforcer',
            rule: 'enforcer.placeholder',
            level: 'note',
            message: `This file is a placeholder: ${why}.`,
            path,
            line: 1,
            remedy: 'Write what belongs there, or leave the file out.',
          }),
        );
      if (isCritical(path) && addedLines.size > 0 && isProductSource(path) && (isScript(path) || isPython(path)))
        findings.push(
          findingOf({
            check: 'enforcer',
            rule: 'enforcer.critical',
            level: 'note',
            message:
              'The project counts this file among its critical paths: every changed line of it has to be tested.',
            path,
          }),
        );
    }
    const count = (rule: string): number => findings.filter((each) => each.rule === rule).length;
    const metrics = { placeholders: count('enforcer.placeholder'), critical: count('enforcer.critical') };
    return outcome(
      metrics.placeholders > 0 ? 'failed' : 'passed',
      `${metrics.placeholders} placeholder files, ${metrics.critical} changed files on critical paths`,
      findings,
      metrics,
    );
  },
};
