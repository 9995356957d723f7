import type { LimitView } from '@muster/contracts';
import type { Command } from 'commander';
import { printJson, printLine, printTable } from '../output.ts';
import { connect, UsageError, type Globals } from '../settings.ts';
import { findProject } from './projects.ts';

const starts = (limit: LimitView): string | null =>
  limit.maxStarts === null ? null : `${limit.started} of ${limit.maxStarts} in ${limit.perSeconds ?? 0} s`;
const running = (limit: LimitView): string =>
  limit.maxRunning === null ? String(limit.running) : `${limit.running} of ${limit.maxRunning}`;

/** `10/60s`, `100/1h`. */
const parseRate = (text: string): { maxStarts: number; perSeconds: number } => {
  const [, count, per, unit] = /^(\d+)\/(\d+)?(s|m|h)$/.exec(text) ?? [];
  if (count === undefined || unit === undefined)
    throw new UsageError('--starts takes so many in so long: 10/60s, 5/m, 1000/24h.');
  return { maxStarts: Number(count), perSeconds: Number(per ?? 1) * { s: 1, m: 60, h: 3600 }[unit as 's' | 'm' | 'h'] };
};

export const addLimitCommands = (program: Command, globals: () => Globals): void => {
  const limits = program.command('limits').description('how many tasks run at once, or begin in a while');
  limits
    .command('list')
    .description('the limits, and what is used of them')
    .option('--project <project>', 'those that hold for this one')
    .action(async ({ project }: { project?: string }) => {
      const client = await connect(globals());
      const items = await client.limits.list(
        project === undefined ? {} : { projectId: await findProject(client, project) },
      );
      if (globals().json) return printJson({ items });
      printTable(
        ['id', 'project', 'capability', 'agent', 'running', 'began', 'next start'],
        items.map((one) => [
          one.id,
          one.projectId ?? 'any',
          one.capability ?? 'any',
          one.agent ?? 'any',
          running(one),
          starts(one),
          one.nextStartAt,
        ]),
      );
    });
  limits
    .command('set')
    .description('limit the tasks of a project, a capability, an agent, or any of them together')
    .option('--project <project>')
    .option('--capability <name>')
    .option('--agent <name>')
    .option('--running <n>', 'so many at once', Number)
    .option('--starts <rate>', 'so many begin in so long, 10/60s', parseRate)
    .action(
      async (options: {
        project?: string;
        capability?: string;
        agent?: string;
        running?: number;
        starts?: { maxStarts: number; perSeconds: number };
      }) => {
        const client = await connect(globals());
        const { project, running: maxRunning, starts: rate, ...scope } = options;
        if (maxRunning === undefined && rate === undefined)
          throw new UsageError('Say how many: --running 3, --starts 10/60s, or both.');
        const limit = await client.limits.set({
          ...scope,
          ...rate,
          ...(maxRunning === undefined ? {} : { maxRunning }),
          ...(project === undefined ? {} : { projectId: await findProject(client, project) }),
        });
        if (globals().json) return printJson(limit);
        printLine(
          `${limit.id}: ${running(limit)} run${starts(limit) === null ? '' : `, ${String(starts(limit))} began`}.`,
        );
      },
    );
  limits
    .command('remove <limit>')
    .description('remove a limit; what it held back may begin at once')
    .action(async (limitId: string) => {
      await (await connect(globals())).limits.remove(limitId);
      if (globals().json) return printJson({ id: limitId });
      printLine(`${limitId} is removed.`);
    });
};
