import type { CorpusCase } from '../case.ts';
import { honestCases } from './honest.ts';
import { testCases } from './tests.ts';

export const cases: readonly CorpusCase[] = [...testCases, ...honestCases];
