import type { Draft } from '../draft.ts';

/** A module of courier with its tests. */
export const inCourier = (draft: Draft, name: string, exported: string, source: string, test: string): void => {
  draft.write(`src/${name}.ts`, source);
  draft.append('src/index.ts', `export { ${exported} } from './${name}';\n`);
  draft.write(
    `tests/${name}.spec.ts`,
    `import { expect, it } from '@jest/globals';\nimport { ${exported} } from '../src/${name}';\n\n${test}`,
  );
};
/** The same of gazette. */
export const inGazette = (draft: Draft, name: string, source: string, test: string): void => {
  draft.write(`lib/${name}.js`, source);
  draft.write(`test/${name}.test.js`, `import assert from 'node:assert/strict';\n${test}`);
};
/** The same of stockroom. */
export const inStockroom = (draft: Draft, name: string, source: string, test: string): void => {
  draft.write(`src/stockroom/${name}.py`, source);
  draft.write(`tests/test_${name}.py`, test);
};
