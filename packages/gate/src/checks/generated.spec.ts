import { afterAll, describe, expect, it, jest } from '@jest/globals';
import type { CheckFacts } from '@muster/contracts';
import { GateDesk, type Files } from '../../../../test/support/gate-desk.ts';
import { generatedCheck } from './generated.ts';

jest.setTimeout(120_000);
const desk = new GateDesk();
afterAll(() => desk.clear());
const rules = [{ files: ['gen/**'], run: 'node generate.cjs' }];
const look = (base: Files, candidate: Files, generated: object[] = rules): Promise<CheckFacts> =>
  desk.verify(generatedCheck, base, candidate, null, { generated });

const generator = `const fs = require('fs');
fs.mkdirSync('gen', { recursive: true });
fs.writeFileSync('gen/words.js', fs.readFileSync('words.txt', 'utf8').trim().split('\\n').map((word) => \`export const \${word} = 1;\\n\`).join(''));
`;
const made = (...words: string[]): string => words.map((word) => `export const ${word} = 1;\n`).join('');
const project = (...words: string[]): Files => ({
  'package.json': '{ "name": "sample", "type": "module" }',
  'generate.cjs': generator,
  'words.txt': `${words.join('\n')}\n`,
  'gen/words.js': made(...words),
});
const byHand = { 'gen/words.js': `${made('one', 'two')}export const three = steal();\n` };

describe('files that the branch declares as generated', () => {
  it('are taken where the declared command makes them of what comes with them', async () => {
    expect(await look(project('one'), project('one', 'two'))).toMatchObject({ status: 'passed', findings: [] });
  });

  it.each<[string, Files, Files]>([
    ['beside what was made', project('one'), { ...project('one', 'two'), ...byHand }],
    ['alone', project('one', 'two'), { ...project('one', 'two'), ...byHand }],
    ['where nothing had been made before', { 'package.json': '{ "name": "sample" }' }, { ...project('one', 'two'), ...byHand }],
  ])('are refused where somebody wrote in them, %s', async (_where, base, candidate) => {
    expect(await look(base, candidate)).toMatchObject({
      status: 'failed',
      findings: [{ rule: 'generated.by_hand', level: 'error', path: 'gen/words.js', remedy: expect.stringContaining('node generate.cjs') }],
    });
  }); // prettier-ignore

  it('are refused where they are taken away and would be made again', async () => {
    const { 'gen/words.js': _gone, ...rest } = project('one');
    expect(await look(project('one'), rest)).toMatchObject({ findings: [{ rule: 'generated.by_hand', path: 'gen/words.js' }] }); // prettier-ignore
  });

  it('are refused where the command makes nothing any more', async () => {
    const broken = { ...project('one', 'two'), 'generate.cjs': 'process.exit(3);\n' };
    expect(await look(project('one'), broken)).toMatchObject({ status: 'failed', findings: [{ rule: 'generated.not_made', message: expect.stringContaining('exit code 3') }] }); // prettier-ignore
  });

  it('are not charged to a change where the branch had others than are made, or makes others each time', async () => {
    const other = (files: Files): Files => ({ ...files, 'gen/words.js': `// by hand\n${files['gen/words.js']!}` });
    expect(await look(other(project('one')), other(project('one', 'two')))).toMatchObject({ status: 'passed', findings: [] }); // prettier-ignore
    const random = {
      'generate.cjs': `${generator}fs.appendFileSync('gen/words.js', '// ' + Math.random() + '\\n');\n`,
    };
    const seen = await look({ ...project('one'), ...random }, { ...project('one', 'two'), ...random });
    expect(seen).toMatchObject({ status: 'not_run', summary: expect.stringContaining('make different "gen/words.js"'), findings: [] }); // prettier-ignore
  });

  it('are charged to nobody where the command works neither here nor on the branch', async () => {
    const broken = { 'generate.cjs': 'process.exit(3);\n' };
    const added = { ...project('one'), ...broken, 'gen/more.js': '' };
    expect(await look({ ...project('one'), ...broken }, added)).toMatchObject({ status: 'not_run', findings: [] });
  });

  it('may go with what made them', async () => {
    const { 'generate.cjs': _generator, 'gen/words.js': _gone, ...rest } = project('one');
    expect(await look(project('one'), rest)).toMatchObject({ status: 'passed', findings: [] });
  });

  it('are not asked about where none is touched, or none is declared', async () => {
    const { 'generate.cjs': _gone, ...rest } = project('one');
    expect(await look(rest, { ...rest, 'other.js': '' })).toMatchObject({ status: 'passed', findings: [] });
    expect(await look(rest, { ...rest, ...byHand }, [])).toMatchObject({ status: 'passed', findings: [] });
  });
});
