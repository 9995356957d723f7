import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import ts from 'typescript';

const root = resolve(import.meta.dirname, '../..');

test("the README's agent compiles as it is written", () => {
  const [, example] = /^```ts\n([\s\S]*?)^```$/m.exec(readFileSync(join(root, 'README.md'), 'utf8')) ?? [];
  expect(example).toContain("from '@muster/sdk'");

  const file = join(root, 'examples', 'agents', 'readme-example.ts');
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
    config: { compilerOptions: object };
  };
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
  const host = ts.createCompilerHost({ ...options, noEmit: true });
  const [exists, read, source] = [host.fileExists, host.readFile, host.getSourceFile].map((method) =>
    method.bind(host),
  ) as [typeof host.fileExists, typeof host.readFile, typeof host.getSourceFile];
  host.fileExists = (path) => path === file || exists(path);
  host.readFile = (path) => (path === file ? example : read(path));
  host.getSourceFile = (path, version) =>
    path === file ? ts.createSourceFile(path, example ?? '', version) : source(path, version);

  const program = ts.createProgram([file], { ...options, noEmit: true, skipLibCheck: true }, host);
  const problems = [
    ...program.getSyntacticDiagnostics(),
    ...program.getSemanticDiagnostics(program.getSourceFile(file)),
  ];
  expect(problems.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([]);
}, 120_000);
