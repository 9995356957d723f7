import type { Command } from 'commander';
import { printJson, printLine, printTable, state } from '../output.ts';
import { connect, UsageError, type Globals } from '../settings.ts';

/** `muster doctor --invariants`: exits with 2 when something that must never be so is so. */
export const addDoctorCommand = (program: Command, globals: () => Globals): void => {
  program
    .command('doctor')
    .description('look for what must never be: for operators, after an incident or an upgrade')
    .option('--invariants', 'check every promise about what is stored', false)
    .action(async ({ invariants }: { invariants: boolean }) => {
      if (!invariants) throw new UsageError('Say what to look at: muster doctor --invariants');
      const report = await (await connect(globals())).doctor.invariants();
      process.exitCode = report.ok ? 0 : 2;
      if (globals().json) return printJson(report);
      printTable(
        ['invariant', 'kept', 'violations', 'in ms', 'promise'],
        report.invariants.map(({ name, ok, violations, tookMs, promise }) => [
          name,
          state(ok ? 'passed' : 'failed'),
          violations,
          tookMs,
          promise,
        ]),
      );
      for (const { name, examples } of report.invariants)
        for (const { subject, detail } of examples) printLine(`${name}: ${subject} ${detail}`);
      if (!report.ok)
        printLine(
          'This is a bug of Muster. Keep the database as it is, and see "When the doctor finds something" in docs/runbook.md.',
        );
    });
};
