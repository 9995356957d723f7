import {
  declaredWork,
  gatePolicy,
  type CheckFacts,
  type FirstLook,
  type VerificationFacts,
  type VerifyInput,
} from '@muster/contracts';
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { breathe } from './breath.ts';
import { checks as allChecks } from './checks/all.ts';
import { loggedDriver, withinCheck, type CheckLog } from './check-log.ts';
import {
  outcome,
  type Check,
  type CheckArtefact,
  type CheckContext,
  type CheckOutcome,
  type Language,
} from './checks/check.ts';
import { extraChecks } from './checks/extra.ts';
import { noTrials, trialsOf } from './checks/trials.ts';
import { digestOf, keptFacts, keptOfPython, keptOfTheChange, keptOutcomes, type Kept } from './evidence-cache.ts';
import { lookFirst, needsNoRun } from './first-look.ts';
import { junitOf } from './junit.ts';
import { installDependencies } from './project/dependencies.ts';
import { notInstalled, type Installed } from './project/installed.ts';
import { scriptsOf } from './project/scripts.ts';
import { Readings, type OfTheChange, type TreeStep } from './project/readings.ts';
import { commandsFor, TreeRun, type CommandOutcome, type Commands, type TreeFacts } from './project/tree-run.ts';
import type { Sandbox } from './sandbox/detect.ts';
import { defaultLimits } from './sandbox/driver.ts';
import { toolchain } from './sandbox/toolchain.ts';
import { changesBetween, type FileChange } from './source/changes.ts';
import { isPython, isScript, isShell, isTypeScript } from './source/paths.ts';
import { SourceTree } from './source/tree.ts';
import { reproduceCommand } from './reproduce.ts';
import { everyText, storable } from './storable.ts';
import { GATE_VERSION } from './version.ts';

export interface VerificationOptions {
  candidateDir: string;
  baseDir: string | null;
  restoresDir: string | null;
  input: Pick<VerifyInput, 'purpose' | 'candidateTree' | 'baseTree' | 'restoresTree' | 'policy' | 'rulesDigest'> &
    Partial<Pick<VerifyInput, 'approvedBy' | 'declared' | 'server' | 'draw' | 'fresh' | 'verificationId'>>;
  /** For this verification only; may be removed afterwards. */
  workDir: string;
  /** Shared by all: dependencies, and what earlier trees showed. */
  cacheDir: string;
  sandbox: Sandbox;
  /** The operator's registry; null asks npm's configured one. */
  npmRegistry?: string | null;
  /** See `InstallOptions`. */
  npmCache?: string | null;
  /** See `InstallOptions`. */
  pythonWheels?: string | null;
  checks?: readonly Check[];
  signal?: AbortSignal;
  onProgress?: (ratio: number, message: string) => void;
  onLog?: (line: string) => void;
  /** What each check runs and what that prints, while it does; `setup` is what comes before all of them. */
  onCheckLog?: CheckLog;
  /** Each check once, when it has ended, while others may still run. */
  onCheck?: (facts: CheckFacts) => void;
  onArtefact?: (check: string, artefact: CheckArtefact) => void;
  /** What a first look says, while the whole goes on; no verdict follows from it. */
  onFirstLook?: (look: FirstLook) => void;
}

export function toolchainDigest(sandbox: Sandbox): VerificationFacts['toolchain'] {
  const tools = toolchain();
  const driver = sandbox.driver?.name ?? 'none';
  const platform = `${process.platform}-${process.arch}`;
  return {
    digest: createHash('sha256')
      .update(JSON.stringify([GATE_VERSION, tools.nodeVersion, tools.npmVersion, platform, driver, tools.pytest]))
      .digest('hex')
      .slice(0, 40),
    node: tools.nodeVersion,
    platform,
    sandbox: driver,
    gate: GATE_VERSION,
  };
}

const limitsInWords = `each run may hold ${defaultLimits.memoryMb} MB of memory per process and ${defaultLimits.totalMemoryMb} MB in all, write ${defaultLimits.fileMb} MB to a file and ${defaultLimits.diskMb} MB in all, and start ${defaultLimits.processes} processes`;

const mostCopiedBytes = 256 * 1024 * 1024;

const commandsKey = (commands: Commands): unknown => [
  commands.build,
  commands.lint,
  commands.types,
  commands.tests?.line('reporters', false) ?? null,
];

interface Prepared {
  installed: Installed;
  run: TreeRun | null;
}

/** What running a tree shows: first what the other checks wait for, then types and lint as well. */
interface FactsInTurn {
  tested: Promise<TreeFacts | null>;
  whole: Promise<TreeFacts | null>;
  /** When it was seen, and by which verification, where that was before this one. */
  before: { since: Date; verification: string | null } | null;
}
const nothing: FactsInTurn = { tested: Promise.resolve(null), whole: Promise.resolve(null), before: null };
const readsTypesOrLint: ReadonlySet<string> = new Set(['types', 'lint']);
/** Nothing that was run says anything to these, and they ask nobody else. */
const readsTreesOnly: ReadonlySet<string> = new Set(['tampering', 'dependencies', 'structure', 'documentation', 'enforcer']); // prettier-ignore

/** Establishes the facts about a candidate. Gives no score and no verdict: `judge` does, where nothing of the change can reach it. */
export async function runVerification(options: VerificationOptions): Promise<VerificationFacts> {
  const started = performance.now();
  const { input, sandbox, signal } = options;
  const { purpose, policy } = input;
  const tools = toolchainDigest(sandbox);
  const say = (ratio: number, message: string): void => options.onProgress?.(Math.min(1, ratio), message);
  mkdirSync(options.workDir, { recursive: true });
  mkdirSync(options.cacheDir, { recursive: true });
  const verification = input.verificationId ?? null;
  const cache = keptFacts(options.cacheDir, verification);
  const candidate = new SourceTree(options.candidateDir);
  const base =
    options.baseDir === null || purpose === 'base' || purpose === 'post_landing'
      ? null
      : new SourceTree(options.baseDir);
  const restores = options.restoresDir === null || purpose !== 'revert' ? null : new SourceTree(options.restoresDir);
  // How a project is built and tested is read from the branch; a change that says otherwise is judged by what the branch says.
  const scripts = { ...scriptsOf(candidate), ...(purpose === 'revert' ? {} : scriptsOf(base)) };
  const runs: TreeRun[] = [];
  const { onCheckLog } = options;
  const driver =
    sandbox.driver === null || onCheckLog === undefined ? sandbox.driver : loggedDriver(sandbox.driver, onCheckLog);
  const fresh: ReadonlySet<string> = new Set(input.fresh ?? []);
  const install = async (tree: SourceTree): Promise<Installed> =>
    await installDependencies(tree, {
      cacheDir: options.cacheDir,
      registry: options.npmRegistry ?? null,
      npmCache: options.npmCache ?? null,
      pythonWheels: options.pythonWheels ?? null,
      driver,
      signal,
      onLog: (line) => {
        options.onLog?.(line);
        onCheckLog?.('setup', `${line}\n`);
      },
    });
  const alikeFor = (installed: Installed, commands: Commands | null): string =>
    digestOf([tools.digest, installed.digest, commands === null ? null : commandsKey(commands), policy.timeoutSeconds]);
  const runnable = async (tree: SourceTree, side?: string): Promise<Prepared> => {
    // Each run gets a copy of the tree.
    const large = [...tree.files.keys()].filter((path) => tree.size(path) > mostCopiedBytes);
    const installed =
      large.length > 0
        ? notInstalled(
            `nothing is run on a tree with a file of more than ${mostCopiedBytes / 1024 / 1024} MB: ${large[0]}`,
          )
        : await install(tree);
    if (driver === null || installed.status === 'not_run' || installed.status === 'refused')
      return { installed, run: null };
    const commands = commandsFor(tree, scripts, policy, installed);
    const run = new TreeRun(tree, commands, installed, {
      driver,
      side,
      readings:
        sandbox.tellsReads === true && fresh.size === 0
          ? Readings.of(join(options.cacheDir, 'readings', alikeFor(installed, commands)), tree, verification)
          : null,
      workDir: options.workDir,
      timeoutMs: policy.timeoutSeconds * 1000,
      signal,
      onLog: options.onLog,
    });
    runs.push(run);
    return { installed, run };
  };
  const knownOf = (id: string, { installed, run }: Prepared): { key: string; known: ReturnType<typeof cache.get> } => {
    const key = digestOf([id, alikeFor(installed, run?.commands ?? null)]);
    return { key, known: seenByRunning.some((name) => fresh.has(name)) ? null : cache.get(key) };
  };
  const factsOf = (id: string, prepared: Prepared, ofTheChange: OfTheChange | null = null): FactsInTurn => {
    const { run } = prepared;
    if (run === null) return nothing;
    const { key, known } = knownOf(id, prepared);
    if (known !== null) {
      const facts = Promise.resolve(known.answer);
      return { tested: facts, whole: facts, before: known };
    }
    const { tested, whole } = run.facts(ofTheChange);
    const kept = whole.then((facts) => {
      // What the sandbox could not do today it may do tomorrow.
      if (facts.notes.length === 0) cache.put(key, facts);
      return facts;
    });
    kept.catch(() => undefined); // whoever waits for it hears of it
    return { tested, whole: kept, before: null };
  };

  try {
    say(0.02, 'preparing');
    const prepared = await runnable(candidate);
    let readyBase: ReturnType<typeof runnable> | undefined;
    const preparedBase = (): ReturnType<typeof runnable> =>
      (readyBase ??=
        base === null ? Promise.resolve({ installed: prepared.installed, run: null }) : runnable(base, 'branch'));
    let restored: Promise<TreeFacts | null> | undefined;
    const restoresFacts = (): Promise<TreeFacts | null> =>
      (restored ??=
        restores === null || input.restoresTree === null
          ? Promise.resolve(null)
          : runnable(restores, 'restored').then((each) => factsOf(input.restoresTree!, each).whole));
    const against = restores ?? base;
    const server = input.server ?? gatePolicy.parse({});
    const lots = `${input.draw ?? ''}\n${input.candidateTree}\n${input.baseTree ?? ''}`;
    const changes = changesBetween(against, candidate);
    const before: CheckContext = {
      purpose,
      policy,
      approvedBy: input.approvedBy ?? null,
      candidate,
      base,
      restores,
      against,
      changes,
      installed: prepared.installed,
      candidateFacts: null,
      baseFacts: null,
      restoresFacts,
      run: prepared.run,
      baseRun: async () => (await preparedBase()).run,
      trials: noTrials,
      cleanPython:
        purpose === 'revert' || purpose === 'post_landing' || fresh.size > 0
          ? null
          : keptOfPython(
              options.cacheDir,
              verification,
              alikeFor(prepared.installed, prepared.run?.commands ?? null),
              [input.candidateTree, input.baseTree],
              { candidate, against: base, changes },
            ),
      declared: input.declared ?? declaredWork.parse({}),
      server,
      draw: (name) => createHash('sha256').update(`${lots}\n${name}`).digest().readUInt32BE(0) / 2 ** 32,
      driver,
      workDir: options.workDir,
      cacheDir: options.cacheDir,
      npmRegistry: options.npmRegistry ?? null,
      signal,
      progress: (done, message) => say(0.5 + 0.48 * done, message),
    };
    const own = new Set(options.checks ?? allChecks);
    const all = [...(options.checks ?? allChecks), ...extraChecks(server.checks)].filter((check) =>
      check.purposes.includes(purpose),
    );
    const ended = new Map<Check, CheckFacts>();
    const keep = (check: Check, { artefacts, ...facts }: CheckFacts & Pick<CheckOutcome, 'artefacts'>): void => {
      for (const each of artefacts ?? []) options.onArtefact?.(check.name, everyText(each));
      ended.set(check, facts);
      options.onCheck?.(everyText(facts));
    };
    const firstLook = options.onFirstLook;
    let looking: Promise<void> | undefined;
    let reading: Promise<unknown> = Promise.resolve();
    const readyBefore =
      purpose === 'post_landing' || base === null || input.baseTree === null ? null : await preparedBase();
    const seenThere = readyBefore === null ? null : (knownOf(input.baseTree!, readyBefore).known?.answer ?? null);
    if (purpose !== 'revert' && prepared.run !== null && readyBefore?.run != null && seenThere?.tests != null)
      prepared.run.landed = { run: readyBefore.run, suite: seenThere.tests };
    if (firstLook !== undefined && (purpose === 'admission' || purpose === 'landing')) {
      say(0.04, 'looking at what the change has to do with');
      const read = async (): Promise<readonly CheckFacts[]> => {
        for (const check of allChecks) {
          if (!needsNoRun.has(check.name)) continue;
          await setImmediate(); // what was begun before goes on meanwhile
          await prepared.run?.underWay();
          keep(check, await runCheck(check, before, sandbox, null));
        }
        return [...ended.values()];
      };
      looking = lookFirst(before, () => (reading = read()), started)
        .then(firstLook)
        .catch((error: unknown) =>
          options.onLog?.(`the first look was given up: ${error instanceof Error ? error.message : String(error)}`),
        );
    }
    let ofCandidate = nothing;
    let ofBase = nothing;
    if (purpose !== 'post_landing') {
      say(0.1, 'running build, tests, types and lint');
      const ofTheChange =
        purpose === 'revert' || fresh.size > 0 || base === null
          ? null
          : keptOfTheChange(
              options.cacheDir,
              verification,
              alikeFor(prepared.installed, prepared.run?.commands ?? null),
              { candidate, against: base, changes: before.changes },
              (step) => seenThere?.[step]?.ok === true,
            );
      ofCandidate = factsOf(input.candidateTree, prepared, ofTheChange);
      if (readyBefore !== null) ofBase = factsOf(input.baseTree!, readyBefore);
      if (purpose === 'revert') await restoresFacts();
    }
    // Much of what only reads is done by the time that the tests have run.
    const readMeanwhile = async (): Promise<void> => {
      await reading;
      await prepared.run?.underWay();
      for (const check of all.filter((each) => own.has(each) && readsTreesOnly.has(each.name))) {
        await setImmediate();
        keep(check, await runCheck(check, before, sandbox, null));
      }
    };
    const [candidateFacts, baseFacts] = await Promise.all([ofCandidate.tested, ofBase.tested, readMeanwhile()]);
    say(0.5, 'judging what changed');
    const { outcomes: kept, remember } = keptOutcomes(options.cacheDir, verification, fresh, onCheckLog, {
      always: [
        tools.digest,
        purpose,
        policy,
        input.declared,
        input.approvedBy,
        prepared.installed.digest,
        prepared.run === null ? null : commandsKey(prepared.run.commands),
      ],
      trees: [input.candidateTree, input.baseTree, input.restoresTree, input.draw],
      green: purpose !== 'revert' && candidateFacts?.tests?.ok === true && baseFacts?.tests?.ok === true,
      candidate,
      against,
      changes: before.changes,
    });
    const tested: CheckContext = { ...before, candidateFacts, baseFacts };
    const trials = trialsOf(tested, remember);
    const context: CheckContext = { ...tested, trials };
    const cases = candidateFacts?.tests?.cases ?? [];
    if (cases.length > 0)
      options.onArtefact?.('tests', {
        name: 'tests.junit.xml',
        mediaType: 'application/xml',
        text: everyText(junitOf(cases.slice(0, 20_000))),
      });
    const seenBefore = ofCandidate.before;
    const sameRun: CheckFacts['reused'] =
      seenBefore === null
        ? null
        : { since: seenBefore.since.toISOString(), because: sameTree, verification: seenBefore.verification };
    const reusedOf = (facts: TreeFacts | null, step: TreeStep): CheckFacts['reused'] =>
      sameRun ?? facts?.reused?.[step] ?? null;
    const tell = (facts: TreeFacts | null, steps: readonly TreeStep[]): void => {
      for (const step of steps) tellReused(facts?.[step] ?? null, step, reusedOf(facts, step), onCheckLog);
    };
    tell(candidateFacts, ['build', 'tests']);
    // Operators' own checks may read what is not listed there.
    const runOne = async (check: Check, on: CheckContext): Promise<void> => {
      const step = seenByRunning.find((name) => name === check.name);
      const reused = step === undefined ? null : reusedOf(on.candidateFacts, step);
      keep(check, {
        ...(reused == null ? {} : { reused }),
        ...(await runCheck(check, on, sandbox, own.has(check) ? kept : null)),
      });
    };
    // What only reads has been judged already where there was a first look.
    const left = all.filter((check) => !ended.has(check));
    const last = left.filter((check) => check.afterTheOthers === true);
    const soon = left.filter((check) => own.has(check) && !readsTypesOrLint.has(check.name) && !last.includes(check));
    const begun = Promise.all(soon.map((check) => runOne(check, context)));
    const suite = candidateFacts?.tests ?? null;
    // No verdict hangs on it: what is not known of a test file today makes it run another time.
    const alone = (
      suite === null || ofCandidate.before !== null ? undefined : prepared.run?.readTestFiles(suite)
    )?.catch((error: unknown) => options.onLog?.(`test files could not be read one by one: ${String(error)}`));
    begun.catch(() => undefined); // it is waited for below, whatever comes before
    const [allOfCandidate, allOfBase] = await Promise.all([ofCandidate.whole, ofBase.whole]);
    tell(allOfCandidate, ['types', 'lint']);
    const later: CheckContext = { ...context, candidateFacts: allOfCandidate, baseFacts: allOfBase };
    const rest = left.filter((check) => !soon.includes(check) && !last.includes(check));
    await Promise.all([begun, ...rest.map((check) => runOne(check, later))]);
    for (const check of last) await runOne(check, later);
    await looking;
    await alone;
    const checks = all
      .map((check) => ended.get(check)!)
      .map((facts) => ({
        ...facts,
        findings: facts.findings.map((each) => ({ ...each, reproduce: reproduceCommand(input, each) })),
      }));
    signal?.throwIfAborted();
    const failing = (facts: TreeFacts | null): string[] =>
      (facts?.tests?.cases ?? [])
        .filter((each) => each.status === 'failed')
        .map((each) => (each.file === null ? each.name : `${each.name} (${each.file})`));
    say(1, 'done');
    return storable({
      candidateTree: input.candidateTree,
      baseTree: input.baseTree,
      rulesDigest: input.rulesDigest,
      toolchain: tools,
      sandbox: {
        driver: sandbox.driver?.name ?? 'none',
        proven: sandbox.proven,
        notes: [...sandbox.notes, limitsInWords],
      },
      checks,
      baseFailures: failing(purpose === 'base' ? candidateFacts : baseFacts),
      testCases: (candidateFacts?.tests?.cases ?? []).slice(0, 20_000),
      ms: Math.round(performance.now() - started),
    });
  } finally {
    for (const run of runs) await run.dispose();
    await rm(options.workDir, { recursive: true, force: true, maxRetries: 2 });
  }
}

/** What running a tree shows to these is kept together, by the tree. */
const seenByRunning = ['build', 'tests', 'types', 'lint'] as const satisfies readonly TreeStep[];
const sameTree = 'the same tree was run before, with the same commands, dependencies, limits and tools';

/** A log that begins with what is known already. */
function tellReused(
  seen: CommandOutcome | null,
  check: TreeStep,
  reused: CheckFacts['reused'],
  log: CheckLog | undefined,
): void {
  if (seen !== null && reused != null)
    log?.(
      check,
      `[reused from ${reused.since}: ${reused.because}]\n$ ${seen.line}\n${seen.output}\n[exit ${seen.exitCode}]\n`,
    );
}

const blocked = { blocked: true } as const;

const languageOf = (path: string): Language | null =>
  isPython(path)
    ? 'python'
    : isScript(path)
      ? isTypeScript(path)
        ? 'typescript'
        : 'javascript'
      : isShell(path)
        ? 'shell'
        : null;
const speaks = (check: Check, changes: readonly FileChange[]): boolean =>
  check.languages.includes('*') ||
  changes.some(({ path }) => {
    const language = languageOf(path);
    return language !== null && check.languages.includes(language);
  });

async function runCheck(
  check: Check,
  context: CheckContext,
  sandbox: Sandbox,
  outcomes: Kept | null,
): Promise<CheckFacts & Pick<CheckOutcome, 'artefacts'>> {
  const started = performance.now();
  const finish = (result: CheckOutcome): CheckFacts & Pick<CheckOutcome, 'artefacts'> => ({
    check: check.name,
    category: check.category,
    ...result,
    ms: Math.round(performance.now() - started),
  });
  const { installed } = context;
  if (!speaks(check, context.changes))
    return finish(outcome('passed', `the change holds nothing written in ${check.languages.join(' or ')}`));
  if (check.needs.includes('installed') && installed.status === 'not_run')
    return finish({ ...outcome('not_run', installed.reason), ...(installed.blocked === true ? blocked : {}) });
  if (check.needs.includes('installed') && installed.status === 'refused') {
    return finish(outcome('not_run', `${installed.reason}: ${installed.refused.slice(0, 5).join('; ')}`));
  }
  if (check.needs.includes('sandbox') && sandbox.driver === null) {
    const why = `submitted code is not run: ${sandbox.notes.at(-1) ?? 'there is no sandbox'}`;
    return finish({ ...outcome('not_run', why), ...blocked });
  }
  try {
    await breathe();
    context.signal?.throwIfAborted();
    const work = (): ReturnType<Check['run']> => withinCheck(check.name, () => check.run(context));
    const result = await (outcomes === null ? work() : outcomes(check, work));
    // What the sandbox gave up on is noted by the name of the step; emptied functions need the tests.
    const step = check.name === 'honesty' ? 'tests' : check.name;
    const gaveUp = context.candidateFacts?.notes.some((note) => note.startsWith(`${step}:`)) ?? false;
    return finish({ ...result, ...(result.status === 'not_run' && gaveUp ? blocked : {}) });
  } catch (error) {
    context.signal?.throwIfAborted();
    return finish(
      outcome('inconclusive', `the check itself failed: ${error instanceof Error ? error.message : String(error)}`),
    );
  }
}
