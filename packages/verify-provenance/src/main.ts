#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { readTrust, TrustError } from './trust.ts';
import { verifyProvenance } from './verify.ts';

const USAGE = `verify-provenance --trust <file> [--repo <clone>] [--ref <ref>] [--json]

Verifies offline that every commit of a branch came in through Muster's gate.

  --trust <file>  the trust policy: GET /api/projects/<id>/trust, got from where you trust it
  --repo <clone>  the clone, with refs/notes/muster fetched; default: the current folder
  --ref <ref>     where the clone has the branch; default: refs/heads/<branch of the trust policy>
  --json          print the report as JSON

Exit code: 0 everything is vouched for, 1 something is refused, 64 it was called wrongly.
`;

function main(): number {
  let options;
  try {
    options = parseArgs({
      options: {
        trust: { type: 'string' },
        repo: { type: 'string', default: '.' },
        ref: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    return 64;
  }
  if (options.help) {
    console.log(USAGE);
    return 0;
  }
  if (options.trust === undefined) {
    console.error(USAGE);
    return 64;
  }
  let trust;
  try {
    trust = readTrust(JSON.parse(readFileSync(options.trust, 'utf8')));
  } catch (error) {
    if (!(error instanceof TrustError) && !(error instanceof SyntaxError) && !isMissing(error)) throw error;
    console.error(error instanceof TrustError ? error.message : `${options.trust} cannot be read: ${String(error)}`);
    return 64;
  }
  const report = verifyProvenance(options.repo, trust, options.ref);
  if (options.json) console.log(JSON.stringify(report, null, 2));
  else {
    for (const { reason, commit, detail } of report.refusals)
      console.log(`refused  ${commit?.slice(0, 12) ?? '-'.padEnd(12)}  ${reason}: ${detail}`);
    const words = `${report.landings} landings, ${report.commits} commits of ${report.branch}`;
    console.log(
      report.ok ? `verified ${words}, up to ${report.head}` : `${words} read, ${report.refusals.length} refusals`,
    );
  }
  return report.ok ? 0 : 1;
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error;

process.exitCode = main();
