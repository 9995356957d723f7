import { projectPolicy, type VerificationFacts } from '@muster/contracts';
import { detectSandbox, judge, runVerification, type Sandbox, type SandboxDriver } from '@muster/gate';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { admissionOf, plantTree, type PlantedTree } from './handed-in.ts';
import { noPart, partOf } from './part.ts';

/**
 * Hands in changes that try to get out, through the product's own pipeline. What counts is seen from outside: the bait's secret in what
 * came back, bytes at a listener, files, processes. An attempt that did not even run counts as a fault of this suite, and the
 * first round runs without walls to show that what is looked for would be found. Every attempt is harmless where it succeeds.
 */
interface Attempt {
  name: string;
  /** The body of a test; knows `told`, `fs`, `net`, `spawn`, `spawnSync`, `won(what)`; may await. */
  body?: string;
  files?: Record<string, string>;
  /** Symbolic links, by where they point. */
  links?: Record<string, 'canary' | 'shadow'>;
  /** The change breaks the product as well: the rules of which one has to see through it. Being refused for less is an escape. */
  seenBy?: string[];
  timeoutSeconds?: number;
  /** What the project has the gate look at after its build. */
  artefacts?: string[];
  /** Shows without walls that its success would be seen. */
  control?: boolean;
}

const sum = (operator: string): string => `export function sum(a, b) {\n  return a ${operator} b;\n}\n`;
const project: Record<string, string> = {
  'package.json': JSON.stringify({ name: 'sample', type: 'module', scripts: { test: 'node --test' } }),
  'src/sum.js': sum('+'),
  'test/sum.test.js':
    "import test from 'node:test';\nimport assert from 'node:assert/strict';\nimport { sum } from '../src/sum.js';\n" +
    "test('adds two numbers', () => {\n  assert.equal(sum(1, 2), 3);\n  assert.equal(sum(-1, 1), 0);\n});\n",
};

const send = (target: string): string => `await new Promise((resolve) => {
  const socket = net.connect(${target});
  socket.setTimeout(1000, () => { socket.destroy(); resolve(); });
  socket.on('error', resolve);
  socket.on('connect', () => { won('connected'); socket.end(told.greeting, resolve); });
});`;
const breaks = { 'src/sum.js': sum('-') };
const lifecycle = Object.fromEntries(
  ['preinstall', 'install', 'postinstall', 'prepare', 'pretest', 'posttest'].map((name) => [
    name,
    // The tests behind it run whatever becomes of it.
    'echo x > CANARY.written || true',
  ]),
);
/** Writes wherever the harness may be listening. */
const forge = `for (const at of ['/muster/report', '/muster/reporters', '/muster/reporters/channel'])
  for (const name of fs.existsSync(at) ? fs.readdirSync(at) : [])
    try { fs.writeFileSync(at + '/' + name, told.forged + '\\n'); } catch {}`;
const patchedAssert = "import assert from 'node:assert/strict';\nassert.equal = () => undefined;\n";
/** The project's own way of setting its tests up, which the change may edit. */
const setUp = { 'test/sum.test.js': `import '../tools/set-up.js';\n${project['test/sum.test.js']}` };

const attempts: Attempt[] = [
  { name: 'read /etc/shadow', body: "won(/^root:.*:/.test(fs.readFileSync('/etc/shadow', 'utf8')) && 'read it');" },
  { name: 'read files of the host', body: 'won(fs.readFileSync(told.canary, "utf8"));', control: true },
  {
    name: 'read files of the host by /proc',
    body: "for (const pid of fs.readdirSync('/proc').filter(Number)) try { won(fs.readFileSync('/proc/' + pid + '/root' + told.canary, 'utf8')); } catch {}",
    control: true,
  },
  {
    name: 'read the environment',
    body: "won(process.env.MUSTER_BAIT); for (const pid of fs.readdirSync('/proc').filter(Number)) try { won(fs.readFileSync('/proc/' + pid + '/environ', 'utf8').includes(told.variable) && 'found it'); } catch {}",
    control: true,
  },
  { name: 'reach a port of the host', body: send('{ port: told.port, host: "127.0.0.1" }'), control: true },
  { name: 'reach a socket file of the host', body: send('{ path: told.socket }'), control: true },
  { name: 'reach an abstract socket of the host', body: send('{ path: "\\0" + told.abstract }'), control: true },
  {
    name: 'reach the metadata address',
    body: `for (const host of ['169.254.169.254', '169.254.170.2', '100.100.100.200', 'fd00:ec2::254', 'metadata.google.internal']) {
${send('{ port: 80, host }')}
}`,
  },
  {
    name: 'send a datagram to the host',
    body: `const socket = (await import('node:dgram')).createSocket('udp4');
socket.on('error', () => undefined);
await new Promise((resolve) => socket.send(told.greeting, told.datagrams, '127.0.0.1', resolve));
await new Promise((resolve) => setTimeout(resolve, 300));
socket.close();`,
    control: true,
  },
  {
    name: 'find what the verifier has open',
    body: `for (const pid of fs.readdirSync('/proc').filter(Number)) {
  let names = [];
  try { names = fs.readdirSync('/proc/' + pid + '/fd'); } catch {}
  for (const name of names) try { won(fs.readlinkSync('/proc/' + pid + '/fd/' + name) === told.held && fs.readFileSync('/proc/' + pid + '/fd/' + name, 'utf8')); } catch {}
}`,
    control: true,
  },
  {
    name: 'find a way out of the network',
    body: "won(fs.readFileSync('/proc/net/route', 'utf8').split('\\n').slice(1).filter(Boolean).length > 0 && 'there is a route');",
  },
  {
    name: 'write outside',
    body: "for (const path of [told.canary + '.written', '/usr/muster-escape', '/etc/muster-escape', '/muster-escape']) try { fs.writeFileSync(path, 'x'); won('wrote ' + path); fs.rmSync(path); } catch {}",
  },
  {
    name: 'start processes without end',
    body: "const all = []; try { for (let i = 0; i < 700; i++) { const child = spawn('sleep', ['20'], { stdio: 'ignore' }); child.on('error', () => {}); if (child.pid === undefined) break; all.push(child); } won(all.length >= 700 && 'that many at once'); } finally { for (const child of all) child.kill('SIGKILL'); }",
  },
  {
    name: 'double processes without end',
    body: "spawn('sh', ['-c', 'f() { f & f & }; f; f; f; wait'], { detached: true, stdio: 'ignore' }).on('error', () => {}); await new Promise((resolve) => setTimeout(resolve, 2000));",
    timeoutSeconds: 10,
  },
  {
    name: 'take memory without end',
    body: "const kept = []; try { for (let i = 0; i < 32; i++) kept.push(Buffer.allocUnsafeSlow(256 * 1024 * 1024)); } catch {} won(kept.length >= 32 && '8 GiB in one process');",
  },
  {
    name: 'write a file without end',
    body: "fs.writeFileSync('huge', ''); try { fs.truncateSync('huge', 2 * 1024 ** 3); won('2 GiB'); } catch {} fs.rmSync('huge');",
  },
  {
    name: 'take memory without end in many processes',
    body: "const all = Array.from({ length: 6 }, () => spawn(process.execPath, ['-e', 'const a=[];for(let i=0;i<100;i++)a.push(Buffer.alloc(1<<24,1));console.log(a.length);setTimeout(()=>{},60000)'], { stdio: ['ignore', 'pipe', 'ignore'] })); await Promise.all(all.map((each) => new Promise((resolve) => each.stdout.once('data', resolve).once('close', resolve)))); won(all.every(({ exitCode, signalCode }) => exitCode === null && signalCode === null) && '9 GB in all');",
  },
  {
    name: 'write without end in many files',
    body: "for (let i = 0; i < 12; i++) fs.writeFileSync('huge-' + i, Buffer.alloc(250 * 1024 * 1024, 1)); await new Promise((resolve) => setTimeout(resolve, 8000)); won('3 GB in all');",
  },
  {
    name: 'print without end',
    body: "const line = 'x'.repeat(1024 * 1024); for (let i = 0; i < 100; i++) fs.writeSync(2, line);",
  },
  { name: 'loop without end', body: 'for (;;);', timeoutSeconds: 10 },
  {
    name: 'link to a file of the host from the change',
    links: { 'docs/notes.md': 'canary', 'src/leak.js': 'shadow' },
    body: "won(fs.readFileSync('docs/notes.md', 'utf8'));",
  },
  {
    name: 'hard-link a file of the host',
    body: "fs.linkSync(told.canary, 'taken'); won(fs.readFileSync('taken', 'utf8'));",
  },
  {
    name: 'have the report be a link to a file of the host',
    body: "for (const name of ['report.json', 'tests.json', 'junit.xml', ...fs.readdirSync('/muster/report')]) try { fs.rmSync('/muster/report/' + name, { force: true }); fs.symlinkSync(told.canary, '/muster/report/' + name); } catch {}",
  },
  {
    name: 'have what the build leaves be links to the host',
    files: {
      'package.json': JSON.stringify({
        name: 'sample',
        type: 'module',
        scripts: {
          test: 'node --test',
          build:
            'mkdir -p dist && ln -sf CANARY dist/a.js && ln -sfn / dist/b && node --test --test-name-pattern=tries',
        },
      }),
    },
    artefacts: ['dist/**'],
    body: "for (const at of ['dist/a.js', 'dist/b' + told.canary]) try { won(fs.readFileSync(at, 'utf8')); } catch {}",
  },
  {
    name: 'hooks, filters and settings of git',
    files: {
      '.gitattributes': '* filter=evil diff=evil merge=evil\n',
      '.gitmodules':
        '[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "echo x > CANARY.written"\n\tupdate = !echo x > CANARY.written\n',
      '.git/config':
        '[core]\n\tfsmonitor = "echo x > CANARY.written"\n\thooksPath = .githooks\n[filter "evil"]\n\tclean = "echo x > CANARY.written"\n\tsmudge = "echo x > CANARY.written"\n',
      '.githooks/post-checkout': '#!/bin/sh\necho x > CANARY.written\n',
    },
    body: '',
  },
  {
    name: 'lifecycle scripts of npm',
    files: {
      'package.json': JSON.stringify({
        name: 'sample',
        type: 'module',
        scripts: { test: 'node --test', ...lifecycle },
      }),
      '.npmrc': 'ignore-scripts=false\nscript-shell=/bin/sh\n',
    },
    body: '',
  },
  {
    name: 'read and write the memory of the verifier',
    body: "for (const pid of [told.harness, told.bystander]) { try { const words = fs.readFileSync('/proc/' + pid + '/environ', 'utf8'); won(words.includes(told.variable) && 'saw it'); } catch {} try { fs.closeSync(fs.openSync('/proc/' + pid + '/mem', 'r+')); won(fs.readFileSync('/proc/' + pid + '/cmdline', 'utf8').includes('escape.ts') && 'opened its memory'); } catch {} }",
  },
  {
    name: 'trace the verifier, or anybody outside',
    body: `const trace = "import ctypes, os, sys\\nlibc = ctypes.CDLL(None)\\nfor pid in sys.argv[1:]:\\n  if libc.ptrace(16, int(pid), 0, 0) == 0:\\n    os.waitpid(int(pid), 0)\\n    print('traced ' + open('/proc/' + pid + '/cmdline').read().replace(chr(0), ' '))\\n    libc.ptrace(17, int(pid), 0, 0)";
const { stdout } = spawnSync('python3', ['-c', trace, String(told.harness), String(told.bystander)], { encoding: 'utf8' });
won(/900\\.5|escape\\.ts/.test(stdout) && stdout);`,
    control: true,
  },
  { name: 'kill everything that can be seen', body: 'try { process.kill(-1, "SIGKILL"); } catch {}' },
  {
    name: 'leave a process behind',
    body: "spawn('setsid', ['sleep', told.lasting], { detached: true, stdio: 'ignore' }).unref();",
  },
  {
    name: 'end well before the tests do',
    files: { 'src/sum.js': `process.exit(0);\n${sum('-')}` },
    body: 'process.exit(0);',
    seenBy: ['tampering.hidden_test', 'tampering.ended_early'],
  },
  {
    name: 'end the runner well',
    files: breaks,
    body: "try { process.kill(process.ppid, 'SIGTERM'); } catch {} process.exit(0);",
    seenBy: ['tests.broken', 'tests.new_failure', 'tampering.ended_early'],
  },
  {
    name: 'overwrite the report',
    files: breaks,
    body: `${forge}\nprocess.exit(0);`,
    seenBy: ['tampering.forged_report'],
  },
  {
    name: 'take the key of the report first',
    files: breaks,
    body: "try { fs.readSync(fs.openSync('/muster/reporters/channel/key', fs.constants.O_RDONLY | fs.constants.O_NONBLOCK), Buffer.alloc(64)); won('read the key'); } catch {}",
    seenBy: ['tests.broken'],
  },
  {
    name: 'replace what compares, in the product',
    files: { 'src/sum.js': `${patchedAssert}${sum('-')}` },
    body: '',
    seenBy: ['tampering.swallowed_failure'],
  },
  {
    name: 'replace what compares, where tests are set up',
    files: { ...breaks, ...setUp, 'tools/set-up.js': patchedAssert },
    body: '',
    seenBy: ['tampering.swallowed_failure'],
  },
  {
    name: 'replace the runner, where tests are set up',
    files: {
      ...breaks,
      ...setUp,
      'tools/set-up.js': `import { AsyncResource } from 'node:async_hooks';
const run = AsyncResource.prototype.runInAsyncScope;
AsyncResource.prototype.runInAsyncScope = function (...given) {
  try {
    const answer = run.apply(this, given);
    return typeof answer?.catch === 'function' ? answer.catch(() => {}) : answer;
  } catch {}
};
`,
    },
    timeoutSeconds: 20,
    body: '',
    seenBy: ['tampering.swallowed_failure'],
  },
  {
    name: 'load something into every Node',
    files: {
      ...breaks,
      '.env': 'NODE_OPTIONS=--import=./tools/set-up.js\n',
      'src/sum.js': `process.env.NODE_OPTIONS = '--import=./tools/set-up.js';\n${patchedAssert}${sum('-')}`,
      'tools/set-up.js': patchedAssert,
    },
    body: '',
    seenBy: ['tampering.swallowed_failure'],
  },
  {
    name: 'answer nothing but success',
    files: { 'src/sum.js': `process.on('exit', () => process.reallyExit(0));\n${patchedAssert}${sum('-')}` },
    body: '',
    seenBy: ['tampering.ends_well', 'tampering.swallowed_failure', 'tampering.hidden_test'],
  },
];

const { values } = parseArgs({
  options: {
    json: { type: 'boolean' },
    short: { type: 'boolean' },
    only: { type: 'string' },
    part: { type: 'string', default: '1/1' },
  },
});
const inShort = new Set([
  'read files of the host',
  'reach a port of the host',
  'leave a process behind',
  'overwrite the report',
]);
const chosen = partOf(
  values.part,
  attempts.filter(({ name }) =>
    values.only === undefined ? values.short !== true || inShort.has(name) : name.includes(values.only),
  ),
);
if (chosen === null) {
  console.error(noPart(values.part));
  process.exit(2);
}

const root = mkdtempSync(join(tmpdir(), 'gate-escape-'));
// Only the walls stand between the attempts and the bait, not the mode of a folder.
chmodSync(root, 0o755);
const secret = randomBytes(16).toString('hex');
const canary = join(root, 'canary');
const lasting = `9${randomBytes(2).readUInt16BE()}.25`;
let bytesOut = 0;
const sockets = new Set<Socket>();
const listen = async (where: { port: number; host: string } | { path: string }): Promise<Server> => {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => (bytesOut += chunk.length));
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(where, resolve));
  return server;
};

function write(files: Record<string, string>, links: Attempt['links'] = {}): PlantedTree {
  const planted = plantTree(
    root,
    Object.fromEntries(Object.entries(files).map(([path, text]) => [path, text.replaceAll('CANARY', canary)])),
  );
  for (const [path, to] of Object.entries(links)) {
    mkdirSync(dirname(join(planted.dir, path)), { recursive: true });
    symlinkSync(to === 'canary' ? canary : '/etc/shadow', join(planted.dir, path));
  }
  return planted;
}

const stillRuns = (word: string): boolean =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .some((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(word);
      } catch {
        return false;
      }
    });

/** The driver itself, with everything written down that came out of it. */
function overheard(sandbox: Sandbox, heard: string[]): Sandbox {
  const driver = sandbox.driver;
  if (driver === null) throw new Error(`no sandbox withstands here: ${sandbox.notes.join('; ')}`);
  const listening: SandboxDriver = {
    name: driver.name,
    paths: (run) => driver.paths(run),
    run: async (run) => {
      const result = await driver.run(run);
      heard.push(result.stdout, result.stderr);
      return result;
    },
  };
  return { ...sandbox, driver: listening };
}

interface Seen {
  attempt: string;
  verdict: string;
  reasons: string[];
  escapes: string[];
  faults: string[];
  ms: number;
}

async function play(attempt: Attempt, sandbox: Sandbox, told: Record<string, unknown>, round: string): Promise<Seen> {
  const started = performance.now();
  const before = bytesOut;
  const heard: string[] = [];
  const test = `import test from 'node:test';
import fs from 'node:fs';
import net from 'node:net';
import { spawn, spawnSync } from 'node:child_process';
const told = ${JSON.stringify(told)};
const won = (what) => what && fs.writeSync(2, 'GOT' + 'OUT ' + what + '\\n');
test('tries', async () => {
  fs.writeSync(2, 'TRI' + 'ED ${round}\\n');
  try {
${attempt.body ?? ''}
  } catch {}
});
`;
  const base = write(project);
  const candidate = write({ ...project, ...attempt.files, 'test/attempt.test.js': test }, attempt.links);
  const policy = projectPolicy.parse({
    timeoutSeconds: attempt.timeoutSeconds ?? 60,
    performance: { artefacts: (attempt.artefacts ?? []).map((path) => ({ path })) },
  });
  let facts: VerificationFacts | null = null;
  const faults: string[] = [];
  try {
    facts = await runVerification({
      ...admissionOf(candidate, base, { policy }),
      workDir: mkdtempSync(join(root, 'work-')),
      cacheDir: join(root, `cache-${round}`),
      sandbox: overheard(sandbox, heard),
      signal: AbortSignal.timeout(150_000),
    });
  } catch (error) {
    faults.push(`no verdict: ${error instanceof Error ? error.message : String(error)}`);
  }
  const judgement = facts === null ? null : judge(facts, policy, 'admission');
  const verdict = judgement?.verdict ?? 'none';
  const out = heard.join('\n');
  const everything = out + JSON.stringify(facts);
  const escapes = [...new Set([...out.matchAll(/GOTOUT (.*)/g)].map((match) => match[1]!.slice(0, 100)))];
  if (everything.includes(secret)) escapes.push('the secret came out');
  if (bytesOut > before) escapes.push(`${bytesOut - before} bytes came out`);
  if (existsSync(`${canary}.written`)) escapes.push('wrote to a folder of the host');
  if (stillRuns(lasting)) escapes.push('a process outlived the run');
  if (readFileSync(canary, 'utf8') !== secret) escapes.push('changed a file of the host');
  const found =
    facts?.checks.flatMap((check) => check.findings.filter((each) => each.veto).map(({ rule }) => rule)) ?? [];
  if (attempt.seenBy !== undefined && verdict === 'accepted') escapes.push('a broken product was accepted');
  else if (attempt.seenBy !== undefined && !attempt.seenBy.some((rule) => found.includes(rule)))
    escapes.push(`nothing saw through it: ${found.join(', ')}`);
  if (heard.some((text) => text.length > 1_100_000)) escapes.push('output without bounds');
  // A change whose code never ran proves nothing about walls; these end the runner or flood it before its words can be heard.
  const mute = attempt.seenBy !== undefined || /without end|kill everything/.test(attempt.name);
  if (!mute && !out.includes(`TRIED ${round}`)) faults.push('the attempt did not run');
  rmSync(`${canary}.written`, { force: true });
  const reasons = (judgement?.reasons ?? []).map((reason) => reason.slice(0, 200));
  return { attempt: attempt.name, verdict, reasons, escapes, faults, ms: Math.round(performance.now() - started) };
}

writeFileSync(canary, secret, { mode: 0o644 });
process.env['MUSTER_BAIT'] = secret;
const bystander = spawn('sleep', ['900.5'], {
  env: { PATH: process.env['PATH'] ?? '', MUSTER_BAIT: secret },
  stdio: 'ignore',
});
const abstract = `muster-${randomBytes(6).toString('hex')}`;
const port = await listen({ port: 0, host: '127.0.0.1' });
const servers = [port, await listen({ path: join(root, 'socket') }), await listen({ path: `\0${abstract}` })];
const datagrams = createSocket('udp4');
datagrams.on('message', (message) => (bytesOut += message.length));
await new Promise<void>((resolve) => datagrams.bind(0, '127.0.0.1', resolve));
// Open all the time, and nothing that a run is handed.
const held = openSync(canary, 'r');
const address = port.address();
const told = {
  canary,
  variable: 'MUSTER_BAIT',
  greeting: 'out',
  port: address !== null && typeof address === 'object' ? address.port : 0,
  datagrams: datagrams.address().port,
  held: canary,
  socket: join(root, 'socket'),
  abstract,
  harness: process.pid,
  bystander: bystander.pid,
  lasting,
  forged: JSON.stringify({ tests: [{ name: 'adds two numbers', status: 'passed' }] }),
};
try {
  const blind: string[] = [];
  const open = await detectSandbox('none-i-accept-the-risk');
  for (const attempt of chosen.filter((each) => each.control === true)) {
    const seen = await play(attempt, open, told, 'open');
    if (seen.escapes.length === 0) blind.push(attempt.name);
  }
  bytesOut = 0;
  const sandbox = await detectSandbox('auto');
  const all: Seen[] = [];
  for (const attempt of chosen) {
    const seen = await play(attempt, sandbox, told, 'walled');
    all.push(seen);
    const bad = [...seen.escapes.map((what) => `ESCAPED: ${what}`), ...seen.faults];
    console.error(
      `${bad.length === 0 ? 'held' : 'FAILED'}  ${seen.attempt}  ${seen.verdict}  ${seen.ms} ms  ${bad.join('; ')}`,
    );
  }
  if (bystander.exitCode !== null || bystander.signalCode !== null)
    all.at(-1)?.escapes.push('a process of the host was killed');
  const escaped = all.filter((each) => each.escapes.length > 0);
  const faulty = all.filter((each) => each.faults.length > 0);
  const ok = all.length > 0 && escaped.length + faulty.length + blind.length + bytesOut === 0;
  const summary = {
    driver: sandbox.driver?.name ?? null,
    attempts: all.length,
    escapes: escaped.length,
    bytesOut,
    verdicts: all.filter((each) => each.verdict !== 'none').length,
    notRun: faulty.map(({ attempt, faults }) => ({ attempt, faults })),
    unseenWithoutWalls: blind,
    ok,
  };
  console.log(values.json === true ? JSON.stringify({ ...summary, results: all }, null, 2) : summary);
  if (!ok) process.exitCode = 1;
} finally {
  bystander.kill('SIGKILL');
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
  datagrams.close();
  closeSync(held);
  rmSync(root, { recursive: true, force: true });
}
