import Table from 'cli-table3';
import { MusterApiError } from '@muster/sdk';
import colors from 'picocolors';
import { UsageError } from './settings.ts';

export const printJson = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
export const printLine = (text: string): void => void process.stdout.write(`${text}\n`);

export const printTable = (
  head: readonly string[],
  rows: ReadonlyArray<ReadonlyArray<string | number | null>>,
): void => {
  if (rows.length === 0) return printLine(colors.dim('none'));
  const table = new Table({ head: head.map((title) => colors.bold(title)), style: { head: [], border: [] } });
  for (const row of rows) table.push(row.map((cell) => String(cell ?? '–')));
  printLine(table.toString());
};

export const printFields = (fields: Readonly<Record<string, string | number | boolean | null>>): void => {
  const width = Math.max(...Object.keys(fields).map((name) => name.length));
  for (const [name, value] of Object.entries(fields))
    printLine(`${colors.dim(name.padEnd(width))}  ${String(value ?? '–')}`);
};

export const short = (id: string | null): string => (id === null ? '–' : id.slice(0, 10));

const stateColors: Readonly<Record<string, (text: string) => string>> = {
  succeeded: colors.green,
  landed: colors.green,
  accepted: colors.green,
  passed: colors.green,
  failed: colors.red,
  rejected: colors.red,
  conflicted: colors.yellow,
  rolled_back: colors.yellow,
  running: colors.cyan,
  verifying: colors.cyan,
};
export const state = (name: string | null): string => (name === null ? '–' : (stateColors[name] ?? String)(name));

/** What went wrong, in the server's words and with what to do next. Answers the exit code. */
export const explain = (error: unknown, json: boolean): number => {
  if (error instanceof MusterApiError) {
    if (json) printJson(error.problem);
    else {
      process.stderr.write(`${colors.red('✗')} ${error.problem.detail}\n`);
      for (const { path, message, line, column } of error.problem.errors ?? [])
        process.stderr.write(
          `    ${path}${line === undefined ? '' : ` (line ${line}, column ${column ?? 1})`}: ${message}\n`,
        );
      process.stderr.write(
        colors.dim(`    ${error.problem.code}${error.problem.traceId ? `, trace ${error.problem.traceId}` : ''}\n`),
      );
    }
    return 1;
  }
  const message = error instanceof Error ? error.message : String(error);
  if (json) printJson({ code: 'cli.failed', detail: message });
  else process.stderr.write(`${colors.red('✗')} ${message}\n`);
  return error instanceof UsageError ? 64 : 1;
};
