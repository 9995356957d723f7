import { homedir } from 'node:os';
import { join } from 'node:path';
import { detectSandbox, sandboxChoices, toSarif, verifyFolder, type SandboxChoice } from '@muster/gate';
import type { Command } from 'commander';
import colors from 'picocolors';
import { printJson, printLine, printTable, state } from '../output.ts';
import { UsageError, type Globals } from '../settings.ts';

interface VerifyOptions {
  readonly base: string;
  readonly sandbox: string;
  readonly sarif: boolean;
}

export const addVerifyCommand = (program: Command, globals: () => Globals): void => {
  program
    .command('verify [folder]')
    .description(
      'judge what a git work tree holds now, by the same checks as the server; exit code 1 when it is refused',
    )
    .option('--base <ref>', 'what it is compared with, and whose muster.yaml holds', 'HEAD')
    .option('--sandbox <kind>', sandboxChoices.join(', '), 'auto')
    .option('--sarif', 'print the findings as SARIF', false)
    .action(async (folder: string | undefined, options: VerifyOptions) => {
      const choice = sandboxChoices.find((name): name is SandboxChoice => name === options.sandbox);
      if (choice === undefined) throw new UsageError(`--sandbox takes one of ${sandboxChoices.join(', ')}.`);
      const quiet = globals().json || options.sarif;
      const { facts, policy, judgement } = await verifyFolder({
        dir: folder ?? process.cwd(),
        baseRef: options.base,
        cacheDir: join(homedir(), '.cache', 'muster', 'verify'),
        sandbox: await detectSandbox(choice),
        onProgress: (ratio, message) => {
          if (!quiet && process.stderr.isTTY) process.stderr.write(`\r\x1b[K${Math.round(ratio * 100)} % ${message}`);
        },
      });
      if (!quiet && process.stderr.isTTY) process.stderr.write('\r\x1b[K');
      if (judgement.verdict === 'rejected') process.exitCode = 1;
      if (options.sarif) return printJson(toSarif(facts));
      if (globals().json) return printJson({ ...judgement, threshold: policy.threshold, facts });
      printTable(
        ['check', 'status', 'what it saw'],
        facts.checks.map((check) => [check.check, state(check.status), check.summary.split('\n')[0]!.slice(0, 90)]),
      );
      for (const finding of facts.checks.flatMap((check) => check.findings))
        printLine(
          `${finding.veto ? colors.red('veto') : finding.level}  ${finding.path ?? ''}${finding.line === null ? '' : `:${finding.line}`}  ${finding.message.split('\n')[0]}`,
        );
      if (facts.baseFailures.length > 0)
        printLine(colors.dim(`failing before and not charged: ${facts.baseFailures.join(', ')}`));
      for (const reason of judgement.reasons) printLine(colors.red(`✗ ${reason}`));
      printLine(
        `${judgement.verdict === 'accepted' ? colors.green('accepted') : colors.red('refused')} with ${judgement.score} points of ${policy.threshold} needed`,
      );
    });
};
