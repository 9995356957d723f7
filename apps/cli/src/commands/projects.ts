import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { ProjectView } from '@muster/contracts';
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
    .option('--tell', 'tell the event stream, too, what was found')
    .action(async (idOrSlug: string, { tell }: { tell?: boolean }) => {
      const client = await connect(globals());
      const report = await client.audit(await findProject(client, idOrSlug), { tell: tell === true });
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
