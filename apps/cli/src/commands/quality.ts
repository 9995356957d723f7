import { trendBuckets, trendGroups } from '@muster/contracts';
import { Option, type Command } from 'commander';
import { printFields, printJson, printLine, printTable } from '../output.ts';
import { connect, type Globals } from '../settings.ts';
import { findProject } from './projects.ts';

interface TrendOptions {
  readonly project?: string;
  readonly agent?: string;
  readonly agentVersion?: string;
  readonly from?: string;
  readonly to?: string;
  readonly bucket: (typeof trendBuckets)[number];
  readonly by?: (typeof trendGroups)[number][];
  readonly check?: string;
}

const shareOf = (part: number, whole: number): string => (whole === 0 ? '–' : `${Math.round((part / whole) * 100)} %`);

export const addQualityCommands = (program: Command, globals: () => Globals): void => {
  const quality = program.command('quality').description('how good the work is, over time and by the rules');
  const asked = (command: Command): Command =>
    command
      .option('--project <project>')
      .option('--agent <agent>')
      .option('--agent-version <version>')
      .option('--from <time>', 'ISO 8601; default: thirty days ago')
      .option('--to <time>')
      .addOption(new Option('--bucket <bucket>').choices(trendBuckets).default('day'))
      .addOption(new Option('--by <group...>', 'what is told apart').choices(trendGroups));
  const queryOf = async (client: Awaited<ReturnType<typeof connect>>, options: TrendOptions) => ({
    projectId: options.project === undefined ? undefined : await findProject(client, options.project),
    agent: options.agent,
    version: options.agentVersion,
    from: options.from,
    to: options.to,
    bucket: options.bucket,
    by: options.by,
  });
  asked(quality.command('trends').description('verifications, scores and breaches over time')).action(
    async (options: TrendOptions) => {
      const client = await connect(globals());
      const trend = await client.quality.trends(await queryOf(client, options));
      if (globals().json) return printJson(trend);
      printTable(
        ['from', 'project', 'agent', 'version', 'verified', 'accepted', 'breached', 'score', 'lowest', 'median s'],
        trend.points.map((each) => [
          each.at.slice(0, 16),
          each.projectId,
          each.agent,
          each.version,
          String(each.verifications),
          shareOf(each.accepted, each.verifications),
          String(each.breached),
          each.scoreMean?.toFixed(1) ?? null,
          each.scoreLowest?.toFixed(0) ?? null,
          each.secondsMedian.toFixed(1),
        ]),
      );
      if (trend.truncated) printLine('Older points are left out: ask for a shorter time or a wider bucket.');
    },
  );
  asked(quality.command('checks').description('what each check saw over time'))
    .option('--check <check>')
    .action(async (options: TrendOptions) => {
      const client = await connect(globals());
      const trend = await client.quality.checks({ ...(await queryOf(client, options)), check: options.check });
      if (globals().json) return printJson(trend);
      printTable(
        [
          'from',
          'check',
          'project',
          'agent',
          'version',
          'runs',
          'passed',
          'failed',
          'not run',
          'unsure',
          'errors',
          'median s',
        ],
        trend.points.map((each) => [
          each.at.slice(0, 16),
          each.check,
          each.projectId,
          each.agent,
          each.version,
          String(each.runs),
          String(each.passed),
          String(each.failed),
          String(each.notRun),
          String(each.inconclusive),
          String(each.errors),
          each.secondsMedian.toFixed(1),
        ]),
      );
      if (trend.truncated) printLine('Older points are left out: ask for a shorter time or a wider bucket.');
    });
  quality
    .command('enforcer <project>')
    .description('what the project insists on, whose work stays below it, and what waits because of it')
    .action(async (idOrSlug: string) => {
      const client = await connect(globals());
      const found = await client.quality.enforcer(await findProject(client, idOrSlug));
      if (globals().json) return printJson(found);
      const { rules } = found;
      printFields({
        'on breach': rules.onBreach,
        'changed lines': rules.coverage ? `${rules.changedLines} %` : 'not asked',
        placeholders: rules.placeholders ? 'none' : 'not asked',
        'critical paths': rules.critical.join(', ') || 'none named',
        'agents’ success': rules.agentSuccess.percent === 0 ? 'not asked' : `${rules.agentSuccess.percent} % of the last ${rules.agentSuccess.window}`,
        waiting: found.held.join(', ') || 'nothing',
      }); // prettier-ignore
      printTable(
        ['agent', 'finished', 'succeeded', 'share', 'needs approval'],
        found.agents.map((each) => [
          each.agent,
          String(each.finished),
          String(each.succeeded),
          each.percent === null ? '–' : `${each.percent} %`,
          each.breached ? 'yes' : 'no',
        ]),
      );
    });
};
