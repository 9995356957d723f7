import { findingOf, lastLines, outcome, type Check } from './check.ts';

/** The project's own last word on what has landed: one command, in the sandbox; when it fails the landing is taken back. */
export const postLandingCheck: Check = {
  name: 'post-landing',
  category: 'integrity',
  languages: ['*'],
  needs: ['sandbox', 'installed'],
  purposes: ['post_landing'],
  async run({ policy, run }) {
    if (policy.postLanding === undefined || run === null)
      return outcome('not_run', 'the project names no post-landing command');
    const result = await run.command(policy.postLanding);
    if (result.ok) return outcome('passed', `\`${policy.postLanding}\` succeeded`, [], { ms: result.ms });
    const how = result.timedOut ? 'ran out of time' : `ended with exit code ${result.exitCode}`;
    return outcome('failed', `\`${policy.postLanding}\` ${how}: ${lastLines(result.output, 8)}`, [
      findingOf({
        check: 'post-landing',
        rule: 'post-landing.failed',
        level: 'error',
        veto: true,
        message: `\`${policy.postLanding}\` ${how} on what has landed:\n${lastLines(result.output)}`,
        remedy: `Run \`${policy.postLanding}\` on the change and make it succeed.`,
        key: 'post-landing',
      }),
    ]);
  },
};
