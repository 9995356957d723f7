import type { Finding } from '@muster/contracts';
import { existsSync } from 'node:fs';
import { join, posix } from 'node:path';
import { mostSourceBytes } from '../source/fresh.ts';
import { movedLines } from '../source/moved.ts';
import { readScript } from '../source/functions.ts';
import { isProductSource, isPython, isScript, isTestFile } from '../source/paths.ts';
import { mostReadBytes, type SourceTree } from '../source/tree.ts';
import { breathe } from '../breath.ts';
import { changePurposes, findingOf, outcome, type Check } from './check.ts';

/** Where a run leaves its report; whoever names it in a change means to write it. */
const harness = /\/muster\/report|muster_report\b|--test-reporter-destination/;
const isCode = (path: string): boolean => isScript(path) || isPython(path);
const holdsPackages = (tree: SourceTree | null): boolean => tree !== null && existsSync(join(tree.dir, 'node_modules'));

/** What a link stands for when it would make code of something that the other checks do not read as code. */
function hiddenBehind(tree: SourceTree, path: string, link: string): string | null {
  const target = posix.normalize(posix.join(posix.dirname(path), link));
  if (posix.isAbsolute(link) || target.startsWith('..')) return null; // refused by another check
  if (isCode(path)) return tree.files.get(target) === null && isCode(target) ? null : target;
  const hidden = [...tree.files.keys()].find((each) => {
    if (!each.startsWith(`${target}/`) || !isCode(each)) return false;
    const shown = path + each.slice(target.length);
    return isProductSource(shown) && !isProductSource(each);
  });
  return hidden ?? null;
}

/**
 * A change may hold nothing that the checks cannot look at: what is not read is not judged, and would land all the same.
 */
export const concealmentCheck: Check = {
  name: 'concealment',
  category: 'integrity',
  languages: ['*'],
  needs: [],
  purposes: changePurposes,
  async run({ against, candidate, changes }) {
    const findings: Finding[] = [];
    const veto = (rule: string, message: string, path: string, remedy: string, line: number | null = null): void => {
      findings.push(
        findingOf({
          check: 'concealment',
          rule: `concealment.${rule}`,
          level: 'error',
          veto: true,
          message,
          path,
          line,
          remedy,
          key: path,
        }),
      );
    };
    if (holdsPackages(candidate) && !holdsPackages(against))
      veto(
        'packages',
        'This change commits node_modules, which no check reads.',
        'node_modules',
        'Name the packages in package.json and its lock file.',
      );
    // What only moved was there before.
    const isMoved = movedLines(
      changes,
      against,
      candidate,
      () => true,
      (line) => (harness.test(line) ? line : null),
    );
    for (const { path, status, addedLines } of changes) {
      await breathe();
      if (status === 'removed') continue;
      if (/(^|\/)node_modules\//.test(path)) {
        veto(
          'packages',
          `This change commits ${path}, which stands in for an installed package.`,
          path,
          'Name the package in package.json and its lock file.',
        );
        continue;
      }
      const link = candidate.files.get(path);
      if (typeof link === 'string') {
        const hidden = hiddenBehind(candidate, path, link);
        if (hidden !== null)
          veto(
            'link',
            `${path} is a link that makes code of ${hidden}, where nothing looks for code.`,
            path,
            'Put the code where the link stands.',
          );
        continue;
      }
      if (candidate.size(path) > mostReadBytes && (against?.size(path) ?? 0) <= mostReadBytes)
        findings.push(
          findingOf({
            check: 'concealment',
            rule: 'concealment.too_large',
            level: 'error',
            message: `${path} is larger than ${mostReadBytes / 1024 / 1024} MB; no check looks into it.`,
            path,
            remedy: 'Keep what is that large where large files are kept, and name it.',
          }),
        );
      if (!isCode(path)) continue;
      const text = candidate.text(path);
      if (text === null) {
        veto(
          'unreadable',
          `${path} cannot be read as source: it holds NUL characters or is larger than 2 MiB.`,
          path,
          'Write source as text; put data into files of their own.',
        );
        continue;
      }
      if (isScript(path) && readScript(path, text) === null)
        veto(
          'unreadable',
          `${path} is nested so deeply that no check takes it apart.`,
          path,
          'Write it so that people and tools can read it.',
        );
      const grew = text.length > mostSourceBytes && (against?.text(path)?.length ?? 0) <= mostSourceBytes;
      if (grew && isProductSource(path))
        findings.push(
          findingOf({
            check: 'concealment',
            rule: 'concealment.too_large',
            level: 'error',
            message: `${path} is larger than ${mostSourceBytes / 1000} kB; most checks read no source of that size.`,
            path,
            remedy: 'Split it, or put data into a file of its own.',
          }),
        );
      for (const [index, line] of text.split('\n').entries())
        if (
          addedLines.has(index + 1) &&
          (isProductSource(path) || isTestFile(path)) &&
          harness.test(line) &&
          !isMoved(line)
        )
          veto(
            'report',
            `This line of ${path} names where the gate's own report is written.`,
            path,
            'Take it out. Results are reported by the runner.',
            index + 1,
          );
    }
    return outcome(
      findings.length > 0 ? 'failed' : 'passed',
      findings.length > 0
        ? `${findings.length} thing${findings.length === 1 ? '' : 's'} that no check can look at`
        : 'everything in the change can be looked at',
      findings,
    );
  },
};
