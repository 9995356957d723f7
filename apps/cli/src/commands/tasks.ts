import { readFile } from 'node:fs/promises';
import { taskState, type Priority, type TaskDetail, type TaskHistory } from '@muster/contracts';
import type { JsonValue } from '@muster/sdk';
import type { Command } from 'commander';
import { printFields, printJson, printLine, printTable, state } from '../output.ts';
import { connect, UsageError, type Globals } from '../settings.ts';
import { findProject } from './projects.ts';

const parseInput = (text: string): Record<string, JsonValue> => {
  try {
    const value = JSON.parse(text) as JsonValue;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // refused below
  }
  throw new UsageError('--input takes a JSON object, \'{"file":"README.md"}\' for instance.');
};

const printAbout = (task: TaskHistory['task']): void =>
  printFields({
    id: task.id,
    title: task.title,
    capability: task.capability,
    state: state(task.state),
    'waits for':
      task.wait === null ? null : [task.wait.reason, task.wait.ref, task.wait.detail].filter(Boolean).join(' '),
    'depends on': task.dependsOn.map((one) => `${one.taskId} (${one.state})`).join(', ') || null,
    deadline: task.deadline,
    submission: task.submissionId,
    error: task.error,
    'cost in USD': task.costUsd,
  });

const printTask = (task: TaskDetail): void => {
  printAbout(task);
  printTable(
    ['attempt', 'fence', 'agent', 'outcome', 'error'],
    task.attempts.map((attempt) => [
      attempt.number,
      attempt.fence,
      attempt.agent,
      state(attempt.outcome),
      attempt.error?.slice(0, 80) ?? null,
    ]),
  );
};

const printHistory = ({ task, attempts, reworks, changes, events }: TaskHistory): void => {
  printAbout(task);
  printTable(
    ['attempt', 'agent', 'outcome', 'progress', 'log', 'checkpoint', 'cost in USD', 'error'],
    attempts.map((one) => [
      one.number,
      `${one.agent ?? ''} ${one.agentVersion}`,
      state(one.outcome),
      [one.progress === null ? null : `${Math.round(one.progress * 100)} %`, one.progressMessage]
        .filter(Boolean)
        .join(' ') || null,
      one.log.lines === 0 ? null : `${one.log.lines} lines, last: ${one.log.last?.slice(0, 60) ?? ''}`,
      one.checkpointBytes === null ? null : `${one.checkpointBytes} bytes`,
      one.costs.usd,
      one.error?.slice(0, 80) ?? null,
    ]),
  );
  if (changes.length > 0)
    printTable(
      ['submission', 'state', 'verification', 'score', 'landing', 'commit'],
      changes.map((one) => [
        one.submissionId,
        state(one.state),
        one.verification?.id ?? null,
        one.verification?.score ?? null,
        one.landing === null ? null : `${one.landing.id} ${one.landing.state}`,
        one.commit.slice(0, 10),
      ]),
    );
  for (const { round, reason, summary } of reworks) printLine(`round ${round}, ${reason}: ${summary}`);
  printTable(
    ['time', 'event', 'about'],
    events.items.map(({ time, type, subject }) => [time, type, subject]),
  );
  if (events.nextCursor !== null) printLine(`What was told later: --cursor ${events.nextCursor}`);
};

export const addTaskCommands = (program: Command, globals: () => Globals): void => {
  program
    .command('agents')
    .description('agent definitions')
    .command('register <file>')
    .description('register a definition from YAML or JSON')
    .option('--publish', 'publish it as well', false)
    .action(async (file: string, { publish }: { publish: boolean }) => {
      const version = await (
        await connect(globals())
      ).agents.register({ source: await readFile(file, 'utf8'), publish });
      if (globals().json) printJson(version);
      else printLine(`${version.name} ${version.version} is ${version.state} (${version.contentHash.slice(0, 12)}).`);
    });

  const tasks = program.command('tasks').description('requests for work');
  tasks
    .command('create')
    .description('ask for a capability on a project')
    .requiredOption('--project <project>')
    .requiredOption('--capability <name>')
    .option('--title <title>')
    .option('--input <json>', 'a JSON object', parseInput)
    .option('--agent <name>', 'only this agent')
    .option('--agent-version <range>', 'only versions of that agent in this range, ^1.2.0')
    .option('--parent <task>', 'below this task')
    .option('--same-as-parent', 'with --parent: first for the instance that did that', false)
    .option('--same-as <task>', 'first for the instance that did this task')
    .option('--same-key <key>', 'first for the instance that did the last task with this key')
    .option('--same-agent', 'with one of these: for any instance of the same agent', false)
    .option('--same-for <seconds>', 'with one of these: so long; then for anybody', Number)
    .option('--priority <priority>')
    .option('--depends-on <task...>', 'tasks that have to succeed first')
    .option('--deadline <time>', 'not started by then (UTC, ISO 8601), it fails')
    .action(
      async (options: {
        project: string;
        capability: string;
        title?: string;
        input?: Record<string, JsonValue>;
        agent?: string;
        agentVersion?: string;
        parent?: string;
        sameAsParent: boolean;
        sameAs?: string;
        sameKey?: string;
        sameAgent: boolean;
        sameFor?: number;
        priority?: Priority;
        dependsOn?: string[];
        deadline?: string;
      }) => {
        const client = await connect(globals());
        const { project, parent, sameAsParent, sameAs, sameKey, sameAgent, sameFor, ...rest } = options;
        const sticks = sameAsParent || sameAs !== undefined || sameKey !== undefined;
        if (sameAsParent && (parent === undefined || sameAs !== undefined || sameKey !== undefined))
          throw new UsageError('--same-as-parent goes with --parent, and without --same-as and --same-key.');
        if (!sticks && (sameAgent || sameFor !== undefined))
          throw new UsageError('--same-agent and --same-for go with --same-as-parent, --same-as or --same-key.');
        const sticky = {
          to: sameAgent ? ('agent' as const) : ('instance' as const),
          ...(sameAs === undefined ? {} : { task: sameAs }),
          ...(sameKey === undefined ? {} : { key: sameKey }),
          ...(sameFor === undefined ? {} : { seconds: sameFor }),
        };
        const task = await client.tasks.create({
          ...rest,
          ...(parent === undefined ? {} : { parentId: parent }),
          ...(sticks ? { sticky } : {}),
          projectId: await findProject(client, project),
        });
        if (globals().json) printJson(task);
        else printLine(`${task.id} is ${task.state}.`);
      },
    );
  tasks
    .command('list')
    .description('list tasks')
    .option('--project <project>')
    .option('--state <state>')
    .option('--parent <task>', 'the children of this task')
    .option('--agent <name>')
    .option('--limit <n>', 'how many', Number, 50)
    .option('--cursor <cursor>')
    .action(
      async (options: {
        project?: string;
        state?: string;
        parent?: string;
        agent?: string;
        limit: number;
        cursor?: string;
      }) => {
        const client = await connect(globals());
        const wanted = options.state === undefined ? undefined : taskState.safeParse(options.state);
        if (wanted && !wanted.success) throw new UsageError(`--state takes one of ${taskState.options.join(', ')}.`);
        const page = await client.tasks.list({
          projectId: options.project === undefined ? undefined : await findProject(client, options.project),
          state: wanted?.data,
          parentId: options.parent,
          agent: options.agent,
          limit: options.limit,
          cursor: options.cursor,
        });
        if (globals().json) return printJson(page);
        printTable(
          ['id', 'capability', 'title', 'state', 'waits for', 'attempt'],
          page.items.map((task) => [
            task.id,
            task.capability,
            task.title,
            state(task.state),
            task.wait?.reason ?? null,
            task.attempt,
          ]),
        );
        if (page.nextCursor !== null) printLine(`Older ones: --cursor ${page.nextCursor}`);
      },
    );
  tasks
    .command('show <task>')
    .description('one task with its attempts')
    .option('--history', 'everything that is known of it, with what was told, oldest first', false)
    .option('--limit <n>', 'with --history: how many events', Number, 50)
    .option('--cursor <cursor>', 'with --history: go on where a page ended')
    .action(async (taskId: string, { history, ...page }: { history: boolean; limit: number; cursor?: string }) => {
      const client = await connect(globals());
      if (history) {
        const told = await client.tasks.history(taskId, page);
        if (globals().json) return printJson(told);
        return printHistory(told);
      }
      const task = await client.tasks.get(taskId);
      if (globals().json) return printJson(task);
      printTask(task);
    });
  tasks
    .command('retry <task>')
    .description('let a task that waits for a person go on')
    .action(async (taskId: string) => {
      const client = await connect(globals());
      await client.tasks.retry(taskId);
      const task = await client.tasks.get(taskId);
      if (globals().json) printJson(task);
      else printTask(task);
    });
  tasks
    .command('cancel <task>')
    .description('stop a task')
    .option('--reason <why>', 'shown to its agent', 'cancelled by hand')
    .option('--tree', 'and everything below it', false)
    .action(async (taskId: string, { reason, tree }: { reason: string; tree: boolean }) => {
      const task = await (await connect(globals())).tasks.cancel(taskId, reason, tree ? { tree } : {});
      if (globals().json) return printJson(task);
      printLine(`${task.id} is ${task.state}.`);
      if (task.tree !== undefined)
        printLine(`${task.tree.cancelled} cancelled${task.tree.complete ? '' : '; the server goes on with the rest'}.`);
    });
  tasks
    .command('explain <task>')
    .description('why it is not being worked on, and what would change that')
    .action(async (taskId: string) => {
      const told = await (await connect(globals())).tasks.explain(taskId);
      if (globals().json) return printJson(told);
      printFields({
        state: state(told.state),
        blocker: told.blocker,
        why: told.summary,
        until: told.until,
        'what would change it': told.change,
        'may conflict with':
          told.overlaps
            .map(({ submissionId, paths }) => `${submissionId} in ${paths.slice(0, 3).join(', ')}`)
            .join('; ') || null,
      });
      if (told.instances.length > 0)
        printTable(
          ['instance', 'agent', 'version', 'blocker', 'why'],
          told.instances.map((one) => [one.instanceId, one.agent, one.version, one.blocker, one.why]),
        );
    });
};
