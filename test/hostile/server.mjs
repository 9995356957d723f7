// A server of our own to be rude to: its own data folder, port and database; two teams that know nothing of each other.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = resolve(import.meta.dirname, '../..');
const password = 'a password for hostile tests';

const freePort = () =>
  new Promise((done, fail) => {
    const probe = createServer().once('error', fail);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });

/** Starts the built server and answers with a caller, or throws with what it printed; `settings` go before our own. */
export async function startHostileServer(settings = {}) {
  const dataDir = await mkdtemp(join(tmpdir(), 'muster-hostile-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(process.execPath, [join(root, 'dist/apps/server/src/main.js')], {
    cwd: root,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      MUSTER_DATA_DIR: dataDir,
      MUSTER_PORT: String(port),
      MUSTER_HOST: '127.0.0.1',
      MUSTER_ADMIN_PASSWORD: password,
      MUSTER_VERIFIERS: '0',
      MUSTER_LOG_LEVEL: 'error',
      MUSTER_LOG_PRETTY: 'false',
      MUSTER_BODY_LIMIT_BYTES: String(4 * 1024 * 1024),
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => (printed = (printed + String(chunk)).slice(-20_000)));
  let ended = false;
  const exited = new Promise((done) => child.once('exit', () => done((ended = true))));

  const server = {
    url,
    port,
    pid: child.pid,
    dataDir,
    password,
    alive: () => !ended,
    printed: () => printed,
    /** Resident memory of the server in MiB; null where /proc does not say. */
    megabytes: () => {
      try {
        return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024;
      } catch {
        return null;
      }
    },
    async stop() {
      if (!ended) child.kill('SIGTERM');
      await Promise.race([exited, sleep(20_000)]);
      if (!ended) child.kill('SIGKILL');
      await exited;
      await rm(dataDir, { recursive: true, force: true, maxRetries: 3 });
    },
    /** One request; the body goes as JSON unless it is a string or bytes. Throws when no answer comes in time. */
    async call(method, path, body, { token = null, headers = {}, timeoutMs = 15_000 } = {}) {
      const raw = typeof body === 'string' || body instanceof Uint8Array;
      const answer = await fetch(url + path, {
        method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: raw ? body : JSON.stringify(body) }),
        redirect: 'manual',
        signal: AbortSignal.timeout(timeoutMs),
      });
      const text = await answer.text();
      let json = null;
      try {
        json = JSON.parse(text);
      } catch {
        // not every answer is JSON
      }
      return { status: answer.status, headers: answer.headers, text, json };
    },
    async login(email, word) {
      const { json } = await server.call('POST', '/api/auth/login', { email, password: word });
      return json.accessToken;
    },
  };

  for (let tries = 0; ; tries++) {
    if (ended || tries > 240) {
      await server.stop();
      throw new Error(`The server did not start:\n${printed}`);
    }
    try {
      if ((await server.call('GET', '/readyz', undefined, { timeoutMs: 2000 })).status === 200) return server;
    } catch {
      // not listening yet
    }
    await sleep(250);
  }
}

/** Calls that must work, while the ground is prepared. */
export async function must(answer) {
  const { status, text, json } = await answer;
  if (status < 200 || status > 299) throw new Error(`This had to work and answered ${status}: ${text.slice(0, 500)}`);
  return json;
}

export const definition = (name, skills = ['code.change']) => ({
  metadata: { name, version: '1.0.0' },
  skills: skills.map((each) => ({ name: each })),
});

/** A small repository as a tar, for a project that has a head. */
function archive(files) {
  const blocks = Object.entries(files).flatMap(([name, text]) => {
    const head = Buffer.alloc(512);
    const size = Buffer.byteLength(text);
    head.write(name, 0);
    head.write(
      `0000644\0${'0000000\0'.repeat(2)}${size.toString(8).padStart(11, '0')}\0${'0'.repeat(11)}\0        0`,
      100,
    );
    head.write('ustar\x0000', 257);
    const sum = head.reduce((all, byte) => all + byte, 0);
    head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    const body = Buffer.alloc(Math.ceil(size / 512) * 512);
    body.write(text);
    return [head, body];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

/** One team with everything that has an id: project, agent, key, task, instance, an attempt that runs, a submission. */
export async function furnish(server, token, name) {
  const as = { token };
  const project = await must(
    server.call('POST', `/api/projects/import?name=${name}`, archive({ 'README.md': '# Hello\n' }), {
      token,
      headers: { 'content-type': 'application/octet-stream' },
    }),
  );
  await must(server.call('POST', '/api/agents', { definition: definition(`${name}-worker`), publish: true }, as));
  await must(
    server.call(
      'POST',
      `/api/projects/${project.id}/agents`,
      { agent: `${name}-worker`, capabilities: ['code.change'] },
      as,
    ),
  );
  const key = await must(server.call('POST', '/api/keys', { name: `${name} agent` }, as));
  const task = await must(
    server.call('POST', '/api/tasks', { projectId: project.id, capability: 'code.change', title: 'work' }, as),
  );
  const agent = { token: key.secret };
  const { instanceId } = await must(
    server.call('POST', '/api/runtime/instances', { agent: `${name}-worker`, capabilities: ['code.change'] }, agent),
  );
  const { tasks } = await must(
    server.call('POST', `/api/runtime/instances/${instanceId}/claim`, { waitSeconds: 5 }, agent),
  );
  const user = await must(
    server.call('POST', '/api/users', { email: `viewer@${name}.example`, password, role: 'viewer' }, as),
  );
  const viewer = await server.login(user.email, password);
  const verification = await must(server.call('POST', `/api/projects/${project.id}/verifications`, {}, as));
  // Somebody with another task handed a change in.
  const second = await must(server.call('POST', '/api/keys', { name: `${name} author` }, as));
  const author = { token: second.secret };
  await must(server.call('POST', '/api/tasks', { projectId: project.id, capability: 'code.change' }, as));
  const hello = { agent: `${name}-worker`, capabilities: ['code.change'] };
  const writer = await must(server.call('POST', '/api/runtime/instances', hello, author));
  const claimed = await must(
    server.call('POST', `/api/runtime/instances/${writer.instanceId}/claim`, { waitSeconds: 5 }, author),
  );
  const [{ taskId, fence }] = claimed.tasks;
  const change = { taskId, fence, base: project.head, message: 'a change', files: [{ path: 'a.txt', content: 'x' }] };
  const submission = await must(server.call('POST', '/api/submissions', change, author));
  return {
    token,
    agentToken: key.secret,
    viewer,
    projectId: project.id,
    agent: `${name}-worker`,
    keyId: key.id,
    userId: user.id,
    taskId: task.id,
    instanceId,
    fence: tasks[0]?.fence ?? 1,
    head: project.head,
    verificationId: verification.id,
    submissionId: submission.id,
  };
}

/** The administrator's team, and a second one. */
export async function twoTeams(server) {
  const admin = await server.login('admin@localhost', password);
  const owner = { email: 'owner@other.example', password };
  await must(server.call('POST', '/api/teams', { name: 'Other', slug: 'other', owner }, { token: admin }));
  const other = await server.login(owner.email, password);
  return { mine: await furnish(server, admin, 'mine'), theirs: await furnish(server, other, 'theirs') };
}
