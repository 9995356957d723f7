import {
  artefactMediaType,
  artefactName,
  checkStatus,
  findingLevels,
  type ExtraCheck,
  type Finding,
} from '@muster/contracts';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { copyTree } from '../source/tree.ts';
import {
  changePurposes,
  findingOf,
  lastLines,
  outcome,
  type Check,
  type CheckContext,
  type CheckOutcome,
} from './check.ts';

const said = z.object({
  rule: z.string().min(1).max(150),
  level: z.enum(findingLevels),
  veto: z.boolean().default(false),
  message: z.string().min(1),
  path: z.string().nullable().default(null),
  line: z.number().int().min(1).nullable().default(null),
  remedy: z.string().nullable().default(null),
  key: z.string().optional(),
});
/** What a check of somebody else answers; everything beside it is ignored. */
const answer = z.object({
  status: checkStatus,
  summary: z.string(),
  findings: z.array(said).max(5000).default([]),
  metrics: z.record(z.string().max(100), z.number()).default({}),
  artefacts: z
    .array(z.object({ name: artefactName, mediaType: artefactMediaType, text: z.string() }))
    .max(10)
    .default([]),
});
const sarif = z.object({
  version: z.literal('2.1.0'),
  runs: z.array(
    z.object({
      results: z
        .array(
          z.object({
            ruleId: z.string().max(150).default('result'),
            level: z.enum(['none', 'note', 'warning', 'error']).default('warning'),
            message: z.object({ text: z.string().default('') }),
            locations: z
              .array(
                z.object({
                  physicalLocation: z.object({
                    artifactLocation: z.object({ uri: z.string().default('') }),
                    region: z.object({ startLine: z.number().int().min(1).optional() }).optional(),
                  }),
                }),
              )
              .default([]),
          }),
        )
        .nullish(),
    }),
  ),
});

type Answer = z.infer<typeof answer>;

/** SARIF tells of a whole tree; what counts is what stands on lines that the change brings. */
function fromSarif(document: unknown, context: CheckContext): Answer | null {
  const parsed = sarif.safeParse(document);
  if (!parsed.success) return null;
  const added = new Map(context.changes.map((change) => [change.path, change.addedLines]));
  const results = parsed.data.runs.flatMap((run) => run.results ?? []);
  const findings = results.flatMap((each): Answer['findings'] => {
    const place = each.locations[0]?.physicalLocation;
    const path = place === undefined ? null : decodeURI(place.artifactLocation.uri).replace(/^(file:\/\/)?\.?\//, '');
    const line = place?.region?.startLine ?? null;
    if (path === null || line === null || added.get(path)?.has(line) !== true) return [];
    const level = each.level === 'none' ? 'note' : each.level;
    return [
      { rule: each.ruleId, level, veto: false, message: each.message.text || each.ruleId, path, line, remedy: null },
    ];
  });
  const failed = findings.some((each) => each.level === 'error');
  return {
    status: failed ? 'failed' : 'passed',
    summary: `${findings.length} of ${results.length} results are on lines of this change`,
    findings,
    metrics: { results: results.length },
    artefacts: [],
  };
}

/** Turns what a check of somebody else answered into an outcome, whatever it answered. */
export function validated(extra: ExtraCheck, document: unknown, context: CheckContext): CheckOutcome {
  const parsed = answer.safeParse(document);
  const given = parsed.success ? parsed.data : fromSarif(document, context);
  if (given === null) {
    const [issue] = parsed.error?.issues ?? [];
    const where = issue === undefined ? '' : ` (${issue.path.join('.') || 'the answer'}: ${issue.message})`;
    return outcome('inconclusive', `${extra.name} answered neither a check's outcome nor SARIF 2.1.0${where}`);
  }
  const findings = given.findings.map((each): Finding => {
    const veto = each.veto && extra.mayVeto;
    const rule = each.rule.startsWith(`${extra.name}.`) ? each.rule : `${extra.name}.${each.rule}`;
    const { key, path, line, level, message, remedy } = each;
    return findingOf({
      ...{ check: extra.name, rule, level, veto, message, path, line },
      ...(remedy === null ? {} : { remedy }),
      ...(key === undefined ? {} : { key }),
    });
  });
  // Named by the check, so that it never stands in the place of what another left.
  const artefacts = given.artefacts.map((each) => ({ ...each, name: `${extra.name}-${each.name}`.slice(0, 120) }));
  return {
    ...outcome(given.status, given.summary, findings, given.metrics),
    ...(artefacts.length > 0 ? { artefacts } : {}),
  };
}

/** What a program is told: the request as JSON, and the two trees as folders. */
async function runProgram(extra: ExtraCheck, command: readonly string[], context: CheckContext): Promise<CheckOutcome> {
  const { driver, candidate, against } = context;
  if (driver === null) return outcome('not_run', 'there is no sandbox to run it in');
  const folder = join(context.workDir, `extra-${randomUUID()}`);
  const work = join(folder, 'work');
  try {
    mkdirSync(join(folder, 'input'), { recursive: true });
    mkdirSync(work);
    mkdirSync(join(folder, 'base'));
    await copyTree(candidate.dir, join(folder, 'candidate'));
    if (against !== null) await copyTree(against.dir, join(folder, 'base'));
    const changes = context.changes.map(({ path, status, addedLines }) => ({
      path,
      status,
      addedLines: [...addedLines],
    }));
    writeFileSync(
      join(folder, 'input', 'request.json'),
      JSON.stringify({ protocol: 1, check: extra.name, purpose: context.purpose, declared: context.declared, changes }),
    );
    const direct = driver.name === 'none-i-accept-the-risk';
    const seen = (name: string): string => (direct ? join(folder, name) : `/muster/${name}`);
    const places = {
      candidate: seen('candidate'),
      base: seen('base'),
      request: `${seen('input')}/request.json`,
      tool: direct ? (extra.tool ?? '') : '/muster/tool',
    };
    const result = await driver.run({
      command: command.map((word) =>
        word.replace(/\{(candidate|base|request|tool)\}/g, (_all, name: keyof typeof places) => places[name]),
      ),
      workDir: work,
      mounts: [
        ...['candidate', 'base', 'input'].map((name) => ({
          from: join(folder, name),
          to: `/muster/${name}`,
          mode: 'ro' as const,
        })),
        ...(extra.tool === undefined ? [] : [{ from: extra.tool, to: '/muster/tool', mode: 'ro' as const }]),
      ],
      env: { MUSTER_CANDIDATE: places.candidate, MUSTER_BASE: places.base, MUSTER_REQUEST: places.request },
      limits: { timeoutMs: extra.timeoutSeconds * 1000, outputBytes: 8_000_000 },
      ...(context.signal ? { signal: context.signal } : {}),
    });
    if (result.timedOut) return outcome('inconclusive', `it ran out of its ${extra.timeoutSeconds} s`);
    let document: unknown;
    try {
      document = JSON.parse(result.stdout);
    } catch {
      const how = `it ended with exit code ${result.exitCode} and printed no JSON`;
      return outcome('inconclusive', `${how}: ${lastLines(result.stderr, 3) || lastLines(result.stdout, 3)}`);
    }
    return validated(extra, document, context);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const shaped = z.object({ default: z.object({ run: z.custom<Check['run']>((value) => typeof value === 'function') }) });

async function runPackage(extra: ExtraCheck, name: string, context: CheckContext): Promise<CheckOutcome> {
  const loaded = shaped.safeParse(await import(isAbsolute(name) ? pathToFileURL(name).href : name));
  if (!loaded.success) return outcome('inconclusive', `the default export of ${name} is no check`);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error(`it ran out of its ${extra.timeoutSeconds} s`)),
      extra.timeoutSeconds * 1000,
    );
  });
  try {
    return validated(extra, await Promise.race([loaded.data.default.run(context), late]), context);
  } finally {
    clearTimeout(timer);
  }
}

/** The checks that the operator's policy names, as checks like ours: what they answer is validated, and a broken one is `inconclusive`. */
export const extraChecks = (extras: readonly ExtraCheck[]): Check[] =>
  extras.map((extra) => ({
    name: extra.name,
    category: extra.category,
    languages: ['*'],
    needs: extra.command === undefined ? [] : ['sandbox'],
    purposes: changePurposes,
    run: async (context) =>
      extra.command !== undefined
        ? await runProgram(extra, extra.command, context)
        : await runPackage(extra, extra.package ?? '', context),
  }));
