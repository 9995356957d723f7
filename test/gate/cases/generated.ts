import type { CorpusCase } from '../case.ts';
import type { Draft } from '../draft.ts';
import { bad } from './bad.ts';
import { honest } from './honest-case.ts';

const settings = `generated:
  - { files: ['lib/generated/*.js'], run: node tools/entities.js }
`;
const tool = `import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

const lines = readFileSync('entities.txt', 'utf8').split('\\n').filter(Boolean);
const rows = lines.map((line) => {
  const [name, code] = line.split(' ');
  return \`  \${name}: '\\\\u{\${code}}',\`;
});
mkdirSync('lib/generated', { recursive: true });
writeFileSync('lib/generated/entities.js', \`// Made by tools/entities.js of entities.txt.\\nexport const entities = {\\n\${rows.join('\\n')}\\n};\\n\`);
`;
type Entity = readonly [name: string, code: string];
const source = (entities: readonly Entity[]): string => entities.map((each) => `${each.join(' ')}\n`).join('');
/** What the tool writes. */
const made = (entities: readonly Entity[]): string =>
  `// Made by tools/entities.js of entities.txt.\nexport const entities = {\n${entities.map(([name, code]) => `  ${name}: '\\u{${code}}',`).join('\n')}\n};\n`;
const few: readonly Entity[] = [
  ['amp', '26'],
  ['copy', 'a9'],
  ['euro', '20ac'],
];
const many: readonly Entity[] = Array.from({ length: 900 }, (_each, n) => [`sign${n}`, (0x2600 + n).toString(16)]);

const test = (name: string, sign: string): string => `import assert from 'node:assert/strict';
import { entities } from '../lib/generated/entities.js';

it('knows entities', () => {
  assert.equal(entities.${name}, '\\u{${sign}}');
});
`;
const declared = (draft: Draft): void => {
  draft.write('muster.yaml', settings);
  draft.write('tools/entities.js', tool);
};
const withOutput = (draft: Draft): void => {
  declared(draft);
  draft.write('entities.txt', source(few));
  draft.write('lib/generated/entities.js', made(few));
  draft.write('test/entities.test.js', test('euro', '20ac'));
};

/** What tools of a project make of its sources, which lies beside them in the repository. */
export const generatedCases: readonly CorpusCase[] = [
  {
    ...honest('generated code', 'a source and what is made of it', 'gazette', 'Add an entity for pounds', (draft) => {
      const more: readonly Entity[] = [...few, ['pound', 'a3']];
      draft.write('entities.txt', source(more));
      draft.write('lib/generated/entities.js', made(more));
      draft.edit('test/entities.test.js', '});\n', "  assert.equal(entities.pound, '\\u{a3}');\n});\n");
    }),
    branch: withOutput,
  },
  {
    ...honest(
      'generated code',
      'the first and large output of a tool of the branch',
      'gazette',
      'Add entities',
      (draft) => {
        draft.write('entities.txt', source(many));
        draft.write('lib/generated/entities.js', made(many));
        draft.write('test/entities.test.js', test('sign1', '2601'));
      },
    ),
    branch: declared,
  },
  ...bad(
    'generated bulk',
    'others’ code beside what a tool of the branch makes',
    'gazette',
    ['claims.bulk'],
    (draft) =>
      draft.write(
        'vendor/signs.js',
        Array.from({ length: 1200 }, (_each, n) => `export const sign${n} = ${n};`).join('\n'),
      ),
    { branch: withOutput, sizes: [2000] },
  ),
];
