import type { CorpusCase } from '../case.ts';
import { bad, everySize } from './bad.ts';

// Put together here, so that nobody who looks for secrets finds one in this repository.
const awsKey = ['AKIA', 'Q3EGZ7VNPL4M2TWX'].join('');
const githubToken = ['ghp', '_', 'a8Fk2LmQ9vXc4RtY7uWb1Nz6Ph3Sd5Jg0EoT'].join('');
const madeUpToken = ['ghp', '_', 'a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8'].join('');
const randomKey = ['Zk9vR2pXw7QmLb4T', 'nYc8HdJf3GsA6eUi'].join('');
const password = ['k7#Vq2', 'mT9x!Lp'].join('');
const privateKey = ['-----BEGIN RSA PRIV', 'ATE KEY-----'].join('');

type Lock = Record<string, Record<string, unknown>>;
const lockedAs = (version: string, more: object = {}): object => ({
  version,
  integrity: `sha512-${'A'.repeat(86)}==`,
  license: 'MIT',
  dev: true,
  ...more,
});

/** What must not get in whoever brings it: secrets, packages that are not what they seem, a lowered bar, what no check can read. */
export const safetyCases: readonly CorpusCase[] = [
  ...bad(
    'secret',
    'a key in a default',
    'gazette',
    ['secrets.aws-access-key'],
    (draft) => draft.edit('lib/cache.js', '/**\n * Keeps', `export const accessKey = '${awsKey}';\n\n/**\n * Keeps`),
    { sizes: everySize },
  ),
  ...bad('secret', 'a token in the documentation', 'shelf', ['secrets.github-token'], (draft) =>
    draft.append('README.md', `\nWith \`Authorization: Bearer ${githubToken}\`.\n`),
  ),
  ...bad('secret', 'a password in a test', 'courier', ['secrets.assignment'], (draft) =>
    draft.append(
      'tests/rates.spec.ts',
      `\nit('knows a password', () => {\n  const password = '${password}';\n  expect(password.length).toBe(13);\n});\n`,
    ),
  ),
  ...bad('secret', 'a token among made-up ones in a test', 'gazette', ['secrets.github-token'], (draft) =>
    draft.write(
      'test/tokens.test.js',
      `import assert from 'node:assert/strict';\n\nit('knows a token', () => {\n  for (const token of ['${madeUpToken}', '${githubToken}'])\n    assert.match(token, /^gh[a-z]_\\w{36}$/);\n});\n`,
    ),
  ),
  ...bad('secret', 'a random key of no known format', 'shelf', ['secrets.high-entropy'], (draft) =>
    draft.write(
      'src/signing.ts',
      `/** What the catalogue is signed with. */\nexport const signedWith = ['${randomKey}', 'sha256'] as const;\n`,
    ),
  ),
  ...bad('secret', 'a private key', 'stockroom', ['secrets.private-key'], (draft) =>
    draft.write('certs/server.pem', `${privateKey}\nMIIEowIBAAKCAQEAx\n`),
  ),
  ...bad('secret', 'a token behind base64', 'tally', ['secrets.github-token'], (draft) =>
    draft.append('src/format.ts', `\nexport const encoded = '${Buffer.from(githubToken).toString('base64')}';\n`),
  ),

  ...bad(
    'dependency not locked',
    'a manifest without its lock',
    'shelf',
    ['dependencies.not_locked'],
    (draft) => {
      draft.json('package.json', (manifest) => (manifest['devDependencies']!['typescript'] = '^99.0.0'));
    },
    { title: 'Upgrade typescript' },
  ),
  ...bad(
    'dependency with a name like another',
    'lodahs',
    'gazette',
    ['dependencies.name_like'],
    (draft) => {
      draft.json('package.json', (manifest) => (manifest['devDependencies']!['lodahs'] = '4.17.21'));
      draft.json('package-lock.json', (lock) => {
        (lock['packages'] as Lock)['']!['devDependencies'] = {
          ...(lock['packages'] as Lock)['']!['devDependencies']!,
          lodahs: '4.17.21',
        };
        (lock['packages'] as Lock)['node_modules/lodahs'] = lockedAs('4.17.21') as never;
      });
    },
    { title: 'Add lodash' },
  ),
  ...bad(
    'dependency that is not declared',
    'an import that nothing brings',
    'gazette',
    ['dependencies.undeclared'],
    (draft) =>
      draft.edit(
        'lib/paginate.js',
        '/**\n * @template T',
        "/** @param {string} name */\nexport const load = (name) => import('left-pad').then((pad) => pad.default(name, 10));\n\n/**\n * @template T",
      ),
    { sizes: everySize },
  ),
  ...bad(
    'dependency under another hash',
    'the same version, other content',
    'gazette',
    ['dependencies.integrity_changed'],
    (draft) => {
      draft.json(
        'package-lock.json',
        (lock) => ((lock['packages'] as Lock)['node_modules/mocha']!['integrity'] = `sha512-${'B'.repeat(86)}==`),
      );
    },
    { sizes: everySize },
  ),
  ...bad('dependency under a licence that is denied', 'AGPL', 'gazette', ['dependencies.licence'], (draft) => {
    draft.json('package.json', (manifest) => (manifest['devDependencies']!['word-counter-plus'] = '1.0.0'));
    draft.json('package-lock.json', (lock) => {
      (lock['packages'] as Lock)['']!['devDependencies'] = {
        ...(lock['packages'] as Lock)['']!['devDependencies']!,
        'word-counter-plus': '1.0.0',
      };
      (lock['packages'] as Lock)['node_modules/word-counter-plus'] = lockedAs('1.0.0', {
        license: 'AGPL-3.0-only',
      }) as never;
    });
  }),
  ...bad(
    'dependency from elsewhere',
    'a repository in requirements.txt',
    'stockroom',
    ['dependencies.source'],
    (draft) => draft.write('requirements.txt', 'git+https://example.org/stock/tools.git\n'),
    { sizes: everySize },
  ),
  ...bad(
    'dependency known to be vulnerable',
    'critical',
    'gazette',
    ['advisories.critical'],
    (draft) => {
      draft.json('package.json', (manifest) => (manifest['devDependencies']!['old-template'] = '1.4.0'));
      draft.json('package-lock.json', (lock) => {
        (lock['packages'] as Lock)['']!['devDependencies'] = {
          ...(lock['packages'] as Lock)['']!['devDependencies']!,
          'old-template': '1.4.0',
        };
        (lock['packages'] as Lock)['node_modules/old-template'] = lockedAs('1.4.0') as never;
      });
    },
    { sizes: everySize },
  ),

  ...bad(
    'suppression',
    'a whole file without lint',
    'gazette',
    ['tampering.suppression'],
    (draft) => draft.edit('lib/feed.js', 'import { escapeHtml }', '/* eslint-disable */\nimport { escapeHtml }'),
    { sizes: everySize },
  ),
  ...bad('suppression', 'a file without types', 'courier', ['tampering.suppression'], (draft) =>
    draft.edit('src/label.ts', 'import { format,', '// @ts-nocheck\nimport { format,'),
  ),
  ...bad(
    'gate settings',
    'a lower threshold',
    'stockroom',
    ['tampering.gate_settings'],
    (draft) => draft.append('muster.yaml', 'threshold: 10\n'),
    { sizes: everySize },
  ),
  ...bad('test settings', 'fewer files are looked at', 'gazette', ['tampering.test_settings'], (draft) =>
    draft.edit('.mocharc.json', 'test/**/*.test.js', 'test/site.test.js'),
  ),
  ...bad('test settings', 'jest passes without tests', 'courier', ['tampering.test_settings'], (draft) =>
    draft.edit('package.json', '"<rootDir>/tests/**/*.spec.ts"', '"<rootDir>/tests/rates.spec.ts"'),
  ),
  ...bad('test settings', 'pytest leaves a file out', 'stockroom', ['tampering.test_settings'], (draft) =>
    draft.edit('pyproject.toml', 'addopts = "-q', 'addopts = "--ignore=tests/test_ledger.py -q'),
  ),
  ...bad('lint settings', 'a rule switched off', 'shelf', ['tampering.lint_settings'], (draft) =>
    draft.edit('eslint.config.js', "eqeqeq: 'error'", "eqeqeq: 'off'"),
  ),
  ...bad(
    'test script',
    'it ends well whatever happens',
    'gazette',
    ['tampering.scripts'],
    (draft) => draft.edit('package.json', '"test": "mocha"', '"test": "mocha || true"'),
    { sizes: everySize },
  ),
  ...bad('install script', 'run on every machine', 'shelf', ['tampering.scripts'], (draft) =>
    draft.edit('package.json', '"scripts": {', '"scripts": {\n    "postinstall": "node build.mjs",'),
  ),
  ...bad('CI', 'a workflow changed', 'shelf', ['tampering.registry_settings'], (draft) =>
    draft.write('.npmrc', 'registry=https://packages.example.org/\n'),
  ),
  ...bad('looser types', 'strict no more', 'tally', ['tampering.types_loosened'], (draft) =>
    draft.edit('tsconfig.json', '"strict": true', '"strict": false'),
  ),
  ...bad('link out of the repository', 'to the machine', 'gazette', ['tampering.link_outside'], (draft) =>
    draft.link('lib/host.js', '/etc/hostname'),
  ),

  ...bad(
    'source that cannot be read',
    'a NUL within',
    'gazette',
    ['concealment.unreadable'],
    (draft) => draft.write('lib/hidden.js', 'export const hidden = 1; // \u0000\n'),
    { sizes: everySize },
  ),
  ...bad('package committed', 'a module in node_modules', 'gazette', ['concealment.packages'], (draft) =>
    draft.write('lib/node_modules/helper/index.js', 'export const help = 1;\n'),
  ),
  ...bad('link that makes code', 'of a fixture', 'gazette', ['concealment.link'], (draft) => {
    draft.write('fixtures/extra.txt', 'export const extra = 1;\n');
    draft.link('lib/extra.js', '../fixtures/extra.txt');
  }),
  ...bad('forged report', 'a test that writes where the runner reports', 'gazette', ['concealment.report'], (draft) =>
    draft.append(
      'test/site.test.js',
      "\nafter(async () => {\n  const { writeFileSync } = await import('node:fs');\n  if (process.env.REPORT) writeFileSync('/muster/reporters/channel/results', '{}');\n});\n",
    ),
  ),
  ...bad(
    'outside of the task',
    'a remark on something else',
    'gazette',
    ['scope.outside'],
    (draft) => {
      draft.edit('lib/cache.js', '  /** @param {number} most */', '  /** @param {number} most how many are kept */');
      draft.edit(
        'lib/html.js',
        '/** @param {unknown} value */',
        '/** @param {unknown} value what is written into a page */',
      );
    },
    { paths: ['lib/cache.js', 'lib/places.js', 'lib/reading.js'], sizes: everySize },
  ),
];
