// Hands the same in as hostile.ts does, the way a user would: over git or REST to a built server with its own verifier. Each has to be
// refused at the door with words, or end in a verdict that says what could not be looked at; meanwhile the server answers, and neither
// it, nor its verifier, nor git grows with what it is handed.
//   npm run gate:hostile:server -- [--short] [--only NAME] [--json]
import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { definition, must, startHostileServer } from '../hostile/server.mjs';
import { hostileCases } from './hostile-cases.ts';

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, short: { type: 'boolean' }, only: { type: 'string' } },
});
const short = values.short === true;
/** Above this a process grows with what it is handed. */
const mostMb = { server: 900, verifier: 1500, git: 900 };
/** How long the server may take to say that it is there, whatever else it does; generous, since two cores do everything. */
const mostAnswerMs = 10_000;
const mostMs = short ? 240_000 : 1_800_000;
const root = mkdtempSync(join(tmpdir(), 'gate-hostile-server-'));

/** Peaks of resident memory, by what each process is, of all that descend from the server. */
function watchMemory(pid) {
  const peaks = { server: 0, verifier: 0, git: 0 };
  const read = (of, file) => {
    try {
      return readFileSync(`/proc/${of}/${file}`, 'utf8');
    } catch {
      return ''; // ended meanwhile
    }
  };
  const look = () => {
    const children = new Map();
    for (const each of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      const parent = /PPid:\s+(\d+)/.exec(read(each, 'status'))?.[1];
      if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), each]);
    }
    const visit = (of, inside) => {
      const line = read(of, 'cmdline').split('\0');
      const kind = of === String(pid) ? 'server' : line.some((part) => part.endsWith('verifier/main.js')) ? 'verifier' : /(^|\/)git(-[a-z-]+)?$/.test(line[0] ?? '') && !inside ? 'git' : null; // prettier-ignore
      const peak = Number(/VmHWM:\s+(\d+)/.exec(read(of, 'status'))?.[1] ?? 0) / 1024;
      if (kind !== null) peaks[kind] = Math.max(peaks[kind], Math.round(peak));
      // What runs below a verifier is a sandbox's, which has limits of its own.
      for (const child of children.get(of) ?? []) visit(child, inside || kind === 'verifier');
    };
    visit(String(pid), false);
  };
  const timer = setInterval(look, 250);
  return {
    end() {
      clearInterval(timer);
      look();
      return peaks;
    },
  };
}

const bytesBelow = (folder) =>
  Number(execFileSync('du', ['-s', '--block-size=1', folder], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split('\t')[0]); // prettier-ignore

/** Is there an answer to everybody else, all the time? The longest that one took. */
function watchAnswers(server) {
  let longest = 0;
  let on = true;
  const asking = (async () => {
    while (on) {
      const asked = performance.now();
      try {
        await server.call('GET', '/readyz', undefined, { timeoutMs: 60_000 });
      } catch {
        // counted by how long it took
      }
      longest = Math.max(longest, performance.now() - asked);
      await sleep(500);
    }
  })();
  return {
    async end() {
      on = false;
      await asking;
      return Math.round(longest);
    },
  };
}

function plant(folder, files, sparse = {}) {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  for (const [path, bytes] of Object.entries(sparse)) {
    writeFileSync(join(folder, path), '');
    truncateSync(join(folder, path), bytes);
  }
}

/** A tree as a compressed tar, streamed: what is in it may be larger than memory. */
async function importFolder(server, token, name, folder) {
  const tar = spawn('tar', ['-C', folder, '-czf', '-', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const answer = await fetch(`${server.url}/api/projects/import?name=${name}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/gzip' },
    // Node throws away what a process has printed that ends before anybody reads.
    body: tar.stdout.pipe(new PassThrough()),
    duplex: 'half',
    signal: AbortSignal.timeout(300_000),
  });
  const text = await answer.text();
  if (answer.status !== 201) throw new Error(`the import answered ${answer.status}: ${text.slice(0, 500)}`);
  return JSON.parse(text);
}

async function gitPush({ server, agentKey, project, folder, task, each }) {
  const clone = join(folder, 'clone');
  const run = (args) =>
    promisify(execFile)(
      'git',
      ['-c', `http.extraHeader=Authorization: Bearer ${agentKey}`, '-c', 'core.quotePath=true', '-c', 'gc.auto=0', '-c', 'core.compression=1', ...args],
      {
        env: {
          PATH: process.env.PATH,
          HOME: folder,
          GIT_TERMINAL_PROMPT: '0',
          GIT_CONFIG_NOSYSTEM: '1',
          GIT_AUTHOR_NAME: 'Mallory',
          GIT_AUTHOR_EMAIL: 'm@example.org',
          GIT_COMMITTER_NAME: 'Mallory',
          GIT_COMMITTER_EMAIL: 'm@example.org',
        },
        maxBuffer: 64 * 1024 * 1024,
      },
    ); // prettier-ignore
  await run(['clone', '--quiet', `${server.url}/git/${project.id}.git`, clone]);
  for (const name of readdirSync(clone))
    if (name !== '.git' && name !== 'muster.yaml') rmSync(join(clone, name), { recursive: true });
  plant(clone, each.files, each.sparse);
  await run(['-C', clone, 'add', '--all', '--force', '.']);
  await run(['-C', clone, 'commit', '--quiet', '--allow-empty', '-m', 'Hand it in']);
  try {
    const { stderr } = await run(['-C', clone, 'push', '-o', `task=${task.taskId}`, '-o', `fence=${task.fence}`, 'origin', 'HEAD:refs/for/main']); // prettier-ignore
    return { submissionId: /submission (sub_\w+)/.exec(stderr)?.[1] ?? null, said: stderr };
  } catch (error) {
    return { submissionId: null, said: String(error.stderr ?? error) };
  } finally {
    rmSync(clone, { recursive: true, force: true });
  }
}

async function restSubmit({ server, agentKey, project, task, each }) {
  const files = Object.entries(each.files).map(([path, content]) => ({
    path,
    content: Buffer.from(content).toString('base64'),
    encoding: 'base64',
  }));
  const gone = Object.keys(each.base ?? { 'README.md': '' }).filter((path) => each.files[path] === undefined);
  const { status, json, text } = await server.call(
    'POST',
    '/api/submissions',
    {
      ...task,
      base: project.head,
      message: 'Hand it in',
      files: [...files, ...gone.map((path) => ({ path, content: null }))],
    },
    { token: agentKey, timeoutMs: 120_000 },
  );
  return { submissionId: status === 201 ? json.id : null, said: `${status} ${text.slice(0, 500)}`, status };
}

const sizeOf = (each) =>
  Object.values(each.files).reduce((sum, content) => sum + content.length, 0) + (each.sparse === undefined ? 0 : Infinity); // prettier-ignore

async function play(server, { admin, agentKey }, each, over, at) {
  const started = performance.now();
  const problems = [];
  const folder = mkdtempSync(join(root, 'case-'));
  const memory = watchMemory(server.pid);
  const answers = watchAnswers(server);
  let verdict = 'none';
  let diskMb = 0;
  try {
    const base = join(folder, 'base');
    mkdirSync(base);
    plant(base, { ...(each.base ?? { 'README.md': 'x\n' }), 'muster.yaml': `timeoutSeconds: ${each.timeoutSeconds ?? 30}\n` }, each.there === true ? each.sparse : {}); // prettier-ignore
    const project = await importFolder(server, admin, `hostile-${at}-${over}`, base);
    rmSync(base, { recursive: true });
    const as = { token: admin };
    const assigned = { agent: 'mallory', capabilities: ['code.change'] };
    await must(server.call('POST', `/api/projects/${project.id}/agents`, assigned, as));
    await must(server.call('POST', '/api/tasks', { projectId: project.id, capability: 'code.change' }, as));
    const hello = { agent: 'mallory', capabilities: ['code.change'] };
    const { instanceId } = await must(server.call('POST', '/api/runtime/instances', hello, { token: agentKey }));
    const { tasks } = await must(
      server.call('POST', `/api/runtime/instances/${instanceId}/claim`, { waitSeconds: 20 }, { token: agentKey, timeoutMs: 60_000 }),
    ); // prettier-ignore
    const task = { taskId: tasks[0].taskId, fence: tasks[0].fence };
    const given = { server, agentKey, project, folder, task, each };
    const { submissionId, said, status } = over === 'git' ? await gitPush(given) : await restSubmit(given);
    if (submissionId === null) {
      verdict = 'refused at the door';
      if (each.refusedAtTheDoor === undefined || !each.refusedAtTheDoor.test(said) || status >= 500)
        problems.push(`was not taken: ${said.slice(0, 1000)}`);
    } else if (each.refusedAtTheDoor !== undefined) problems.push('was taken');
    else {
      let submission;
      do {
        await sleep(500);
        submission = await must(server.call('GET', `/api/submissions/${submissionId}`, undefined, { ...as, timeoutMs: 60_000 })); // prettier-ignore
      } while (
        ['received', 'verifying'].includes(submission.state) &&
        performance.now() - started < mostMs &&
        server.alive()
      );
      const seen = submission.verificationId === null ? null : await must(server.call('GET', `/api/verifications/${submission.verificationId}`, undefined, { ...as, timeoutMs: 60_000 })); // prettier-ignore
      verdict = seen?.verdict ?? 'none';
      if (verdict === 'none') problems.push(`no verdict: ${submission.state} ${submission.reasons.join('; ')}`);
      const checks = new Map(seen?.facts?.checks.map((check) => [check.check, check]));
      for (const [name, ends] of Object.entries(each.ends ?? {}))
        if (checks.get(name)?.status !== ends)
          problems.push(`${name} is ${checks.get(name)?.status}: ${checks.get(name)?.summary.slice(0, 200)}`);
      const found = [...checks.values()].flatMap(({ findings }) => findings.map(({ rule }) => rule));
      if (each.found !== undefined && !found.includes(each.found)) problems.push(`${each.found} was not found`);
    }
    diskMb = Math.round(bytesBelow(server.dataDir) / 1024 ** 2);
    await server.call('POST', `/api/tasks/${task.taskId}/cancel`, {}, as);
  } catch (error) {
    problems.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  rmSync(folder, { recursive: true, force: true });
  const answerMs = await answers.end();
  const peakMb = memory.end();
  if (!server.alive()) problems.push(`the server is gone:\n${server.printed()}`);
  if (answerMs > mostAnswerMs) problems.push(`somebody else waited ${answerMs} ms for an answer`);
  for (const [name, most] of Object.entries(mostMb))
    if (peakMb[name] > most) problems.push(`${name} took ${peakMb[name]} MB`);
  const ms = Math.round(performance.now() - started);
  console.error(`${problems.length === 0 ? 'ok    ' : 'FAILED'}  ${each.name} over ${over}  ${verdict}  ${ms} ms  server ${peakMb.server} MB, verifier ${peakMb.verifier} MB, git ${peakMb.git} MB, data folder ${diskMb} MB, longest answer ${answerMs} ms  ${problems.join('; ')}`); // prettier-ignore
  return { name: each.name, over, verdict, ms, peakMb, diskMb, answerMs, problems };
}

/** A server with the operator's checks that a case wants; most want none. */
async function withServer(tools, work) {
  const policy = join(root, `policy-${Object.keys(tools).length}.yaml`);
  const checks = Object.entries(tools).map(([name, command]) => ({ name, category: 'style', command, timeoutSeconds: 5 })); // prettier-ignore
  writeFileSync(policy, JSON.stringify({ checks }));
  const server = await startHostileServer({ MUSTER_VERIFIERS: '1', MUSTER_GATE_POLICY: policy });
  try {
    const admin = await server.login('admin@localhost', server.password);
    const as = { token: admin };
    await must(server.call('POST', '/api/agents', { definition: definition('mallory'), publish: true }, as));
    const { secret: agentKey } = await must(server.call('POST', '/api/keys', { name: 'mallory' }, as));
    await work(server, { admin, agentKey });
  } finally {
    await server.stop();
  }
}

const results = [];
try {
  const chosen = hostileCases(short).filter(({ name }) => values.only === undefined || name.includes(values.only));
  const plain = chosen.filter(({ tools }) => tools === undefined);
  const groups = [plain, ...chosen.filter(({ tools }) => tools !== undefined).map((each) => [each])];
  for (const group of groups.filter(({ length }) => length > 0))
    await withServer(group[0].tools ?? {}, async (server, who) => {
      for (const each of group) {
        const small = Object.keys(each.files).length <= 5000 && sizeOf(each) < 1024 * 1024;
        const ways = Object.keys(each.files).length > 0 && small ? ['rest', 'git'] : ['git'];
        for (const over of ways) results.push(await play(server, who, each, over, results.length));
      }
    });
} finally {
  rmSync(root, { recursive: true, force: true });
}
const failed = results.filter(({ problems }) => problems.length > 0);
const most = (of) => results.reduce((all, each) => Math.max(all, of(each)), 0);
const summary = {
  cases: results.length,
  failed: failed.map(({ name, over, problems }) => ({ name, over, problems })),
  peakMb: { server: most(({ peakMb }) => peakMb.server), verifier: most(({ peakMb }) => peakMb.verifier), git: most(({ peakMb }) => peakMb.git) }, // prettier-ignore
  longestAnswerMs: most(({ answerMs }) => answerMs),
  ok: results.length > 0 && failed.length === 0,
};
console.log(values.json === true ? JSON.stringify({ ...summary, results }) : summary);
process.exitCode = summary.ok ? 0 : 1;
