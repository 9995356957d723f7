import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cruise, type ICruiseResult } from 'dependency-cruiser';

// The rules are JavaScript configuration; they have no types of their own.
const { default: rules } = (await import(new URL('../../.dependency-cruiser.mjs', import.meta.url).href)) as {
  default: { forbidden: { name: string; comment: string }[]; options: Record<string, unknown> };
};

let house: string;
beforeEach(() => {
  house = mkdtempSync(join(tmpdir(), 'muster-floors-'));
});
afterEach(() => rmSync(house, { recursive: true, force: true }));

/** Builds a small house of these files and returns the names of the rules that it breaks. */
async function broken(files: Record<string, string>): Promise<string[]> {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(house, path)), { recursive: true });
    writeFileSync(join(house, path), text);
  }
  const { output } = await cruise(['.'], {
    baseDir: house,
    validate: true,
    ruleSet: { forbidden: rules.forbidden } as never,
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { extensions: ['.ts'] },
  });
  return [...new Set((output as ICruiseResult).summary.violations.map((violation) => violation.rule.name))].sort();
}

describe('the rules of the floors', () => {
  test('each say in a sentence what they want', () => {
    for (const rule of rules.forbidden) expect(rule.comment).toMatch(/^[A-Z].{30,}\.$|^[A-Z].{30,}: delete it\.$/);
  });

  test('let a room stand on what lies below it', async () => {
    expect(
      await broken({
        'packages/contracts/src/index.ts': 'export const word = 1;',
        'libs/kernel/src/index.ts': "export { word } from '../../../packages/contracts/src/index.ts';",
        'libs/messages/src/auth/index.ts': "export { word } from '../../../kernel/src/index.ts';",
        'libs/platform/src/git/index.ts': "export { word } from './git.ts';",
        'libs/platform/src/git/git.ts': "export { word } from '../../../kernel/src/index.ts';",
        'libs/auth/src/index.ts': "export { word } from './room.ts';",
        'libs/auth/src/room.ts': "export { word } from '../../platform/src/git/index.ts';",
      }),
    ).toEqual([]);
  });

  const planted: [rule: string, files: Record<string, string>][] = [
    [
      'features-are-strangers',
      {
        'libs/auth/src/index.ts': 'export const a = 1;',
        'libs/quality/src/index.ts': "export { a } from '../../auth/src/index.ts';",
      },
    ],
    [
      'through-the-door',
      {
        'libs/auth/src/inside.ts': 'export const a = 1;',
        'apps/server/src/main.ts': "export { a } from '../../../libs/auth/src/inside.ts';",
      },
    ],
    [
      'through-the-pipes-door',
      {
        'libs/platform/src/git/git.ts': 'export const a = 1;',
        'libs/auth/src/index.ts': "export { a } from '../../platform/src/git/git.ts';",
      },
    ],
    [
      'kernel-stands-on-contracts',
      {
        'libs/auth/src/index.ts': 'export const a = 1;',
        'libs/kernel/src/index.ts': "export { a } from '../../auth/src/index.ts';",
      },
    ],
    [
      'messages-are-plain-data',
      {
        'libs/platform/src/git/index.ts': 'export type A = 1;',
        'libs/messages/src/auth/index.ts': "export type { A } from '../../../platform/src/git/index.ts';",
      },
    ],
    [
      'platform-looks-down',
      {
        'libs/auth/src/index.ts': 'export const a = 1;',
        'libs/platform/src/git/index.ts': "export { a } from '../../../auth/src/index.ts';",
      },
    ],
    [
      'observability-looks-down',
      {
        'libs/auth/src/index.ts': 'export const a = 1;',
        'libs/observability/src/index.ts': "export { a } from '../../auth/src/index.ts';",
      },
    ],
    [
      'packages-know-no-libs',
      {
        'libs/kernel/src/index.ts': 'export const a = 1;',
        'packages/sdk/src/index.ts': "export { a } from '../../../libs/kernel/src/index.ts';",
      },
    ],
    [
      'outsiders-stand-on-packages',
      {
        'libs/kernel/src/index.ts': 'export const a = 1;',
        'apps/cli/src/main.ts': "export { a } from '../../../libs/kernel/src/index.ts';",
      },
    ],
    [
      'rooms-do-not-climb',
      {
        'apps/server/src/a.ts': 'export const a = 1;',
        'libs/auth/src/index.ts': "export { a } from '../../../apps/server/src/a.ts';",
      },
    ],
    ['no-orphans', { 'libs/auth/src/forgotten.ts': 'export const a = 1;' }],
    [
      'no-circles',
      {
        'libs/auth/src/one.ts': "import type { B } from './two.ts'; export type A = B;",
        'libs/auth/src/two.ts': "import type { A } from './one.ts'; export type B = A | 1;",
      },
    ],
  ];
  test.each(planted)('catch a planted break of %s', async (rule, files) => {
    expect(await broken(files)).toContain(rule);
  });

  test('are all tried above', () => {
    expect(planted.map(([rule]) => rule).sort()).toEqual(rules.forbidden.map((rule) => rule.name).sort());
  });
});
