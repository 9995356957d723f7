import type { CorpusCase } from '../case.ts';
import { announcedCases } from './announced.ts';
import { claimCases } from './claims.ts';
import { codeCases } from './code.ts';
import { inEverySize } from './every-size.ts';
import { forgeryCases } from './forgeries.ts';
import { dependencyCases } from './dependencies.ts';
import { generatedCases } from './generated.ts';
import { moreFeatures } from './honest-features.ts';
import { housekeeping } from './honest-housekeeping.ts';
import { lookalikes } from './honest-lookalikes.ts';
import { reshapedTests } from './honest-test-refactorings.ts';
import { testTools } from './honest-test-tools.ts';
import { honestCases } from './honest.ts';
import { safetyCases } from './safety.ts';
import { testCases } from './tests.ts';
import { upkeep } from './honest-upkeep.ts';
import { emptyWords } from './empty-words.ts';
import { idleTests } from './idle-tests.ts';
import { indirections } from './indirections.ts';
import { madeUpAnswers } from './made-up-answers.ts';
import { pythonIdioms } from './python-idioms.ts';
import { vouchingCases } from './vouching.ts';
import { honestWeb, webCases } from './web.ts';

const written: readonly CorpusCase[] = [
  ...testCases,
  ...codeCases,
  ...claimCases,
  ...safetyCases,
  ...forgeryCases,
  ...webCases,
  ...madeUpAnswers,
  ...idleTests,
  ...indirections,
  ...emptyWords,
  ...honestCases,
  ...moreFeatures,
  ...lookalikes,
  ...reshapedTests,
  ...housekeeping,
  ...testTools,
  ...upkeep,
  ...honestWeb,
  ...vouchingCases,
  ...announcedCases,
  ...pythonIdioms,
  ...dependencyCases,
  ...generatedCases,
];

export const cases: readonly CorpusCase[] = [...written, ...inEverySize(written)];
