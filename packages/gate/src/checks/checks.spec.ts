import { afterAll, describe, expect, it } from '@jest/globals';
import { projectPolicy, type Finding, type TestCase } from '@muster/contracts';
import { GateDesk, suiteOf, type Files } from '../../../../test/support/gate-desk.ts';
import type { TreeFacts, TreeRun } from '../project/tree-run.ts';
import type { CheckOutcome, FormerTests } from './check.ts';
import { honestyCheck } from './honesty.ts';
import { secretsCheck, secretsIn } from './secrets.ts';
import { tamperingCheck } from './tampering.ts';
import { noTrials } from './trials.ts';
import { weakenedTestsCheck } from './weakened-tests.ts';

const desk = new GateDesk();
afterAll(() => desk.clear());
const run = desk.run.bind(desk);
const suite = suiteOf;
const vetoes = (result: CheckOutcome): string[] =>
  result.findings.filter((each: Finding) => each.veto).map((each) => each.rule);

// Put together at run time, so that no scanner takes this file for a leak.
const leaks: readonly [string, string][] = [
  ['aws-access-key', `key = "${'AKIA'}IOSFODNN7QWERTYU"`],
  ['github-token', `${'ghp'}_${'a8Fk2LmQ9vXc4RtY7uWb1Nz6Ph3Sd5Jg0EoT'}`],
  ['slack-token', `${'xoxb'}-1234567890-q9w8e7r6t5y4`],
  ['stripe-key', `${'sk_live'}_4eC39HqLyjWDarjtT1zdp7dc`],
  ['google-api-key', `${'AIza'}SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY`],
  ['npm-token', `${'npm'}_${'q7Wd2hXs9LkV4bTz1RmY8cFp3NgJ6uEa0oiQ'}`],
  ['private-key', `-----BEGIN ${'RSA PRIVATE'} KEY-----`],
  ['jwt', `${'eyJhbGciOiJIUzI1NiJ9'}.${'eyJzdWIiOiIxMjM0NTY3ODkwIn0'}.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U`],
  ['url-password', `postgres://admin:${'s3cr3tPa55'}@db.internal/app`],
  ['assignment', `const dbPassword = '${'Tr0ub4dor&3xyz'}';`],
  ['assignment', `SECRET_KEY = "${'k3y9'}-Gh7Lm2Qx8Vt4"`],
  ['basic-auth', `authorization: 'Basic ${Buffer.from(`courier:${'n8vQ2xLp7WzT'}`).toString('base64')}',`],
  ['assignment', `  "client_secret": "${'q9w8e7r6t5y4u3i2'}",`],
  ['assignment', `API_KEY=${'7f3kd92lsm48fjw0'}`],
  ['high-entropy', `f('${'Zk9vR2pXw7QmLb4TnYc8HdJf3GsA6eUi'}')`],
];

describe('secrets', () => {
  it.each(leaks)('finds %s', (rule, line) => {
    expect(secretsIn(line).map((each) => each.rule)).toContain(rule);
  });

  it.each([
    "const password = process.env.PASSWORD ?? '';",
    "password: 'changeme-please',",
    "const token = '<your-token-here>';",
    "type: 'password', label: 'Enter your password'",
    "const secretName = 'my-app-secret-name';",
    "tokenUrl: 'https://auth.example.com/oauth/token',",
    "integrity: 'sha512-abc', hash: 'd41d8cd98f00b204e9800998ecf8427e'",
    'API_KEY=${API_KEY}',
    'SECRET_KEY = os.environ["SECRET_KEY"]',
    "authorization: 'Basic dXNlcjpwYXNzd29yZA==',",
    '`Basic ${encoded}`',
    "const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';",
    'const token = await issueToken(user);',
    "tokens: { access: 'string', refresh: 'string' }",
    'postgres://user:password@localhost:5432/test',
    "const words = { secret: 'Geheimnis', password: 'Mot de passe', passwort: 'Losenord' };",
    "f('a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8')",
  ])('lets pass: %s', (line) => {
    expect(secretsIn(line)).toEqual([]);
  });

  it.each([`${'ghp'}_${'a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8'}`, `${'npm'}_abcdefghijklmnopqrstuvwxyz0123456789`])(
    'takes a key that walks the alphabet for a sample in tests alone: %s',
    (line) => {
      expect(secretsIn(line, 'test/scan.test.js')).toEqual([]);
      expect(secretsIn(line, 'README.md')).toHaveLength(1);
    },
  );

  it('takes a word that a name is given for one', () => {
    expect(secretsIn(`const dbPassword = '${'Winter'}schlaf';`)).toHaveLength(1);
  });

  it('takes the name of a function in a document for no secret', () => {
    const line = 'Librarians have passwords: `hashPassword` and `isPassword`.';
    expect(secretsIn(line, 'CHANGELOG.md')).toEqual([]);
    expect(secretsIn(line, 'src/words.js')).toHaveLength(1);
  });

  it('finds what is taken apart, encoded, in long lines, in settings and in binary files', async () => {
    const key = `${'AKIA'}IOSFODNN7QWERTYU`;
    const result = await run(
      secretsCheck,
      {},
      {
        'src/split.js': `const k = '${key.slice(0, 6)}' +\n  '${key.slice(6)}';\n`,
        'src/encoded.js': `const k = '${Buffer.from(`key=${key};`).toString('base64')}';\n`,
        'src/long.js': `const x = '${'y '.repeat(15_000)}'; // ${key}\n`,
        'mail.yaml': `user: shelf\nsecret_key: ${'9fK2mQx7Vb4L'}pZ8tRw3N\n`,
        'config.yml': `db:\n  password: ${'Tr0ub4dor'}&3xyz\n`,
        'blob.bin': `\u0000\u0001${key}\n`,
      },
    );
    expect([...new Set(result.findings.map((each) => each.path))].sort()).toEqual([
      'blob.bin',
      'config.yml',
      'mail.yaml',
      'src/encoded.js',
      'src/long.js',
      'src/split.js',
    ]);
    expect(result.findings.every((each) => each.veto)).toBe(true);
  });

  it('lets settings name where a secret comes from', async () => {
    const after = {
      'config.yml': 'password: ${DB_PASSWORD}\nsecretName: app-secrets\ntoken: !env TOKEN\nsecret: /run/secrets/db\n',
    };
    expect((await run(secretsCheck, {}, after)).findings).toEqual([]);
  });

  it('says of a random string in a test that it may be a key, and refuses it in the product', async () => {
    const [, random] = leaks.find(([rule]) => rule === 'high-entropy')!;
    const inTest = await run(secretsCheck, {}, { 'test/a.test.js': `${random}\n` });
    expect([inTest.status, inTest.findings.map(({ rule, level }) => [rule, level])]).toEqual([
      'passed',
      [['secrets.high-entropy', 'warning']],
    ]);
    const inProduct = await run(secretsCheck, {}, { 'src/a.js': `${random}\n` });
    expect([inProduct.status, vetoes(inProduct)]).toEqual(['failed', ['secrets.high-entropy']]);
  });

  it('refuses a key of a known format in a test, also among made-up ones', async () => {
    const [, key] = leaks.find(([rule]) => rule === 'github-token')!;
    const madeUp = `${'ghp'}_${'a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8'}`;
    const result = await run(secretsCheck, {}, { 'test/a.test.js': `f('${madeUp}', '${key}');\n` });
    expect(result.findings.map(({ line, veto }) => [line, veto])).toEqual([[1, true]]);
  });

  it('charges added lines only, by a veto', async () => {
    const [, old] = leaks[0]!;
    const [, fresh] = leaks[3]!;
    const result = await run(secretsCheck, { 'a.js': `${old}\n` }, { 'a.js': `${old}\nlet x;\n// ${fresh}\n` });
    expect(result.findings.map((each) => [each.rule, each.line, each.veto])).toEqual([['secrets.stripe-key', 3, true]]);
    expect(JSON.stringify(result)).not.toContain(fresh);
  });
});

const testFile = (body: string): Files => ({
  'a.test.js': `import test from 'node:test';\nimport assert from 'node:assert';\n${body}`,
});
const one = "test('one', () => {\n  assert.equal(f(1), 2);\n  assert.equal(f(2), 3);\n});\n";
const two = "test('two', () => {\n  assert.ok(f(0));\n});\n";

describe('weakened tests', () => {
  it.each([
    [
      'cut in two',
      one.replace('  assert.equal(f(2), 3);', "});\ntest('one more', () => {\n  assert.equal(f(2), 3);") + two,
    ],
    [
      'put into a table',
      "test('one', () => {\n  for (const [x, y] of [[1, 2], [2, 3]]) assert.equal(f(x), y);\n});\n" + two,
    ],
    [
      'put into a table under another name',
      "test.each([[1, 2], [2, 3]])('of %i is %i', (x, y) => {\n  assert.equal(f(x), y);\n});\n" + two,
    ],
  ])('lets a test be %s', async (_how, after) => {
    expect(vetoes(await run(weakenedTestsCheck, testFile(one + two), testFile(after)))).toEqual([]);
  });

  const cut = (from: string, to: string): string => (one + two).replace(from, () => to);
  it.each<[string, string, string, Files, Files]>([
    [
      'ends where it happens to run',
      'skipped',
      'js',
      testFile(one),
      testFile(one.replace('=> {\n', "=> {\n  if (process.platform !== 'win32') return;\n")),
    ],
    [
      'asks only where it happens to run',
      'assertions_removed',
      'js',
      testFile(one),
      testFile(one.replace('  assert.equal(f(2), 3);', "  if (process.env.FULL === 'yes') assert.equal(f(2), 3);")),
    ],
    [
      'keeps its failure to itself',
      'assertions_removed',
      'js',
      testFile(one + two),
      testFile(cut('  assert.equal(f(2), 3);', '  try {\n    assert.equal(f(2), 3);\n  } catch (e) {\n    console.warn(e);\n  }')), // prettier-ignore
    ],
    [
      'wants of the code what the code answers',
      'loosened',
      'js',
      testFile(one),
      testFile(one.replace('assert.equal(f(2), 3)', 'assert.equal(f(1 + 1), f(2))')),
    ],
    [
      'hears of no error any more, and awaits nothing',
      'assertions_removed',
      'js',
      testFile("test('one', (t, done) => {\n  start((err, answer) => {\n    t.error(err);\n    t.equal(answer, 3);\n    done();\n  });\n});\n"), // prettier-ignore
      testFile("test('one', (t, done) => {\n  start((err, answer) => {\n    t.equal(answer, 3);\n    done();\n  });\n});\n"), // prettier-ignore
    ],
    [
      'waits for nothing instead of asking',
      'assertions_removed',
      'js',
      testFile("test('one', async (t) => {\n  expect(result.error(e)).toBe(1);\n  t.error(err);\n  await null;\n  t.equal(f(), 3);\n});\n"), // prettier-ignore
      testFile("test('one', async (t) => {\n  await 0;\n  await null;\n  await null;\n  t.equal(f(), 3);\n});\n"),
    ],
    [
      'hands to a helper what it asked itself',
      'assertions_removed',
      'js',
      testFile(one),
      testFile(one.replace('assert.equal(f(2), 3)', 'same(f(2), 3)')),
    ],
    [
      'is true besides',
      'assertions_removed',
      'js',
      testFile(one),
      testFile(one.replace('assert.equal(f(2), 3)', 'assert.ok(f(2) === 3 || true)')),
    ],
    [
      'is true besides, and compared with true',
      'assertions_removed',
      'js',
      testFile(one),
      testFile(one.replace('assert.equal(f(2), 3)', 'expect(f(2) === 3 || true).toBe(true)')),
    ],
    [
      'wants less of a call than how often and with what',
      'loosened',
      'js',
      testFile(one.replace('assert.equal(f(2), 3)', 'expect(spy).toHaveBeenCalledWith(1)')),
      testFile(one.replace('assert.equal(f(2), 3)', 'assert.ok(spy.mock.callCount() >= 1);\n  assert.equal(spy.mock.calls.length, 12)')), // prettier-ignore
    ],
    [
      'wants of a length that it is one',
      'assertions_removed',
      'js',
      testFile(one),
      testFile(one.replace('assert.equal(f(2), 3)', 'assert.ok(list.length >= 0)')),
    ],
    [
      'wants only that there is something',
      'loosened',
      'js',
      testFile(one.replace('f(2)', 'shop.sum')),
      testFile(one.replace('assert.equal(f(2), 3)', 'assert.ok(shop.sum > 0)')),
    ],
    [
      'looks for part of a text',
      'loosened',
      'js',
      testFile(one.replace('equal(f(2), 3)', 'match(f(2), /^costs 1\\.50 €/)')),
      testFile(one.replace('equal(f(2), 3)', 'match(f(2), /costs/)')),
    ],
    [
      'looks for part of a text in Python',
      'loosened',
      'py',
      { 'test_a.py': 'def test_f():\n    assert "too many items" in str(f(10))\n' },
      { 'test_a.py': 'def test_f():\n    assert "items" in str(f(10))\n' },
    ],
    [
      'wants any message of an error in Python',
      'loosened',
      'py',
      { 'test_a.py': 'def test_f():\n    with pytest.raises(ValueError, match="too many"):\n        f(10)\n' },
      { 'test_a.py': 'def test_f():\n    with pytest.raises(ValueError):\n        f(10)\n' },
    ],
    [
      'is true besides in Python',
      'always_true',
      'py',
      { 'test_a.py': 'def test_f():\n    assert f(10) == 5\n' },
      { 'test_a.py': 'def test_f():\n    assert f(10) == 5 or True\n' },
    ],
    [
      'rounds until it fits',
      'loosened',
      'py',
      { 'test_a.py': 'def test_f():\n    assert f(10) == 154.38\n' },
      { 'test_a.py': 'def test_f():\n    assert float(f(10)) == pytest.approx(154.38, abs=25)\n' },
    ],
    [
      'keeps its failure to itself in Python',
      'always_true',
      'py',
      { 'test_a.py': 'def test_f():\n    assert f(10) == 5\n' },
      { 'test_a.py': 'def test_f():\n    try:\n        assert f(10) == 5\n    except AssertionError:\n        pass\n' },
    ],
    [
      'ends where it happens to run in Python',
      'skipped',
      'py',
      { 'test_a.py': 'def test_f():\n    assert f(10) == 5\n' },
      { 'test_a.py': 'def test_f():\n    if not os.environ.get("FULL"):\n        return\n    assert f(10) == 5\n' },
    ],
  ])('notices a test that %s', async (_what, rule, _language, before, after) => {
    expect(vetoes(await run(weakenedTestsCheck, before, after))).toEqual([`weakened-tests.${rule}`]);
  });

  it.each<[string, Files, Files]>([
    [
      'await what called back',
      testFile("test('one', (t, done) => {\n  start((err) => {\n    t.error(err);\n    get((error, answer) => {\n      t.assert.ifError(error);\n      t.assert.equal(answer, 3);\n      done();\n    });\n  });\n});\n"), // prettier-ignore
      testFile("test('one', async (t) => {\n  await start();\n  const answer = await get();\n  t.assert.equal(answer, 3);\n});\n"), // prettier-ignore
    ],
    [
      'put away otherwise what it has used',
      testFile("test('one', (t) => {\n  const server = start();\n  t.teardown(server.close.bind(server));\n  t.equal(server.port, 3);\n});\n"), // prettier-ignore
      testFile("test('one', (t) => {\n  const server = start();\n  t.after(() => server.close());\n  t.assert.equal(server.port, 3);\n});\n"), // prettier-ignore
    ],
    [
      'look for the same elsewhere in Python',
      { 'test_a.py': 'def test_f():\n    with pytest.raises(ValueError) as e:\n        f(10)\n    assert "too many" in str(e)\n' }, // prettier-ignore
      { 'test_a.py': 'def test_f():\n    with pytest.raises(ValueError) as e:\n        f(10)\n    assert "too many" in str(e.value)\n' }, // prettier-ignore
    ],
    [
      'look at what was thrown',
      testFile(one),
      testFile(one.replace('  assert.equal(f(2), 3);', '  try {\n    assert.equal(f(2), 3);\n  } catch (e) {\n    throw new Error(String(e));\n  }')), // prettier-ignore
    ],
    [
      'go on only where there is something',
      testFile(one),
      testFile(one.replace('  assert.equal(f(2), 3);', '  const is = f(2);\n  if (is === null) return assert.fail();\n  assert.equal(f(2), 3);')), // prettier-ignore
    ],
    [
      'ask of a call in two steps',
      testFile(one.replace('assert.equal(f(2), 3)', 'expect(spy).toHaveBeenCalledWith(1)')),
      testFile(one.replace('assert.equal(f(2), 3)', 'assert.ok(spy.mock.callCount() >= 1);\n  assert.deepEqual(spy.mock.calls[0].arguments, [1])')), // prettier-ignore
    ],
    [
      'compare with what is there or else is usual',
      testFile(one),
      testFile(one.replace('assert.equal(f(2), 3);', "assert.equal(f(2), 3);\n  expect(name || 'anonymous').toBe('anonymous');\n  expect(list.length >= 0).toBe(false);")), // prettier-ignore
    ],
    [
      'compare in Python with what is there or else is usual',
      { 'test_a.py': 'def test_f():\n    assert f(10) == 5\n    assert n == (c.retries or 1)\n' },
      { 'test_a.py': 'def test_f():\n    assert f(10) == 5\n    assert n == (c.retries or 1)\n    assert g(1) == 2\n' },
    ],
    [
      'be a little less exact with floats',
      { 'test_a.py': 'def test_f():\n    assert f(10) == 154.38\n' },
      { 'test_a.py': 'def test_f():\n    assert f(10) == pytest.approx(154.38, abs=0.001)\n' },
    ],
    [
      'compare two answers beside what it asked',
      testFile(one),
      testFile(one.replace('assert.equal(f(2), 3);', 'assert.equal(f(2), 3);\n  assert.equal(f(3), f(3.0));')),
    ],
    [
      'ask whether it is the same in another way',
      testFile(one.replace('f(2)', 'shop.sum')),
      testFile(one.replace('assert.equal(f(2), 3)', 'assert.ok(shop.sum === 3)')),
    ],
    [
      'ask about another of a longer name',
      testFile(one.replace('f(2)', 'shop.sum')),
      testFile(one.replace('assert.equal(f(2), 3)', 'assert.ok(shop.summary > 0);\n  assert.equal(shop.sum, 3)')),
    ],
    [
      'look for more of a text',
      testFile(one.replace('equal(f(2), 3)', 'match(f(2), /costs/)')),
      testFile(one.replace('equal(f(2), 3)', 'match(f(2), /^costs 1\\.50 €/)')),
    ],
    [
      'name the message of an error in Python',
      { 'test_a.py': 'def test_f():\n    with pytest.raises(ValueError):\n        f(10)\n' },
      { 'test_a.py': 'def test_f():\n    with pytest.raises(ValueError, match="too many"):\n        f(10)\n' },
    ],
    [
      'want one of two',
      { 'test_a.py': 'def test_f():\n    assert f(10) == 5\n' },
      { 'test_a.py': 'def test_f():\n    assert f(10) == 5\n    assert f(1) == 5 or f(1) == 6\n' },
    ],
    [
      'clean up whatever happens',
      testFile(one),
      testFile(one.replace('  assert.equal(f(2), 3);', '  try {\n    assert.equal(f(2), 3);\n  } finally {\n    done();\n  }')), // prettier-ignore
    ],
  ])('lets a test %s', async (_what, before, after) => {
    expect(vetoes(await run(weakenedTestsCheck, before, after))).toEqual([]);
  });

  it('tells tests of one name apart, in whatever order they stand', async () => {
    const less = "test('one', () => {\n  assert.ok(f(7));\n});\n";
    const more = "test('three', () => {\n  assert.ok(f(3));\n});\n";
    expect(vetoes(await run(weakenedTestsCheck, testFile(one + less), testFile(one + less + more)))).toEqual([]);
    expect(vetoes(await run(weakenedTestsCheck, testFile(one + less), testFile(less + one)))).toEqual([]);
    expect(vetoes(await run(weakenedTestsCheck, testFile(one + less), testFile(less + less)))).toEqual([
      'weakened-tests.assertions_removed',
    ]);
    expect(vetoes(await run(weakenedTestsCheck, testFile(one + less), testFile(one)))).toEqual([
      'weakened-tests.removed',
    ]);
  });

  it('takes a test for the same under another name also where it cannot tell what is asserted', async () => {
    const odd = "test('should throw', () => {\n  check['throws'](() => f(0), TypeError);\n});\n";
    const result = await run(
      weakenedTestsCheck,
      { ...testFile(one + odd), 'f.js': 'export const f = 1;\n' },
      { ...testFile(one + odd.replace('should throw', 'throws')), 'f.js': 'export const f = 2;\n' },
    );
    expect(vetoes(result)).toEqual([]);
  });

  it('takes it for another one where its rows are others', async () => {
    const odd = (name: string, rows: string): string => `test.each(${rows})('${name}', (n) => {\n  check(n);\n});\n`;
    const result = await run(weakenedTestsCheck, testFile(one + odd('a', '[1, 2]')), testFile(one + odd('c', '[1]')));
    expect(vetoes(result)).toEqual(['weakened-tests.removed']);
  });

  it.each([
    ['a remark', 'assert f(1)  # == 2'],
    ['a pair', 'assert (f(1) == 2, "why")'],
    ['a text', 'assert """f(1) == 2"""'],
  ])('takes %s for no assertion in Python', async (_what, line) => {
    const of = (text: string): Files => ({ 'test_a.py': `def test_f():\n    ${text}\n` });
    expect(vetoes(await run(weakenedTestsCheck, of('assert f(1) == 2, "why"'), of(line)))).toHaveLength(1);
    expect(vetoes(await run(weakenedTestsCheck, of('assert f(1) == 2'), of('assert f(1) == 2, "why"  # so')))).toEqual(
      [],
    );
  });

  it('takes it for no more than one of them', async () => {
    const odd = (name: string): string => `test('${name}', () => {\n  check(input);\n});\n`;
    const result = await run(weakenedTestsCheck, testFile(one + odd('a') + odd('b')), testFile(one + odd('c')));
    expect(vetoes(result)).toEqual(['weakened-tests.removed']);
  });

  it('keeps what a title says of the method DELETE apart from what is deleted', async () => {
    const orders = (word: string): Files => ({
      'a.js': `export const wipe = () => send(${word});\nexport const ofOrder = 1;\n`,
      ...testFile(
        `${one}${word.includes('to') ? '' : "test('wipes', () => {\n  assert.equal(method(wipe()), 'DELETE');\n});\n"}`,
      ),
    });
    const result = await run(weakenedTestsCheck, orders("'DELETE'"), orders("'delete'.toUpperCase()"), {
      declared: { title: 'Speed up DELETE of orders', paths: null },
    });
    expect(vetoes(result)).toEqual(['weakened-tests.removed']);
  });

  it('takes no layout of Python for another expectation', async () => {
    const rows = (wanted: string): Files => ({
      'test_a.py': `def test_f():\n    assert f(x[1 : 3]) == ${wanted}\n`,
      'a.py': `x = '${wanted.length}'\n`,
    });
    const seen = async (wanted: string): Promise<string[]> =>
      (await run(weakenedTestsCheck, rows('[1:3, "a b", not x]'), rows(wanted))).findings.map(({ rule }) => rule);
    expect(await seen('[ 1 : 3,"a b",  not   x, ]')).toEqual([]);
    expect(await seen('[1:3, "ab", not x]')).toEqual(['weakened-tests.expectation_rewritten']);
  });

  it.each(['"""say "Hi, BOB" now"""', "['Hi, BOB', 'a']", '("Hi", "BOB")', "'Hi, \\'BOB'", 'f"Hi, {BOB}"'])(
    'reads what a test in Python wants to its end: %s',
    async (wanted) => {
      const rows = (what: string): Files => ({
        'test_a.py': `def test_f():\n    assert f(1) == ${what}, "why, so"\n`,
        'a.py': `x = '${what.length}'\n`,
      });
      const seen = async (what: string): Promise<string[]> =>
        (await run(weakenedTestsCheck, rows(wanted), rows(what))).findings.map(({ rule }) => rule);
      expect(await seen(wanted.replace('BOB', 'EVES'))).toEqual(['weakened-tests.expectation_rewritten']);
      expect(await seen(wanted)).toEqual([]);
    },
  );

  it('takes no test of an untouched file for one that went', async () => {
    const other = { 'b.test.js': "test('two', () => {\n  assert.ok(g(1));\n});\n" };
    const result = await run(weakenedTestsCheck, { ...testFile(one + two), ...other }, { ...testFile(one), ...other });
    expect(vetoes(result)).toEqual(['weakened-tests.removed']);
  });

  it('lets a person take a test away, and says who it was', async () => {
    const { status, findings } = await run(weakenedTestsCheck, testFile(one + two), testFile(one), {
      approvedBy: 'Ada (user_1)',
    });
    expect([status, findings.map(({ level, veto }) => [level, veto])]).toEqual(['passed', [['note', false]]]);
    expect(findings[0]!.message).toContain('Let through by Ada (user_1).');
  });

  describe('of what is removed', () => {
    const shop = {
      'src/coupon.js': 'export function couponFor(a) {\n  return a * 2;\n}\n',
      'src/price.js': 'export function priceOf(a) {\n  return a * 3;\n}\n',
      'coupon.test.js': "test('coupons', () => {\n  assert.equal(couponFor(1), 2);\n});\n",
      'price.test.js': "test('prices', () => {\n  assert.equal(priceOf(1), 3);\n});\n",
    };
    const without = (...paths: (keyof typeof shop)[]): Files =>
      Object.fromEntries(Object.entries(shop).filter(([path]) => !(paths as string[]).includes(path)));
    const seen = async (title: string | null, after: Files): Promise<string[]> =>
      vetoes(await run(weakenedTestsCheck, shop, after, { declared: { title, paths: null } }));

    it('go with it where the work says so', async () => {
      expect(await seen('Remove the coupons', without('src/coupon.js', 'coupon.test.js'))).toEqual([]);
    });

    it('go with what says of itself what the work says', async () => {
      const said = {
        'src/eoq.js':
          '/** How much to order at once, by the formula of Wilson. */\nexport function eoq(a) {\n  return a * 2;\n}\n',
        'eoq.test.js': "test('once', () => {\n  assert.equal(eoq(1), 2);\n});\n",
      };
      const after = async (title: string): Promise<string[]> =>
        vetoes(await run(weakenedTestsCheck, { ...shop, ...said }, shop, { declared: { title, paths: null } }));
      expect(await after("Remove Wilson's formula, which nobody uses")).toEqual([]);
      expect(await after('Remove the order of letters')).toEqual(['weakened-tests.removed']);
    });

    it('go with a package that is swapped out, by its own name', async () => {
      const locale = {
        'src/locale.js': "import { get } from 'os-locale';\nexport function locale() {\n  return get();\n}\n",
        'locale.test.js': "test('goes on without a locale', () => {\n  mock('os-locale', null);\n  assert.equal(locale(), 'en');\n});\n",
      }; // prettier-ignore
      const after = async (title: string, left: string): Promise<string[]> =>
        vetoes(await run(weakenedTestsCheck, { ...shop, ...locale }, { ...shop, 'src/locale.js': left }, { declared: { title, paths: null } })); // prettier-ignore
      const own = "export function locale() {\n  return process.env.LANG ?? 'en';\n}\n";
      expect(await after('Swap out os-locale for a line of our own', own)).toEqual([]);
      expect(await after('Swap out the locale for a line of our own', own)).toEqual(['weakened-tests.removed']);
      expect(await after('Swap out os-locale', locale['src/locale.js'].replace('get()', 'get().id'))).toEqual([
        'weakened-tests.removed',
      ]);
    });

    it('do not go with a function that is replaced by another of its kind', async () => {
      const after = { ...shop, 'src/price.js': shop['src/price.js'].replace('priceOf', 'costOf'), 'price.test.js': '' };
      expect(await seen('Replace priceOf by costOf', after)).toEqual(['weakened-tests.removed']);
    });

    it('go with what they are called after, where they fail without it', async () => {
      const versions = {
        'src/server.js':
          "export function checkHttpVersion(a) {\n  return a === '2.0' ? 505 : 200;\n}\nexport const serve = (a) => checkHttpVersion(a);\n",
        'server.test.js':
          "test('answers 505 where the HTTP version is not known', () => {\n  assert.equal(serve('2.0'), 505);\n});\n",
      };
      const fails = { failing: [], missing: [], goneFailing: ['answers 505 where the HTTP version is not known'], goneMissing: [] }; // prettier-ignore
      const after = async (title: string, former: FormerTests | null): Promise<string[]> =>
        vetoes(
          await run(
            weakenedTestsCheck,
            { ...shop, ...versions },
            { ...shop, 'src/server.js': 'export const serve = () => 200;\n' },
            {
              declared: { title, paths: null },
              trials: { ...noTrials, formerTests: async () => Promise.resolve(former) },
            },
          ),
        );
      expect(await after('fix: remove http version check', fails)).toEqual([]);
      expect(await after('fix: remove http version check', { ...fails, goneFailing: [] })).toEqual([
        'weakened-tests.removed',
      ]);
      expect(await after('fix: remove the check of rules for http headers', fails)).toEqual(['weakened-tests.removed']);
    });

    it('go with a value that the work takes away by its name, where they fail without it', async () => {
      const redirects = {
        'src/redirect.js': "export const redirect = (to) => (to === 'back' ? lastPage() : to);\n",
        'redirect.test.js':
          "test('goes where one came from', () => {\n  assert.equal(redirect('back'), '/cart');\n});\n",
      };
      const fails = { failing: [], missing: [], goneFailing: ['goes where one came from'], goneMissing: [] };
      const after = async (title: string, left: string, former: FormerTests = fails): Promise<string[]> =>
        vetoes(
          await run(
            weakenedTestsCheck,
            { ...shop, ...redirects },
            { ...shop, 'src/redirect.js': left },
            {
              declared: { title, paths: null },
              trials: { ...noTrials, formerTests: async () => Promise.resolve(former) },
            },
          ),
        );
      const plain = 'export const redirect = (to) => to;\n';
      expect(await after('breaking: remove redirect(back)', plain)).toEqual([]);
      expect(await after('breaking: remove redirect(back)', plain, { ...fails, goneFailing: [] })).toEqual([
        'weakened-tests.removed',
      ]);
      expect(await after('breaking: remove redirect(home)', plain)).toEqual(['weakened-tests.removed']);
      expect(await after('Fix redirect(back)', plain)).toEqual(['weakened-tests.removed']);
      expect(await after('redirect no longer ignores "back"', plain)).toEqual(['weakened-tests.removed']);
      expect(await after('Deprecate redirect("back")', plain)).toEqual(['weakened-tests.removed']);
      expect(await after('Do not drop "back" from redirects', plain)).toEqual(['weakened-tests.removed']);
      expect(await after('Dropdown: put "back" last', plain)).toEqual(['weakened-tests.removed']);
      expect(
        await after('Remove doubles of "back"', 'export const redirect = (to) => (/^back$/.test(to) ? 1 : to);\n'),
      ).toEqual(['weakened-tests.removed']);
      expect(await after('Remove the way back', plain)).toEqual(['weakened-tests.removed']);
      expect(
        await after('Remove redirect("back")', plain, { ...fails, goneFailing: [], goneMissing: fails.goneFailing }),
      ).toEqual(['weakened-tests.removed']);
      expect(await after('Remove the back door', redirects['src/redirect.js'].replace('lastPage()', "'/'"))).toEqual([
        'weakened-tests.removed',
      ]);
    });

    it.each<[string, string | null, Files]>([
      ['nothing says so', null, without('src/coupon.js', 'coupon.test.js')],
      ['something else is said', 'Fix the coupons', without('src/coupon.js', 'coupon.test.js')],
      ['something else is removed', 'Remove the letters', without('src/coupon.js', 'coupon.test.js')],
      ['it is still there', 'Remove the coupons', without('coupon.test.js')],
      ['the test is about something else', 'Remove the coupons', without('src/coupon.js', 'price.test.js')],
      [
        'it is there elsewhere',
        'Remove the coupons',
        { ...without('src/coupon.js', 'coupon.test.js'), 'src/moved.js': shop['src/coupon.js'] },
      ],
    ])('do not go where %s', async (_what, title, after) => {
      expect(await seen(title, after)).toEqual(['weakened-tests.removed']);
    });
  });

  it.each([
    ['of none', one + two.replace('  assert.ok(f(0));', '  for (const x of []) assert.ok(f(x));'), 'always_true'],
    ['of a list of none', one + two.replace('  assert.ok(f(0));', '  const rows: number[] = [];\n  for (const row of rows) {\n    assert.ok(f(row));\n  }'), 'always_true'],
    ['of each of none', one + two.replace('  assert.ok(f(0));', '  [].forEach((x) => assert.ok(f(x)));'), 'always_true'],
    ['for each of none', one + two.replace("test('two', (", "test.each([])('two', ("), 'skipped'],
    ['in a loop over none', `${one}for (const x of [] as number[]) {\n${two}}\n`, 'skipped'],
  ])('refuses a test that asks %s', async (_what, after, expected) => {
    expect(vetoes(await run(weakenedTestsCheck, testFile(one + two), testFile(after)))).toEqual([`weakened-tests.${expected}`]);
  }); // prettier-ignore

  it.each([
    ['some', two.replace('  assert.ok(f(0));', '  for (const x of [0]) assert.ok(f(x));')],
    ['what is put in first', two.replace('  assert.ok(f(0));', '  const rows = [];\n  rows.push(0);\n  for (const row of rows) assert.ok(f(row));')],
    ['none besides', two.replace('  assert.ok(f(0));', '  for (const x of []) f(x);\n  assert.ok(f(0));')],
  ])('lets a test go through %s', async (_what, after) => {
    expect(vetoes(await run(weakenedTestsCheck, testFile(one + two), testFile(one + after)))).toEqual([]);
  }); // prettier-ignore

  it.each([
    ['goes through none', 'def test_one():\n    for x in []:\n        assert f(x) == 2\n', ['always_true']],
    ['goes through a list of none', 'def test_one():\n    rows = []\n    for x in rows:\n        assert f(x) == 2\n', ['always_true']],
    ['goes through a filled list', 'def test_one():\n    rows = []\n    rows.append(1)\n    for x in rows:\n        assert f(x) == 2\n', []],
    ['is fed with nothing', '@pytest.mark.parametrize("x", [])\ndef test_one(x):\n    assert f(x) == 2\n', ['skipped']],
  ])('judges a test in Python that %s', async (_what, after, expected) => {
    const before = { 'test_a.py': 'def test_one():\n    x = 1\n    assert f(x) == 2\n' };
    expect(vetoes(await run(weakenedTestsCheck, before, { 'test_a.py': after }))).toEqual(expected.map((each) => `weakened-tests.${each}`));
  }); // prettier-ignore

  it('notices a table that asks for less', async () => {
    const less = "test('one', () => {\n  for (const [x, y] of [[1, 2]]) assert.equal(f(x), y);\n});\n";
    expect(vetoes(await run(weakenedTestsCheck, testFile(one + two), testFile(less + two)))).toEqual([
      'weakened-tests.assertions_removed',
    ]);
  });

  it.each([
    ['removed', one, ['weakened-tests.removed']],
    ['skipped by a modifier', one + two.replace('test(', 'test.skip('), ['weakened-tests.skipped']],
    ['skipped by an option', one + two.replace("'two', ", "'two', { skip: true }, "), ['weakened-tests.skipped']],
    ['left at once', one + two.replace('{\n', '{\n  return;\n'), ['weakened-tests.skipped']],
    ['asserting less', one.replace('  assert.equal(f(2), 3);\n', '') + two, ['weakened-tests.assertions_removed']],
    ['always true', one + two.replace('f(0)', 'true'), ['weakened-tests.always_true']],
    ['commented out', one + two.replace(/^/gm, '// '), ['weakened-tests.removed']],
    ['alone', one.replace('test(', 'test.only(') + two, ['weakened-tests.only']],
  ])('refuses a test that is %s', async (_what, after, expected) => {
    expect(vetoes(await run(weakenedTestsCheck, testFile(one + two), testFile(after)))).toEqual(expected);
  });

  it('refuses a removed file', async () => {
    expect(vetoes(await run(weakenedTestsCheck, { ...testFile(one + two), 'b.js': '' }, { 'b.js': '' }))).toHaveLength(
      2,
    );
  });

  it('lets tests be added, moved, renamed and reworded', async () => {
    const moved: Files = {
      'test/b.test.js': testFile(one)['a.test.js']!,
      'a.test.js': testFile(two.replace("'two'", "'the second'"))['a.test.js']!,
    };
    expect(await run(weakenedTestsCheck, testFile(one + two), moved)).toMatchObject({ status: 'passed', findings: [] });
    expect(await run(weakenedTestsCheck, testFile(one), testFile(one + two))).toMatchObject({
      status: 'passed',
      findings: [],
    });
  });

  it('believes the runner where the text says nothing', async () => {
    const result = await run(
      weakenedTestsCheck,
      { 'a.js': '1' },
      { 'a.js': '2' },
      {
        baseFacts: suite([
          ['x', 'passed'],
          ['y', 'passed'],
          ['z', 'skipped'],
        ]),
        candidateFacts: suite([['x', 'skipped']]),
      },
    );
    expect(vetoes(result)).toEqual(['weakened-tests.skipped', 'weakened-tests.removed']);
  });

  it('reads Python as well', async () => {
    const before = { 'test_a.py': 'def test_one():\n    assert f(1) == 2\n\ndef test_two():\n    assert f(2) == 3\n' };
    const after = {
      'test_a.py':
        'import pytest\n\n@pytest.mark.skip\ndef test_one():\n    assert f(1) == 2\n\ndef test_two():\n    assert True\n',
    };
    expect(vetoes(await run(weakenedTestsCheck, before, after))).toEqual([
      'weakened-tests.skipped',
      'weakened-tests.always_true',
    ]);
  });
});

const manifest = (more: object): string =>
  JSON.stringify({
    name: 'x',
    scripts: { test: 'npm run unit', unit: 'jest', start: 'node .' },
    dependencies: { a: '1.0.0' },
    ...more,
  });
const ground: Files = {
  'package.json': manifest({}),
  'tsconfig.json': '{ "compilerOptions": { "strict": true, }, // all\n "include": ["src"] }',
  '.github/workflows/ci.yml': 'on: push',
  'jest.config.js': 'export default {}',
};

describe('tampering', () => {
  it.each([
    ['muster.yaml', { 'muster.yaml': 'threshold: 1' }, ['tampering.gate_settings']],
    ['CI', { '.github/workflows/ci.yml': 'on: never' }, ['tampering.ci']],
    ['the runner’s settings', { 'jest.config.js': 'export default { testMatch: [] }' }, ['tampering.test_settings']],
    ['the registry', { '.npmrc': 'registry=http://evil' }, ['tampering.registry_settings']],
    [
      'a script that the test script runs',
      { 'package.json': manifest({ scripts: { test: 'npm run unit', unit: 'true' } }) },
      ['tampering.scripts'],
    ],
    [
      'what runs before the tests',
      { 'package.json': manifest({ scripts: { pretest: 'rm -r t', test: 'npm run unit', unit: 'jest' } }) },
      ['tampering.scripts'],
    ],
    [
      'an install script',
      { 'package.json': manifest({ scripts: { test: 'npm run unit', unit: 'jest', postinstall: 'x' } }) },
      ['tampering.scripts'],
    ],
    [
      'jest’s settings in package.json',
      { 'package.json': manifest({ jest: { testMatch: [] } }) },
      ['tampering.test_settings'],
    ],
    [
      'strictness',
      { 'tsconfig.json': '{ "compilerOptions": { "strict": false }, "include": ["src"] }' },
      ['tampering.types_loosened'],
    ],
    [
      'what is compiled',
      { 'tsconfig.json': '{ "compilerOptions": { "strict": true }, "include": ["src"], "exclude": ["src/bad"] }' },
      ['tampering.types_loosened'],
    ],
    ['a link that leads out', { 'src/x.js': '->../../etc/passwd' }, ['tampering.link_outside']],
    [
      'the lock’s sources',
      {
        'package-lock.json': JSON.stringify({
          lockfileVersion: 3,
          packages: { 'node_modules/a': { version: '1.0.0', resolved: 'git+ssh://git@host/a.git#1' } },
        }),
      },
      [],
    ],
  ])('tells a change to %s', async (_what, change, expected) => {
    expect(vetoes(await run(tamperingCheck, ground, { ...ground, ...change }))).toEqual(expected);
  });

  it.each([
    ['a case twin of the settings', {}, { 'Muster.YML': 'threshold: 1' }, ['tampering.gate_settings']],
    [
      'a script of a workspace',
      { 'packages/a/package.json': JSON.stringify({ name: 'a', scripts: { test: 'jest' } }) },
      { 'packages/a/package.json': JSON.stringify({ name: 'a', scripts: { test: 'true' } }) },
      ['tampering.scripts'],
    ],
    [
      'a script that a runner of scripts starts',
      { 'package.json': manifest({ scripts: { test: 'run-s test:*', 'test:unit': 'jest' } }) },
      { 'package.json': manifest({ scripts: { test: 'run-s test:*', 'test:unit': 'true' } }) },
      ['tampering.scripts'],
    ],
    [
      'the program that runs the tests',
      { 'package.json': manifest({ scripts: { test: 'node tools/run.mjs' } }), 'tools/run.mjs': 'run();' },
      { 'tools/run.mjs': '' },
      ['tampering.test_settings'],
    ],
    [
      'pytest’s settings',
      { 'test_a.py': '', 'pyproject.toml': '[project]\nname = "a"\n' },
      { 'pyproject.toml': '[project]\nname = "a"\n[tool.pytest.ini_options]\naddopts = "-k nothing"\n' },
      ['tampering.test_settings'],
    ],
    ['what every start of Python runs', {}, { 'src/sitecustomize.py': 'import os' }, ['tampering.test_settings']],
    ['a path that Python runs', {}, { 'lib/x.pth': 'import x; x.patch()\n' }, ['tampering.test_settings']],
    [
      'a first CI that lets tests fail',
      {},
      { '.gitlab-ci.yml': 'test:\n  script: npm test || true\n' },
      ['tampering.ci'],
    ],
    [
      'a step that lets tests fail',
      {},
      {
        '.github/workflows/t.yml': 'jobs:\n  t:\n    steps:\n      - run: npm test\n        continue-on-error: true\n',
      },
      ['tampering.ci'],
    ],
    ['a hook that lets everything pass', {}, { '.husky/pre-push': '#!/bin/sh\nexit 0\n' }, ['tampering.hooks']],
    ['an environment for every run', {}, { '.env.test': 'NODE_OPTIONS=--import ./x.mjs' }, ['tampering.test_settings']],
  ])('tells a change to %s', async (_what, before, change, expected) => {
    const from = { ...ground, ...before } as Files;
    expect(vetoes(await run(tamperingCheck, from, { ...from, ...(change as Files) }))).toEqual(expected);
  });

  it.each<[string, Files]>([
    ['CI that tests', { '.github/workflows/t.yml': 'jobs:\n  t:\n    steps:\n      - run: npm ci && npm test\n      - run: npx codecov || true\n      - run: upload\n        continue-on-error: true\n' }],
    ['CI that tries what may fail', { '.github/workflows/t.yml': 'jobs:\n  t:\n    continue-on-error: ${{ matrix.experimental }}\n    steps:\n      - run: npm test\n' }],
    ['a hook that tests', { '.husky/pre-push': '#!/bin/sh\nnpm test || exit 1\nexit 0\n' }],
    ['a model', { 'models/a.pth': 'weights' }],
  ])('lets be added %s', async (_what, change) => {
    expect(vetoes(await run(tamperingCheck, ground, { ...ground, ...change }))).toEqual([]);
  }); // prettier-ignore

  it('lets a workspace be added and a Python project get a dependency', async () => {
    const before = { ...ground, 'test_a.py': '', 'pyproject.toml': '[tool.pytest.ini_options]\nx = 1\n[project]\n' };
    const after = {
      ...before,
      'pyproject.toml': '[tool.pytest.ini_options]\nx = 1\n[project]\ndependencies = ["a"]\n',
      'packages/b/package.json': JSON.stringify({ name: 'b', scripts: { test: 'jest' } }),
      '.env.example': 'PORT=3000',
    };
    expect(await run(tamperingCheck, before, after)).toMatchObject({ status: 'passed', findings: [] });
  });

  it('refuses lock entries that the installer refused', async () => {
    const lock = JSON.stringify({
      lockfileVersion: 3,
      packages: { 'node_modules/a': { version: '1.0.0', resolved: 'https://evil.test/a.tgz', integrity: 'sha512-x' } },
    });
    const result = await run(
      tamperingCheck,
      ground,
      { ...ground, 'package-lock.json': lock },
      {
        installed: {
          status: 'refused',
          reason: '',
          refused: [],
          mounts: [],
          mountPoints: [],
          python: null,
          has: () => false,
          digest: '',
        },
      },
    );
    expect(vetoes(result)).toEqual(['tampering.lock_source']);
  });

  it('lets dependencies, other scripts, stricter types and unrelated settings change', async () => {
    const after = {
      ...ground,
      'package.json': manifest({
        dependencies: { a: '2.0.0', b: '1.0.0' },
        scripts: { test: 'npm run unit', unit: 'jest', start: 'node main.js', demo: 'x' },
      }),
      'tsconfig.json': '{ "compilerOptions": { "strict": true, "noUnusedLocals": true }, "include": ["src", "more"] }',
      '.editorconfig': 'root = true',
      '.github/workflows/docs.yml': 'on: push',
    };
    expect(await run(tamperingCheck, ground, after)).toMatchObject({ status: 'passed', findings: [] });
  });

  it('keeps what the project protects', async () => {
    const policy = projectPolicy.parse({ protected: ['db/**'] });
    expect(vetoes(await run(tamperingCheck, ground, { ...ground, 'db/1.sql': 'drop' }, { policy }))).toEqual([
      'tampering.protected',
    ]);
  });

  it('notes, and refuses no more, what a person let through: of the rules, and of nothing else', async () => {
    const policy = projectPolicy.parse({ protected: ['db/**'] });
    const after = {
      ...ground,
      'muster.yaml': 'threshold: 70',
      '.github/workflows/ci.yml': 'on: never',
      'jest.config.js': 'export default { testMatch: [] }',
      'package.json': manifest({ scripts: { test: 'npm run unit', unit: 'node --test' } }),
      'db/1.sql': 'create table a()',
    };
    const approvedBy = 'Ada (user_1)';
    const given = await run(tamperingCheck, ground, after, { policy, approvedBy });
    expect(given).toMatchObject({ status: 'passed', summary: expect.stringContaining('let through by Ada (user_1)') });
    expect(new Set(given.findings.map(({ rule }) => rule))).toEqual(
      new Set(['gate_settings', 'ci', 'test_settings', 'scripts', 'protected'].map((rule) => `tampering.${rule}`)),
    );
    for (const each of given.findings) {
      expect(each).toMatchObject({ level: 'note', veto: false });
      expect(each.message).toContain('Let through by Ada (user_1)');
    }

    const more = { ...after, 'src/x.js': '->../../etc/passwd', 'src/y.js': '// eslint-disable-line\n' };
    const refused = await run(tamperingCheck, ground, more, { policy, approvedBy });
    expect(refused.status).toBe('failed');
    expect(vetoes(refused)).toEqual(['tampering.link_outside']);
    expect(refused.findings.filter(({ level }) => level === 'error')).toHaveLength(1);
    // What silences a tool costs a person points, and is no reason to refuse.
    const silenced = await run(tamperingCheck, ground, { ...ground, 'src/y.js': '/* eslint-disable no-new */\n' }, { policy, approvedBy }); // prettier-ignore
    expect(silenced).toMatchObject({
      status: 'passed',
      findings: [{ rule: 'tampering.suppression', level: 'warning', message: expect.stringContaining('Let through') }],
    });

    const agents = await run(tamperingCheck, ground, after, { policy });
    expect(vetoes(agents)).toContain('tampering.gate_settings');
    expect(agents.findings[0]?.remedy).toMatch(/refs\/muster\/submissions\/<id>.*refs\/for\/<branch>/);
  });

  it('finds new suppressions without refusing for them alone', async () => {
    const result = await run(
      tamperingCheck,
      { 'a.ts': '// eslint-disable-line\n' },
      { 'a.ts': '// eslint-disable-line\n// @ts-nocheck\nconst s = "@ts-ignore";\n' },
    );
    expect(result.findings.map((each) => [each.rule, each.line, each.veto, each.level])).toEqual([
      ['tampering.suppression', 2, false, 'error'],
    ]);
  });
});

describe('honesty', () => {
  const cases = (...failed: string[]): TestCase[] =>
    ['a_known_bug', 'doubles'].map((name) => ({
      name,
      file: 'test_it.py',
      status: failed.includes(name) ? 'failed' : 'passed',
      message: null,
      ms: 1,
    }));
  const outcomeOf = (each: TestCase[]): NonNullable<TreeFacts['tests']> => ({
    ...suite([]).tests!,
    cases: each,
    ok: each.every(({ status }) => status === 'passed'),
  });
  /** A runner that stops at its first failure when it is asked to, and knows what the emptied function breaks. */
  const runner = (...known: string[]): TreeRun =>
    ({
      tests: ({ overrides, stopAtFirst }: { overrides: ReadonlyMap<string, string>; stopAtFirst: boolean }) => {
        const emptied = [...overrides.values()].some((text) => text.includes('return None'));
        const all = cases(...known, ...(emptied ? ['doubles'] : []));
        const first = all.findIndex(({ status }) => status === 'failed');
        return Promise.resolve(outcomeOf(stopAtFirst && first >= 0 ? all.slice(0, first + 1) : all));
      },
    }) as unknown as TreeRun;

  it.each([
    ['passes', []],
    ['has a failure of old', ['a_known_bug']],
  ])('sees that a test notices, in a suite that %s', async (_name, known) => {
    const facts = { ...suite([]), tests: outcomeOf(cases(...known)) };
    const result = await run(
      honestyCheck,
      {},
      { 'src/twice.py': 'def twice(value):\n    return value * 2\n' },
      { candidateFacts: facts, baseFacts: facts, run: runner(...known) },
    );
    expect(result).toMatchObject({ status: 'passed', findings: [] });
  });

  it('gives each trial the time that its build needs too', async () => {
    const patience: (number | undefined)[] = [];
    const slow = runner();
    const watched = {
      tests: (options: { timeoutMs: number } & Parameters<TreeRun['tests']>[0]) => {
        patience.push(options.timeoutMs);
        return slow.tests(options);
      },
    } as unknown as TreeRun;
    const facts = { ...suite([]), build: { ...outcomeOf([]), ms: 60_000 }, tests: outcomeOf(cases()) };
    const after = { 'src/twice.py': 'def twice(value):\n    return value * 2\n' };
    await run(honestyCheck, {}, after, { candidateFacts: facts, baseFacts: facts, run: watched });
    expect(Math.min(...patience.map(Number))).toBeGreaterThan(60_000);
  });
});
