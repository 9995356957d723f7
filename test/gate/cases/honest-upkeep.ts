import type { CorpusCase } from '../case.ts';
import type { Draft } from '../draft.ts';
import { honest, note } from './honest-case.ts';

const byPerson = (each: CorpusCase): CorpusCase => ({ ...each, approvedBy: 'a maintainer' });

/** A file of types that is read by the compiler alone, and a setting of a tool that looks at it. */
const typeTest = (head: string): string => `${head}import { usualFines, type FineRules } from '../src/fines.ts';

const rules: FineRules = usualFines;
new Map<string, FineRules>([['usual', rules]]);
`;

const twice = (draft: Draft): void =>
  draft.append(
    'test/fines.test.ts',
    `
test('knows what is usual', () => {
  assert.equal(asMoney(0), '0.00 €');
  assert.equal(asMoney(5), '0.05 €');
});

test('knows what is usual', () => {
  assert.equal(asMoney(100), '1.00 €');
});
`,
  );

/** What keeps a project as it should be, by those who may. */
export const upkeep: readonly CorpusCase[] = [
  honest('removal', 'a feature with its tests, as the task says', 'shelf', 'Remove the reminder letters', (draft) => {
    draft.remove('src/letters.ts');
    draft.remove('test/letters.test.ts');
    draft.edit('src/index.ts', "export { reminderLetter, toneOf, type Reminder } from './letters.ts';\n", '');
    note(draft, 'Reminder letters are gone: readers are told by the desk.');
  }),
  {
    ...honest('tests', 'one more in a file in which two have the same name', 'shelf', 'Test fines more', (draft) =>
      draft.append(
        'test/fines.test.ts',
        `
test('writes large fines', () => {
  assert.equal(asMoney(123456), '1234.56 €');
});
`,
      ),
    ),
    branch: twice,
  },
  byPerson(
    honest('by a person', 'a lint rule and the threshold', 'shelf', 'Ask for more of each change', (draft) => {
      draft.edit('eslint.config.js', "eqeqeq: 'error'", "eqeqeq: ['error', 'smart']");
      draft.write('muster.yaml', 'threshold: 85\n');
    }),
  ),
  byPerson(
    honest('by a person', 'one rule silenced in a file of types', 'shelf', 'Try the types of fines', (draft) =>
      draft.write('test/fines.test-d.ts', typeTest('/* eslint-disable no-new */\n')),
    ),
  ),
  byPerson(
    honest('by a person', 'a test that asked for what nobody may rely on', 'gazette', 'Simplify tests', (draft) =>
      draft.edit('test/site.test.js', "    assert.equal(cache.get('b', () => 'other'), 'B');\n", ''),
    ),
  ),
];
