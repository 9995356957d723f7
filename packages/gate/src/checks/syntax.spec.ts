import { afterAll, describe, expect, it, jest } from '@jest/globals';
import type { CheckFacts } from '@muster/contracts';
import { spawnSync } from 'node:child_process';
import { GateDesk, type Files } from '../../../../test/support/gate-desk.ts';
import { missingPrograms, needing } from '../../../../test/support/needing.ts';
import { syntaxCheck } from './syntax.ts';

const withLinters = needing('what linters say', missingPrograms('shellcheck', 'pyflakes3'));

jest.setTimeout(120_000);
const desk = new GateDesk();
afterAll(() => desk.clear());
const look = (base: Files, candidate: Files): Promise<CheckFacts> => desk.verify(syntaxCheck, base, candidate);
const rules = ({ findings }: CheckFacts): string[] => findings.map(({ rule, path, line }) => `${rule} ${path}:${line}`);

const whole = { 'a.sh': '#!/bin/sh\necho "$1"\n', 'b.py': 'def one():\n    return 1\n' };

describe('files in languages of their own tools', () => {
  it('are refused when they parsed before and do not any more, at the line that the tool names', async () => {
    const seen = await look(whole, {
      'a.sh': '#!/bin/sh\nif [ "$1" = x ]; then\necho "$1"\n',
      'b.py': 'def one(:\n    return 1\n',
      tool: '#!/usr/bin/env bash\nlist=(a b\necho "${list[0]}"\n',
    });
    expect(seen.status).toBe('failed');
    expect(rules(seen).sort()).toEqual([
      'syntax.broken a.sh:4',
      'syntax.broken b.py:1',
      expect.stringMatching(/^syntax.broken tool:\d/),
    ]);
    expect(seen.findings.every(({ level }) => level === 'error')).toBe(true);
    expect(seen.tool?.name).toContain('python3');
  });

  it('cost nothing for what was broken before, or is written for another shell', async () => {
    const broken = { 'a.sh': '#!/bin/sh\nif\n', 'z.sh': '#!/bin/zsh\nfor x (a b) print $x\n' };
    const seen = await look({ 'a.sh': broken['a.sh'] }, { ...broken, 'a.sh': '#!/bin/sh\n# A word more.\nif\n' });
    expect(rules(seen)).toEqual([]);
    const plain = await look({ 'a.txt': 'one\n' }, { 'a.txt': 'if [\n', 'c.js': 'if (\n' });
    expect(plain).toMatchObject({ status: 'passed', summary: expect.stringContaining('holds nothing') });
  });

  withLinters.it(
    'hear from linters about added lines only, whatever the project’s settings and marks say',
    async () => {
      const before = { 'a.sh': '#!/bin/bash\ncd "$1"\necho done\n', 'b.py': 'import os\n\nprint(1)\n' };
      const seen = await look(before, {
        'a.sh': '#!/bin/bash\ncd "$1"\necho done\ncd "$2"\n',
        'b.py': 'import os\nimport sys\n\nprint(1)\n',
        '.shellcheckrc': 'disable=all\n',
        'setup.cfg': '[flake8]\nignore = F401\n',
      });
      expect(rules(seen)).toEqual([
        'syntax.SC2164 a.sh:4',
        expect.stringMatching(/^syntax\.(?:pyflakes3|F401) b\.py:2$/),
      ]);
      expect(seen.findings.every(({ level }) => level === 'warning')).toBe(true);
    },
  );

  withLinters.it('fail where a name is said that nothing defines', async () => {
    const seen = await look(
      {},
      { 'b.py': 'def f(x):\n    if x < 0:\n        raise StockError(x)\n    return __file__\n' },
    );
    expect(seen.findings.map(({ level, line }) => [level, line])).toEqual([['error', 3]]);
  });

  it('are not run: neither what is in them, nor what their names would say to a shell', async () => {
    const name = "it's $(touch run).sh";
    const seen = await look(
      {},
      {
        [name]: '#!/bin/sh\ntouch "$(dirname "$0")/ran"\nexit 1\n',
        'c.py': 'open("ran", "w").close()\nraise SystemExit(1)\n',
        'muster-syntax parse 0 sh 0 .sh': '#!/bin/sh\nfi\n',
      },
    );
    expect(rules(seen)).toEqual([expect.stringMatching(/^syntax.broken muster-syntax parse 0 sh 0 \.sh:2$/)]);
  });

  it('say so where nothing is installed that reads them', async () => {
    if (spawnSync('luac', ['-v']).error === undefined) return;
    const seen = await look({}, { 'a.lua': 'if\n' });
    expect(seen).toMatchObject({ status: 'not_run', summary: 'nothing that reads Lua is installed where checks run' });
    const some = await look({}, { 'a.lua': 'if\n', ...whole });
    expect(some).toMatchObject({ status: 'passed', summary: expect.stringContaining('nothing here reads Lua') });
  });
});
