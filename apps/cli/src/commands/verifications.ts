import { writeFile } from 'node:fs/promises';
import type { VerificationView } from '@muster/contracts';
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
