/** What takes half a minute and more by itself: whole verifications, package managers, pods. They are `npm run test:long`. */
export const longTrials = String.raw`\.long\.(e2e-)?spec\.ts$`;

/** @type {import('jest').Config} */
export default {
  testMatch: ['**/*.spec.ts', '**/*.int-spec.ts', '<rootDir>/test/**/*.e2e-spec.ts'],
  testPathIgnorePatterns: [
    longTrials,
    '/node_modules/',
    '/dist/',
    '<rootDir>/examples/ledger/',
    '<rootDir>/test/fixtures/',
    '<rootDir>/test/gate/projects/',
  ],
  modulePathIgnorePatterns: [
    '<rootDir>/dist/',
    '<rootDir>/examples/ledger/',
    '<rootDir>/test/fixtures/',
    '<rootDir>/test/gate/projects/',
  ],
  extensionsToTreatAsEsm: ['.ts'],
  testEnvironment: 'node',
  testEnvironmentOptions: { customExportConditions: ['muster-source', 'node', 'node-addons'] },
  // One PostgreSQL and one migrated template database serve the whole run; each test file clones the template.
  globalSetup: '<rootDir>/test/support/start-postgres.mjs',
  globalTeardown: '<rootDir>/test/support/stop-postgres.mjs',
  testTimeout: 60_000,
  maxWorkers: 2,
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2023',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
          keepClassNames: true,
        },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
};
