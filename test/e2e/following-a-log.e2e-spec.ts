import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, request as httpRequest } from 'node:http';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type {
  ApiKeyCreated,
  ProjectView,
  TaskAssignment,
  VerificationLogMessage,
  VerificationView,
  VerifyInput,
} from '@muster/contracts';
import { MusterClient } from '@muster/sdk';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { WebSocket } from 'ws';
import { Authenticator } from '#messages/auth';
import { RequestVerification } from '#messages/quality';
import { startApp, type TestServer } from '#test/app';
import { main } from '../../apps/cli/src/program.ts';

let folder: string;
let server: TestServer;
let client: MusterClient;
let project: ProjectView;
let verifier: string;
let instanceId: string;
let rounds = 0;
const doors: { close: () => void }[] = [];

/** The whole server, with a verifier that is played here, so that a test decides what is printed when. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-following-'));
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=S', '-c', 'user.email=s@example.org', ...args], { cwd: folder });
  git('init', '--quiet', '-b', 'main');
  await writeFile(join(folder, 'greet.js'), 'export const greet = () => "hello";\n');
  git('add', '.');
  git('commit', '--quiet', '-m', 'Begin');
  server = await startApp({ env: { MUSTER_IMPORT_PATHS: folder } });
  client = new MusterClient({ url: server.url, token: server.admin.token });
  project = await client.projects.create({ name: 'Greeter', source: { path: folder } });
  verifier = await server.app.get(Authenticator).issueSystemKey('verifier');
  const hello = { agent: 'muster-verifier', capabilities: ['muster.verify'], capacity: 10 };
  ({ instanceId } = (await server.request('POST', '/api/runtime/instances', hello, { token: verifier })).body);
});
afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});
afterEach(() => {
  jest.restoreAllMocks();
  process.exitCode = 0;
  for (const door of doors.splice(0)) door.close();
});

interface Running {
  readonly id: string;
  /** What a check prints next. */
  readonly print: (check: string, text: string) => Promise<void>;
  readonly end: () => Promise<void>;
}
async function running(): Promise<Running> {
  const asked: VerificationView = await server.app.get(CommandBus).execute(
    new RequestVerification({
      ...{ teamId: project.teamId, projectId: project.id, purpose: 'admission', subjectId: null, approvedBy: null },
      candidateTree: (++rounds).toString(16).padStart(40, '0'),
      baseTree: 'b'.repeat(40),
      restoresTree: null,
      rulesCommit: project.head ?? '',
    }),
  );
  const call = async <T>(path: string, body: object): Promise<T> => {
    const { status, body: answer } = await server.request('POST', path, body, { token: verifier });
    expect(status).toBeLessThan(300);
    return answer;
  };
  const claim = `/api/runtime/instances/${instanceId}/claim`;
  const { tasks } = await call<{ tasks: TaskAssignment[] }>(claim, { waitSeconds: 5, count: 1 });
  const [task] = tasks;
  if (task === undefined) throw new Error('no task came');
  const input = task.input as unknown as VerifyInput;
  const told = new Map<string, number>();
  return {
    id: asked.id,
    print: async (check, text) => {
      const at = told.get(check) ?? 0;
      told.set(check, at + text.length);
      await call(`/api/verifications/${asked.id}/report`, { fence: task.fence, log: [{ check, at, text }] });
    },
    end: async () => {
      const output = {
        candidateTree: input.candidateTree,
        baseTree: input.baseTree,
        rulesDigest: input.rulesDigest,
        toolchain: { digest: 'd', node: '24', platform: 'linux-x64', sandbox: 'unshare', gate: '0.1.0' },
        sandbox: { driver: 'unshare', proven: true, notes: [] },
        ...{ checks: [], baseFailures: [], testCases: [], ms: 5 },
      };
      await call(`/api/tasks/${task.taskId}/attempts/${task.fence}/complete`, { output });
    },
  };
}

const until = async (met: () => boolean, what: string): Promise<void> => {
  for (let round = 0; round < 200; round++) {
    if (met()) return;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  throw new Error(`it did not come about: ${what}`);
};

interface Listening {
  readonly socket: WebSocket;
  readonly messages: VerificationLogMessage[];
  readonly text: () => string;
  readonly closed: Promise<{ code: number; reason: string }>;
}
async function listen(subscribe: unknown, token: string | null = server.admin.token): Promise<Listening> {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/api/verifications/logs`, {
    ...(token === null ? {} : { headers: { authorization: `Bearer ${token}` } }),
  });
  const messages: VerificationLogMessage[] = [];
  socket.on('message', (raw: Buffer) => messages.push(JSON.parse(raw.toString('utf8')) as VerificationLogMessage));
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.on('close', (code, reason) => resolve({ code, reason: String(reason) })),
  );
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  socket.send(typeof subscribe === 'string' ? subscribe : JSON.stringify(subscribe));
  const text = () =>
    messages.flatMap((each) => (each.type === 'log' ? each.items.map((item) => item.text) : [])).join('');
  return { socket, messages, text, closed };
}

describe('the log of a verification', () => {
  test('is pushed as it is printed, and the socket ends when nothing else will come', async () => {
    const { id, print, end } = await running();
    await print('tests', 'before\n');
    const all = await listen({ type: 'subscribe', verificationId: id });
    const lint = await listen({ type: 'subscribe', verificationId: id, check: 'lint' });
    await until(() => all.text() === 'before\n', 'what was there is told');
    await print('lint', 'clean\n');
    await until(() => all.text() === 'before\nclean\n', 'what comes is told while it runs');
    await until(() => lint.text() === 'clean\n', 'of one check');
    await print('tests', 'after\n');
    await end();
    expect(await all.closed).toEqual({ code: 1000, reason: 'finished' });
    expect(await lint.closed).toMatchObject({ code: 1000 });
    expect(all.text()).toBe('before\nclean\nafter\n');
    expect(lint.text()).toBe('clean\n');
    expect(all.messages.at(-1)).toMatchObject({ type: 'log', finished: true, position: 3 });
    // Of one that has finished, from any position on.
    const late = await listen({ type: 'subscribe', verificationId: id, after: 1 });
    expect(await late.closed).toMatchObject({ code: 1000 });
    expect(late.text()).toBe('clean\nafter\n');
  });

  test('is told whole to a client whose connection is cut again and again, and nothing of it twice', async () => {
    const { id, print, end } = await running();
    const open = new Set<Socket>();
    let connections = 0;
    const door = createServer((inner) => {
      connections += 1;
      const outer = connect(Number(new URL(server.url).port), '127.0.0.1');
      for (const socket of [inner, outer]) {
        open.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          inner.destroy();
          outer.destroy();
        });
      }
      inner.pipe(outer).pipe(inner);
    });
    await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
    doors.push(door);
    const through = new MusterClient({
      url: `http://127.0.0.1:${(door.address() as AddressInfo).port}`,
      token: server.admin.token,
    });
    const seen: string[] = [];
    const following = (async () => {
      for await (const { text } of through.verifications.followLog(id, { check: 'tests' })) seen.push(text);
    })();
    for (let n = 0; n < 12; n++) {
      await print('tests', `${n}\n`);
      if (n % 4 !== 3) continue;
      await until(() => seen.length === n + 1, `line ${n}`);
      for (const socket of open) socket.destroy();
      open.clear();
      await print('lint', 'beside it\n');
    }
    await end();
    await following;
    expect(seen.join('')).toBe(Array.from({ length: 12 }, (_none, n) => `${n}\n`).join(''));
    expect(connections).toBeGreaterThan(3);
  });

  test('is read no further for a client that stopped reading, and is whole when it goes on', async () => {
    const { id, print, end } = await running();
    const slow = await listen({ type: 'subscribe', verificationId: id });
    await until(() => slow.messages.length > 0, 'it subscribed');
    slow.socket.pause();
    const piece = `${'x'.repeat(64 * 1024 - 1)}\n`;
    const spy = jest.spyOn(server.app.get(QueryBus), 'execute');
    const reads = () =>
      spy.mock.calls.flatMap(([query]) => ('wanted' in query ? [query.wanted as { after: number }] : []));
    for (let n = 0; n < 400; n++) await print(`check-${n % 100}`, piece);
    // Until the connection holds as much as it takes.
    let before = -1;
    for (let still = 0; still < 10;) {
      await new Promise((wake) => setTimeout(wake, 100));
      still = reads().length === before ? still + 1 : 0;
      before = reads().length;
    }
    expect(reads().at(-1)?.after).toBeLessThan(390);
    await end();
    slow.socket.resume();
    expect(await slow.closed).toMatchObject({ code: 1000 });
    expect(slow.text()).toHaveLength(400 * piece.length);
  }, 120_000);

  test('is told to nobody else: other teams, other projects, keys without the right, revoked ones', async () => {
    const { id, end } = await running();
    const subscribe = { type: 'subscribe', verificationId: id };
    const owner = { email: 'owner@elsewhere.example.org', password: 'a long enough password' };
    await server.request('POST', '/api/teams', { name: 'Elsewhere', slug: 'elsewhere', owner });
    const { accessToken } = (await server.request('POST', '/api/auth/login', owner, { token: null })).body as {
      accessToken: string;
    };
    const key = async (more: object): Promise<ApiKeyCreated> =>
      (await server.request('POST', '/api/keys', { name: 'reader', ...more })).body;
    const second = await client.projects.create({ name: 'Another', source: { path: folder } });
    for (const token of [accessToken, (await key({ role: 'viewer', projectId: second.id })).secret]) {
      const refused = await listen(subscribe, token);
      expect(await refused.closed).toEqual({ code: 4400, reason: 'request.not_found' });
      expect(refused.messages).toMatchObject([{ type: 'error', problem: { status: 404 } }]);
    }
    const own = await key({ role: 'viewer', projectId: project.id });
    const reader = await listen(subscribe, own.secret);
    await until(() => reader.messages.length > 0, 'it subscribed');
    await server.request('DELETE', `/api/keys/${own.id}`);
    expect(await reader.closed).toMatchObject({ code: 4401 });
    await expect(listen(subscribe, null)).rejects.toThrow('401');
    await expect(listen(subscribe, own.secret)).rejects.toThrow('401');
    await end();
  });

  test.each([
    ['no JSON', '{', 'request.subscription_invalid'],
    ['no verification', '{"type":"subscribe"}', 'request.subscription_invalid'],
    ['an id of something else', '{"type":"subscribe","verificationId":"../x"}', 'request.subscription_invalid'],
    [
      'a verification that is not there',
      '{"type":"subscribe","verificationId":"ver_01jd9x0m4ve2tbk6x3h2v4q8zr"}',
      'request.not_found',
    ],
  ])('answers %s with a problem and closes', async (_what, message, code) => {
    const { closed, messages } = await listen(message);
    expect(await closed).toEqual({ code: 4400, reason: code });
    expect(messages).toMatchObject([{ type: 'error', problem: { code } }]);
  });

  test('is followed by requests where something on the way knows no WebSockets', async () => {
    const { id, print, end } = await running();
    const asked: string[] = [];
    const proxy = createHttpServer((inner, answer) => {
      asked.push(inner.url ?? '');
      const headers = { ...inner.headers };
      delete headers.upgrade;
      delete headers.connection;
      inner.pipe(
        httpRequest(server.url + (inner.url ?? ''), { method: inner.method, headers }, (outer) => {
          answer.writeHead(outer.statusCode ?? 502, outer.headers);
          outer.pipe(answer);
        }),
      );
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    doors.push({ close: () => (proxy.closeAllConnections(), proxy.close()) });
    const through = new MusterClient({
      url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      token: server.admin.token,
    });
    await print('tests', 'one\n');
    const seen: string[] = [];
    const following = (async () => {
      for await (const { text } of through.verifications.followLog(id)) seen.push(text);
    })();
    await until(() => seen.length === 1, 'what was there');
    await print('tests', 'two\n');
    await until(() => seen.length === 2, 'what came');
    await end();
    await following;
    expect(asked.some((path) => path.startsWith(`/api/verifications/${id}/logs?after=0`))).toBe(true);
  });

  test('is printed by the command line while checks run', async () => {
    const { id, print, end } = await running();
    let out = '';
    jest.spyOn(process.stdout, 'write').mockImplementation((chunk) => ((out += String(chunk)), true));
    const command = main(
      ['verification', 'logs', id, '--check', 'tests', '--follow', '--url', server.url, '--token', server.admin.token], // prettier-ignore
    );
    await print('tests', 'first line\n');
    await until(() => out.includes('first line\n'), 'it is printed while it runs');
    await print('tests', 'second line\n');
    await end();
    expect(await command).toBe(0);
    expect(out).toBe('first line\nsecond line\n');
  });
});
