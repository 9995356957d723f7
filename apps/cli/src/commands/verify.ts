import { readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { gatePolicy, type FirstLook, type GatePolicy, type VerificationFacts } from '@muster/contracts';
import {
  chargesOf,
  detectSandbox,
  lookAtFolder,
  sandboxChoices,
  toSarif,
  UnknownBase,
  UnknownCheck,
  verifyFolder,
  type Judgement,
  type SandboxChoice,
  type VerifyFolderOptions,
} from '@muster/gate';
import { InvalidArgumentError, Option, type Command } from 'commander';
import colors from 'picocolors';
import { parse } from 'yaml';
import { z } from 'zod';
import { printJson, printLine, printTable, state } from '../output.ts';
import { UsageError, type Globals } from '../settings.ts';

interface VerifyOptions {
  readonly base: string;
  readonly check?: string[];
  readonly finding?: string;
  readonly draw?: string;
  readonly title?: string;
  readonly path?: string[];
  readonly firstLook: boolean;
  readonly sandbox: SandboxChoice;
  readonly sarif?: string | true;
  readonly log: boolean;
  readonly policy?: string;
  readonly npmCache?: string;
  readonly pythonWheels?: string;
}

/** What the exit codes mean, for scripts. */
const refused = 1;
const couldNotTell = 2;
const broken = 70;

const exitCodes = `
Exit codes:
  0   accepted; with --finding: it is not there; with --first-look: passing
  1   refused; with --finding: it is there; with --first-look: failing
  2   could not tell: a required check could not be run or was inconclusive, and nothing else refuses it
  64  the command was wrong
  70  the verification itself broke`;

const several = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];
const fingerprint = (value: string): string => {
  if (!/^[0-9a-f]{8,40}$/.test(value)) throw new InvalidArgumentError('A finding is named by 8 or more hex digits.');
  return value;
};

async function readPolicy(path: string): Promise<GatePolicy> {
  let given: unknown;
  try {
    given = parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`${path} cannot be read as YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
  const read = gatePolicy.safeParse(given ?? {});
  if (!read.success) throw new UsageError(`${path} is no policy of the gate:\n${z.prettifyError(read.error)}`);
  return read.data;
}

/** Refused for nothing but what this machine could not see. */
function onlyUnseen({ reasons }: Judgement, facts: VerificationFacts): boolean {
  const unseen = new Set(
    facts.checks.filter(({ status }) => status === 'not_run' || status === 'inconclusive').map(({ check }) => check),
  );
  return reasons.every((reason) => {
    const [name = '', said = ''] = reason.split(': ', 2);
    return unseen.has(name) && said.startsWith('required, and ');
  });
}

function printFirstLook(look: FirstLook): void {
  for (const { check, status, summary } of look.checks) printLine(`${state(status)}  ${check}  ${summary}`);
  for (const each of look.failing) printLine(colors.red(`✗ ${each}`));
  const tests = look.testFiles.length === 0 ? 'no test has to do with it' : `${look.testFiles.length} test files`;
  printLine(`first look: ${look.state} (${tests}, ${(look.ms / 1000).toFixed(1)} s); no verdict follows from it`);
}

function printVerdict(
  facts: VerificationFacts,
  judgement: Judgement,
  threshold: number,
  weights: Parameters<typeof chargesOf>[1],
  partial: boolean,
): void {
  printTable(
    ['check', 'status', 'what it saw'],
    facts.checks.map((check) => [check.check, state(check.status), check.summary.split('\n')[0]!.slice(0, 90)]),
  );
  for (const { finding, points } of chargesOf(facts, weights)) {
    const place = finding.path === null ? '' : `  ${finding.path}${finding.line === null ? '' : `:${finding.line}`}`;
    const cost = points > 0 ? ` −${points}` : '';
    printLine(
      `${finding.veto ? colors.red('veto') : finding.level}${cost}${place}  ${finding.rule}: ${finding.message.split('\n')[0]}`,
    );
    if (finding.level === 'note' && !finding.veto) continue;
    if (finding.remedy !== null) printLine(`    ${finding.remedy.split('\n')[0]}`);
    if (finding.reproduce != null) printLine(colors.dim(`    again: ${finding.reproduce}`));
  }
  if (facts.baseFailures.length > 0)
    printLine(colors.dim(`failing before and not charged: ${facts.baseFailures.join(', ')}`));
  for (const reason of judgement.reasons) printLine(colors.red(`✗ ${reason}`));
  const word = judgement.verdict === 'accepted' ? colors.green('accepted') : colors.red('refused');
  const of = partial ? ` by ${facts.checks.map(({ check }) => check).join(', ')} alone` : '';
  printLine(`${word}${of} with ${judgement.score} points of ${threshold} needed`);
}

export const addVerifyCommand = (program: Command, globals: () => Globals): void => {
  program
    .command('verify [folder]')
    .description('judge what a git work tree holds now, by the same checks as the server')
    .option('--base <ref>', 'a commit or tree that it is compared with, and whose muster.yaml holds', 'HEAD')
    .option('--check <check>', 'only this check; may be given several times', several)
    .option('--finding <fingerprint>', 'only say whether this finding is there; goes well with --check', fingerprint)
    .option(
      '--draw <text>',
      'what lots were drawn with, to try the same functions and mistakes as another verification',
    )
    .option('--title <text>', 'what the work says that it is; default: the subjects of its commits')
    .option('--path <glob>', 'what the work keeps to; may be given several times', several)
    .option(
      '--first-look',
      'only what is seen at once: the tests that the change has to do with, secrets, scope',
      false,
    )
    .addOption(
      new Option('--sandbox <kind>', 'where submitted code runs')
        // The others need an operator to say how they are reached.
        .choices(sandboxChoices.filter((name) => name !== 'command' && name !== 'kubernetes'))
        .default('auto' as const),
    )
    .option('--policy <file>', 'what the operator asks of every project, as the server has it in MUSTER_GATE_POLICY')
    .option('--npm-cache <folder>', 'an npm cache that packages come from, as MUSTER_NPM_CACHE of the server')
    .option('--python-wheels <folder>', 'wheels that packages come from, as MUSTER_PYTHON_WHEELS of the server')
    .option('--sarif [file]', 'write the findings as SARIF, into the file or to standard output')
    .option('--log', 'print what the checks print, to standard error, while they run', false)
    .addHelpText('after', exitCodes)
    .action(async (folder: string | undefined, options: VerifyOptions) => {
      const sarifOnly = options.sarif === true;
      if (
        options.firstLook &&
        (options.check !== undefined || options.finding !== undefined || options.sarif !== undefined)
      )
        throw new UsageError('--first-look goes without --check, --finding and --sarif.');
      const quiet = globals().json || sarifOnly;
      const shown = !quiet && !options.log && process.stderr.isTTY;
      const declared = options.title !== undefined || options.path !== undefined;
      const given: VerifyFolderOptions = {
        dir: folder ?? process.cwd(),
        baseRef: options.base,
        cacheDir: join(homedir(), '.cache', 'muster', 'verify'),
        sandbox: await detectSandbox(options.sandbox),
        ...(options.check === undefined ? {} : { checks: options.check }),
        ...(options.draw === undefined ? {} : { draw: options.draw }),
        ...(options.policy === undefined ? {} : { server: await readPolicy(options.policy) }),
        npmCache: options.npmCache === undefined ? null : resolve(options.npmCache),
        pythonWheels: options.pythonWheels === undefined ? null : resolve(options.pythonWheels),
        ...(declared ? { declared: { title: options.title ?? null, paths: options.path ?? null } } : {}),
        onProgress: (ratio, message) => {
          if (shown) process.stderr.write(`\r\x1b[K${Math.round(ratio * 100)} % ${message}`);
        },
        ...(options.log
          ? {
              onCheckLog: (check: string, text: string) =>
                void process.stderr.write(text.replace(/^(?=.)/gms, `${check} | `)),
            }
          : {}),
      };
      const run = async <T>(work: () => Promise<T>): Promise<T | null> => {
        try {
          return await work();
        } catch (error) {
          if (error instanceof UnknownCheck || error instanceof UnknownBase) throw new UsageError(error.message);
          process.stderr.write(`${colors.red('✗')} ${error instanceof Error ? error.message : String(error)}\n`);
          process.exitCode = broken;
          return null;
        } finally {
          if (shown) process.stderr.write('\r\x1b[K');
        }
      };
      if (options.firstLook) {
        const look = await run(() => lookAtFolder(given));
        if (look === null) return;
        process.exitCode = { passing: 0, failing: refused, unknown: couldNotTell }[look.state];
        if (globals().json) printJson(look);
        else printFirstLook(look);
        return;
      }
      const verified = await run(() => verifyFolder(given));
      if (verified === null) return;
      const { facts, policy, judgement } = verified;
      if (options.sarif !== undefined && !sarifOnly)
        await writeFile(options.sarif, `${JSON.stringify(toSarif(facts), null, 2)}\n`);
      if (options.finding !== undefined) return tellFinding(options.finding, facts, globals().json);
      if (judgement.verdict === 'rejected') process.exitCode = onlyUnseen(judgement, facts) ? couldNotTell : refused;
      if (sarifOnly) return printJson(toSarif(facts));
      if (globals().json) return printJson({ ...judgement, threshold: policy.threshold, facts });
      printVerdict(facts, judgement, policy.threshold, policy, options.check !== undefined);
    });
};

/** Whether one finding is there. Where its check did not look, nothing can be said. */
function tellFinding(wanted: string, facts: VerificationFacts, json: boolean): void {
  const finding =
    facts.checks.flatMap(({ findings }) => findings).find((each) => each.fingerprint.startsWith(wanted)) ?? null;
  const blind = facts.checks.filter(({ status }) => status === 'not_run' || status === 'inconclusive');
  process.exitCode = finding !== null ? refused : blind.length > 0 ? couldNotTell : 0;
  if (json)
    return printJson({ finding, blind: blind.map(({ check, status, summary }) => ({ check, status, summary })) });
  if (finding !== null) {
    const place = finding.path === null ? '' : ` [${finding.path}${finding.line === null ? '' : `:${finding.line}`}]`;
    printLine(`${colors.red('it is there')}  ${finding.rule}: ${finding.message}${place}`);
    if (finding.remedy !== null) printLine(finding.remedy);
    return;
  }
  if (blind.length === 0) return printLine(`${colors.green('it is not there')}  no finding ${wanted}`);
  for (const { check, status, summary } of blind)
    printLine(`${colors.yellow('could not tell')}  ${check} ${status}: ${summary}`);
}
