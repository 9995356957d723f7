import { buildCheck } from './build.ts';
import type { Check } from './check.ts';
import { concealmentCheck } from './concealment.ts';
import { honestyCheck } from './honesty.ts';
import { lintCheck } from './lint.ts';
import { postLandingCheck } from './post-landing.ts';
import { securityCheck } from './security.ts';
import { secretsCheck } from './secrets.ts';
import { tamperingCheck } from './tampering.ts';
import { testsCheck } from './tests.ts';
import { typesCheck } from './types.ts';
import { weakenedTestsCheck } from './weakened-tests.ts';

/** Every check, in the order in which people read them. A new one is a file beside these and a line here. */
export const checks: readonly Check[] = [
  buildCheck,
  testsCheck,
  weakenedTestsCheck,
  typesCheck,
  lintCheck,
  secretsCheck,
  tamperingCheck,
  concealmentCheck,
  securityCheck,
  honestyCheck,
  postLandingCheck,
];
