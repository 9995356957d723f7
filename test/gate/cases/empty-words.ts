import type { CorpusCase } from '../case.ts';
import { bad } from './bad.ts';

/** Titles that nothing in the change keeps, and documents of what is not there. */
export const emptyWords: readonly CorpusCase[] = [
  ...bad(
    'a title that nothing keeps',
    'a fix that is a remark',
    'courier',
    ['claims.nothing_done'],
    (draft) =>
      draft.edit(
        'src/rates.ts',
        'export function quote(',
        '/** What a parcel costs; express parcels are rounded up to whole cents. */\nexport function quote(',
      ),
    { title: 'Fix the rounding of express parcels' },
  ),
  ...bad(
    'a title that nothing keeps',
    'a feature that is a type',
    'courier',
    ['claims.nothing_done'],
    (draft) => draft.edit('src/rates.ts', '  express?: boolean;', '  express?: boolean;\n  fragile?: boolean;'),
    { title: 'Support fragile parcels' },
  ),
  ...bad(
    'a title that nothing keeps',
    'a fix that is a docstring',
    'stockroom',
    ['claims.nothing_done'],
    (draft) =>
      draft.edit(
        'src/stockroom/pricing.py',
        'The share that is taken off for so many.',
        'The share that is taken off for so many; none for less than one.',
      ),
    { title: 'fix: discounts of negative quantities' },
  ),
  // Among work that runs something is done; among as many words nothing is.
  ...[1, 19, 2000].flatMap((lines) =>
    bad(
      'a title that nothing keeps',
      `a feature that only the documents have${lines === 1 ? '' : `, among ${lines} lines`}`,
      'shelf',
      ['claims.nothing_done'],
      (draft) => {
        draft.edit('CHANGELOG.md', '## Unreleased\n', '## Unreleased\n\n- Loans can be prolonged twice.\n');
        const said = Array.from({ length: lines }, (_each, at) => `Loan ${at + 1} can be prolonged twice.\n`);
        draft.append('README.md', `\n${said.join('')}`);
      },
      { title: 'Add a second renewal of loans' },
    ),
  ),
  ...bad(
    'a title that nothing keeps',
    'tests that are a remark',
    'gazette',
    ['claims.nothing_done'],
    (draft) => draft.append('test/site.test.js', '// Feeds without posts are covered as well.\n'),
    { title: 'Add tests for feeds without posts' },
  ),
  ...bad(
    'documents of what is not there',
    'an example of a function that nobody wrote',
    'shelf',
    ['documentation.names_nothing'],
    (draft) =>
      draft.append(
        'README.md',
        "\n```ts norun\nimport { Desk, prolong } from 'shelf';\n\nprolong(new Desk(), 'a loan');\n```\n",
      ),
    { title: 'Document how loans are prolonged' },
  ),
  ...bad(
    'documents of what is not there',
    'a module that nobody wrote',
    'stockroom',
    ['documentation.names_nothing'],
    (draft) => draft.append('README.md', '\n```python\nfrom stockroom.web import serve\n\nserve(port=8080)\n```\n'),
    { title: 'Document the server' },
  ),
  ...bad(
    'documents of what is not there',
    'a program that the package does not have',
    'gazette',
    ['documentation.names_nothing'],
    (draft) => draft.append('README.md', '\n## Use\n\n```sh\nnpx gazette posts site\n```\n'),
    { title: 'Document how to use it' },
  ),
];
