import { spawn, type ChildProcess } from 'node:child_process';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { TaskDetail } from '@muster/contracts';
import { defineAgent, MusterApiError, MusterClient, type RunningAgent, type TaskHandler } from '@muster/sdk';
import { startApp, type TestServer } from '#test/app';
import { commandHandler } from '../../apps/cli/src/commands/agent-exec.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

describe('agents built on the SDK', () => {
  let server: TestServer;
  let imports: string;
  let muster: MusterClient;
  let projectId: string;
  let token: string;
  const processes: ChildProcess[] = [];
  const agents: RunningAgent[] = [];

  beforeAll(async () => {
    imports = await mkdtemp(join(tmpdir(), 'muster-import-'));
    const ledger = join(imports, 'ledger');
    await cp(join(root, 'examples', 'ledger'), ledger, { recursive: true });
    const git = (...args: string[]) =>
      run('git', ['-c', 'user.name=t', '-c', 'user.email=t@localhost', ...args], { cwd: ledger });
    await git('init', '--quiet', '--initial-branch=main');
    await git('add', '--all');
    await git('commit', '--quiet', '-m', 'Keep a ledger');
    server = await startApp({ env: { MUSTER_IMPORT_PATHS: imports, MUSTER_LEASE_SECONDS: '3' } });
    muster = new MusterClient({ url: server.url, token: server.admin.token, retryForMs: 0 });
    projectId = (await muster.projects.create({ name: 'Ledger', source: { path: ledger } })).id;
    token = (await muster.keys.create({ name: 'agents', role: 'agent' })).secret;
  });
  afterEach(async () => {
    for (const child of processes.splice(0)) child.kill('SIGKILL');
    await Promise.all(agents.splice(0).map((agent) => agent.stop()));
  });
  afterAll(async () => {
    await server?.close();
    await rm(imports, { recursive: true, force: true });
  });

  const publish = async (name: string, capabilities: string[]): Promise<void> => {
    await muster.agents.register({
      definition: {
        metadata: { name, version: '1.0.0' },
        skills: capabilities.map((capability) => ({ name: capability })),
      },
      publish: true,
    });
    await muster.projects.assign(projectId, { agent: name, capabilities });
  };
  const example = (file: string, ...args: string[]): ChildProcess => {
    const child = spawn(
      process.execPath,
      ['--conditions=muster-source', join(root, 'examples', 'agents', file), ...args],
      {
        env: {
          PATH: process.env['PATH'],
          HOME: process.env['HOME'],
          TMPDIR: imports,
          MUSTER_URL: server.url,
          MUSTER_TOKEN: token,
        },
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    processes.push(child);
    return child;
  };
  const connect = async (name: string, capability: string, handler: TaskHandler): Promise<RunningAgent> => {
    const agent = await defineAgent({ name, capabilities: { [capability]: handler } }).connect({
      url: server.url,
      token,
    });
    agents.push(agent);
    return agent;
  };
  const reached = async (taskId: string, fits: (task: TaskDetail) => boolean): Promise<TaskDetail> => {
    for (const until = Date.now() + 30_000; ;) {
      const task = await muster.tasks.get(taskId);
      if (fits(task)) return task;
      if (Date.now() > until) throw new Error(`The task is still ${JSON.stringify(task)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };

  it('answers a task from a process of twenty lines', async () => {
    await publish('hello-agent', ['code.change', 'text.count']);
    example('hello-agent.ts');
    const task = await muster.tasks.create({ projectId, capability: 'text.count', input: { text: 'abc' } });
    expect(await reached(task.id, ({ state }) => state === 'succeeded')).toMatchObject({
      output: { characters: '{"text":"abc"}'.length },
    });
  });

  it('is given a large input and gives a large output as they are, while the task carries references to both', async () => {
    await publish('large-agent', ['text.reverse']);
    const lines = Array.from({ length: 30_000 }, (_, n) => `line ${n} — ünïcödé`);
    let given: unknown = null;
    await connect('large-agent', 'text.reverse', async (task) => {
      given = task.input;
      return { lines: (task.input['lines'] as string[]).toReversed() };
    });
    const task = await muster.tasks.create({ projectId, capability: 'text.reverse', input: { lines } });
    expect(task.input).toEqual({
      $ref: expect.stringMatching(/^blob:sha256:/),
      size: expect.any(Number),
      mediaType: 'application/json',
    });
    const done = await reached(task.id, ({ state }) => state === 'succeeded');
    expect(given).toEqual({ lines });
    expect(Object.keys(done.output as object)).toEqual(['$ref', 'size', 'mediaType']);
    expect(await muster.tasks.output(done)).toEqual({ lines: lines.toReversed() });
    expect(await muster.blobs.valueOf(projectId, done.input)).toEqual({ lines });
  });

  it('hands in the diff of its checkout as a submission on the base', async () => {
    example('hello-agent.ts');
    const task = await muster.tasks.create({
      projectId,
      capability: 'code.change',
      title: 'Greet',
      agent: 'hello-agent',
    });
    const { submissionId } = await reached(task.id, (now) => now.submissionId !== null);
    const submission = await muster.submissions.get(submissionId!);
    expect(submission).toMatchObject({ taskId: task.id, agent: 'hello-agent', branch: 'main', kind: 'change' });
    const { head } = await muster.projects.get(projectId);
    expect(submission.base).toBe(head);
  });

  it('works over plain HTTP where a socket cannot be held', async () => {
    await publish('poller', ['code.change']);
    example('scripted-author.ts', '--role', 'honest', '--name', 'poller', '--transport', 'http');
    const task = await muster.tasks.create({ projectId, capability: 'code.change', agent: 'poller' });
    const { submissionId } = await reached(task.id, (now) => now.submissionId !== null);
    expect((await muster.submissions.get(submissionId!)).message).toContain('Add clampToRange');
  });

  it('pushes a commit of its own, which becomes the submission', async () => {
    await publish('pusher', ['code.change']);
    let pushed = { commit: '', config: '' };
    await connect('pusher', 'code.change', async (_task, ctx) => {
      const checkout = await ctx.workspace();
      await run('sh', ['-c', 'echo pushed > PUSHED.md'], { cwd: checkout.path });
      const commit = await checkout.commit('Push');
      // No key may stay where the next one could read it.
      const { stdout } = await run('git', ['config', '--list'], { cwd: checkout.path });
      pushed = { commit, config: stdout };
      await ctx.submit({ commit, message: 'Push', claim: 'pushed\nwith git' });
    });
    const task = await muster.tasks.create({ projectId, capability: 'code.change', agent: 'pusher' });
    const { submissionId } = await reached(task.id, (now) => now.submissionId !== null);
    expect((await muster.submissions.get(submissionId!)).commit).toBe(pushed.commit);
    expect(pushed.config).not.toMatch(/authorization/i);
  });

  it('runs any command as an agent: its diff is the submission, its failure the attempt’s', async () => {
    await publish('command-agent', ['code.change']);
    const script =
      'test -z "$MUSTER_TOKEN" || exit 9; test "$MUSTER_TASK_TITLE" = break && { echo broken >&2; exit 3; }; cat > task.json; echo done';
    await connect('command-agent', 'code.change', commandHandler(['sh', '-c', script]));
    const good = await muster.tasks.create({
      projectId,
      capability: 'code.change',
      agent: 'command-agent',
      title: 'write',
    });
    const { submissionId } = await reached(good.id, (now) => now.submissionId !== null);
    expect(await muster.submissions.get(submissionId!)).toMatchObject({ message: 'write' });
    const bad = await muster.tasks.create({
      projectId,
      capability: 'code.change',
      agent: 'command-agent',
      title: 'break',
    });
    const failed = await reached(bad.id, (now) => now.attempts.some((attempt) => attempt.outcome === 'failed'));
    expect(failed.attempts[0]?.error).toMatch(/exit code 3.*broken/s);
    // It would be tried again, by the next one of this name.
    await muster.tasks.cancel(bad.id, 'seen');
  });

  it('runs a command for whoever is logged in: publishes what it can do, and works under a key that ends with it', async () => {
    const home = join(imports, 'config');
    await mkdir(join(home, 'muster'), { recursive: true });
    await writeFile(
      join(home, 'muster', 'session.json'),
      JSON.stringify({ url: server.url, accessToken: server.admin.token }),
    );
    const exec = (...args: string[]) => {
      const child = spawn(
        process.execPath,
        ['--conditions=muster-source', join(root, 'apps', 'cli', 'src', 'main.ts'), 'agent', 'exec', ...args],
        {
          env: {
            PATH: process.env['PATH'],
            HOME: imports,
            TMPDIR: imports,
            XDG_CONFIG_HOME: home,
            MUSTER_URL: server.url,
          },
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      );
      processes.push(child);
      let words = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (words += String(chunk)));
      const says = async (pattern: RegExp): Promise<void> => {
        for (const until = Date.now() + 30_000; !pattern.test(words);) {
          if (Date.now() > until || child.exitCode !== null) throw new Error(`It says only: ${words}`);
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      };
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
      return { child, says, ended, words: () => words };
    };
    const keyNames = async (): Promise<string[]> =>
      (await muster.keys.list({ limit: 200 })).items
        .filter(({ name, revokedAt }) => name.startsWith('agent exec wrapped') && revokedAt === null)
        .map(({ name }) => name);
    const command = ['--', 'sh', '-c', 'echo hi > HI.md'];

    const unknown = exec('--name', 'wrapped', '--capability', 'docs.write', ...command);
    expect(await unknown.ended).toBe(64);
    expect(unknown.words()).toMatch(/no published version.*--publish/s);

    const first = exec('--publish', '--name', 'wrapped', '--capability', 'docs.write', ...command);
    await first.says(/published wrapped 1\.0\.0[^]*connected/);
    expect(await keyNames()).toHaveLength(1);
    await muster.projects.assign(projectId, { agent: 'wrapped', capabilities: ['docs.write'] });
    const task = await muster.tasks.create({ projectId, capability: 'docs.write', agent: 'wrapped' });
    const { submissionId } = await reached(task.id, (now) => now.submissionId !== null);
    expect(submissionId).not.toBeNull();

    const other = exec('--publish', '--name', 'wrapped', '--capability', 'docs.check', ...command);
    await other.says(/published wrapped 1\.1\.0[^]*connected/);
    const again = exec('--publish', '--name', 'wrapped', '--capability', 'docs.write', ...command);
    await again.says(/connected/);
    expect(again.words()).not.toMatch(/published/);
    const newest = (await muster.agents.versions('wrapped')).items.find(({ version }) => version === '1.1.0');
    expect(newest?.definition.skills.map(({ name }) => name)).toEqual(['docs.write', 'docs.check']);

    for (const { child, ended } of [first, other, again]) {
      child.kill('SIGTERM');
      expect(await ended).toBe(0);
    }
    expect(await keyNames()).toEqual([]);
  });

  it('ends a command with all that it started when the task is cancelled', async () => {
    const marker = `marker-${process.pid}-${Date.now()}`;
    await connect(
      'command-agent',
      'code.change',
      commandHandler(['sh', '-c', `sleep 300 & sh -c 'sleep 301; : ${marker}' & wait`]),
    );
    const task = await muster.tasks.create({ projectId, capability: 'code.change', agent: 'command-agent' });
    const alive = async (): Promise<boolean> => (await run('ps', ['-eo', 'args'])).stdout.includes(marker);
    for (const until = Date.now() + 20_000; !(await alive());) {
      if (Date.now() > until) throw new Error('the command did not start');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await muster.tasks.cancel(task.id, 'enough');
    for (const until = Date.now() + 20_000; await alive();) {
      if (Date.now() > until) throw new Error('the command is still running');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect((await muster.tasks.get(task.id)).state).toBe('cancelled');
  });

  it('streams what happened, from the position that was asked for', async () => {
    const stop = new AbortController();
    const types: string[] = [];
    for await (const event of muster.events.subscribe({
      projectId,
      types: ['task.*'],
      after: 0,
      signal: stop.signal,
    })) {
      types.push(event.type);
      if (event.type === 'task.succeeded') stop.abort();
    }
    expect(types).toEqual(expect.arrayContaining(['task.created', 'task.started', 'task.succeeded']));
  });

  it('gives errors as the server’s problem documents', async () => {
    const lost = muster.tasks.get('task_01jd9x0m4ve2tbk6x3h2v4q8zr');
    await expect(lost).rejects.toBeInstanceOf(MusterApiError);
    await expect(lost).rejects.toMatchObject({ status: 404 });
  });
});
