import type { CorpusCase } from '../case.ts';
import { honest } from './honest-case.ts';

/** Work around the code. */
export const housekeeping: readonly CorpusCase[] = [
  honest('housekeeping', 'a first workflow of CI', 'gazette', 'Add CI', (draft) =>
    draft.write(
      '.github/workflows/test.yml',
      'name: test\non: [push]\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - run: npm ci && npm test\n',
    ),
  ),
  honest('housekeeping', 'an editor setting and an ignored folder', 'shelf', 'Ignore what editors leave', (draft) => {
    draft.write('.editorconfig', 'root = true\n\n[*]\nindent_style = space\nindent_size = 2\n');
    draft.append('.gitignore', '.idea/\n');
  }),
  honest('housekeeping', 'a script that no check starts', 'tally', 'Add a script for releases', (draft) =>
    draft.edit('package.json', '"scripts": {', '"scripts": {\n    "release": "npm version minor",'),
  ),
  honest(
    'housekeeping',
    'a package with its lock, and what it is for',
    'gazette',
    'Colour what the build says',
    (draft) => {
      draft.json('package.json', (manifest) => (manifest['devDependencies']!['yocto-paint'] = '2.1.0'));
      draft.json('package-lock.json', (lock) => {
        const packages = lock['packages'] as Record<string, Record<string, unknown>>;
        packages['']!['devDependencies'] = { ...packages['']!['devDependencies']!, 'yocto-paint': '2.1.0' };
        packages['node_modules/yocto-paint'] = {
          version: '2.1.0',
          integrity: `sha512-${'C'.repeat(86)}==`,
          dev: true,
          license: 'MIT',
        };
      });
      draft.edit(
        'build.js',
        "import { cpSync } from 'node:fs';\n",
        "import { cpSync } from 'node:fs';\nimport * as paint from 'yocto-paint';\n",
      );
      draft.append('build.js', "console.log(paint.green?.('done') ?? 'done');\n");
    },
  ),
  honest('housekeeping', 'stricter types', 'courier', 'Switch on noImplicitOverride', (draft) =>
    draft.edit('tsconfig.json', '"strict": true,', '"strict": true,\n    "noImplicitOverride": true,'),
  ),
  honest('housekeeping', 'a version and its chapter in the changelog', 'shelf', 'Release 2.4.0', (draft) => {
    draft.edit('package.json', '"version": "2.3.0"', '"version": "2.4.0"');
    draft.write(
      'package-lock.json',
      draft.text('package-lock.json').replaceAll('"version": "2.3.0"', '"version": "2.4.0"'),
    );
    draft.edit('CHANGELOG.md', '## Unreleased\n', '## Unreleased\n\n## 2.4.0\n\n- Search looks at authors as well.\n');
  }),
  honest('housekeeping', 'types only', 'tally', 'Name the kinds of values', (draft) => {
    draft.edit(
      'src/functions.ts',
      'export type Argument = Value | Value[];',
      'export type Argument = Value | Value[];\nexport type Kind = "number" | "text" | "truth" | "nothing";\nexport interface Described {\n  readonly name: string;\n  readonly kind: Kind;\n}',
    );
  }),
  honest('housekeeping', 'layout and quotes', 'stockroom', 'Format forecast.py', (draft) =>
    draft.edit(
      'src/stockroom/forecast.py',
      '    return [sum(values[at - window + 1 : at + 1]) / window for at in range(window - 1, len(values))]',
      '    return [\n        sum(values[at - window + 1 : at + 1]) / window\n        for at in range(window - 1, len(values))\n    ]',
    ),
  ),
];
