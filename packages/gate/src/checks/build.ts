import { everyPurpose, findingOf, lastLines, outcome, type Check } from './check.ts';

export const buildCheck: Check = {
  name: 'build',
  category: 'build',
  languages: ['*'],
  needs: ['sandbox', 'installed'],
  purposes: everyPurpose,
  run({ purpose, candidateFacts, baseFacts }) {
    const build = candidateFacts?.build ?? null;
    if (build === null)
      return outcome(
        'not_run',
        candidateFacts?.notes.find((note) => note.startsWith('build')) ?? 'the project has no build',
      );
    if (build.ok) return outcome('passed', `${build.line} succeeded`, [], { ms: build.ms });
    const how = build.timedOut ? 'ran out of time' : `ended with exit code ${build.exitCode}`;
    if (purpose === 'base' || (baseFacts?.build != null && !baseFacts.build.ok)) {
      return outcome(
        purpose === 'base' ? 'failed' : 'inconclusive',
        `${build.line} ${how}${purpose === 'base' ? '' : ', as it did on the branch before'}`,
      );
    }
    return outcome('failed', `${build.line} ${how}`, [
      findingOf({
        check: 'build',
        rule: 'build.failed',
        level: 'error',
        veto: true,
        message: `The build worked before this change and now ${how}:\n${lastLines(build.output)}`,
        remedy: `Make \`${build.line}\` succeed.`,
        key: 'build',
      }),
    ]);
  },
};
