import { afterAll, describe, expect, it } from '@jest/globals';
import { GateDesk } from '../../../../test/support/gate-desk.ts';
import { planFor, runsApart } from '../project/test-runner.ts';
import { keepToThemselves } from './apart.ts';

const desk = new GateDesk();
afterAll(() => desk.clear());
const beside = { 'src/sum.js': 'export const sum = (a, b) => a + b;\n', 'src/clock.ts': 'export const now = 1;\n' };
const keeps = (path: string, text: string): boolean => keepToThemselves(desk.tree({ ...beside, [path]: text }), [path]);

describe('files that are loaded in a process', () => {
  it.each([
    ["import test from 'node:test';\nimport assert from 'node:assert/strict';\nimport { sum } from './sum.js';\ntest('adds', () => assert.equal(sum(1, 2), 3));\n"],
    ["import { expect, it, vi } from 'vitest';\nimport type { now } from './clock';\nvi.mock('./clock');\nit('holds', () => expect(1).toBe(1));\n"],
    ["import { createHash } from 'node:crypto';\nexport const digest = (text: string): string => createHash('sha256').update(text).digest('hex');\n"],
  ])('keep to themselves where they take and name nothing that reaches beyond it: %j', (text) => {
    expect(keeps('src/a.test.ts', text)).toBe(true);
  }); // prettier-ignore

  it.each([
    ["import { readFileSync } from 'node:fs';"],
    ["import net from 'net';"],
    ["import { Pool } from 'pg';"],
    ["import { type Pool } from 'pg';"],
    ["import net = require('node:net');"],
    ["import pg from '../node_modules/pg/lib/index.js';"],
    ["import { gone } from './gone.js';"],
    ["const { exec } = require('child_process');"],
    ['const load = require; load("fs");'],
    ["await import('lodash');"],
    ["vi.mock('pg');"],
    ["vi.mock<typeof import('./clock')>('pg', () => ({}));"],
    ["vi['import' + 'Actual']('./clock');"],
    ["(() => 1)['constructor']('return this')();"],
    ['pro\\u0063ess.exit();'],
    ["export * from 'node:test';"],
    [`export const long = '${'x'.repeat(500_000)}';`],
    ["await vi.importActual('./' + name);"],
    ['await fetch(url);'],
    ['process.chdir("..");'],
    ['new Worker(url);'],
    ['(() => 1).constructor("return this")();'],
    ["expect(page).toMatchFileSnapshot('page.html');"],
    ['// @vitest-environment jsdom'],
    ["import { run } from 'node:test';\nrun({ files });"],
    ["import * as runner from 'node:test';\nrunner.run({ files });"],
    ["import { startVitest } from 'vitest/node';"],
  ])('may reach beyond it: %j', (text) => {
    expect(keeps('src/a.test.ts', text)).toBe(false);
  });

  it('may be anything where they are no modules that can be read, or are Python', () => {
    expect(keeps('src/a.py', 'x = 1\n')).toBe(false);
    expect(keeps('.env', 'NODE_OPTIONS=--import=x\n')).toBe(false);
    expect(keeps('package.json', '{}')).toBe(true);
    expect(keepToThemselves(desk.tree({}), ['gone.ts'])).toBe(false);
  });

  it.each([
    ["import { defineConfig } from 'vitest/config';\nexport default defineConfig({ test: { include: ['src/**/*.spec.ts'], pool: 'threads' } });", true],
    ["export default { test: { isolate: false } };", false],
    ["export default { test: { 'isolate': false } };", false],
    ["export default { test: { pool: 'vmThreads' } };", false],
    ["export default { test: { setupFiles: ['jest-extended'] } };", false],
    ["import react from '@vitejs/plugin-react';\nexport default { plugins: [react()] };", false],
    ["const isolate = false;\nexport default { test: { isolate } };", false],
    ["import shared from './shared.js';\nexport default { test: { ...shared } };", false],
    ["export default { test: { ['iso' + 'late']: false } };", false],
    ["export default { test: JSON.parse('{\"isolate\":false}') };", false],
    ["const c = { test: {} };\nc.test.isolate ??= false;\nexport default c;", false],
    ["export default ['packages/*'];", false],
  ])('are settings that bring nothing along: %j is %s', (text, harmless) => {
    expect(keeps('vitest.config.ts', text)).toBe(harmless);
  }); // prettier-ignore
});

it.each(['vitest.workspace.ts', 'vitest.projects.mts', 'test.config.ts'])('%s is never taken for harmless', (path) => {
  expect(keeps(path, "export default { test: { pool: 'forks' } };")).toBe(false);
});

describe('a line that runs test files', () => {
  it.each([
    ["node --test 'test/a.test.js' 'test/b.test.js'", true],
    ["node --test-timeout=500 --test 'test/a.test.js'", true],
    ["vitest run --run 'src/a.spec.ts'", true],
    ['vitest', true],
    ['vitest run', true],
    ['node --test "test/*.test.js"', true],
    ["node --test '--test-isolation=none' 'test/*.test.js'", false],
    ["node '--import=./setup.js' --test 'test/a.test.js'", false],
    ['node --test $OPTIONS test/', false],
    ['vitest run "--no-isolate"', false],
    ['vitest related src/a.ts', false],
    ["node --test --test-isolation=none 'test/a.test.js'", false],
    ["node --import ./setup.js --test 'test/a.test.js'", false],
    ["node --import=tsx --test 'test/a.test.js'", false],
    ["NODE_OPTIONS=--import=tsx node --test 'test/a.test.js'", false],
    ["node seed.js && node --test 'test/a.test.js'", false],
    ["vitest run --no-isolate --run 'src/a.spec.ts'", false],
    ["vitest run --config other.ts --run 'src/a.spec.ts'", false],
    ["mocha 'test/a.test.js'", false],
    ["jest --runTestsByPath 'test/a.test.js'", false],
    ["python3 -m pytest 'tests/test_a.py'", false],
  ])('gives each a process of its own: %s is %s', (line, apart) => {
    expect(runsApart(planFor('npm test', line))).toBe(apart);
  });
});
