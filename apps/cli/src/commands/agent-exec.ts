import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { hostname } from 'node:os';
import type { AgentVersionView } from '@muster/contracts';
import {
  defineAgent,
  MusterApiError,
  runAgent,
  type AgentTask,
  type JsonValue,
  type MusterClient,
  type TaskContext,
  type TaskHandler,
} from '@muster/sdk';
import type { Command } from 'commander';
import { inc, prerelease, rcompare } from 'semver';
import { printJson, printLine } from '../output.ts';
import { connect, connection, environmentFor, keptSession, UsageError, type Globals } from '../settings.ts';

interface ExecOptions {
  readonly capability: string[];
  readonly name: string;
  readonly capacity: number;
  readonly label: string[];
  readonly transport: string;
  readonly publish: boolean;
}

const lastWordsLength = 2_000;

/** Ends a command and everything that it started. */
const killTree = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(-pid, signal);
  } catch {
    // gone already
  }
};

/** What the command finds in its environment; the whole task stands on its stdin as JSON. */
const taskVariables = (task: AgentTask): Record<string, string> => ({
  MUSTER_TASK_ID: task.taskId,
  MUSTER_TASK_TITLE: task.title ?? '',
  MUSTER_TASK_CAPABILITY: task.capability,
  MUSTER_TASK_ATTEMPT: String(task.attempt),
  MUSTER_TASK_FENCE: String(task.fence),
  MUSTER_TASK_INPUT: JSON.stringify(task.input),
  MUSTER_TASK_REWORK: task.rework === null ? '' : task.rework.summary,
  MUSTER_TASK_PROJECT_ID: task.project.id,
  MUSTER_TASK_PROJECT: task.project.slug,
  MUSTER_TASK_BRANCH: task.project.branch,
  MUSTER_TASK_BASE: task.project.head ?? '',
});

/** Runs the command in the checkout. Throws when it fails; answers the end of what it printed. */
const runCommand = (command: readonly string[], cwd: string, task: AgentTask, ctx: TaskContext): Promise<string> =>
  new Promise((resolve, reject) => {
    const [program, ...args] = command;
    const child = spawn(program!, args, {
      cwd,
      env: environmentFor(taskVariables(task)),
      stdio: ['pipe', 'pipe', 'pipe'],
      // A group of its own, so that a cancel reaches all of it.
      detached: true,
    });
    let output = '';
    let complaints = '';
    let hard: NodeJS.Timeout | undefined;
    const stop = (): void => {
      if (child.pid === undefined) return;
      killTree(child.pid, 'SIGTERM');
      hard = setTimeout(() => killTree(child.pid!, 'SIGKILL'), 2_000);
    };
    ctx.signal.addEventListener('abort', stop, { once: true });
    createInterface({ input: child.stdout }).on('line', (line) => {
      output = `${output}${line}\n`.slice(-lastWordsLength);
      ctx.log(line);
    });
    createInterface({ input: child.stderr }).on('line', (line) => {
      complaints = `${complaints}${line}\n`.slice(-lastWordsLength);
      ctx.log(line, 'stderr');
    });
    // A command that does not read its stdin is fine.
    child.stdin.on('error', () => undefined);
    child.stdin.end(`${JSON.stringify(task)}\n`);
    child.once('error', (error) => reject(new Error(`${program} cannot be started: ${error.message}`)));
    child.once('close', (code, signal) => {
      clearTimeout(hard);
      ctx.signal.removeEventListener('abort', stop);
      // What it left running in the background must not outlive it.
      if (child.pid !== undefined) killTree(child.pid, 'SIGKILL');
      if (code === 0) return resolve(output);
      const how = signal ? `was ended by ${signal}` : `ended with exit code ${code}`;
      reject(new Error(`${program} ${how}. ${(complaints || output).trim()}`.trim()));
    });
  });

/** The handler behind `muster agent exec`: what the command changed becomes the submission. */
export const commandHandler =
  (command: readonly string[]): TaskHandler =>
  async (task, ctx): Promise<JsonValue | void> => {
    await ctx.progress('checking out', 0.05);
    const checkout = await ctx.workspace();
    await ctx.progress(`running ${command[0]}`, 0.1);
    const output = await runCommand(command, checkout.path, task, ctx);
    ctx.signal.throwIfAborted();
    const patch = await checkout.diff();
    if (patch === '') return { output, changed: false };
    const message = task.title ?? `${task.capability} by ${command[0]}`;
    await ctx.submit({ patch, message, ...(output.trim() === '' ? {} : { claim: output.trim() }) });
  };

/**
 * Sees to it that the newest published version has these capabilities. What it had before stays: other commands may run under
 * the same name, and projects may be assigned with it. Answers the version when one was published for it.
 */
export async function publishCommand(
  client: MusterClient,
  name: string,
  capabilities: readonly string[],
): Promise<string | null> {
  const versions: AgentVersionView[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await client.agents.versions(name, { limit: 200, cursor }).catch((error: unknown) => {
      if (error instanceof MusterApiError && error.status === 404) return { items: [], nextCursor: null };
      throw error;
    });
    versions.push(...page.items);
    if (page.nextCursor === null) break;
    cursor = page.nextCursor;
  }
  versions.sort((left, right) => rcompare(left.version, right.version));
  const newest = versions.find(({ state, version }) => state === 'published' && prerelease(version) === null);
  const skills = newest?.definition.skills ?? [];
  const missing = capabilities.filter((capability) => !skills.some((skill) => skill.name === capability));
  if (newest !== undefined && missing.length === 0) return null;
  // Drafts count as well: their versions are taken.
  const version = versions[0] === undefined ? '1.0.0' : inc(versions[0].version, 'minor')!;
  await client.agents.register({
    definition: {
      ...(newest?.definition ?? {}),
      metadata: { description: 'Runs a command.', ...newest?.definition.metadata, name, version },
      skills: [...skills, ...missing.map((capability) => ({ name: capability }))],
    },
    publish: true,
  });
  return version;
}

/** Who is logged in, where somebody is: they may publish and make keys, which an agent's key may not. */
async function personAt(url: string): Promise<MusterClient | null> {
  const session = await keptSession(url);
  return session?.accessToken === undefined ? null : connect({ url, token: session.accessToken });
}

/** A person's session ends, and an agent works on: where no key was given it gets one of its own for as long as it runs. */
async function underKey(options: Globals, name: string, work: (url: string, token: string) => Promise<void>) {
  const { url, token } = await connection(options);
  if (token !== (await keptSession(url))?.accessToken) return work(url, token);
  const client = await connect({ url, token });
  const key = await client.keys.create({ name: `agent exec ${name} on ${hostname()}`.slice(0, 100), role: 'agent' });
  try {
    await work(url, key.secret);
  } finally {
    await client.keys.revoke(key.id);
  }
}

/** The server's words, with the option of this command that helps. */
const unpublished = (error: unknown): unknown =>
  error instanceof MusterApiError && error.code === 'runtime.agent_unknown'
    ? new UsageError(`${error.problem.detail} With --publish this command does it, for whoever is logged in and may.`)
    : error;

export const addAgentCommands = (program: Command, globals: () => Globals): void => {
  program
    .command('agent')
    .description('work as an agent')
    .command('exec <command...>')
    .description(
      'run a command as an agent: it gets the task on stdin and in MUSTER_TASK_*, works in a clean checkout, and its diff becomes the submission',
    )
    .requiredOption('--capability <name...>', 'what it can be asked to do')
    .option('--name <name>', 'the agent definition that it is an instance of', 'command-agent')
    .option('--capacity <n>', 'tasks at a time', Number, 1)
    .option('--label <key=value...>', 'labels that tasks may ask for', [])
    .option('--transport <kind>', 'socket or http', 'socket')
    .option('--publish', 'see to it first that a published definition has the capabilities', false)
    .action(async (command: string[], options: ExecOptions) => {
      const labels = Object.fromEntries(
        options.label.map((label) => {
          const [key, ...value] = label.split('=');
          if (!key || value.length === 0) throw new UsageError(`--label takes key=value, not ${label}.`);
          return [key, value.join('=')];
        }),
      );
      if (options.transport !== 'socket' && options.transport !== 'http')
        throw new UsageError('--transport takes socket or http.');
      const handler = commandHandler(command);
      const agent = defineAgent({
        name: options.name,
        capabilities: Object.fromEntries(options.capability.map((capability) => [capability, handler])),
        capacity: options.capacity,
        labels,
      });
      await underKey(globals(), options.name, async (url, token) => {
        if (options.publish) {
          const client = (await personAt(url)) ?? (await connect({ url, token }));
          const published = await publishCommand(client, options.name, options.capability);
          if (published !== null && !globals().json) printLine(`published ${options.name} ${published}`);
        }
        await runAgent(agent, {
          url,
          token,
          transport: options.transport as 'socket' | 'http',
          onEvent: (event) => {
            if (globals().json) return printJson(event);
            switch (event.type) {
              case 'connected':
                return printLine(`connected as ${event.instanceId}`);
              case 'disconnected':
                return printLine(`disconnected: ${event.reason}; trying again`);
              case 'wanted':
                return printLine(`wanted: ${event.wanted}${event.reason === null ? '' : ` (${event.reason})`}`);
              case 'task_started':
                return printLine(`${event.taskId} attempt ${event.attempt} started`);
              case 'task_ended':
                return printLine(
                  `${event.taskId} ${event.outcome}${event.error === undefined ? '' : `: ${event.error}`}`,
                );
            }
          },
        }).catch((error: unknown) => {
          throw unpublished(error);
        });
      });
    });
};
