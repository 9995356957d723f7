import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SourceTree } from '../source/tree.ts';
import { spelledOut } from './scripts.ts';
import { detectTests } from './test-runner.ts';

describe('a test script that starts others by their names', () => {
  const scripts = {
    'test:lint': 'echo lint; false',
    'test:node': 'echo node && tsx --test test/*.ts',
    'test:node:deep': 'echo deep',
    types: 'echo types',
    pretypes: 'echo before',
    broken: 'false',
    well: 'echo well',
    all: 'run-s types well',
  };
  const sh = (line: string) => {
    const { status, stdout } = spawnSync('sh', ['-c', line], { encoding: 'utf8' });
    return { status, words: stdout.split(/\s+/).filter(Boolean) };
  };

  it('is written out in order, and stops at the first that fails', () => {
    expect(sh(spelledOut(scripts, 'run-s -l types well'))).toEqual({ status: 0, words: ['before', 'types', 'well'] });
    expect(sh(spelledOut(scripts, 'npm-run-all broken well'))).toEqual({ status: 1, words: [] });
    expect(sh(spelledOut(scripts, 'echo first && npm-run-all -s all'))).toEqual({
      status: 0,
      words: ['first', 'before', 'types', 'well'],
    });
  });

  it('runs all of what would run side by side, and fails when one failed', () => {
    expect(sh(spelledOut(scripts, 'run-p broken types well'))).toEqual({
      status: 1,
      words: ['before', 'types', 'well'],
    });
    expect(sh(spelledOut(scripts, 'npm-run-all --parallel well types && echo then'))).toEqual({
      status: 0,
      words: ['well', 'before', 'types', 'then'],
    });
    expect(sh(spelledOut(scripts, 'run-s -c broken well'))).toEqual({ status: 1, words: ['well'] });
  });

  it('matches names as those programs do, and leaves what is not plain to npm', () => {
    expect(spelledOut(scripts, 'run-s test:*')).toBe('npm run --silent test:lint && echo node && tsx --test test/*.ts');
    expect(spelledOut(scripts, 'run-s test:**')).toMatch(/ && echo deep$/);
    for (const line of ['run-s nothing', 'run-p "test:* -- --watch"', 'run-s well -p types', 'run-p a -- b', 'run-s'])
      expect(spelledOut(scripts, line)).toBe(line);
  });

  it('shows the runner among them, which is asked for its report', () => {
    const folder = mkdtempSync(join(tmpdir(), 'gate-runner-'));
    try {
      const plan = detectTests(
        new SourceTree(folder),
        { ...scripts, test: 'run-p --aggregate-output test:*' },
        true,
        false,
      );
      expect(plan).toMatchObject({ runner: 'node:test', label: 'npm test' });
      expect(plan?.line('/p', false)).toMatch(/tsx --test --test-reporter=\/p\/node\.mjs [^;]*test\/\*\.ts; failed=/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
