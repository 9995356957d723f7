import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { projectPolicy } from '@muster/contracts';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { needing } from '../../../../test/support/needing.ts';
import { detectSandbox, type Sandbox } from '../sandbox/detect.ts';
import { toolchain } from '../sandbox/toolchain.ts';
import { SourceTree } from '../source/tree.ts';
import { runVerification } from '../verification.ts';
import { installDependencies } from './dependencies.ts';
import { pinnedIn } from './python-packages.ts';

let root: string;
let wheels: string;
let hash: string;

function write(dir: string, files: Readonly<Record<string, string>>): string {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
  return dir;
}
const tree = (files: Readonly<Record<string, string>>): SourceTree =>
  new SourceTree(write(mkdtempSync(join(root, 'tree-')), files));

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'gate-python-'));
  chmodSync(root, 0o755);
  wheels = join(root, 'wheels');
  const about = 'small-1.0.0.dist-info';
  const made = write(join(root, 'made'), {
    'small/__init__.py': 'def twice(n):\n    return 2 * n\n',
    [`${about}/METADATA`]: 'Metadata-Version: 2.1\nName: small\nVersion: 1.0.0\n',
    [`${about}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    [`${about}/RECORD`]: `small/__init__.py,,\n${about}/METADATA,,\n${about}/WHEEL,,\n${about}/RECORD,,\n`,
  });
  mkdirSync(wheels);
  const file = join(wheels, 'small-1.0.0-py3-none-any.whl');
  execFileSync('python3', ['-m', 'zipfile', '-c', file, 'small', about], { cwd: made });
  hash = createHash('sha256').update(readFileSync(file)).digest('hex');
  // Only its source is there: whoever wanted to install it would have to run it.
  const source = write(join(root, 'source'), {
    'unbuilt-1.0.0/setup.py': `open(${JSON.stringify(join(root, 'ran'))}, 'w')\nimport setuptools\nsetuptools.setup(name='unbuilt', version='1.0.0')\n`,
    'unbuilt-1.0.0/PKG-INFO': 'Metadata-Version: 2.1\nName: unbuilt\nVersion: 1.0.0\n',
  });
  execFileSync('tar', ['-czf', join(wheels, 'unbuilt-1.0.0.tar.gz'), 'unbuilt-1.0.0'], { cwd: source });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const none = '0'.repeat(64);
const options = (): Parameters<typeof installDependencies>[1] => ({
  cacheDir: join(root, 'cache'),
  registry: null,
  pythonWheels: wheels,
});
const install = async (requirements: string): ReturnType<typeof installDependencies> =>
  await installDependencies(tree({ 'requirements.txt': requirements, 'app.py': 'x = 1\n' }), options());

const withPip = needing(
  'packages of Python',
  spawnSync('python3', ['-m', 'pip', '--version']).status === 0 ? [] : ['pip'],
);
const withPytest = needing('packages of Python in a verification', toolchain().pytest ? [] : ['pytest']);

withPip.describe('packages of Python', () => {
  it('come from the operator’s wheels, each with the hash that the project has pinned, once per content', async () => {
    const installed = await install(
      `# what we need\nsmall==1.0.0 \\\n    --hash=sha256:${none} \\\n    --hash=sha256:${hash}\n`,
    );
    expect(installed).toMatchObject({ status: 'installed', reason: 'installed from requirements.txt' });
    expect(readFileSync(join(installed.python!, 'small', '__init__.py'), 'utf8')).toContain('twice');
    const again = await install(`small==1.0.0 --hash=sha256:${hash} --hash=sha256:${none}\n`);
    expect(again.python).toBe(installed.python);
    const other = await install(`small==1.0.0 --hash=sha256:${hash}\n`);
    expect(other.digest).not.toBe(installed.digest);
  });

  it('that are not there leave nothing run, which is said to be the machine’s lack', async () => {
    expect(await install(`small==2.0.0 --hash=sha256:${hash}\n`)).toMatchObject({
      status: 'not_run',
      blocked: true,
      reason: expect.stringContaining('small==2.0.0'),
    });
    const gone = { ...options(), cacheDir: join(root, 'other-cache'), pythonWheels: join(root, 'nowhere') };
    expect(
      await installDependencies(tree({ 'requirements.txt': `small==1.0.0 --hash=sha256:${hash}\n` }), gone),
    ).toMatchObject({ status: 'not_run', blocked: true, reason: expect.stringContaining('nowhere') });
  });

  it('that are others than the project has pinned are not installed, and the machine is not to blame', async () => {
    expect(await install(`small==1.0.0 --hash=sha256:${none}\n`)).toMatchObject({
      status: 'not_run',
      blocked: false,
      reason: expect.stringMatching(/DO NOT MATCH THE HASHES/),
    });
  });

  it('are never built: what is there as source only is missing, and nothing of it was run', async () => {
    const digest = createHash('sha256').update(readFileSync(join(wheels, 'unbuilt-1.0.0.tar.gz'))).digest('hex'); // prettier-ignore
    expect(await install(`unbuilt==1.0.0 --hash=sha256:${digest}\n`)).toMatchObject({ status: 'not_run', blocked: true }); // prettier-ignore
    expect(existsSync(join(root, 'ran'))).toBe(false);
  });

  it.each([
    ['git+https://example.org/x.git#egg=x', '“git+https'],
    ['x @ https://example.org/x-1.0.0-py3-none-any.whl --hash=sha256:' + none, '“x @'],
    ['-e .', '“-e .”'],
    ['x>=1.0', '“x>=1.0”'],
    ['-r ../other.txt', 'not in the project'],
    ['--global-option=x', '“--global-option'],
  ])('that are asked for as %s are refused beside pinned ones', async (line, words) => {
    const refused = await install(`small==1.0.0 --hash=sha256:${hash}\n${line}\n`);
    expect(refused).toMatchObject({ status: 'refused', refused: [expect.stringContaining(words)] });
  });

  it('are not looked for where nothing is pinned by hash, or the operator has no wheels', async () => {
    expect(await install('requests\nflask>=2\n')).toMatchObject({ status: 'nothing_needed', python: null });
    const without = { ...options(), pythonWheels: null };
    expect(
      await installDependencies(tree({ 'requirements.txt': `small==1.0.0 --hash=sha256:${hash}\n` }), without),
    ).toMatchObject({ status: 'nothing_needed' });
  });

  it('are read from files that others include, without what says where they come from', () => {
    const given = tree({
      'requirements-dev.txt': `--index-url https://evil.example/simple\n-r requirements/base.txt\nb[extra]==2 ; python_version >= "3.8" --hash=sha256:${hash}\n`,
      'requirements/base.txt': `a==1 --hash=sha256:${none}\n-c constraints.txt\n`,
    });
    expect(pinnedIn(given)).toEqual({
      files: ['requirements-dev.txt', 'requirements/base.txt'],
      lines: [`a==1 --hash=sha256:${none}`, `b[extra]==2 ; python_version >= "3.8" --hash=sha256:${hash}`],
      refused: [],
    });
  });

  withPytest.describe('in a verification', () => {
    let sandbox: Sandbox;
    beforeAll(async () => {
      sandbox = await detectSandbox('auto');
      if (sandbox.driver === null) throw new Error(sandbox.notes.join('; '));
    });

    it('are there for the tests, which cannot write to them', async () => {
      const files = {
        'requirements.txt': `small==1.0.0 --hash=sha256:${hash}\n`,
        'app.py': 'from small import twice\n\n\ndef four():\n    return twice(2)\n',
        'tests/test_app.py':
          'import small\nfrom app import four\n\n\ndef test_four():\n    assert four() == 4\n\n\ndef test_read_only():\n    try:\n        open(small.__file__, "a")\n    except OSError:\n        return\n    assert False\n',
        'pyproject.toml': '[tool.pytest.ini_options]\npythonpath = ["."]\n',
      };
      const facts = await runVerification({
        candidateDir: tree(files).dir,
        baseDir: tree({ 'README.md': 'x\n' }).dir,
        restoresDir: null,
        input: {
          purpose: 'admission', candidateTree: 'a'.repeat(40), baseTree: 'b'.repeat(40), restoresTree: null,
          policy: projectPolicy.parse({}), rulesDigest: 'r',
        },
        workDir: join(root, 'work'), cacheDir: join(root, 'cache'), sandbox, pythonWheels: wheels,
      }); // prettier-ignore
      expect(facts.checks.find(({ check }) => check === 'tests')).toMatchObject({ status: 'passed' });
      expect(facts.testCases.map(({ status }) => status)).toEqual(['passed', 'passed']);
    }, 120_000);
  });
});
