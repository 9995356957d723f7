// Shows that the checks can fail: each patch in planted-bugs/ breaks one promise of dispatch in a copy of this checkout, and must be
// found there, for the reason that it names. Without any patch the same checks must find none of these reasons.
//   npm run torture:planted -- [--only completion-without-fence,…] [--found-by zombies|doctor|state-machines|torture] [--seconds 20] [--seed 1]
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

/** The torture, or the tests of that name in test/e2e. */
const finders = ['zombies', 'doctor', 'state-machines', 'torture'] as const;
type FoundBy = (typeof finders)[number];
interface Planted {
  readonly name: string;
  readonly patch: string;
  readonly bug: string;
  readonly foundBy: FoundBy;
  /** The failing test's name, or one of the torture's reasons, must match. */
  readonly reason: RegExp;
}

const root = resolve(import.meta.dirname, '../..');
const folder = join(import.meta.dirname, 'planted-bugs');
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    'found-by': { type: 'string' },
    seconds: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    tasks: { type: 'string', default: '1500' },
  },
});

const headerOf = (text: string, name: string): string => {
  const value = new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1];
  if (value === undefined) throw new Error(`A planted bug has a line "${name}: …" before its diff.`);
  return value;
};
const planted = readdirSync(folder)
  .filter((file) => file.endsWith('.patch'))
  .sort()
  .map((file): Planted => {
    const text = readFileSync(join(folder, file), 'utf8');
    const named = headerOf(text, 'Found-by');
    const foundBy = finders.find((finder) => finder === named);
    if (foundBy === undefined) throw new Error(`${file} is to be found by ${named}, which does not exist.`);
    const reason = new RegExp(headerOf(text, 'Reason'));
    return { name: file.slice(0, -6), patch: join(folder, file), bug: headerOf(text, 'Bug'), foundBy, reason };
  })
  .filter(({ name }) => values.only === undefined || values.only.split(',').includes(name))
  .filter(({ foundBy }) => values['found-by'] === undefined || values['found-by'] === foundBy);

/** The checkout as git knows it, with what npm and the build have made. */
function copyCheckout(): string {
  const copy = mkdtempSync(join(tmpdir(), 'muster-planted-'));
  const files = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root })
    .stdout.toString('utf8')
    .split('\0')
    .filter((file) => file !== '');
  for (const file of files) {
    mkdirSync(join(copy, dirname(file)), { recursive: true });
    cpSync(join(root, file), join(copy, file), { verbatimSymlinks: true, preserveTimestamps: true });
  }
  // Modules are only read: links are enough where the file system allows them.
  const linked = spawnSync('cp', ['-al', join(root, 'node_modules'), copy]);
  if (linked.status !== 0) {
    rmSync(join(copy, 'node_modules'), { recursive: true, force: true });
    cpSync(join(root, 'node_modules'), join(copy, 'node_modules'), { recursive: true, verbatimSymlinks: true });
  }
  const built = ['dist', ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}/dist`)];
  for (const part of built) cpSync(join(root, part), join(copy, part), { recursive: true, preserveTimestamps: true });
  return copy;
}

function must(copy: string, program: string, args: readonly string[]): void {
  const { status, stderr, stdout } = spawnSync(program, [...args], { cwd: copy, maxBuffer: 64 * 1024 * 1024 });
  if (status !== 0)
    throw new Error(`${program} ${args.join(' ')}: ${String(stdout).slice(-2000)}${String(stderr).slice(-2000)}`);
}

/** Runs a program to its end; what it printed counts, not how it ended. */
const printed = (copy: string, args: readonly string[]): Promise<string> =>
  new Promise((done, fail) => {
    const child = spawn(process.execPath, [...args], { cwd: copy, stdio: ['ignore', 'pipe', 'ignore'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
    child.once('error', fail);
    child.once('close', () => done(text));
  });

/** Why the checks refuse what is in this copy. */
async function reasonsIn(copy: string, foundBy: Planted['foundBy']): Promise<string[]> {
  if (foundBy === 'torture') {
    must(copy, process.execPath, ['tools/build.mjs']);
    const args = [
      'test/faults/torture.ts',
      '--json',
      '--details',
      '--seconds',
      values.seconds,
      '--seed',
      values.seed,
      '--tasks',
      values.tasks,
    ];
    const { reasons } = JSON.parse(await printed(copy, args)) as { reasons: string[] };
    return reasons;
  }
  const jest = [
    '--experimental-vm-modules',
    'node_modules/jest/bin/jest.js',
    `test/e2e/${foundBy}`,
    '--json',
    '--silent',
  ];
  const { testResults } = JSON.parse(await printed(copy, jest)) as {
    testResults: { message: string; assertionResults: { status: string; fullName: string }[] }[];
  };
  return testResults.flatMap(({ assertionResults }) =>
    assertionResults.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName),
  );
}

if (planted.length === 0) {
  console.error(`No planted bug is called ${values.only ?? 'anything'}.`);
  process.exit(64);
}
const copy = copyCheckout();
let missed = 0;
try {
  const clean = new Map<string, string[]>();
  for (const foundBy of new Set(planted.map((one) => one.foundBy))) {
    clean.set(foundBy, await reasonsIn(copy, foundBy));
    console.log(`nothing planted, ${foundBy}: ${clean.get(foundBy)?.join('; ') || 'finds nothing'}`);
  }
  for (const { name, patch, bug, foundBy, reason } of planted) {
    must(copy, 'git', ['apply', patch]);
    const reasons = await reasonsIn(copy, foundBy).catch((error: unknown) => [`did not run: ${String(error)}`]);
    must(copy, 'git', ['apply', '--reverse', patch]);
    const right = reasons.filter((one) => reason.test(one));
    const always = (clean.get(foundBy) ?? []).filter((one) => reason.test(one));
    const found = right.length > 0 && always.length === 0;
    if (!found) missed += 1;
    console.log(`${found ? 'found ' : 'MISSED'} ${name}: ${bug}`);
    console.log(`       by ${foundBy}: ${(found ? right : reasons).slice(0, 4).join('; ') || 'nothing'}`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true, maxRetries: 3 });
}
console.log(`${planted.length - missed} of ${planted.length} planted bugs were found for the right reason.`);
process.exit(missed === 0 ? 0 : 1);
