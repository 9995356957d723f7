// Compiles packages, rooms and apps with tsc into dist/ and packages/*/dist, packs the server into one file, and does nothing when
// nothing changed since.
// Types are not checked here (`npm run typecheck` does): a start should not wait for what CI has proven.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const stampFile = join(root, 'dist', '.stamp');
/** In the order in which they need each other's declarations. */
const packages = ['contracts', 'gate', 'sdk', 'verify-provenance'];

async function* filesBelow(folder) {
  if (!existsSync(folder)) return;
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (['node_modules', 'dist', 'fixtures', '.git'].includes(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield path;
  }
}

async function sources() {
  const files = [];
  for (const folder of ['apps', 'libs', 'packages', 'examples/agents', 'migrations'])
    for await (const file of filesBelow(join(root, folder))) files.push(file);
  for (const file of [
    'package.json',
    'tsconfig.json',
    'tsconfig.build.json',
    'mikro-orm.config.ts',
    'tools/build.mjs',
    'tools/bundle.mjs',
  ]) {
    if (existsSync(join(root, file))) files.push(join(root, file));
  }
  return files.filter((file) => !/\.(int-|e2e-)?spec\.ts$|\.md$/.test(file)).sort();
}

async function stampOf(files) {
  const hash = createHash('sha256').update(process.version);
  for (const file of files) {
    const { mtimeMs, size } = await stat(file);
    hash.update(`${relative(root, file)} ${mtimeMs} ${size}\n`);
  }
  return hash.digest('hex');
}

function compile(project) {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-p', project, '--pretty', 'false'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) {
    console.error(`The build of ${project} failed.`);
    process.exit(1);
  }
}

/** Two builds at once would read each other's halves. The lock of one that was killed is taken over. */
async function alone(work) {
  const lock = join(root, 'dist', '.building');
  await mkdir(join(root, 'dist'), { recursive: true });
  for (let tries = 0; ; tries++) {
    try {
      await writeFile(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const owner = Number(await readFile(lock, 'utf8').catch(() => '0'));
      if (tries > 3000 || (owner > 0 && !isRunning(owner))) await rm(lock, { force: true });
      await new Promise((wake) => setTimeout(wake, 100));
    }
  }
  process.once('exit', () => rmSync(lock, { force: true }));
  await work();
}

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** What a start of the server loads instead of thousands of modules. */
const serverBundle = join(root, 'dist', 'apps', 'server', 'bundle', 'process.js');
const wholePlaces = [
  join(root, 'dist', 'apps', 'server', 'src', 'main.js'),
  serverBundle,
  ...packages.map((name) => join(root, 'packages', name, 'dist', 'index.js')),
];
const isFresh = async (stamp) =>
  (await readFile(stampFile, 'utf8').catch(() => '')) === stamp && wholePlaces.every((file) => existsSync(file));

async function build() {
  const files = await sources();
  const stamp = await stampOf(files);
  if (await isFresh(stamp)) return;
  const start = Date.now();
  process.stderr.write('Building … ');
  // A state of tsc without the files that it tells of would skip them.
  if (!existsSync(wholePlaces[0])) await rm(join(root, 'dist', '.build.tsbuildinfo'), { force: true });
  for (const name of packages) {
    if (!existsSync(join(root, 'packages', name, 'dist', 'index.js')))
      await rm(join(root, 'packages', name, 'dist'), { recursive: true, force: true });
    compile(join('packages', name, 'tsconfig.build.json'));
  }
  compile('tsconfig.build.json');
  // What stands beside the code and is read at run time.
  for (const file of files) {
    const path = relative(root, file);
    const [, name, rest] = /^packages\/([^/]+)\/src\/(.+)$/.exec(path) ?? [];
    const inSource = /^(apps|libs)\//.test(path) || rest !== undefined;
    if (!inSource || /\.tsx?$/.test(path)) continue;
    const target = rest === undefined ? join(root, 'dist', path) : join(root, 'packages', name, 'dist', rest);
    await mkdir(dirname(target), { recursive: true });
    await copyFile(file, target);
  }
  const { bundle } = await import('./bundle.mjs');
  const { digestOfCode } = await import('../packages/gate/dist/version.js');
  await bundle({
    from: join(root, 'dist', 'apps', 'server', 'src', 'process.js'),
    to: serverBundle,
    // What is packed gives the same answers as what is not.
    define: { MUSTER_GATE_CODE: JSON.stringify(digestOfCode(join(root, 'packages', 'gate', 'dist'))) },
  });
  await writeFile(stampFile, stamp);
  process.stderr.write(`done in ${((Date.now() - start) / 1000).toFixed(1)} s\n`);
}

if (!(await isFresh(await stampOf(await sources())))) await alone(build);
