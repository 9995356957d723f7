import { instanceStates, type InstanceView, type RuntimeStatus } from '@muster/contracts';
import type { Command } from 'commander';
import { printFields, printJson, printLine, printTable, state } from '../output.ts';
import { connect, UsageError, type Globals } from '../settings.ts';
import { findProject } from './projects.ts';

const printInstance = (one: InstanceView): void =>
  printFields({
    id: one.id,
    name: one.name,
    agent: `${one.agent} ${one.version}`,
    state: state(one.state),
    wanted: one.wantedReason === null ? one.wanted : `${one.wanted} (${one.wantedReason})`,
    capabilities: one.capabilities.join(' '),
    holds: `${one.running} of ${one.capacity}`,
    'connected by': one.transport,
    'last seen': one.lastSeenAt,
  });

const printStatus = (status: RuntimeStatus): void => {
  printLine(`Tasks are ${status.state === 'running' ? 'given out' : 'not given out'}.`);
  for (const stop of status.stops)
    printLine(
      `The ${stop.scope} was stopped at ${stop.stoppedAt} by ${stop.stoppedBy}${stop.reason === null ? '' : `: ${stop.reason}`}.`,
    );
  printTable(
    ['instances', 'count'],
    instanceStates.map((name) => [state(name), status.instances[name]]),
  );
};

const verbs = [
  ['pause', 'give it nothing new; it goes on with what it holds'],
  ['resume', 'give it work again'],
  ['drain', 'give it nothing new, let it finish what it holds and say goodbye'],
  ['stop', 'let it hand back what it holds and say goodbye; a supervised process is ended'],
] as const;

export const addInstanceCommands = (program: Command, globals: () => Globals): void => {
  const instances = program.command('instances').description('processes of agents');
  instances
    .command('list')
    .description('list instances, newest first')
    .option('--state <state>')
    .option('--agent <name>')
    .option('--limit <n>', 'how many', Number, 50)
    .option('--cursor <cursor>')
    .action(async (options: { state?: string; agent?: string; limit: number; cursor?: string }) => {
      const wanted = instanceStates.find((name) => name === options.state);
      if (options.state !== undefined && wanted === undefined)
        throw new UsageError(`--state takes one of ${instanceStates.join(', ')}.`);
      const page = await (await connect(globals())).instances.list({ ...options, state: wanted });
      if (globals().json) return printJson(page);
      printTable(
        ['id', 'agent', 'name', 'state', 'wanted', 'holds', 'last seen'],
        page.items.map((one) => [
          one.id,
          `${one.agent} ${one.version}`,
          one.name,
          state(one.state),
          one.wanted,
          `${one.running}/${one.capacity}`,
          one.lastSeenAt,
        ]),
      );
    });
  instances
    .command('show <instance>')
    .description('one instance')
    .action(async (id: string) => {
      const one = await (await connect(globals())).instances.get(id);
      if (globals().json) printJson(one);
      else printInstance(one);
    });
  for (const [verb, description] of verbs) {
    instances
      .command(`${verb} <instance>`)
      .description(description)
      .option('--reason <why>', 'shown to its agent')
      .action(async (id: string, { reason }: { reason?: string }) => {
        const one = await (await connect(globals())).instances[verb](id, reason);
        if (globals().json) printJson(one);
        else printInstance(one);
      });
  }
  instances
    .command('start <agent-or-instance>')
    .description(
      "have the server run an agent's process on its machine: a new one of an agent, or a stopped instance again",
    )
    .option('--agent-version <range>', 'of the agent', '*')
    .option('--name <name>', 'how it is called in lists')
    .option('--project <project>', 'limits its key to one project')
    .action(async (what: string, options: { agentVersion: string; name?: string; project?: string }) => {
      const client = await connect(globals());
      if (what.startsWith('inst_')) {
        const one = await client.instances.start(what);
        if (globals().json) printJson(one);
        else printInstance(one);
        return;
      }
      const process = await client.instances.startSupervised({
        agent: what,
        version: options.agentVersion,
        ...(options.name === undefined ? {} : { name: options.name }),
        ...(options.project === undefined ? {} : { projectId: await findProject(client, options.project) }),
      });
      if (globals().json) printJson(process);
      else printLine(`${process.id} is ${process.state}. Look with: muster instances process ${process.id}`);
    });
  instances
    .command('process <instance>')
    .description('the process of a supervised instance')
    .action(async (id: string) => {
      const process = await (await connect(globals())).instances.process(id);
      if (globals().json) return printJson(process);
      printFields({
        id: process.id,
        agent: `${process.agent} ${process.version}`,
        command: process.command.join(' '),
        wanted: process.desired,
        state: state(process.state),
        reason: process.reason,
        process: process.pid,
        'started at': process.processStartedAt,
        starts: process.starts,
        'ended in a row': process.failures,
        'next start at': process.nextStartAt,
      });
    });
  instances
    .command('log <instance>')
    .description('what the process of a supervised instance printed last')
    .option('--lines <n>', 'how many', Number, 200)
    .action(async (id: string, options: { lines: number }) => {
      const log = await (await connect(globals())).instances.log(id, options);
      if (globals().json) return printJson(log);
      for (const { at, stream, line } of log.items) printLine(`${at} ${stream}: ${line}`);
    });

  const runtime = program.command('runtime').description('whether tasks are given out at all');
  runtime
    .command('status')
    .description('whether tasks are given out, and the instances by state')
    .action(async () => {
      const status = await (await connect(globals())).runtime.status();
      if (globals().json) printJson(status);
      else printStatus(status);
    });
  runtime
    .command('stop')
    .description('give out no tasks of the team; what is being worked on goes on')
    .option('--server', 'of any team; for the team that runs the server', false)
    .option('--reason <why>')
    .action(async ({ server, reason }: { server: boolean; reason?: string }) => {
      const status = await (
        await connect(globals())
      ).runtime.stop({ scope: server ? 'server' : 'team', ...(reason === undefined ? {} : { reason }) });
      if (globals().json) printJson(status);
      else printStatus(status);
    });
  runtime
    .command('start')
    .description('give out tasks again')
    .option('--server', 'of all teams', false)
    .action(async ({ server }: { server: boolean }) => {
      const status = await (await connect(globals())).runtime.start({ scope: server ? 'server' : 'team' });
      if (globals().json) printJson(status);
      else printStatus(status);
    });
};
