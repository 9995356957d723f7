import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { gatePolicy, projectPolicy, type CheckFacts, type VerificationFacts } from '@muster/contracts';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { judge } from '../judge.ts';
import { detectSandbox, type Sandbox } from '../sandbox/detect.ts';
import { runVerification } from '../verification.ts';

let root: string;
let sandbox: Sandbox;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'gate-extra-'));
  sandbox = await detectSandbox('auto');
  mkdirSync(join(root, 'tools'), { mode: 0o755 });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const section = readme.slice(readme.indexOf('### A check of your own'));
const block = (language: string): string =>
  new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(section)?.[1] ?? '';

async function verify(server: unknown): Promise<VerificationFacts> {
  const write = (name: string, files: Record<string, string>): string => {
    const dir = mkdtempSync(join(root, `${name}-`));
    for (const [path, text] of Object.entries(files)) writeFileSync(join(dir, path), text);
    return dir;
  };
  return await runVerification({
    candidateDir: write('candidate', { 'old.js': 'let a;\n', 'new.js': 'let b;\n', 'good.js': '// SPDX-x\n' }),
    baseDir: write('base', { 'old.js': 'let a;\n' }),
    restoresDir: null,
    input: {
      purpose: 'admission',
      candidateTree: 'c'.repeat(40),
      baseTree: 'b'.repeat(40),
      restoresTree: null,
      policy: projectPolicy.parse({}),
      rulesDigest: 'r',
      server: gatePolicy.parse(server),
    },
    workDir: mkdtempSync(join(root, 'work-')),
    cacheDir: join(root, 'cache'),
    sandbox,
    checks: [],
  });
}
const command = (script: string, more: object = {}): object => {
  writeFileSync(join(root, 'tools', 'check.mjs'), script);
  return {
    checks: [
      { name: 'mine', category: 'style', command: ['node', '{tool}/check.mjs'], tool: join(root, 'tools'), ...more },
    ],
  };
};
const only = (facts: VerificationFacts): CheckFacts => {
  expect(facts.checks).toHaveLength(1);
  return facts.checks[0]!;
};

describe('a check of the operator', () => {
  it('works as the README shows it', async () => {
    const policy = gatePolicy.parse(parse(block('yaml')));
    writeFileSync(join(root, 'tools', 'header.mjs'), block('js'));
    const [header] = policy.checks;
    const facts = await verify({ checks: [{ ...header, tool: join(root, 'tools') }], required: policy.required });
    expect(only(facts)).toMatchObject({
      check: 'header',
      category: 'style',
      status: 'failed',
      summary: '1 new files without a licence header',
      metrics: { bare: 1 },
      findings: [{ rule: 'header.missing', level: 'warning', path: 'new.js', line: 1, veto: false }],
    });
    const required = projectPolicy.parse({ required: policy.required });
    expect(judge(facts, required, 'admission').reasons).toEqual([
      'header: required, and failed: 1 new files without a licence header',
    ]);
  });

  it('is counted by what it says in SARIF about the lines of the change', async () => {
    const result = (uri: string): object => ({
      ruleId: 'r1',
      level: 'error',
      message: { text: 'bad' },
      locations: [{ physicalLocation: { artifactLocation: { uri }, region: { startLine: 1 } } }],
    });
    const log = { version: '2.1.0', runs: [{ results: [result('old.js'), result('new.js')] }] };
    const said = only(await verify(command(`console.log(${JSON.stringify(JSON.stringify(log))})`)));
    expect(said).toMatchObject({ status: 'failed', findings: [{ rule: 'mine.r1', path: 'new.js', level: 'error' }] });
  });

  it.each([
    ['rubbish', 'console.log("{ not json")', /printed no JSON/],
    ['another shape', 'console.log("{}")', /neither a check's outcome nor SARIF/],
    ['nothing but a crash', 'throw new Error("boom")', /exit code 1 and printed no JSON: [\s\S]*boom|exit code 1/],
    ['nothing in time', 'setInterval(() => {}, 1000)', /ran out of its 1 s/],
  ])('is inconclusive when it answers %s', async (_what, script, why) => {
    const said = only(await verify(command(script, { timeoutSeconds: 1 })));
    expect(said.status).toBe('inconclusive');
    expect(said.summary).toMatch(why);
  });

  it('refuses by itself only where the operator lets it', async () => {
    const script = `console.log(JSON.stringify({ status: 'failed', summary: 's', findings: [{ rule: 'x', level: 'error', veto: true, message: 'm' }] }))`;
    expect(only(await verify(command(script))).findings[0]?.veto).toBe(false);
    expect(only(await verify(command(script, { mayVeto: true }))).findings[0]?.veto).toBe(true);
  });

  it('can reach neither the trees for writing nor the network nor the host', async () => {
    const script = `
      import { writeFileSync, existsSync } from 'node:fs';
      const tries = { write: () => writeFileSync(process.env.MUSTER_CANDIDATE + '/new.js', 'x'), net: () => fetch('http://1.1.1.1'), host: () => { if (!existsSync(${JSON.stringify(root)})) throw 1; } };
      const done = [];
      for (const [name, f] of Object.entries(tries)) { try { await f(); done.push(name); } catch {} }
      console.log(JSON.stringify({ status: 'passed', summary: done.join() }));`;
    expect(only(await verify(command(script))).summary).toBe('');
  });

  it('may be a package, which is handed what ours are', async () => {
    const module = join(root, 'tools', 'package.mjs');
    writeFileSync(
      module,
      `export default { run: ({ changes }) => ({ status: 'passed', summary: changes.map((each) => each.path).join() }) };`,
    );
    const facts = await verify({ checks: [{ name: 'mine', category: 'documentation', package: module }] });
    expect(only(facts)).toMatchObject({ status: 'passed', summary: 'good.js,new.js', category: 'documentation' });
    writeFileSync(join(root, 'tools', 'broken.mjs'), 'export default 1;');
    const broken = await verify({
      checks: [{ name: 'mine', category: 'style', package: join(root, 'tools', 'broken.mjs') }],
    });
    expect(only(broken)).toMatchObject({ status: 'inconclusive' });
  });
});
