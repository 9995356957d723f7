import { describe, expect, test } from '@jest/globals';
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isOwnEvent } from '#messages/events';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

/** The types of events that the source of a room tells. */
const toldIn = (pattern: string): string[] => {
  const files = globSync(pattern, { cwd: root }).filter((file) => !/spec\.ts$/.test(file));
  const types = files.flatMap((file) =>
    [...read(file).matchAll(/(?:type: |[eE]vent\(\s*row,\s*)'([a-z]+\.[a-z_]+)'(?: : '([a-z]+\.[a-z_]+)')?/g)].flatMap(
      ([, ...told]) => told,
    ),
  );
  return [...new Set(types.filter((type) => type !== undefined))].sort();
};

describe('events', () => {
  test('that Muster tells can be published by nobody else', () => {
    const told = toldIn('libs/*/src/**/*.ts');
    expect(told).toEqual(
      expect.arrayContaining(['check.finished', 'enforcer.breached', 'runtime.stopped', 'task.created']),
    );
    expect(told.filter((type) => !isOwnEvent(type))).toEqual([]);
  });

  test('about verifications and submissions are all in the documentation, and no others', () => {
    const page = read('docs/verification.md');
    const table = page.slice(page.indexOf('\n## Events'), page.indexOf('\n## Why'));
    const listed = [...table.matchAll(/^\| (`[^|]+`) /gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, type]) => type),
    );
    const told = [...toldIn('libs/quality/src/**/*.ts'), ...toldIn('libs/integration/src/**/*.ts')];
    const about = /^(check|enforcer|submission|verification)\./;
    expect(listed.sort()).toEqual(
      [...new Set(told.filter((type) => about.test(type))), 'submission.approved', 'submission.review_rejected']
        .filter((type, index, all) => all.indexOf(type) === index)
        .sort(),
    );
  });
});
