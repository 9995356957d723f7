import type { Finding } from '@muster/contracts';
import picomatch from 'picomatch';
import { isTestFile } from '../source/paths.ts';
import { findingOf, outcome, type Check } from './check.ts';

/** What comes along with any work: its tests, its words, and the lock that follows the manifest. */
const alongside = picomatch(
  ['**/*.md', 'docs/**', '**/{package-lock.json,npm-shrinkwrap.json,pnpm-lock.yaml,yarn.lock,bun.lock}', '**/*.snap'],
  {
    dot: true,
  },
);
/** From here on a person no longer reads a change; it is said, and costs nothing. */
const manyLines = 2000;

/** Does the change stay where its task keeps it, and is it of a size that can be read? */
export const scopeCheck: Check = {
  name: 'scope',
  category: 'integrity',
  languages: ['*'],
  needs: [],
  purposes: ['admission', 'landing'],
  run({ declared, changes }) {
    const findings: Finding[] = [];
    const lines = changes.reduce((sum, each) => sum + each.addedLines.size, 0);
    if (declared.paths !== null && declared.paths.length > 0) {
      const inside = picomatch(declared.paths, { dot: true });
      for (const { path, status } of changes) {
        if (inside(path) || isTestFile(path) || (alongside(path) && status !== 'removed')) continue;
        findings.push(
          findingOf({
            check: 'scope',
            rule: 'scope.outside',
            level: 'error',
            message: `${path} lies outside of what the task is about: ${declared.paths.slice(0, 5).join(', ')}.`,
            path,
            remedy: 'Leave it as it is, or have the task say that it belongs to it.',
            key: path,
          }),
        );
      }
    }
    if (lines > manyLines)
      findings.push(
        findingOf({
          check: 'scope',
          rule: 'scope.large',
          level: 'note',
          message: `${lines} lines in ${changes.length} files are more than anybody reads.`,
          remedy: 'Hand it in as several changes.',
        }),
      );
    const outside = findings.filter((each) => each.level === 'error').length;
    return outcome(
      outside > 0 ? 'failed' : 'passed',
      outside > 0 ? `${outside} files outside of the task` : `${changes.length} files, ${lines} added lines`,
      findings,
      { files: changes.length, lines },
    );
  },
};
