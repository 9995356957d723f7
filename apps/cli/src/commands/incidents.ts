import { openIncident, type Incident } from '@muster/contracts';
import type { Command } from 'commander';
import { printFields, printJson, printLine, printTable, state } from '../output.ts';
import { connect, UsageError, type Globals } from '../settings.ts';
import { findProject } from './projects.ts';

export const addIncidentCommands = (program: Command, globals: () => Globals): void => {
  const incidents = program.command('incident').description('what has to come out of a branch again');
  const showIncident = (found: Incident): void => {
    if (globals().json) return printJson(found);
    printFields({
      id: found.id,
      state: found.state,
      cause: found.cause,
      reason: found.reason,
      opened: found.openedAt,
      resolved: found.resolvedAt,
    });
    printTable(
      ['landing', 'subject', 'state', 'revert', 'reopened as'],
      found.landings.map((each) => [
        each.landingId,
        each.subject.slice(0, 40),
        each.skipped ? 'nothing left of it' : state(each.state),
        each.revert === null ? null : state(each.revert.state),
        each.followUpTaskId,
      ]),
    );
    const { conflicts, dependents } = found.forecast;
    if (conflicts.length > 0) printLine(`Later work stands in the way in ${conflicts.join(', ')}.`);
    if (dependents.length > 0) printLine(`On it may stand ${dependents.map(({ landingId }) => landingId).join(', ')}.`);
  };
  incidents
    .command('list')
    .option('--project <project>')
    .action(async (options: { project?: string }) => {
      const client = await connect(globals());
      const projectId = options.project === undefined ? undefined : await findProject(client, options.project);
      const page = await client.incidents.list({ projectId });
      if (globals().json) return printJson(page);
      printTable(
        ['id', 'state', 'cause', 'landings', 'opened', 'reason'],
        page.items.map((each) => [
          each.id,
          each.state,
          each.cause,
          String(each.landings.length),
          each.openedAt,
          each.reason.split('\n')[0]?.slice(0, 60) ?? '',
        ]),
      );
    });
  incidents
    .command('show <incident>')
    .action(async (id: string) => showIncident(await (await connect(globals())).incidents.get(id)));
  incidents
    .command('open <project>')
    .description('take landings back, the newest first: name them, or the first and the last of a range')
    .requiredOption('--reason <reason>')
    .option('--landing <landing...>')
    .option('--from <landing>')
    .option('--to <landing>')
    .action(async (idOrSlug: string, options: { reason: string; landing?: string[]; from?: string; to?: string }) => {
      const client = await connect(globals());
      const { reason, landing, from, to } = options;
      const wish = openIncident.safeParse({
        reason,
        ...(landing === undefined ? {} : { landings: landing }),
        ...(from === undefined && to === undefined ? {} : { range: { from, to } }),
      });
      if (!wish.success)
        throw new UsageError(wish.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n'));
      showIncident(await client.incidents.open(await findProject(client, idOrSlug), wish.data));
    });
};
