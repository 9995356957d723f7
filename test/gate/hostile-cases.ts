import { randomBytes } from 'node:crypto';

/** What nobody should hand in, and what has to become of it. */
export interface HostileCase {
  name: string;
  /** What the branch holds besides, and what the change makes of it. */
  base?: Record<string, string | Buffer>;
  files: Record<string, string | Buffer>;
  /** Files of so many bytes, all of them nothing. */
  sparse?: Record<string, number>;
  /** They are on the branch as well. */
  there?: boolean;
  timeoutSeconds?: number;
  /** Programs of the operator's, as checks. */
  tools?: Record<string, string[]>;
  /** By check: how it has to end. */
  ends?: Record<string, string>;
  /** A rule that has to have found something. */
  found?: string;
  /** What a server says where it does not even take it. */
  refusedAtTheDoor?: RegExp;
}

const head = "import test from 'node:test';\nimport assert from 'node:assert/strict';\n";
const project: Record<string, string> = {
  'package.json': JSON.stringify({ name: 'sample', type: 'module', scripts: { test: 'node --test' } }),
  'src/sum.js': 'export function sum(a, b) {\n  return a + b;\n}\n',
  'test/sum.test.js': `${head}import { sum } from '../src/sum.js';\ntest('adds', () => {\n  assert.equal(sum(1, 2), 3);\n});\n`,
};
/** Deeper than what calls itself for each level comes back from. */
const deep = 20_000;
const notRun = { tests: 'not_run', canaries: 'not_run' };

/** `short`: fewer files and less output. */
export const hostileCases = (short: boolean): HostileCase[] => {
  const many = short ? 5_000 : 50_000;
  return [
    { name: 'no package file', files: { 'src/a.js': 'export const a = 1;\n' }, ends: notRun },
    { name: 'a broken package file', files: { 'package.json': '{ "name": ' }, ends: notRun },
    { name: 'an unknown language', files: { 'a.zig': 'const x = 1;\n', 'b.unknown': 'what\n' }, ends: notRun },
    { name: 'nothing but bytes', files: { 'a.bin': randomBytes(100_000), 'b.js': Buffer.alloc(1000) }, ends: notRun },
    { name: 'nothing at all', files: {}, ends: { tests: 'not_run' } },
    {
      name: 'a path with a new line',
      files: { ...project, 'a\nb.js': 'export const a = 1;\n', '\r\n': 'x' },
      refusedAtTheDoor: /must be a relative path|holds paths|path/,
    },
    {
      name: 'source and data nested 20,000 deep',
      base: project,
      files: {
        ...project,
        ...Object.fromEntries(
          [
            ['(', ')'],
            ['[', ']'],
            ['f(', ')'],
            ['{ a: ', '}'],
            ['`${', '}`'],
            ['() => ', ''],
            ['a ? 1 : ', ''],
            ['!', ''],
          ].map(([open = '', close = ''], n) => [
            `src/deep-${n}.js`,
            `export const deep = (a, f) => ${open.repeat(deep)}1${close.repeat(deep)};\n`,
          ]),
        ),
        'src/sum.js': `${project['src/sum.js']}export const all = (a) => ${'a + '.repeat(deep)}a;\n`,
        'test/deep.test.js': `${head}test('is deep', () => {\n  assert.ok(${'['.repeat(deep)}1${']'.repeat(deep)});\n});\n`,
        'src/deep.py': `deep = ${'('.repeat(deep)}1${')'.repeat(deep)}\n`,
        'data.json': `${'['.repeat(deep)}1${']'.repeat(deep)}\n`,
        'tsconfig.json': `{ "compilerOptions": { "paths": ${'{ "a": '.repeat(deep)}1${'}'.repeat(deep)} } }\n`,
      },
      timeoutSeconds: 30,
      found: 'concealment.unreadable',
    },
    {
      name: `${many} files`,
      base: project,
      files: {
        ...project,
        ...Object.fromEntries(
          Array.from({ length: many }, (_each, n) => [`data/d${n % 500}/f${n}.js`, `export const v${n} = ${n};\n`]),
        ),
      },
      timeoutSeconds: 60,
    },
    {
      name: 'a file of 2 GB',
      base: project,
      files: project,
      sparse: { 'data.bin': 2 * 1024 ** 3 + 1 },
      ends: notRun,
      found: 'concealment.too_large',
    },
    {
      name: 'a file of 300 MB that is there already',
      base: project,
      files: { ...project, 'README.md': 'words\n' },
      sparse: { 'data.bin': 300 * 1024 ** 2 },
      there: true,
      ends: notRun,
    },
    {
      name: 'a test that never ends',
      base: project,
      files: { ...project, 'test/more.test.js': `${head}test('waits', () => { for (;;); });\n` },
      timeoutSeconds: 5,
      ends: { tests: 'failed' },
    },
    {
      name: 'a test that prints a gigabyte',
      base: project,
      files: {
        ...project,
        'test/more.test.js': `${head}import fs from 'node:fs';\ntest('prints', () => {\n  const line = 'x'.repeat(1024 * 1024) + '\\n';\n  for (let i = 0; i < ${short ? 100 : 1024}; i++) fs.writeSync(2, line);\n});\n`,
      },
      timeoutSeconds: 20,
    },
    {
      name: 'a report without end',
      base: project,
      files: {
        ...project,
        'test/more.test.js': `${head}import fs from 'node:fs';\ntest('writes', () => {\n  const at = ['', 'muster', 'reporters', 'channel', 'results'].join('/');\n  for (let i = 0; i < 300; i++) fs.writeFileSync(at, 'x'.repeat(1024 * 1024));\n});\n`,
      },
      timeoutSeconds: 30,
      found: 'tampering.forged_report',
    },
    {
      name: 'tools that crash, hang, say nonsense or flood',
      base: project,
      files: { ...project, 'README.md': 'words\n' },
      tools: {
        crashes: ['/bin/sh', '-c', 'kill -SEGV $$'],
        hangs: ['sleep', '600'],
        nonsense: ['echo', '{"status":"passed","summary":7'],
        floods: ['/bin/sh', '-c', 'yes | head -c 300000000'],
        missing: ['no-such-tool'],
      },
      ends: {
        crashes: 'inconclusive',
        hangs: 'inconclusive',
        nonsense: 'inconclusive',
        floods: 'inconclusive',
        missing: 'inconclusive',
      },
    },
  ];
};
