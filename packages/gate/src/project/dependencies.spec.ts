import { describe, expect, it } from '@jest/globals';
import { withoutTags } from './dependencies.ts';
import { isOutage } from './npm.ts';

describe('tags in a lock', () => {
  const packages = {
    '': { devDependencies: { prettier: 'latest', range: '^1.0.0' } },
    'node_modules/prettier': { version: '2.8.1' },
    'node_modules/outer': { version: '1.0.0', dependencies: { inner: 'next', prettier: 'latest', gone: 'latest' } },
    'node_modules/outer/node_modules/inner': { version: '3.0.0-rc.1' },
    'packages/part': { dependencies: { prettier: 'latest' } },
    'packages/part/node_modules/prettier': { version: '3.0.0' },
  };

  it('mean the versions that the lock was written with', () => {
    expect(withoutTags(packages, '', packages[''])).toEqual({
      devDependencies: { prettier: '2.8.1', range: '^1.0.0' },
    });
    expect(withoutTags(packages, 'packages/part', packages['packages/part'])).toEqual({
      dependencies: { prettier: '3.0.0' },
    });
    expect(withoutTags(packages, 'node_modules/outer', packages['node_modules/outer'])).toEqual({
      version: '1.0.0',
      dependencies: { inner: '3.0.0-rc.1', prettier: '2.8.1', gone: 'latest' },
    });
  });

  it.each(['*', 'x', '', '1.x', 'v1.2.3', '~1.0.0', '>=1 <2', 'npm:other@^1.0.0', '1.0.0 || 2.0.0'])(
    'leaves the range “%s” alone',
    (spec) => {
      const manifest = { dependencies: { prettier: spec } };
      expect(withoutTags(packages, '', manifest)).toEqual(manifest);
    },
  );
});

describe('an installation that failed', () => {
  it.each([
    ['npm error code ECONNREFUSED\nnpm error request to http://127.0.0.1:1/a failed', true],
    ['npm error code ENOTFOUND', true],
    ['npm error code E503\nnpm error 503 Service Unavailable', true],
    ['npm error code ENOSPC', true],
    ['npm error code EUSAGE\nnpm error `npm ci` can only install packages when in sync', false],
    ['npm error code E404\nnpm error 404 Not Found', false],
    ['npm error code EINTEGRITY', false],
  ])('says whether the machine is to blame: %s', (said, expected) => {
    expect(isOutage(new Error(said), said)).toBe(expected);
  });

  it('blames the machine when it ran out of time', () => {
    expect(isOutage(Object.assign(new Error('killed'), { killed: true }), '')).toBe(true);
  });
});
