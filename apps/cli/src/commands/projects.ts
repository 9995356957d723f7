import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { openIncident, type Incident, type ProjectView } from '@muster/contracts';
import type { MusterClient } from '@muster/sdk';
import colors from 'picocolors';
import type { Command } from 'commander';
import { printFields, printJson, printLine, printTable, short, state } from '../output.ts';
import { connect, UsageError, type Globals } from '../settings.ts';

/** A project by id, or by its slug. */
export const findProject = async (client: MusterClient, idOrSlug: string): Promise<string> => {
  if (idOrSlug.startsWith('proj_')) return idOrSlug;
  for (let cursor: string | undefined, page = 0; page < 100; page += 1) {
    const { items, nextCursor } = await client.projects.list({ limit: 200, cursor });
    const found = items.find((project) => project.slug === idOrSlug);
    if (found) return found.id;
    if (nextCursor === null) break;
    cursor = nextCursor;
  }
  throw new UsageError(`There is no project ${idOrSlug}. muster project list shows them.`);
};

const show = (project: ProjectView, json: boolean): void => {
  if (json) printJson(project);
  else
    printFields({
      id: project.id,
      slug: project.slug,
      name: project.name,
      branch: project.branch,
      head: project.head,
      git: project.gitPath,
    });
};

export const addProjectCommands = (program: Command, globals: () => Globals): void => {
  const projects = program.command('project').description('projects: repositories under Muster’s care');
  projects
    .command('list')
    .description('list projects')
    .option('--limit <n>', 'how many', Number, 50)
    .option('--cursor <cursor>')
    .action(async (options: { limit: number; cursor?: string }) => {
      const page = await (await connect(globals())).projects.list(options);
      if (globals().json) return printJson(page);
      printTable(
        ['id', 'slug', 'name', 'branch', 'head'],
        page.items.map((project) => [project.id, project.slug, project.name, project.branch, short(project.head)]),
      );
    });
  projects
    .command('show <project>')
    .description('one project, by id or slug')
    .action(async (idOrSlug: string) => {
      const client = await connect(globals());
      const project = await client.projects.get(await findProject(client, idOrSlug));
      if (globals().json) return printJson(project);
      show(project, false);
      printLine('');
      printTable(
        ['agent', 'version', 'capabilities'],
        project.agent_metadata.assigned_agents.map((agent) => [
          agent.agent,
          agent.version,
          agent.capabilities.join(', '),
        ]),
      );
    });
  projects
    .command('create <name>')
    .description('an empty project')
    .option('--slug <slug>')
    .option('--branch <branch>')
    .action(async (name: string, options: { slug?: string; branch?: string }) => {
      show(await (await connect(globals())).projects.create({ name, ...options }), globals().json);
    });
  projects
    .command('import <source>')
    .description('from a git URL, from a path on the server that its operator allows, or from a local tar or tar.gz')
    .requiredOption('--name <name>')
    .option('--slug <slug>')
    .option('--branch <branch>')
    .action(async (source: string, { name, slug, branch }: { name: string; slug?: string; branch?: string }) => {
      const client = await connect(globals());
      const words = { name, ...(slug === undefined ? {} : { slug }), ...(branch === undefined ? {} : { branch }) };
      const archive =
        /\.(tar|tar\.gz|tgz)$/.test(source) &&
        (await stat(source).then(
          (entry) => entry.isFile(),
          () => false,
        ));
      if (archive)
        return show(await client.projects.importArchive(words, Buffer.from(await readFile(source))), globals().json);
      const from = /^[a-z+]+:\/\//.test(source) ? { url: source } : { path: resolve(source) };
      show(await client.projects.create({ ...words, source: from }), globals().json);
    });
  projects
    .command('assign <project> <agent>')
    .description('let an agent work on a project')
    .requiredOption('--capability <name...>')
    .option('--range <range>', 'versions that may', '*')
    .action(async (idOrSlug: string, agent: string, options: { capability: string[]; range: string }) => {
      const client = await connect(globals());
      const made = await client.projects.assign(await findProject(client, idOrSlug), {
        agent,
        version: options.range,
        capabilities: options.capability,
      });
      if (globals().json) printJson(made);
      else printLine(`${made.agent} ${made.version} may ${made.capabilities.join(', ')}.`);
    });
  projects
    .command('unassign <project> <agent>')
    .description('take an agent off a project')
    .action(async (idOrSlug: string, agent: string) => {
      const client = await connect(globals());
      await client.projects.unassign(await findProject(client, idOrSlug), agent);
      if (globals().json) printJson({ ok: true });
      else printLine(`${agent} is unassigned.`);
    });

  program
    .command('audit <project>')
    .description('re-check every commit of a project’s branch against its evidence; exit code 1 on problems')
    .action(async (idOrSlug: string) => {
      const client = await connect(globals());
      const report = await client.audit(await findProject(client, idOrSlug));
      if (globals().json) printJson(report);
      else {
        printTable(
          ['commit', 'tree', 'what', 'subject', 'problems'],
          report.commits.map((commit) => [
            short(commit.commit),
            short(commit.tree),
            commit.kind,
            commit.subject.slice(0, 50),
            commit.problems.length === 0 ? colors.green('none') : colors.red(commit.problems.join('\n')),
          ]),
        );
        const words = `${report.checked} commits of ${report.branch} checked`;
        printLine(
          report.ok
            ? colors.green(`${words}: all as their evidence says.`)
            : colors.red(`${words}: there are problems.`),
        );
      }
      if (!report.ok) process.exitCode = 1;
    });
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

  const provenance = program.command('provenance').description('the keys that landings are signed with');
  provenance
    .command('keys')
    .description('the public keys, the retired ones too')
    .action(async () => {
      const answer = await (await connect(globals())).provenance.keys();
      if (globals().json) return printJson(answer);
      printTable(
        ['key', 'since', 'retired'],
        answer.keys.map(({ keyId, since, retiredAt }) => [keyId, since, retiredAt]),
      );
    });
  provenance
    .command('trust <project>')
    .description('print what `verify-provenance` needs besides a clone, as JSON')
    .action(async (idOrSlug: string) => {
      const client = await connect(globals());
      printJson(await client.provenance.trust(await findProject(client, idOrSlug)));
    });
  provenance
    .command('rotate')
    .description('let another key sign from now on; the old one keeps vouching for what it signed')
    .action(async () => {
      const made = await (await connect(globals())).provenance.rotate();
      if (globals().json) printJson(made);
      else printLine(`${made.keyId} signs from now on. Give those who verify offline a new trust policy.`);
    });
  program
    .command('submissions')
    .description('changes that were handed in')
    .option('--project <project>')
    .option('--task <task>')
    .action(async (options: { project?: string; task?: string }) => {
      const client = await connect(globals());
      const projectId = options.project === undefined ? undefined : await findProject(client, options.project);
      const page = await client.submissions.list({ projectId, taskId: options.task });
      if (globals().json) return printJson(page);
      printTable(
        ['id', 'kind', 'agent', 'state', 'commit', 'message', 'reasons'],
        page.items.map((one) => [
          one.id,
          one.kind,
          one.agent,
          state(one.state),
          short(one.commit),
          one.message.split('\n')[0]!.slice(0, 40),
          one.reasons.join('\n').slice(0, 200),
        ]),
      );
    });
  program
    .command('review <submission>')
    .description('say yes or no to exactly what a submission holds')
    .option('--approve', 'let it land, as far as you are asked')
    .option('--reject <why>', 'give it back')
    .option('--comment <text>')
    .action(async (submissionId: string, options: { approve?: true; reject?: string; comment?: string }) => {
      const client = await connect(globals());
      const { approve, reject, comment } = options;
      if ((approve === undefined) === (reject === undefined)) throw new UsageError('Give --approve or --reject <why>.');
      await client.submissions.review(
        submissionId,
        reject === undefined ? { verdict: 'approve', comment } : { verdict: 'reject', comment: reject },
      );
      const submission = await client.submissions.get(submissionId);
      if (globals().json) return printJson(submission);
      printLine(`${submission.id} is ${submission.state}.`);
      for (const { missing, people, paths } of submission.reviewNeeds) {
        const whom = people.join(' or ') || 'whoever may review';
        printLine(`It waits for ${missing} more of ${whom}${paths.length > 0 ? ` for ${paths.join(', ')}` : ''}.`);
      }
    });
  program
    .command('landings')
    .description('what has landed')
    .option('--project <project>')
    .action(async (options: { project?: string }) => {
      const client = await connect(globals());
      const projectId = options.project === undefined ? undefined : await findProject(client, options.project);
      const page = await client.landings.list({ projectId });
      if (globals().json) return printJson(page);
      printTable(
        ['id', 'state', 'commit', 'tree landed', 'tree verified', 'after landing'],
        page.items.map((one) => [
          one.id,
          state(one.state),
          short(one.commit),
          short(one.landedTree),
          short(one.verifiedTree),
          state(one.postLanding),
        ]),
      );
    });
  program
    .command('rollback <landing>')
    .description('take a landing back, by a revert that goes through the gate')
    .requiredOption('--reason <why>')
    .action(async (landingId: string, { reason }: { reason: string }) => {
      const submission = await (await connect(globals())).landings.rollBack(landingId, reason);
      if (globals().json) printJson(submission);
      else printLine(`The revert is ${submission.id}; it lands when it is verified.`);
    });
};
