import type { TestCase } from '@muster/contracts';

const escape = (text: string): string =>
  text
    // XML 1.0 has no place for these, escaped or not.
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll('\n', '&#10;');

/** Results of tests as JUnit's XML, which every CI system and editor reads. */
export function junitOf(cases: readonly TestCase[]): string {
  const files = Map.groupBy(cases, ({ file }) => file ?? '');
  const suites = [...files].map(([file, own]) => {
    const lines = own.map(({ name, status, message, ms }) => {
      const head = `    <testcase name="${escape(name)}" classname="${escape(file)}"${ms === null ? '' : ` time="${(ms / 1000).toFixed(3)}"`}`;
      if (status === 'passed') return `${head}/>`;
      const what =
        status === 'skipped' ? '<skipped/>' : `<failure message="${escape((message ?? '').slice(0, 8000))}"/>`;
      return `${head}>${what}</testcase>`;
    });
    const count = (status: TestCase['status']): number => own.filter((each) => each.status === status).length;
    return [
      `  <testsuite name="${escape(file)}" tests="${own.length}" failures="${count('failed')}" skipped="${count('skipped')}">`,
      ...lines,
      '  </testsuite>',
    ].join('\n');
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join('\n')}\n</testsuites>\n`;
}
