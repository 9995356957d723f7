import { afterAll, describe, expect, it, jest } from '@jest/globals';
import { projectPolicy, type CheckFacts } from '@muster/contracts';
import { createHash } from 'node:crypto';
import { GateDesk, type Files } from '../../../../test/support/gate-desk.ts';
import { benchmarksCheck } from '../checks/benchmarks.ts';
import { bundleSizeCheck } from '../checks/bundle-size.ts';
import { queriesCheck, readQueryLog, shapeOf } from '../checks/queries.ts';
import type { Check } from '../checks/check.ts';
import { judge } from '../judge.ts';
import { runVerification } from '../verification.ts';
import { compare, leastRounds, signTest } from './comparison.ts';
import { measuresIn } from './measures.ts';

jest.setTimeout(240_000);
const desk = new GateDesk();
afterAll(() => desk.clear());

/** Numbers between -1 and 1 that come out the same each time. */
function noise(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48271) % 2147483647) / 1073741823.5 - 1;
}

describe('comparing rounds', () => {
  it('gives the exact p of the sign test', () => {
    expect([signTest(5, 5), signTest(4, 5), signTest(3, 5), signTest(0, 5)]).toEqual([1 / 32, 6 / 32, 16 / 32, 1]);
    expect(signTest(12, 13)).toBeCloseTo(14 / 8192);
  });

  it('gets over rounds in which the machine was busy with something else', () => {
    const pairs = Array.from({ length: 13 }, (_, at) => ({ base: at === 4 ? 1.7 : 1, change: 1.2 }));
    expect(compare(pairs, 'lower', 10, 1)).toEqual({ verdict: 'slower', percent: 20 });
  });

  it('needs more rounds the more is measured', () => {
    expect([leastRounds(1), leastRounds(10), leastRounds(100)]).toEqual([9, 13, 16]);
  });

  it.each([
    [1.2, 'slower'],
    [1, 'not_slower'],
    [0.8, 'not_slower'],
    [1.1, 'undecided'],
  ] as const)(
    'calls a change of %d times the time %s at a border of 10 %%, in noise that both share',
    (times, verdict) => {
      const random = noise(7);
      const pairs = Array.from({ length: 20 }, () => {
        const machine = 1 + 0.5 * random();
        return { base: machine * (1 + 0.04 * random()), change: machine * times * (1 + 0.04 * random()) };
      });
      expect(compare(pairs, 'lower', 10, 1)).toMatchObject({ verdict });
      const faster = pairs.map(({ base, change }) => ({ base: 1 / base, change: 1 / change }));
      expect(compare(faster, 'higher', 10, 1)).toMatchObject({ verdict });
    },
  );
});

describe('measures', () => {
  it.each([
    ['our own form', 'warming up…\n{"measures":[{"name":"a","samples":[3,1,2]},{"name":"b","value":5,"better":"higher"}]}', [['a', 2, 'lower'], ['b', 5, 'higher']]],
    ['an array of values', '[{"name":"a","unit":"ms","value":4}]', [['a', 4, 'lower']]],
    ['tinybench', '[{"name":"a","result":{"latency":{"mean":3,"p50":2}}}]', [['a', 2, 'lower']]],
    ['vitest', '{"files":[{"filepath":"x","groups":[{"fullName":"f","benchmarks":[{"name":"a","mean":3,"median":2}]}]}]}', [['f > a', 2, 'lower']]],
    ['pytest-benchmark', '{"benchmarks":[{"fullname":"t.py::a","stats":{"median":0.5,"mean":1}}]}', [['t.py::a', 0.5, 'lower']]],
    ['nothing known', 'a took 3 ms', []],
    ['what is no time', '{"measures":[{"name":"a","value":-1}]}', []],
  ])('are read from %s', (_form, printed, expected) => {
    expect(measuresIn(printed).map(({ name, value, better }) => [name, value, better])).toEqual(expected);
  }); // prettier-ignore
});

const idOf = (files: Files): string =>
  createHash('sha1')
    .update(JSON.stringify(Object.entries(files).sort()))
    .digest('hex');
async function look(
  check: Check,
  base: Files,
  candidate: Files,
  performance: unknown,
): Promise<CheckFacts & { score: number }> {
  const policy = projectPolicy.parse({ performance, required: [check.name] });
  const facts = await runVerification({
    candidateDir: desk.tree(candidate).dir,
    baseDir: desk.tree(base).dir,
    restoresDir: null,
    input: {
      purpose: 'admission',
      candidateTree: idOf(candidate),
      baseTree: idOf(base),
      restoresTree: null,
      policy,
      rulesDigest: 'r',
    },
    workDir: `${desk.root}/work-${idOf(candidate)}`,
    cacheDir: `${desk.root}/cache`,
    sandbox: await desk.sandbox(),
    checks: [check],
  });
  return { ...facts.checks[0]!, score: judge(facts, policy, 'admission').score };
}

/** Counts its own steps instead of taking the time, so that a test knows what comes out. */
const counted = (files: Files = {}): Files => ({
  'package.json': '{ "type": "module", "scripts": { "bench:json": "node bench/steps.js" } }',
  'src/work.js': 'export const work = () => 100;\n',
  'bench/steps.js':
    "import { work } from '../src/work.js';\nconsole.log(JSON.stringify({ measures: [{ name: 'steps', value: work() }] }));\n",
  ...files,
});

describe('benchmarks', () => {
  it('find what is slower, by a verdict of their own that costs no points', async () => {
    const slower = await look(
      benchmarksCheck,
      counted(),
      counted({ 'src/work.js': 'export const work = () => 130;\n' }),
      {},
    );
    expect(slower).toMatchObject({ status: 'failed', score: 100, metrics: { 'bench:json.steps.percent': 30 } });
    expect(slower.findings.map((each) => [each.rule, each.level])).toEqual([['benchmarks.slower', 'note']]);
  });

  it('let pass what is as fast, in the fewest rounds', async () => {
    const same = await look(
      benchmarksCheck,
      counted(),
      counted({ 'src/work.js': 'export const work = () => 104;\n' }),
      {},
    );
    expect(same).toMatchObject({ status: 'passed', metrics: { 'bench:json.rounds': 9 } });
  });

  it('say that they cannot tell where the noise is too great', async () => {
    const files = counted({ 'src/work.js': 'export const work = () => 1 + 1000 * Math.random();\n' });
    const performance = { benchmarks: [{ name: 'noise', run: 'node bench/steps.js', mostRounds: 9 }] };
    const noisy = await look(benchmarksCheck, files, { ...files, 'README.md': '' }, performance);
    expect(noisy.status).toBe('inconclusive');
  });

  it('measure the change by the branch’s ruler', async () => {
    const rigged = counted({
      'src/work.js': 'export const work = () => 130;\n',
      'bench/steps.js': "console.log(JSON.stringify({ measures: [{ name: 'steps', value: 1 }] }));\n",
    });
    expect(await look(benchmarksCheck, counted(), rigged, {})).toMatchObject({ status: 'failed' });
    const renamed = counted({
      'src/work.js': 'export const labour = () => 100;\n',
      'bench/steps.js': counted()['bench/steps.js']!.replaceAll('work()', 'labour()').replace('{ work }', '{ labour }'),
    });
    expect(await look(benchmarksCheck, counted(), renamed, {})).toMatchObject({ status: 'inconclusive' });
    const broken = counted({ 'src/work.js': 'export const labour = () => 100;\n' });
    const seen = await look(benchmarksCheck, counted(), broken, {});
    expect(seen.findings.map((each) => each.rule)).toEqual(['benchmarks.broken']);
  });

  it('are not run where there are none, or the branch’s do not work', async () => {
    const none = { 'package.json': '{}' };
    expect((await look(benchmarksCheck, none, { ...none, a: '' }, {})).status).toBe('not_run');
    const broken = counted({ 'bench/steps.js': 'process.exit(3);\n' });
    expect((await look(benchmarksCheck, broken, { ...broken, a: '' }, {})).status).toBe('not_run');
  });
});

describe('bundle size', () => {
  const built = (kilobytes: number): Files => ({
    'package.json': '{ "type": "module", "scripts": { "build": "node build.js" } }',
    'build.js': `import { mkdirSync, writeFileSync } from 'node:fs';\nmkdirSync('dist', { recursive: true });\nlet text = '';\nfor (let at = 0; at < ${kilobytes * 100}; at++) text += 'w' + ((at * 2654435761) % 4294967296).toString(36) + ' ';\nwriteFileSync('dist/app.js', text);\n`,
  });
  it.each([
    ['grown', 20, 30, {}, ['bundle-size.grown']],
    ['grown little', 20, 21, {}, []],
  ])('what is %s', async (_what, before, after, limits, rules) => {
    const seen = await look(bundleSizeCheck, built(before), built(after), {
      artefacts: [{ path: 'dist/*.js', ...limits }],
    });
    expect(seen.findings.map((each) => each.rule)).toEqual(rules);
    expect(seen.metrics[`${(limits as { path?: string }).path ?? 'dist/*.js'}.gzip`]).toBeGreaterThan(0);
  });

  it('charges what passes the limit with this change, and what is not built any more', async () => {
    const half = (await look(bundleSizeCheck, built(20), built(21), { artefacts: [{ path: 'dist/*.js' }] })).metrics[
      'dist/*.js.gzip'
    ]!;
    const limit = { artefacts: [{ path: 'dist/*.js', mostGzipBytes: half }] };
    expect((await look(bundleSizeCheck, built(20), built(30), limit)).findings.map((each) => each.rule)).toEqual([
      'bundle-size.too_large',
    ]);
    const elsewhere = { ...built(20), 'build.js': built(20)['build.js']!.replaceAll('dist', 'out') };
    expect((await look(bundleSizeCheck, built(20), elsewhere, limit)).findings.map((each) => each.rule)).toEqual([
      'bundle-size.gone',
    ]);
  });
});

describe('queries', () => {
  it('are the same whatever their literals', () => {
    expect(shapeOf("SELECT * FROM t WHERE a = $1 AND b IN (1, 2,3) -- why\n AND c = 'it''s' AND d::text = :name")).toBe(
      'select * from t where a = ? and b in (?) and c = ? and d::text = ?',
    );
    expect(readQueryLog('{"sql":"select 1"}\nnonsense\n{"sql":"select 2"}\n').byShape.get('select ?')?.repeats).toBe(2);
  });

  const asking = (times: number, ms = 1): Files => ({
    'package.json': '{ "type": "module", "scripts": { "test": "node --test" } }',
    'src/users.js': `export const users = (ask) => {\n  for (let id = 0; id < ${times}; id++) ask('select * from users where id = ' + id);\n};\n`,
    'test/users.test.js': `import test from 'node:test';\nimport { appendFileSync } from 'node:fs';\nimport { users } from '../src/users.js';\ntest('asks', () => users((sql) => appendFileSync(process.env.MUSTER_QUERY_LOG ?? '/dev/null', JSON.stringify({ sql, scope: 'GET /users', ms: ${ms}, at: 'src/users.js:2' }) + '\\n')));\n`,
  });
  it('charge what is asked again and again, and show what is slow', async () => {
    const seen = await look(queriesCheck, asking(1), asking(12, 300), { queries: {} });
    expect(seen.findings.map((each) => [each.rule, each.level, each.path, each.line])).toEqual([
      ['queries.repeated', 'warning', 'src/users.js', 2],
      ['queries.slow', 'note', 'src/users.js', 2],
    ]);
    const before = await look(queriesCheck, asking(12, 300), asking(13, 300), { queries: {} });
    expect(before).toMatchObject({ status: 'passed', findings: [] });
  });
  it('are not looked at where nothing writes a log', async () => {
    const silent = {
      ...asking(1),
      'test/users.test.js': "import test from 'node:test';\ntest('nothing', () => {});\n",
    };
    expect((await look(queriesCheck, silent, { ...silent, a: '' }, { queries: {} })).status).toBe('not_run');
  });
});
