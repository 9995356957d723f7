import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { projectPolicy } from '@muster/contracts';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { GateDesk, type Files } from '../../../../test/support/gate-desk.ts';
import { needing } from '../../../../test/support/needing.ts';
import { testsCheck } from '../checks/tests.ts';
import { toolchain } from '../sandbox/toolchain.ts';
import { runVerification } from '../verification.ts';
import { installDependencies, type InstallOptions } from './dependencies.ts';
import type { Installed } from './installed.ts';

const desk = new GateDesk();
const wheels = join(desk.root, 'wheels');
const hashes = new Map<string, string>();

/** A wheel that says its name, in the operator's folder. */
function wheel(name: string, version = '1.0.0'): void {
  const about = `${name}-${version}.dist-info`;
  const made = join(desk.root, `made-${name}-${version}`);
  for (const [path, text] of Object.entries({
    [`${name}/__init__.py`]: `version = '${version}'\n`,
    [`${about}/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`,
    [`${about}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    [`${about}/RECORD`]: `${name}/__init__.py,,\n${about}/METADATA,,\n${about}/WHEEL,,\n${about}/RECORD,,\n`,
  })) {
    mkdirSync(dirname(join(made, path)), { recursive: true });
    writeFileSync(join(made, path), text);
  }
  const file = join(wheels, `${name}-${version}-py3-none-any.whl`);
  execFileSync('python3', ['-m', 'zipfile', '-c', file, name, about], { cwd: made });
  hashes.set(name, createHash('sha256').update(readFileSync(file)).digest('hex'));
}

beforeAll(() => {
  chmodSync(desk.root, 0o755);
  mkdirSync(wheels);
  for (const name of ['small', 'inner', 'quick', 'checker', 'prose']) wheel(name);
});
afterAll(() => desk.clear());

const none = '0'.repeat(64);
const hashOf = (name: string): string => hashes.get(name) ?? none;

/** As uv writes it. `prose` is for a group that no check needs, `old` for another interpreter, `quick` for an extra of `checker`. */
const uv = (): Files => {
  const registry = 'source = { registry = "https://pypi.org/simple" }';
  const entry = (name: string, more = ''): string =>
    `[[package]]\nname = "${name}"\nversion = "1.0.0"\n${registry}\n${more}sdist = { url = "https://files.pythonhosted.org/packages/${name}-1.0.0.tar.gz", hash = "sha256:${none}", size = 1 }\nwheels = [\n    { url = "https://files.pythonhosted.org/packages/${name}-1.0.0-py3-none-any.whl", hash = "sha256:${hashOf(name)}", size = 1 },\n]\n`;
  return {
    'pyproject.toml': `[project]\nname = "sample"\nversion = "0.1.0"\nrequires-python = ">=3.9"\ndependencies = ["small>=1,<2", "old; python_version < '3.0'"]\n\n[dependency-groups]\ndev = ["checker[fast]"]\ndocs = ["prose"]\n\n[tool.pytest.ini_options]\npythonpath = ["."]\n`,
    'uv.lock': `version = 1\nrevision = 3\nrequires-python = ">=3.9"\n\n${entry('checker')}\n[package.optional-dependencies]\nfast = [\n    { name = "quick" },\n]\n\n${entry('inner')}\n${entry('old')}\n${entry('prose')}\n${entry('quick')}\n[[package]]\nname = "sample"\nversion = "0.1.0"\nsource = { virtual = "." }\ndependencies = [\n    { name = "old", marker = "python_full_version < '3.0'" },\n    { name = "small" },\n]\n\n[package.dev-dependencies]\ndev = [\n    { name = "checker", extra = ["fast"] },\n]\ndocs = [\n    { name = "prose" },\n]\n\n[package.metadata]\nrequires-dist = [\n    { name = "old", marker = "python_full_version < '3.0'" },\n    { name = "small", specifier = ">=1,<2" },\n]\n\n[package.metadata.requires-dev]\ndev = [{ name = "checker", extras = ["fast"] }]\ndocs = [{ name = "prose" }]\n\n${entry('small', 'dependencies = [\n    { name = "inner" },\n]\n')}`,
  };
};

/** As poetry writes it, by the version of its locks: since 2.1 they say themselves what each package is for. */
const poetry = (version: '2.0' | '2.1'): Files => {
  const project = `[tool.poetry]\nname = "sample"\nversion = "0.1.0"\n\n[tool.poetry.dependencies]\npython = "^3.9"\nsmall = "^1.0"\nold = { version = "*", markers = "python_version < '3.0'" }\nextra = { version = "*", optional = true }\n\n[tool.poetry.group.dev.dependencies]\nchecker = { version = "*", extras = ["fast"] }\n\n[tool.poetry.group.docs.dependencies]\nprose = "*"\n\n[tool.pytest.ini_options]\npythonpath = ["."]\n`;
  const relevant = "import hashlib, json, sys, tomllib; c = tomllib.loads(sys.stdin.read())['tool']['poetry']; print(hashlib.sha256(json.dumps({**{k: c.get(k) for k in ('dependencies', 'source', 'extras', 'dev-dependencies')}, 'group': c['group']}, sort_keys=True).encode()).hexdigest())"; // prettier-ignore
  const hash = execFileSync('python3', ['-c', relevant], { input: project, encoding: 'utf8' }).trim();
  const entry = (name: string, groups: string, more = '', optional = false, markers = ''): string =>
    `[[package]]\nname = "${name}"\nversion = "1.0.0"\ndescription = ""\noptional = ${optional}\npython-versions = ">=3.9"\n${version === '2.0' ? '' : `groups = [${groups}]\n${markers}`}files = [\n    {file = "${name}-1.0.0-py3-none-any.whl", hash = "sha256:${hashOf(name)}"},\n    {file = "${name}-1.0.0.tar.gz", hash = "sha256:${none}"},\n]\n${more}\n`;
  return {
    'pyproject.toml': project,
    'poetry.lock': `# This file is automatically @generated by Poetry 2.1.0 and should not be changed by hand.\n\n${entry('checker', '"dev"', '\n[package.dependencies]\nquick = {version = ">=1", optional = true, markers = "extra == \\"fast\\""}\n\n[package.extras]\nfast = ["quick (>=1)"]\n')}${entry('extra', '"main"', '', true, 'markers = "extra == \\"more\\""\n')}${entry('inner', '"main"')}${entry('old', '"main"', '', false, 'markers = "python_version < \\"3.0\\""\n')}${entry('prose', '"docs"')}${entry('quick', '"dev"')}${entry('small', '"main"', '\n[package.dependencies]\ninner = "*"\n')}[metadata]\nlock-version = "${version}"\npython-versions = "^3.9"\ncontent-hash = "${hash}"\n`,
  };
};

const install = async (files: Files, more: Partial<InstallOptions> = {}): Promise<Installed> =>
  await installDependencies(desk.tree(files), { cacheDir: join(desk.root, 'cache'), registry: null, pythonWheels: wheels, ...more }); // prettier-ignore
/** A file with this in place of that, which has to be in it. */
const instead = (files: Files, path: string, that: string, by: string): Files => {
  expect(files[path]).toContain(that);
  return { ...files, [path]: files[path]!.replaceAll(that, by) };
};

const withPip = needing(
  'locks of Python',
  spawnSync('python3', ['-m', 'pip', '--version']).status === 0 ? [] : ['pip'],
);
const withPytest = needing('locks of Python in a verification', toolchain().pytest ? [] : ['pytest']);

withPip.describe.each<[string, string, () => Files]>([
  ['uv', 'uv.lock', uv],
  ['poetry, version 2.0', 'poetry.lock', () => poetry('2.0')],
  ['poetry, version 2.1', 'poetry.lock', () => poetry('2.1')],
])('packages of a lock of %s', (_tool, path, files) => {
  it('come from the operator’s wheels: those that the project and its tests need here, and what they bring along', async () => {
    const installed = await install(files());
    expect(installed).toMatchObject({ status: 'installed', reason: `installed from ${path}` });
    const there = readdirSync(installed.python!).filter((name) => !name.includes('dist-info'));
    expect(there.sort()).toEqual(['checker', 'inner', 'quick', 'small']);
  }, 60_000);

  it('are compared with the hashes in it', async () => {
    expect(await install(instead(files(), path, hashOf('inner'), none))).toMatchObject({
      status: 'not_run',
      blocked: false,
      reason: expect.stringMatching(/DO NOT MATCH THE HASHES/),
    });
  }, 60_000);

  it('that the operator lacks are named, and the machine is to blame', async () => {
    const empty = join(desk.root, 'empty');
    mkdirSync(empty, { recursive: true });
    expect(await install(files(), { pythonWheels: empty, cacheDir: join(desk.root, 'other') })).toMatchObject({
      status: 'not_run',
      blocked: true,
      reason: expect.stringMatching(/(checker|inner|quick|small)==1\.0\.0/),
    });
  }, 60_000);

  it('are not installed where it does not fit what the project asks for', async () => {
    const changed = instead(files(), 'pyproject.toml', 'small', 'inner');
    expect(await install(changed)).toMatchObject({
      status: 'not_run',
      blocked: false,
      reason: expect.stringMatching(/does not fit pyproject\.toml, .*run (uv|poetry) lock and commit it/),
    });
  }, 60_000);

  it.each([
    ['inner-1.0.0-py3-none-any.whl', 'inner-1.0.0.zip', /inner==1\.0\.0 is locked as source alone/],
    ['name = "inner"', 'name = "../inner"', /does not say what that is|no name of a package/],
  ])(
    'are refused or not installed where %s is %s',
    async (that, by, words) => {
      const { status, reason, refused } = await install(instead(files(), path, that, by));
      expect(['refused', 'not_run']).toContain(status);
      expect(`${reason} ${refused.join()}`).toMatch(words);
    },
    60_000,
  );

  it('that come from elsewhere than an index are refused', async () => {
    const given = files();
    const hostile: Files =
      path === 'uv.lock'
        ? { ...given, [path]: given[path]!.replace(/(name = "inner"\nversion = "1.0.0"\nsource = ).*/, '$1{ git = "https://evil.example/x.git" }') }
        : { ...given, [path]: given[path]!.replace(/(name = "inner"[\s\S]*?\]\n)\n/, '$1\n[package.source]\ntype = "git"\nurl = "https://evil.example/x.git"\n\n') };
    expect(hostile[path]).not.toBe(given[path]);
    expect(await install(hostile)).toMatchObject({ status: 'refused', refused: [expect.stringContaining('evil.example')] });
  }, 60_000); // prettier-ignore

  it('of a form that is not known, or of none, are not installed, and it is said why', async () => {
    const versions: [string, string] = path === 'uv.lock' ? ['version = 1\n', 'version = 9\n'] : ['lock-version = "2.', 'lock-version = "9.']; // prettier-ignore
    expect(await install(instead(files(), path, ...versions))).toMatchObject({ status: 'not_run', reason: expect.stringMatching(/version 9.*renew it/) }); // prettier-ignore
    expect(await install({ ...files(), [path]: '[[package' })).toMatchObject({ status: 'not_run', reason: expect.stringContaining('cannot be read') }); // prettier-ignore
    expect(await install({ ...files(), [path]: 'package = 3\nversion = 1\n' })).toMatchObject({ status: 'not_run' });
  }, 60_000);

  it('are not looked for where the operator has no wheels, or requirement files pin what there is', async () => {
    expect(await install(files(), { pythonWheels: null })).toMatchObject({ status: 'nothing_needed' });
    const pinned = { ...files(), 'requirements.txt': `small==1.0.0 --hash=sha256:${hashOf('small')}\n` };
    expect(await install(pinned)).toMatchObject({ status: 'installed', reason: 'installed from requirements.txt' });
  }, 60_000);

  withPytest.it(
    'are there for the tests of a verification',
    async () => {
      const project = {
        ...files(),
        'app.py': 'import small\n\n\ndef version():\n    return small.version\n',
        'tests/test_app.py': "import checker\nfrom app import version\n\n\ndef test_version():\n    assert version() == checker.version == '1.0.0'\n", // prettier-ignore
      };
      const facts = await runVerification({
      candidateDir: desk.tree(project).dir,
      baseDir: desk.tree({ 'README.md': 'x\n' }).dir,
      restoresDir: null,
      input: {
        purpose: 'admission', candidateTree: 'a'.repeat(40), baseTree: 'b'.repeat(40), restoresTree: null,
        policy: projectPolicy.parse({}), rulesDigest: 'r',
      },
      workDir: join(desk.root, 'work'), cacheDir: join(desk.root, `cache-${path}`), sandbox: await desk.sandbox(), pythonWheels: wheels, checks: [testsCheck],
    }); // prettier-ignore
      expect(facts.checks).toMatchObject([{ check: 'tests', status: 'passed' }]);
    },
    120_000,
  );
});
