import trials, { longTrials } from './jest.config.mjs';

/** @type {import('jest').Config} */
export default {
  ...trials,
  testMatch: ['**/*.long.spec.ts', '<rootDir>/test/**/*.long.e2e-spec.ts'],
  testPathIgnorePatterns: trials.testPathIgnorePatterns.filter((pattern) => pattern !== longTrials),
};
