import Table from 'cli-table3';
import type picocolors from 'picocolors';

type Colors = ReturnType<typeof picocolors.createColors>;

/** One step of the demo, as `--json` prints it. */
export interface StepResult {
  readonly name: string;
  readonly expected: string;
  readonly actual: string;
  readonly ok: boolean;
  /** Could not be played on this repository; `actual` says why. */
  readonly skipped: boolean;
  readonly agent: string | null;
  readonly taskId: string | null;
  readonly submissionId: string | null;
  readonly verdict: string | null;
  readonly score: number | null;
  readonly commit: string | null;
  readonly ms: number;
}
export interface DemoReport {
  readonly steps: readonly StepResult[];
  readonly ok: boolean;
}

export function printTable(report: DemoReport, colors: Colors, write: (text: string) => void): void {
  const table = new Table({
    head: ['what', 'agent', 'verdict', 'score', 'time', 'commit', ''].map((title) => colors.bold(title)),
    style: { head: [], border: [] },
    colWidths: [46, null, null, null, null, null, null],
    wordWrap: true,
  });
  for (const step of report.steps) {
    const mark = step.skipped
      ? colors.yellow('skipped')
      : step.ok
        ? colors.green('as expected')
        : colors.red('MISMATCH');
    table.push([
      step.skipped ? `${step.name}\n${colors.dim(step.actual)}` : step.name,
      step.agent ?? '–',
      step.verdict ?? '–',
      step.score === null ? '–' : String(step.score),
      step.ms === 0 ? '–' : `${(step.ms / 1_000).toFixed(1)} s`,
      step.commit?.slice(0, 10) ?? '–',
      mark,
    ]);
  }
  write(`\n${table.toString()}\n`);
  for (const step of report.steps.filter((candidate) => !candidate.ok))
    write(`${colors.red('✗')} ${step.name}\n    expected: ${step.expected}\n    actual:   ${step.actual}\n`);
}
