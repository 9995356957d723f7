import { describe, expect, it } from '@jest/globals';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ideas } from './ideas.ts';
import { readStyle } from './project-style.ts';
import { skipTest } from './roles.ts';

const project = async (files: Record<string, string>): Promise<{ folder: string; gone: () => Promise<void> }> => {
  const folder = await mkdtemp(join(tmpdir(), 'muster-style-'));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return { folder, gone: () => rm(folder, { recursive: true, force: true }) };
};

describe('scripted authors', () => {
  it.each([
    [
      'CommonJS and mocha with double quotes',
      {
        'package.json': '{"scripts":{"test":"mocha"}}',
        'lib/sum.js': '"use strict";\nmodule.exports = (a, b) => a + b;\n',
        'test/sum.test.js':
          'const assert = require("assert");\nconst sum = require("../lib/sum");\nit("sums", () => assert.equal(sum(1, 2), 3));\n',
      },
      {
        runner: 'mocha',
        module: 'lib/clamp-to-range.js',
        test: 'test/clamp-to-range.test.js',
        says: 'require("../lib/clamp-to-range")',
      },
    ],
    [
      'TypeScript and vitest without semicolons',
      {
        'package.json': '{"type":"module","devDependencies":{"vitest":"5"}}',
        'src/sum.ts': 'export const sum = (a: number, b: number) => a + b\n',
        'src/sum.spec.ts':
          "import { expect, it } from 'vitest'\nimport { sum } from './sum'\nit('sums', () => {\n  expect(sum(1, 2)).toBe(3)\n})\n",
      },
      {
        runner: 'vitest',
        module: 'src/clamp-to-range.ts',
        test: 'src/clamp-to-range.spec.ts',
        says: "from './clamp-to-range'\n",
      },
    ],
    [
      'pytest with a package below src',
      {
        'pyproject.toml': '',
        'src/sums/__init__.py': '',
        'tests/test_sum.py': 'from sums import add\n\ndef test_add():\n    assert add(1, 2) == 3\n',
      },
      {
        runner: 'pytest',
        module: 'src/sums/clamp_to_range.py',
        test: 'tests/test_clamp_to_range.py',
        says: 'from sums.clamp_to_range import clamp_to_range',
      },
    ],
    [
      'node:test where the script names one file',
      {
        'package.json': '{"type":"module","scripts":{"test":"node --test test/all.js"}}',
        'index.js': 'export const sum = (a, b) => a + b;\n',
        'test/all.js':
          "import assert from 'node:assert';\nimport test from 'node:test';\nimport { sum } from '../index.js';\ntest('sums', () => assert.equal(sum(1, 2), 3));\n",
      },
      {
        runner: 'node:test',
        module: 'clamp-to-range.js',
        test: 'test/all.js',
        says: "test('clampToRange keeps what is inside'",
      },
    ],
  ])('write like the project: %s', async (_what, files, wanted) => {
    const { folder, gone } = await project(files);
    try {
      const style = await readStyle(folder);
      expect(style.runner).toBe(wanted.runner);
      expect(style.modulePath(ideas.clamp)).toBe(wanted.module);
      expect(style.testPath(ideas.clamp)).toBe(wanted.test);
      expect(style.testText(ideas.clamp)).toContain(wanted.says);
    } finally {
      await gone();
    }
  });

  it('say so where they find no suite to write for', async () => {
    const { folder, gone } = await project({ 'README.md': '# words only\n' });
    await expect(readStyle(folder)).rejects.toMatchObject({
      retryable: false,
      message: expect.stringContaining('cannot be played here'),
    });
    await gone();
  });

  it('switch off exactly the test that is named', () => {
    expect(skipTest('a.test.js', "it('one', f);\nit('two', f);\n", 'group > two')).toBe(
      "it('one', f);\nit.skip('two', f);\n",
    );
    expect(skipTest('test_a.py', 'def test_a():\n    pass\n', 'tests/test_a.py::test_a')).toBe(
      "import pytest\n@pytest.mark.skip(reason='flaky')\ndef test_a():\n    pass\n",
    );
    expect(skipTest('a.test.js', "it('one', f);\n", 'another')).toBeNull();
  });
});
