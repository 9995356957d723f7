import { gatePolicy, projectPolicy, verificationFacts, type VerificationFacts } from '@muster/contracts';
import { detectSandbox, judge, runVerification } from '@muster/gate';
import { chmodSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { admissionOf, plantTree, type PlantedTree } from './handed-in.ts';
import { hostileCases, type HostileCase } from './hostile-cases.ts';

/**
 * Hands in what nobody should hand in, through the product's own pipeline. Each has to end in a verdict, within its time, that says
 * what could not be looked at; and the process that judges may not grow with it. `hostile-server.mjs` does the same through a server.
 */
const { values } = parseArgs({
  options: { json: { type: 'boolean' }, short: { type: 'boolean' }, only: { type: 'string' } },
});
const cases = hostileCases(values.short === true);
const root = mkdtempSync(join(tmpdir(), 'gate-hostile-'));
chmodSync(root, 0o755);

function write(files: HostileCase['files'], sparse: Record<string, number> = {}): PlantedTree {
  const planted = plantTree(root, files);
  for (const [path, bytes] of Object.entries(sparse)) {
    writeFileSync(join(planted.dir, path), '');
    truncateSync(join(planted.dir, path), bytes);
  }
  return planted;
}

/** Above this the judging process grows with what it is handed. */
const mostMemoryMb = 1500;
/** A verifier that does not come up for air loses its lease: of thirty seconds, renewed every ten. */
const mostBreathlessMs = 10_000;
/** Fifty thousand files are copied and read for every run of the suite. */
const mostMs = values.short === true ? 240_000 : 1_800_000;

interface Seen {
  name: string;
  verdict: string;
  problems: string[];
  ms: number;
  /** The longest that nothing else in the process had its turn. */
  breathlessMs: number;
}

try {
  const sandbox = await detectSandbox('auto');
  const all: Seen[] = [];
  for (const each of cases.filter(({ name }) => values.only === undefined || name.includes(values.only))) {
    const started = performance.now();
    const problems: string[] = [];
    const delay = monitorEventLoopDelay({ resolution: 20 });
    delay.enable();
    const policy = projectPolicy.parse({ timeoutSeconds: each.timeoutSeconds ?? 30 });
    const already = each.there === true ? each.sparse : {};
    let facts: VerificationFacts | null = null;
    try {
      facts = await runVerification({
        ...admissionOf(write(each.files, each.sparse), write(each.base ?? { 'README.md': 'x\n' }, already), {
          policy,
          server: gatePolicy.parse({
            checks: Object.entries(each.tools ?? {}).map(([name, command]) => ({
              name,
              category: 'style',
              command,
              timeoutSeconds: 5,
            })),
          }),
        }),
        workDir: mkdtempSync(join(root, 'work-')),
        cacheDir: join(root, 'cache'),
        sandbox,
        signal: AbortSignal.timeout(mostMs),
      });
      verificationFacts.parse(facts);
    } catch (error) {
      problems.push(`no verdict: ${error instanceof Error ? error.message : String(error)}`);
    }
    const checks = new Map(facts?.checks.map((check) => [check.check, check]));
    for (const [name, status] of Object.entries(each.ends ?? {}))
      if (checks.get(name)?.status !== status)
        problems.push(`${name} is ${checks.get(name)?.status}: ${checks.get(name)?.summary.slice(0, 200)}`);
    for (const { check, summary } of checks.values())
      if (summary.startsWith('the check itself failed')) problems.push(`${check}: ${summary.slice(0, 200)}`);
    const found = facts?.checks.flatMap((check) => check.findings.map(({ rule }) => rule)) ?? [];
    if (each.found !== undefined && !found.includes(each.found)) problems.push(`${each.found} was not found`);
    const verdict = facts === null ? 'none' : judge(facts, policy, 'admission').verdict;
    delay.disable();
    const breathlessMs = Math.round(delay.max / 1e6);
    if (breathlessMs > mostBreathlessMs) problems.push(`nothing else had its turn for ${breathlessMs} ms`);
    const ms = Math.round(performance.now() - started);
    all.push({ name: each.name, verdict, problems, ms, breathlessMs });
    console.error(
      `${problems.length === 0 ? 'ok    ' : 'FAILED'}  ${each.name}  ${verdict}  ${ms} ms, breathless ${breathlessMs} ms  ${problems.join('; ')}`,
    );
  }
  const peakMemoryMb = Math.round(process.resourceUsage().maxRSS / 1024);
  const failed = all.filter(({ problems }) => problems.length > 0);
  const summary = {
    cases: all.length,
    verdicts: all.filter(({ verdict }) => verdict !== 'none').length,
    failed: failed.map(({ name, problems }) => ({ name, problems })),
    peakMemoryMb,
    ok: all.length > 0 && failed.length === 0 && peakMemoryMb <= mostMemoryMb,
  };
  console.log(values.json === true ? JSON.stringify({ ...summary, results: all }) : summary);
  if (!summary.ok) process.exitCode = 1;
} finally {
  rmSync(root, { recursive: true, force: true });
}
