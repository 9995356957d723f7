import { everyPurpose, findingOf, lastLines, outcome, type Check } from './check.ts';

export const lintCheck: Check = {
  name: 'lint',
  category: 'style',
  languages: ['*'],
  needs: ['sandbox', 'installed'],
  purposes: everyPurpose,
  run({ purpose, candidateFacts, baseFacts }) {
    const lint = candidateFacts?.lint ?? null;
    if (lint === null)
      return outcome(
        'not_run',
        candidateFacts?.notes.find((note) => note.startsWith('lint')) ?? 'the project has no lint',
      );
    if (lint.ok) return outcome('passed', `${lint.line} succeeded`);
    const how = lint.timedOut ? 'ran out of time' : `ended with exit code ${lint.exitCode}`;
    if (purpose === 'base') return outcome('failed', `${lint.line} ${how}`);
    if (baseFacts?.lint != null && !baseFacts.lint.ok)
      return outcome('inconclusive', `${lint.line} ${how}, as it did on the branch before`);
    return outcome('failed', `${lint.line} ${how}`, [
      findingOf({
        check: 'lint',
        rule: 'lint.failed',
        level: 'error',
        message: `The project's lint was clean before this change and now ${how}:\n${lastLines(lint.output)}`,
        remedy: `Make \`${lint.line}\` succeed without silencing it.`,
        key: 'lint',
      }),
    ]);
  },
};
