import { writeFile } from 'node:fs/promises';
import type { VerificationExplanation, VerificationView } from '@muster/contracts';
import type { Command } from 'commander';
import colors from 'picocolors';
import { printFields, printJson, printLine, printTable, state } from '../output.ts';
import { connect, UsageError, type Globals } from '../settings.ts';
import { findProject } from './projects.ts';

const verdictOf = ({ verdict, evidence }: VerificationView): string | null =>
  evidence === false ? colors.yellow('did not come about') : verdict && state(verdict);

const printVerification = (found: VerificationView): void => {
  printFields({
    id: found.id,
    project: found.projectId,
    purpose: found.purpose,
    'asked by': found.subjectId,
    state: state(found.state),
    verdict: verdictOf(found),
    score: found.score === null ? null : `${found.score}, and ${found.threshold} are needed`,
    'first look': found.firstLook?.state ?? null,
    finished: found.finishedAt,
  });
  for (const reason of found.reasons) printLine(colors.red(`✗ ${reason}`));
};

const heading = (text: string): void => printLine(`\n${colors.bold(text)}`);
const at = ({ path, line }: { path: string | null; line: number | null }): string =>
  path === null ? '' : ` [${path}${line === null ? '' : `:${line}`}]`;
/** One finding, with how it is mended and shown again. */
const printPlace = (before: string, each: VerificationExplanation['vetoes'][number]): void => {
  printLine(`${before}${each.rule}: ${each.message.split('\n')[0]}${at(each)}`);
  if (each.remedy !== null) printLine(`      ${each.remedy.split('\n')[0]}`);
  if (each.reproduce != null) printLine(colors.dim(`      again: ${each.reproduce}`));
};
/** More than this of one kind is read by nobody at a terminal; `--json` has all of it. */
const mostShown = 40;

const printExplanation = (told: VerificationExplanation): void => {
  printLine(told.summary);
  if (told.state !== 'finished') return;
  if (told.vetoes.length > 0) {
    heading('What refuses it, whatever its score');
    for (const each of told.vetoes.slice(0, mostShown)) printPlace('  ✗ ', each);
  }
  const others = told.checks.filter(({ required, status }) => required && status !== 'passed');
  if (others.length > 0) {
    heading('Checks that had to pass and did not');
    for (const { check, status, summary } of others) printLine(`  ✗ ${check} ${status}: ${summary.split('\n')[0]}`);
  }
  for (const { rule, message } of told.breaches) printLine(`  ✗ enforcer.${rule}: ${message}`);
  if (told.score !== null) {
    heading(
      `The score: 100 less what each category lost, rounded down: ${told.score}, and ${told.threshold} are needed`,
    );
    printTable(
      ['category', 'at most', 'an error', 'a warning', 'errors', 'warnings', 'would cost', 'lost'],
      told.categories.map((each) => [
        each.category,
        each.most,
        each.perError,
        each.perWarning,
        each.errors,
        each.warnings,
        each.full,
        each.lost,
      ]),
    );
  }
  const mendable = told.lost.filter(({ fingerprint }) => !told.vetoes.some((each) => each.fingerprint === fingerprint));
  if (mendable.length > 0) {
    heading('Points to win back');
    for (const each of mendable.slice(0, mostShown)) printPlace(`  ${`−${each.points}`.padEnd(6)}`, each);
    if (mendable.length > mostShown) printLine(`  and ${mendable.length - mostShown} more: --json has all`);
  }
  const { previous } = told;
  if (previous !== null) {
    const change =
      previous.scoreChange === null ? '' : `, ${previous.scoreChange >= 0 ? '+' : ''}${previous.scoreChange} points`;
    heading(
      `Since ${previous.because === 'rerun' ? 'it was run before' : 'the try before'} (${previous.verificationId}, ${previous.verdict ?? 'unfinished'}${change})`,
    );
    for (const each of previous.fixed.slice(0, mostShown)) printLine(colors.green(`  mended  ${each.rule}${at(each)}`));
    for (const each of previous.added.slice(0, mostShown)) printLine(colors.red(`  new     ${each.rule}${at(each)}`));
    printLine(`  ${previous.remaining} findings are there as before.`);
    for (const { check, was, is } of previous.checks)
      printLine(`  ${check}: ${was ?? 'not there'} → ${is ?? 'not there'}`);
  }
  heading('What it stands on');
  const tools = told.checks.flatMap(({ tool }) => (tool === null ? [] : [`${tool.name} ${tool.version}`]));
  printFields({
    'rules of': `muster.yaml at ${told.rules.commit}`,
    'has to pass': told.rules.required.join(', ') || 'nothing',
    weights: Object.entries(told.rules.weights).map(([name, most]) => `${name} ${most}`).join(', ') || 'the gate’s own',
    'rules touched with the word of': told.rules.approvedBy,
    tree: told.question.candidateTree,
    'compared with': told.question.baseTree,
    toolchain: told.toolchain === null ? null : `gate ${told.toolchain.gate}, Node ${told.toolchain.node}, ${told.toolchain.platform} (${told.toolchain.digest.slice(0, 12)})`,
    tools: [...new Set(tools)].join(', ') || null,
    sandbox: told.sandbox === null ? null : `${told.sandbox.driver}${told.sandbox.proven ? '' : ', not proven'}`,
    'run again as': told.supersededBy,
  }); // prettier-ignore
  for (const { check, reused } of told.checks)
    if (reused !== null)
      printLine(
        colors.dim(
          `  ${check} was seen on ${reused.since}${reused.verification == null ? '' : ` by ${reused.verification}`}: ${reused.because}`,
        ),
      );
};

/** Lines of a log; of which check, where they are of several. */
const printLog = (check: string, text: string, named: boolean): void => {
  for (const line of text.replace(/\n$/, '').split('\n'))
    printLine(named ? `${colors.dim(`${check} │`)} ${line}` : line);
};

export const addVerificationCommands = (program: Command, globals: () => Globals): void => {
  const verification = program.command('verification').description('what the gate saw, and what it made of it');
  verification
    .command('list <project>')
    .description('the newest first')
    .option('--limit <n>', 'how many', Number, 50)
    .option('--cursor <cursor>')
    .action(async (idOrSlug: string, options: { limit: number; cursor?: string }) => {
      const client = await connect(globals());
      const page = await client.verifications.list(await findProject(client, idOrSlug), options);
      if (globals().json) return printJson(page);
      printTable(
        ['id', 'purpose', 'asked by', 'state', 'verdict', 'score', 'created'],
        page.items.map((each) => [
          each.id,
          each.purpose,
          each.subjectId,
          state(each.state),
          verdictOf(each),
          each.score,
          each.createdAt,
        ]),
      );
      if (page.nextCursor !== null) printLine(`Older ones: --cursor ${page.nextCursor}`);
    });
  verification
    .command('show <verification>')
    .description('verdict and checks, also while they run')
    .action(async (id: string) => {
      const client = await connect(globals());
      const [found, checks] = await Promise.all([client.verifications.get(id), client.verifications.checks(id)]);
      if (globals().json) return printJson(found);
      printVerification(found);
      printTable(
        ['check', 'state', 'seconds', 'what it saw'],
        checks.items.map((each) => [
          each.check,
          each.status === null ? each.state : state(each.status) + (each.reused ? ' (reused)' : ''),
          each.ms === null ? null : (each.ms / 1000).toFixed(1),
          each.summary?.split('\n')[0]?.slice(0, 90) ?? null,
        ]),
      );
    });
  verification
    .command('explain <verification>')
    .description('how score and verdict came about, how to win points back, and what changed since the try before')
    .action(async (id: string) => {
      const told = await (await connect(globals())).verifications.explain(id);
      if (globals().json) return printJson(told);
      printExplanation(told);
    });
  verification
    .command('rerun <verification>')
    .description('look anew at what could not be run or could not tell, or at the checks that are named')
    .option('--check <check...>', 'these, whatever was seen before')
    .action(async (id: string, { check }: { check?: string[] }) => {
      const client = await connect(globals());
      const answer = await client.verifications.rerun(id, check === undefined ? {} : { checks: check });
      if (globals().json) return printJson(answer);
      printLine(answer.because);
      if (answer.checks.length > 0) printLine(`Looked at anew: ${answer.checks.join(', ')}.`);
      const { verification: found } = answer;
      printLine(
        answer.rerun
          ? `${found.id} is ${found.state}. Watch it: muster verification logs ${found.id} --follow`
          : `${found.id} stands: ${found.verdict ?? found.state}.`,
      );
    });
  verification
    .command('logs <verification>')
    .description('what its checks printed; with --follow while they run')
    .option('--check <check>', 'of this check only')
    .option('--follow', 'go on until it has finished', false)
    .option('--tail <lines>', 'the last so many lines that are kept, instead of all', Number)
    .action(async (id: string, options: { check?: string; follow: boolean; tail?: number }) => {
      const { check, follow, tail } = options;
      if (tail !== undefined && !Number.isInteger(tail)) throw new UsageError('--tail takes a number of lines.');
      const client = await connect(globals());
      const of = check === undefined ? {} : { check };
      const named = check === undefined;
      const told = (item: { check: string; at: string; text: string }): void =>
        // One object a line, so that it can be read while it comes.
        globals().json ? printLine(JSON.stringify(item)) : printLog(item.check, item.text, named);
      let after = 0;
      if (tail !== undefined) {
        const page = await client.verifications.log(id, { ...of, tail });
        page.items.forEach(told);
        after = page.position;
        if (!follow) return;
      }
      if (follow) for await (const item of client.verifications.followLog(id, { ...of, after })) told(item);
      else
        for (let more = true; more;) {
          const page = await client.verifications.log(id, { ...of, after });
          page.items.forEach(told);
          ({ position: after, more } = page);
        }
      if (globals().json) return;
      const { items } = await client.verifications.checks(id);
      for (const each of items)
        if (each.wholeLog !== null && (named || each.check === check))
          printLine(colors.dim(`All of ${each.check}: muster verification artefacts ${id} ${each.wholeLog}`));
    });
  verification
    .command('artefacts <verification> [name]')
    .description('what checks left; with a name its content')
    .option('--output <file>', 'write it there instead of printing it')
    .action(async (id: string, name: string | undefined, { output }: { output?: string }) => {
      const client = await connect(globals());
      if (name !== undefined) {
        const text = await client.verifications.artefact(id, name);
        if (output === undefined) process.stdout.write(text);
        else await writeFile(output, text);
        return;
      }
      if (output !== undefined) throw new UsageError('--output goes with the name of an artefact.');
      const items = await client.verifications.artefacts(id);
      if (globals().json) return printJson({ items });
      printTable(
        ['name', 'check', 'kind', 'bytes'],
        items.map((each) => [each.name, each.check, each.mediaType, each.size]),
      );
    });
};
