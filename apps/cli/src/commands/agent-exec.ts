import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { defineAgent, runAgent, type AgentTask, type JsonValue, type TaskContext, type TaskHandler } from '@muster/sdk';
import type { Command } from 'commander';
import { printJson, printLine } from '../output.ts';
import { connect, connection, environmentFor, UsageError, type Globals } from '../settings.ts';

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
    .option('--publish', 'register and publish the definition first; needs a token that may', false)
    .action(async (command: string[], options: ExecOptions) => {
      const { url, token } = await connection(globals());
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
      if (options.publish)
        await (
          await connect(globals())
        ).agents.register({ definition: agent.definition('1.0.0', `Runs ${command[0]}.`), publish: true });
      await runAgent(agent, {
        url,
        token,
        transport: options.transport,
        onEvent: (event) => {
          if (globals().json) return printJson(event);
          switch (event.type) {
            case 'connected':
              return printLine(`connected as ${event.instanceId}`);
            case 'disconnected':
              return printLine(`disconnected: ${event.reason}; trying again`);
            case 'task_started':
              return printLine(`${event.taskId} attempt ${event.attempt} started`);
            case 'task_ended':
              return printLine(
                `${event.taskId} ${event.outcome}${event.error === undefined ? '' : `: ${event.error}`}`,
              );
          }
        },
      });
    });
};
