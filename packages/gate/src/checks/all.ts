import { advisoriesCheck } from './advisories.ts';
import { benchmarksCheck } from './benchmarks.ts';
import { buildCheck } from './build.ts';
import { bundleSizeCheck } from './bundle-size.ts';
import type { Check } from './check.ts';
import { canariesCheck } from './canaries.ts';
import { claimsCheck } from './claims.ts';
import { concealmentCheck } from './concealment.ts';
import { coverageCheck } from './coverage.ts';
import { dependenciesCheck } from './dependencies.ts';
import { documentationCheck } from './documentation.ts';
import { enforcerCheck } from './enforcer.ts';
import { examplesCheck } from './examples.ts';
import { generatedCheck } from './generated.ts';
import { honestyCheck } from './honesty.ts';
import { lintCheck } from './lint.ts';
import { mutationCheck } from './mutation.ts';
import { newTestsCheck } from './new-tests.ts';
import { postLandingCheck } from './post-landing.ts';
import { queriesCheck } from './queries.ts';
import { securityCheck } from './security.ts';
import { syntaxCheck } from './syntax.ts';
import { scopeCheck } from './scope.ts';
import { secretsCheck } from './secrets.ts';
import { structureCheck } from './structure.ts';
import { tamperingCheck } from './tampering.ts';
import { testsCheck } from './tests.ts';
import { typesCheck } from './types.ts';
import { weakenedTestsCheck } from './weakened-tests.ts';

/** Every check, in the order in which people read them. A new one is a file beside these and a line here. */
export const checks: readonly Check[] = [
  buildCheck,
  testsCheck,
  canariesCheck,
  weakenedTestsCheck,
  typesCheck,
  lintCheck,
  syntaxCheck,
  secretsCheck,
  tamperingCheck,
  concealmentCheck,
  securityCheck,
  honestyCheck,
  newTestsCheck,
  coverageCheck,
  mutationCheck,
  claimsCheck,
  generatedCheck,
  dependenciesCheck,
  advisoriesCheck,
  structureCheck,
  documentationCheck,
  examplesCheck,
  scopeCheck,
  enforcerCheck,
  bundleSizeCheck,
  queriesCheck,
  benchmarksCheck,
  postLandingCheck,
];
