import type { SetView } from '@muster/contracts';
import type { Command } from 'commander';
import { printFields, printJson, printTable, state } from '../output.ts';
import { connect, type Globals } from '../settings.ts';
import { findProject } from './projects.ts';

const printSet = (set: SetView): void => {
  printFields({
    id: set.id,
    title: set.title,
    state: state(set.state),
    reasons: set.reasons.join('\n') || null,
    reverts: set.revertsSetId,
    'rolled back by': set.rolledBackBySetId,
  });
  printTable(
    ['project', 'task', 'submission', 'state', 'landing'],
    set.members.map((one) => [
      one.projectId,
      one.taskId,
      one.submissionId,
      one.state === null ? null : state(one.state),
      one.landingId,
    ]),
  );
};

export const addSetCommands = (program: Command, globals: () => Globals): void => {
  const sets = program.command('set').description('changes to several projects that land together or not at all');
  const show = (set: SetView): void => (globals().json ? printJson(set) : printSet(set));
  sets
    .command('create')
    .description('link tasks or submissions, one for each project')
    .requiredOption('--title <title>')
    .option('--task <task...>')
    .option('--submission <submission...>')
    .action(async (options: { title: string; task?: string[]; submission?: string[] }) => {
      const { title, task: tasks = [], submission: submissions = [] } = options;
      show(await (await connect(globals())).sets.create({ title, tasks, submissions }));
    });
  sets
    .command('list')
    .description('the newest first')
    .option('--project <project>')
    .option('--state <state>')
    .option('--limit <n>', 'how many', Number, 50)
    .option('--cursor <cursor>')
    .action(async (options: { project?: string; state?: SetView['state']; limit: number; cursor?: string }) => {
      const client = await connect(globals());
      const { project, ...query } = options;
      const projectId = project === undefined ? undefined : await findProject(client, project);
      const page = await client.sets.list({ ...query, projectId });
      if (globals().json) return printJson(page);
      printTable(
        ['id', 'title', 'state', 'projects', 'created'],
        page.items.map((set) => [set.id, set.title, state(set.state), set.members.length, set.createdAt]),
      );
    });
  sets
    .command('show <set>')
    .description('where each member stands')
    .action(async (setId: string) => show(await (await connect(globals())).sets.get(setId)));
  sets
    .command('rollback <set>')
    .description('take all of it back, by reverts that go through the gate')
    .requiredOption('--reason <why>')
    .action(async (setId: string, { reason }: { reason: string }) =>
      show(await (await connect(globals())).sets.rollBack(setId, reason)),
    );
};
