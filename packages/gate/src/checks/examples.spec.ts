import { afterAll, expect, it, jest, describe } from '@jest/globals';
import type { CheckFacts } from '@muster/contracts';
import { GateDesk, type Files } from '../../../../test/support/gate-desk.ts';
import { examplesCheck } from './examples.ts';

jest.setTimeout(120_000);
const desk = new GateDesk();
afterAll(() => desk.clear());
const look = (base: Files, candidate: Files): Promise<CheckFacts> => desk.verify(examplesCheck, base, candidate);

const block = (language: string, code: string): string => `\`\`\`${language}\n${code}\n\`\`\`\n`;
const readme = (...blocks: string[]): string => `# Sample\n\n${blocks.join('\n')}`;
const files: Files = {
  'package.json': '{ "name": "sample", "type": "module", "exports": "./src/index.js" }',
  'src/index.js': 'export const greet = (name) => `Hello ${name}`;\n',
  'src/till.py': 'def price():\n    return 1\n',
  'README.md': readme(
    block('js', "import { greet } from 'sample';\nconsole.log(greet('Ada').toUpperCase());"),
    block('python', 'from till import price\nprint(price() + 1)'),
    block('js', "import { nothing } from 'elsewhere';"),
    block('ts norun', "import { greet } from 'sample';\ngreet(1);"),
  ),
  'examples/greet.js': "import { greet } from 'sample';\nif (greet('Bo') === undefined) process.exit(3);\n",
};

describe('examples', () => {
  it('count when they ran on the branch and do not any more, at their line', async () => {
    const renamed = { ...files, 'src/index.js': 'export const welcome = (name) => `Hello ${name}`;\n' };
    const seen = await look(files, renamed);
    expect(seen.findings.map(({ rule, path, line }) => [rule, path, line])).toEqual([
      ['examples.broken', 'README.md', 3],
      ['examples.broken', 'examples/greet.js', 1],
    ]);
    expect((await look(files, { ...files, 'src/till.py': 'def cost():\n    return 1\n' })).findings).toMatchObject([
      { rule: 'examples.broken', path: 'README.md', line: 8 },
    ]);
  });

  it('count nothing where they run, or never did', async () => {
    const other = { ...files, 'src/index.js': `${files['src/index.js']}export const more = 1;\n` };
    expect(await look(files, other)).toMatchObject({ status: 'passed', findings: [], metrics: { examples: 4, running: 3 } });
    const mended = { ...files, 'src/index.js': 'export const welcome = () => "";\n', 'README.md': '# Sample\n', 'examples/greet.js': '' };
    expect((await look(files, mended)).findings).toEqual([]);
  }); // prettier-ignore

  it('are taken at their word when a new one says that it can be run', async () => {
    const more = (language: string): Files => ({
      ...files,
      'README.md': `${files['README.md']}\n${block(language, "import { gone } from 'sample';\ngone();")}`,
    });
    expect((await look(files, more('js runnable'))).findings).toMatchObject([{ rule: 'examples.does_not_run' }]);
    expect((await look(files, more('js'))).findings).toEqual([]);
  });
});
