/** Rules under which a verification is one command: it waits instead of computing, so that two cores do not decide. */
export const rulesThatWait = (command: string, more = '', required = 'tests'): string =>
  [
    'threshold: 0',
    `required: [${required}]`,
    'checks:',
    ...['install', 'build', 'types', 'lint', 'honesty', 'coverage', 'mutation', 'newTests', 'structure', 'documentation', 'dependencies'].map(
      (check) => `  ${check}: false`,
    ),
    `  test: ${JSON.stringify(command)}`,
    more,
    '',
  ].join('\n'); // prettier-ignore
