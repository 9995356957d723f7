import { expect, it } from '@jest/globals';
import { readCases } from './test-runner.ts';

it('finds the file of a pytest case, in a class or not', () => {
  const report = `<?xml version="1.0"?><testsuites><testsuite name="pytest">
    <testcase classname="tests.test_counting" name="test_counts" time="0.1" />
    <testcase classname="tests.test_counting.TestKnown" name="test_bug" time="0.1"><failure message="no">no</failure></testcase>
  </testsuite></testsuites>`;
  const cases = readCases('pytest', report, '/work', (path) => path === 'tests/test_counting.py');
  expect(cases?.map(({ name, file, status }) => [name, file, status])).toEqual([
    ['test_counts', 'tests/test_counting.py', 'passed'],
    ['test_bug', 'tests/test_counting.py', 'failed'],
  ]);
});
