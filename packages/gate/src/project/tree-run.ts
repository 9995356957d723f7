import type { ProjectPolicy, TestCase } from '@muster/contracts';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { besideTheChange, withinCheck } from '../check-log.ts';
import {
  SandboxError,
  sandboxPaths,
  type SandboxDriver,
  type SandboxMount,
  type SandboxResult,
} from '../sandbox/driver.ts';
import { Channel } from '../sandbox/channel.ts';
import { readReport } from '../sandbox/report.ts';
import { inSlot } from '../sandbox/slots.ts';
import { toolchain } from '../sandbox/toolchain.ts';
import { isScript, isTestFile } from '../source/paths.ts';
import { importsIn } from '../source/reached.ts';
import type { Inventory } from '../source/inventory.ts';
import { copyTree, discard, SourceTree } from '../source/tree.ts';
import { Copies } from './copies.ts';
import type { Installed } from './installed.ts';
import { lineOf, type Scripts } from './scripts.ts';
import { pytestLines } from '../source/probes.ts';
import { asksForModules, reporters } from './reporters.ts';
import type { Found, NamedTests, OfTheChange, Readings, Rest, Reused, TreeStep } from './readings.ts';
import { lineForFiles } from './affected.ts';
import { filesOf, sameOutcomes, withLanded } from './test-files.ts';
import { casesOf, contradictionIn, detectTests, planFor, runsApart, type TestPlan } from './test-runner.ts';

export interface CommandOutcome {
  line: string;
  ok: boolean;
  timedOut: boolean;
  exitCode: number | null;
  /** The end of what it printed. */
  output: string;
  ms: number;
  peakMemoryMb?: number;
  writtenMb?: number;
}

export interface SuiteOutcome extends CommandOutcome {
  cases: TestCase[];
  /** Whether the cases are the runner's own, or only the exit code is known. */
  detailed: boolean;
  /** Why the report is not to be believed, if it is not: somebody else wrote in it, or the output tells another story. */
  forged?: string | null;
  /** The reporter began and never said its last word, and the run ended well all the same. */
  cutShort?: boolean;
  /** What probes wrote down, if there were any. */
  lines?: string | null;
}

export interface TypeError {
  path: string;
  line: number;
  code: string;
  message: string;
}

/** What running one tree showed. The branch's is kept and compared with, so nothing in it depends on what it is compared with. */
export interface TreeFacts {
  build: CommandOutcome | null;
  tests: SuiteOutcome | null;
  types: (CommandOutcome & { errors: TypeError[] }) | null;
  lint: CommandOutcome | null;
  notes: string[];
  /** Test files in whose place the build left others. */
  rewritten?: string[];
  /** What was not run on this tree, because an earlier run has read nothing that is another here. */
  reused?: Partial<Record<TreeStep, Reused>>;
}

/** With all that it printed to its standard output. */
export interface Printed extends CommandOutcome {
  readonly stdout: string;
  /** It was seen to read nothing that the build has left. */
  readonly ofSourceAlone: boolean;
}

export interface Commands {
  build: string | null;
  tests: TestPlan | null;
  lint: string | null;
  types: boolean;
}

export function commandsFor(
  tree: SourceTree,
  scripts: Scripts,
  policy: ProjectPolicy,
  { python }: Pick<Installed, 'python'>,
): Commands {
  const pytest = toolchain().pytest || (python !== null && existsSync(join(python, 'pytest')));
  const chosen = (wish: boolean | string, name: string): string | null =>
    wish === false ? null : typeof wish === 'string' ? wish : lineOf(scripts, name);
  return {
    build: chosen(policy.checks.build, 'build'),
    tests: detectTests(tree, scripts, policy.checks.test, pytest),
    lint: chosen(policy.checks.lint, 'lint'),
    types: policy.checks.types && tree.has('tsconfig.json'),
  };
}

interface Built {
  readonly outcome: CommandOutcome;
  readonly rewritten: readonly string[];
}

export interface TreeRunOptions {
  driver: SandboxDriver;
  workDir: string;
  timeoutMs: number;
  signal: AbortSignal | undefined;
  onLog: ((line: string) => void) | undefined;
  /** What it is where it is not the change: its logs are named after it. */
  side?: string | undefined;
  /** What runs on earlier trees have read; null: everything is run. */
  readings?: Readings | null;
}

/** What the change stands on: its tree as it was run, and what the whole suite came to there. */
export interface Landed {
  readonly run: TreeRun;
  readonly suite: SuiteOutcome;
}

/** What is known of the suite without running it as a whole. */
interface Again {
  readonly outcome: SuiteOutcome | null;
  readonly reused?: Reused;
  /** The same change was run before something landed. */
  readonly repeats: boolean;
}
const nothingKnown: Again = { outcome: null, repeats: false };
const stepOf = (files: readonly string[]): string => `files ${JSON.stringify(files)}`;

/** So many test files of a tree are read one by one at most; those of larger projects become known over several trees. */
const mostAlone = 24;

/** Adds a file to a copy that a run may have written to: never through a link, never over what is there. */
function addFile(folder: string, path: string, text: string): void {
  let at = folder;
  for (const part of path.split('/').slice(0, -1)) {
    at = join(at, part);
    const about = lstatSync(at, { throwIfNoEntry: false });
    if (about === undefined) mkdirSync(at);
    else if (!about.isDirectory()) return;
  }
  const target = join(folder, path);
  if (lstatSync(target, { throwIfNoEntry: false }) === undefined) writeFileSync(target, text);
}

/** Passed, told case by case by the reporter itself, and to the end. */
const proves = (suite: SuiteOutcome): boolean =>
  suite.ok && suite.detailed && suite.forged == null && suite.cutShort !== true;

const tail = (result: SandboxResult): string => `${result.stdout}\n${result.stderr}`.trim().slice(-6000);
const plain = (text: string): string => text.replace(/\u001b\[[0-9;]*[A-Za-z]/g, '');

/** What a command of the project sees of an environment. `modules`: where Python finds modules of ours. */
export function environmentAt(
  work: string,
  driver: SandboxDriver,
  { modules, python }: { modules?: string | undefined; python: string | null },
): Record<string, string> {
  const direct = driver.name === 'none-i-accept-the-risk';
  const packages = python === null ? [] : [direct ? python : sandboxPaths.python];
  const programs = direct ? `${dirname(toolchain().node)}:${process.env['PATH'] ?? ''}` : toolchain().path;
  return {
    PATH: [`${work}/node_modules/.bin`, ...packages.map((folder) => `${folder}/bin`), programs].join(':'),
    NO_COLOR: '1',
    FORCE_COLOR: '0',
    PYTHONDONTWRITEBYTECODE: '1',
    // A package below src is installed nowhere here; its tests import it all the same.
    PYTHONPATH: [...(modules === undefined ? [] : [modules]), `${work}/src`, ...packages].join(':'),
    NODE_DISABLE_COMPILE_CACHE: '1',
  };
}

/** One tree made ready to run: copied, its dependencies mounted, built. Every command then gets a fresh copy of what the build left. */
export class TreeRun {
  readonly tree: SourceTree;
  readonly commands: Commands;
  readonly installed: Installed;
  private readonly options: TreeRunOptions;
  private built: Promise<CommandOutcome | null> | undefined;
  private shown: Promise<CommandOutcome | null> | undefined;
  private again: Promise<Again> | undefined;
  private started = (): void => undefined;
  private readonly starting = new Promise<void>((resolve) => (this.started = resolve));
  /** Tests are run while it is built: these are started last. */
  private testsMeanwhile = false;
  private whole: Promise<SuiteOutcome | null> | undefined;
  /** Set before anything is run. */
  landed: Landed | null = null;
  private rewritten: readonly string[] = [];
  private readonly reused: Partial<Record<TreeStep, Reused>> = {};
  /** Steps that were seen to read nothing that the build has left. */
  private readonly ofSourceAlone = new Set<TreeStep>();
  private readonly folder: string;
  /** What the build has left. */
  private readonly prepared: string;
  private readonly copies: Copies;

  constructor(tree: SourceTree, commands: Commands, installed: Installed, options: TreeRunOptions) {
    this.tree = tree;
    this.commands = commands;
    this.installed = installed;
    this.options = options;
    this.folder = join(options.workDir, `tree-${randomUUID()}`);
    // Where nothing is built, every run's copy is one of the tree itself.
    this.prepared = commands.build === null ? tree.dir : join(this.folder, 'prepared');
    this.copies = new Copies(this.prepared, this.folder);
  }

  /** The build's outcome; runs it once. */
  build(): Promise<CommandOutcome | null> {
    this.built ??= withinCheck('build', () => this.prepare());
    return this.built;
  }

  private async prepare(): Promise<CommandOutcome | null> {
    mkdirSync(this.folder, { recursive: true });
    const line = this.commands.build;
    if (line === null) return null;
    await copyTree(this.tree.dir, this.prepared);
    const result = await inSlot(() => this.runIn(this.prepared, line, { watched: true }), { first: true });
    const outcome = this.outcome(line, result);
    this.rewritten = [...this.rewrittenTests()];
    if (outcome.ok) this.keep('build', line, result, this.tree, { outcome, rewritten: this.rewritten } satisfies Built);
    return outcome;
  }

  /** What the build has left, as data that nobody trusts. */
  private left(): SourceTree {
    return this.commands.build === null ? this.tree : new SourceTree(this.prepared);
  }

  /** The build's outcome, seen here or on an earlier tree, on which it had read the same. */
  async showBuild(): Promise<CommandOutcome | null> {
    return await (this.shown ??= this.findOrBuild());
  }

  private async findOrBuild(): Promise<CommandOutcome | null> {
    const { readings } = this.options;
    if (this.commands.build === null) {
      readings?.leaves(null);
      return await this.build();
    }
    const found = this.built === undefined ? (readings?.findBuild<Built>() ?? null) : null;
    if (found !== null) {
      this.reused.build = found.reused;
      this.rewritten = found.outcome.rewritten;
      return found.outcome.outcome;
    }
    const outcome = await this.build();
    readings?.leaves(this.left());
    return outcome;
  }

  /** What an earlier run of the same has shown, where that holds for this tree. */
  private async find<T>(step: string): Promise<Found<T> | null> {
    const { readings } = this.options;
    if (readings == null) return null;
    await this.showBuild();
    return readings.find<T>(step);
  }

  private keep(
    step: string,
    line: string,
    { reads }: SandboxResult,
    found: SourceTree,
    outcome: unknown,
    named?: NamedTests,
  ): void {
    if ((step === 'types' || step === 'lint') && reads?.read.every((path) => this.tree.has(path)) === true)
      this.ofSourceAlone.add(step);
    this.options.readings?.keep(step, line, reads, found, outcome, named);
  }

  /** A step of `facts`: found, or run and kept where it succeeds. */
  private async foundOrRun<T extends CommandOutcome>(
    step: 'types' | 'lint',
    run: () => Promise<T | null>,
    elsewhere: OfTheChange | null,
  ): Promise<T | null> {
    const found = (await this.find<T>(step)) ?? (elsewhere?.find(step) as Found<T> | null | undefined) ?? null;
    const outcome = found === null ? await run() : found.outcome;
    if (found !== null) this.reused[step] = found.reused;
    else if (outcome?.ok === true && this.ofSourceAlone.has(step)) elsewhere?.keep(step, outcome);
    return outcome;
  }

  /** Test files in whose place the build left others; reads the copy as data, without following a link. */
  private *rewrittenTests(): Generator<string> {
    const after = this.left();
    for (const [path, link] of this.tree.files)
      if (link === null && isTestFile(path) && !this.tree.sameIn(after, path)) yield path;
  }

  private outcome(line: string, result: SandboxResult): CommandOutcome {
    return {
      line,
      ok: result.exitCode === 0,
      timedOut: result.timedOut,
      exitCode: result.exitCode,
      output: plain(tail(result)),
      ms: result.ms,
      peakMemoryMb: result.peakMemoryMb,
      writtenMb: result.writtenMb,
    };
  }

  private async runIn(
    workDir: string,
    line: string,
    more: {
      mounts?: SandboxMount[];
      reportDir?: string;
      timeoutMs?: number;
      outputBytes?: number;
      /** Where Python finds modules of ours. */
      modules?: string;
      watched?: boolean;
    } = {},
  ): Promise<SandboxResult> {
    for (const place of this.installed.mountPoints) mkdirSync(join(workDir, place), { recursive: true });
    const { driver } = this.options;
    const { work } = driver.paths({ workDir });
    const { side } = this.options;
    const run = async (): Promise<SandboxResult> => {
      const running = driver.run({
        command: line,
        workDir,
        mounts: [...this.installed.mounts, ...(more.mounts ?? [])],
        ...(more.reportDir === undefined ? {} : { reportDir: more.reportDir }),
        watched: more.watched === true && this.options.readings != null,
        env: environmentAt(work, driver, { modules: more.modules, python: this.installed.python }),
        limits: {
          timeoutMs: more.timeoutMs ?? this.options.timeoutMs,
          ...(more.outputBytes === undefined ? {} : { outputBytes: more.outputBytes }),
        },
        ...(this.options.signal ? { signal: this.options.signal } : {}),
      });
      if (more.reportDir !== undefined || !this.testsMeanwhile) this.started();
      return await running;
    };
    return await (side === undefined ? run() : besideTheChange(side, run));
  }

  /** A slot is taken first, so that there are no more copies than runs at a time. */
  private async inCopy<T>(
    overrides: ReadonlyMap<string, string>,
    work: (folder: string) => Promise<T>,
    { first = false, unbuilt = false } = {},
  ): Promise<T> {
    if (!unbuilt) await this.build();
    return await inSlot(
      async () => (unbuilt ? await this.inUnbuilt(overrides, work) : await this.copies.use(overrides, work)),
      { first },
    );
  }

  private async inUnbuilt<T>(overrides: ReadonlyMap<string, string>, work: (folder: string) => Promise<T>): Promise<T> {
    const folder = join(this.folder, `unbuilt-${randomUUID()}`);
    try {
      await copyTree(this.tree.dir, folder, overrides);
      return await work(folder);
    } finally {
      await discard(folder);
    }
  }

  /** The project's own lint, whatever that is. */
  private async lint(): Promise<CommandOutcome | null> {
    const { lint: line } = this.commands;
    if (line === null) return null;
    return await this.inCopy(new Map(), async (folder) => {
      const result = await this.runIn(folder, line, { watched: true });
      const outcome = this.outcome(line, result);
      if (outcome.ok) this.keep('lint', line, result, this.left(), outcome);
      return outcome;
    });
  }

  /** Linters that judge one file with what it imports, as far as their settings say so: no rules of the project's own, nothing counted over all files. */
  private lintsFileByFile(): boolean {
    const { tree } = this;
    const steps = (this.commands.lint ?? '').split(/&&|;/).map((step) => step.trim());
    const settings = [...tree.files.keys()].filter((path) =>
      /(?:^|\/)(?:\.?(?:eslint|prettier|stylelint|biome|oxlint)[^/]*|package\.json)$/.test(path),
    );
    return (
      steps.every((step) => /^(?:eslint|prettier|stylelint|biome|oxlint)\s/.test(step)) &&
      !/[|`$<>]|--rulesdir|--max-warnings[= ]+(?!0(?:\s|$))/.test(this.commands.lint ?? '') &&
      settings.every(
        (path) =>
          !/no-unused-modules|\bplugins?"?\s*:\s*\[?\s*["']\.|\bextends"?\s*:\s*\[?\s*["']\./.test(
            tree.text(path) ?? '',
          ) &&
          !(
            isScript(path) &&
            importsIn(tree, path).some((name) => /^[.#/]|^(?:node:)?(?:fs|child_process)\b/.test(name))
          ),
      )
    );
  }

  async command(line: string): Promise<CommandOutcome> {
    return await this.inCopy(new Map(), async (folder) => this.outcome(line, await this.runIn(folder, line)));
  }

  /**
   * The same as `print`, where it is enough to know what it came to: not run where an earlier run that succeeded has read nothing
   * that is another here. What is added stands beside what the build has left, and is not built.
   */
  async show(
    line: string,
    options: { added?: ReadonlyMap<string, string>; first?: boolean } = {},
  ): Promise<Printed & { reused?: Reused }> {
    const added = [...(options.added ?? [])];
    const step = `show ${createHash('sha256')
      .update(JSON.stringify([line, added]))
      .digest('hex')}`;
    const found = await this.find<Printed>(step);
    if (found !== null) return { ...found.outcome, reused: found.reused };
    return await this.print(line, { ...options, kept: step, asBuilt: true });
  }

  /** One command, with all that it printed to its standard output up to a cap. Overridden files are built again first. */
  async print(
    line: string,
    options: {
      overrides?: ReadonlyMap<string, string>;
      added?: ReadonlyMap<string, string>;
      timeoutMs?: number;
      outputBytes?: number;
      first?: boolean;
      /** Under which name it is kept where it succeeds. */
      kept?: string;
      asBuilt?: boolean;
    } = {},
  ): Promise<Printed> {
    const {
      overrides = new Map<string, string>(),
      added = new Map<string, string>(),
      kept,
      asBuilt,
      first = false,
      ...limits
    } = options;
    const rebuilt = asBuilt !== true && overrides.size + added.size > 0 && this.commands.build !== null;
    return await this.inCopy(
      overrides,
      async (folder) => {
        for (const [path, text] of added) addFile(folder, path, text);
        const whole = rebuilt ? `( ${this.commands.build} ) >/dev/null 2>&1; ${line}` : line;
        const result = await this.runIn(folder, whole, { ...limits, watched: kept !== undefined });
        const ofSourceAlone = result.reads?.read.every((path) => this.tree.has(path) || added.has(path)) === true;
        const outcome = { ...this.outcome(line, result), stdout: plain(result.stdout), ofSourceAlone };
        if (kept !== undefined && outcome.ok)
          this.keep(kept, [whole, ...added.values()].join('\n'), result, this.left(), outcome);
        return outcome;
      },
      { first },
    );
  }

  async artefacts(): Promise<SourceTree> {
    await this.build();
    return this.left();
  }

  /**
   * The whole suite, as the project runs it. With `overrides` on changed files the build runs again first, since tests may look
   * at its output; that build may fail, because what counts is whether a test does.
   */
  async tests(
    options: {
      overrides?: ReadonlyMap<string, string>;
      stopAtFirst?: boolean;
      timeoutMs?: number;
      /** Files that are not in this tree. */
      added?: ReadonlyMap<string, string>;
      /** Python files whose reached lines are written down. */
      traced?: readonly string[];
      /** Others wait for it. */
      first?: boolean;
      /** Under which name it is kept where it succeeds. */
      kept?: string;
      /** These test files, by name, instead of all. */
      files?: readonly string[];
      /** On what the build would be made of. */
      unbuilt?: boolean;
    } = {},
  ): Promise<SuiteOutcome | null> {
    const all = this.commands.tests;
    const named = all === null || options.files === undefined ? null : lineForFiles(all, options.files, this.tree);
    const plan = all === null || options.files === undefined ? all : named === null ? null : planFor(all.label, named);
    if (plan === null) return null;
    const overrides = options.overrides ?? new Map<string, string>();
    const unbuilt = options.unbuilt === true;
    const inFolder = async (folder: string): Promise<SuiteOutcome> => {
      for (const [path, text] of options.added ?? []) addFile(folder, path, text);
      const harness = join(this.folder, `harness-${randomUUID()}`);
      const reportDir = join(harness, 'report');
      mkdirSync(reportDir, { recursive: true });
      const told = join(harness, 'reporters');
      mkdirSync(told);
      for (const [name, text] of Object.entries(reporters)) writeFileSync(join(told, name), text, { mode: 0o644 });
      if (options.files !== undefined) writeFileSync(join(told, 'sitecustomize.py'), asksForModules);
      const tracing = options.traced !== undefined && plan.runner === 'pytest';
      if (tracing) writeFileSync(join(told, 'muster_lines.py'), pytestLines);
      const channel = await Channel.open(join(told, 'channel'));
      try {
        const direct = this.options.driver.name === 'none-i-accept-the-risk';
        const { report, work } = this.options.driver.paths({ workDir: folder, reportDir });
        const seen = direct ? told : sandboxPaths.reporters;
        let line = plan.line(seen, options.stopAtFirst === true);
        if (tracing)
          line = `export MUSTER_LINES=${report}/lines MUSTER_LINE_FILES='${JSON.stringify(options.traced).replaceAll("'", '')}' PYTEST_PLUGINS=muster_lines; ${line}`;
        if (
          overrides.size + (options.added?.size ?? 0) > 0 &&
          this.commands.build !== null &&
          !line.includes(this.commands.build)
        ) {
          line = `( ${this.commands.build} ) >/dev/null 2>&1; ${line}`;
        }
        const result = await this.runIn(folder, line, {
          mounts: [{ from: told, to: sandboxPaths.reporters, mode: 'ro' }],
          reportDir,
          modules: seen,
          watched: options.kept !== undefined,
          ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
        });
        const { records, foreign, begun, ended } = await channel.close();
        const outcome = this.outcome(plan.label, result);
        const cases = casesOf(records, work);
        const cutShort = begun && !ended && outcome.ok;
        const forged = foreign > 0 ? `${foreign} lines of it were not written by the reporter` : null;
        if (cases.length === 0 || cutShort) {
          const status = outcome.ok ? ('passed' as const) : ('failed' as const);
          const message = outcome.ok ? null : outcome.timedOut ? 'ran out of time' : outcome.output.slice(-2000);
          return {
            ...outcome,
            cases: [{ name: plan.label, file: null, status, message, ms: outcome.ms }],
            detailed: false,
            cutShort,
            forged,
          };
        }
        // Exit code and report must agree: a runner that fails without a failing case failed at something that it does not name.
        if (!outcome.ok && !cases.some((each) => each.status === 'failed')) {
          const message = outcome.timedOut
            ? 'ran out of time'
            : `exit ${outcome.exitCode}: ${outcome.output.slice(-1500)}`;
          cases.push({ name: `${plan.label} ends well`, file: null, status: 'failed', message, ms: null });
        }
        const suite: SuiteOutcome = {
          ...outcome,
          ok: outcome.ok && !cases.some((each) => each.status === 'failed'),
          cases,
          detailed: true,
          forged: forged ?? contradictionIn(plan.runner, plain(`${result.stdout}\n${result.stderr}`), cases),
          lines: readReport(join(reportDir, 'lines')),
        };
        if (options.kept !== undefined && suite.ok && suite.forged === null)
          this.keep(
            options.kept,
            line,
            result,
            unbuilt ? this.tree : this.left(),
            suite,
            options.files === undefined
              ? undefined
              : { files: options.files, separate: runsApart(all!) && runsApart(plan) },
          );
        return suite;
      } finally {
        await channel.close();
        await discard(harness);
      }
    };
    return await this.inCopy(overrides, inFolder, { first: options.first === true, unbuilt });
  }

  /** The test files that a change has to do with: not run where it follows from earlier runs, or from what has to be run anyway. */
  async lookAt(files: readonly string[]): Promise<SuiteOutcome | null> {
    const { outcome, repeats } = await this.afterLanding();
    if (outcome !== null) return outcome;
    return repeats ? await this.suite() : await this.testFiles(files);
  }

  /** Begins, where something has landed meanwhile, what need not wait for the build. */
  beginAgain(): void {
    if (this.landed !== null) this.afterLanding().catch(() => undefined); // whoever asks for the suite hears of it
  }

  /** When what was begun runs in its sandbox, or need not: whoever reads in this process before that holds it up. */
  async underWay(): Promise<void> {
    if (this.again !== undefined) await Promise.race([this.starting, this.again]).catch(() => undefined);
  }

  private async testFiles(files: readonly string[]): Promise<SuiteOutcome | null> {
    const kept = stepOf(files);
    return (await this.find<SuiteOutcome>(kept))?.outcome ?? (await this.tests({ files, first: true, kept }));
  }

  /**
   * The suite, where it was run on a tree that is the same for it, or where the change and what has landed meanwhile were run one without
   * the other: then only test files that have seen of either are run, all of them together, since they have never been. Null where
   * anything of it is not known, or does not pass.
   */
  private afterLanding(): Promise<Again> {
    return (this.again ??= withinCheck('tests', () => this.runAgain()));
  }

  private async runAgain(): Promise<Again> {
    const building = this.showBuild();
    const early = this.options.readings?.knowsBuilt === false ? this.restOf('source') : null;
    // While it is built, on what it is built from; whether that makes a difference shows afterwards, or has shown before.
    const meanwhile =
      early === null || early.files.length === 0 || this.options.readings!.sawWhatBuildsLeave(early.files)
        ? null
        : this.runRest(early.files, true);
    meanwhile?.catch(() => undefined); // it is waited for below
    this.testsMeanwhile = meanwhile !== null;
    void meanwhile?.then(this.started, this.started);
    const built = await building;
    const ran = await meanwhile;
    if (built?.ok === false) return nothingKnown;
    const alike = await this.find<SuiteOutcome>('tests');
    if (alike !== null) return { ...alike, repeats: true };
    const stands = ran != null && this.options.readings!.holdsOnceBuilt(stepOf(early!.files));
    const rest = this.restOf('built');
    if (rest === null) return nothingKnown;
    const { files, whole } = rest;
    const done = stands && files.join() === early!.files.join();
    const again = files.length === 0 ? null : done ? ran : await this.runRest(files, false);
    if (files.length > 0 && again === null) return { outcome: null, repeats: true };
    const known = withLanded(whole.outcome.cases, this.landed!.suite.cases);
    const kept = known.filter(({ file }) => this.tree.has(file!) && !files.includes(file!));
    const cases = [...kept, ...(again?.cases ?? []).filter(({ file }) => file !== null && files.includes(file))];
    const outcome = { ...whole.outcome, cases, ...(again === null ? {} : { output: again.output }) };
    return { outcome, reused: whole.reused, repeats: true };
  }

  private restOf(here: 'source' | 'built'): Rest<SuiteOutcome> | null {
    const { landed } = this;
    const { readings } = this.options;
    const before = landed?.run.options.readings;
    if (readings == null || before == null || !proves(landed!.suite)) return null;
    // Cases of what a build makes, say, are of no file that is compared here.
    const isOf = (has: (path: string) => boolean, { cases }: SuiteOutcome): boolean =>
      cases.every(({ file }) => file !== null && has(file));
    const tests = (whole: SuiteOutcome, source: Inventory): ReadonlySet<string> | null =>
      proves(whole) &&
      isOf((path) => source.has(path), whole) &&
      isOf((path) => landed!.run.tree.has(path), landed!.suite)
        ? filesOf(this.tree, [...whole.cases, ...landed!.suite.cases])
        : null;
    // What has landed with its tests is known from there.
    const agrees = (whole: SuiteOutcome, alone: SuiteOutcome, files: readonly string[]): boolean =>
      proves(alone) && sameOutcomes(files, alone.cases, withLanded(whole.cases, landed!.suite.cases));
    return readings.restAfter<SuiteOutcome>(before, here, tests, agrees);
  }

  /** Null where they do not all pass, or where they are all that there is: then the suite is run as it is. */
  private async runRest(files: readonly string[], unbuilt: boolean): Promise<SuiteOutcome | null> {
    const all = filesOf(this.tree, this.landed!.suite.cases);
    if (all !== null && [...all].every((path) => files.includes(path))) return null;
    const ran = await this.tests({ files, first: true, kept: stepOf(files), unbuilt });
    const told = new Set(ran?.cases.map(({ file }) => file));
    return ran !== null && proves(ran) && files.every((path) => told.has(path)) ? ran : null;
  }

  /** Each test file by itself, so that it is known what it reads: what stands on a tree after this need not be asked again. */
  async readTestFiles(suite: SuiteOutcome): Promise<void> {
    const { readings } = this.options;
    if (readings == null || !proves(suite)) return;
    await this.showBuild();
    const files = [...(filesOf(this.tree, suite.cases) ?? [])].sort();
    const known = readings.read();
    for (const path of files.filter((each) => !known.has(each)).slice(0, mostAlone)) {
      this.options.signal?.throwIfAborted();
      if (files.length > 1 && !readings.tellsApart(files)) return;
      await withinCheck('tests', () =>
        besideTheChange('alone', () => this.tests({ files: [path], kept: stepOf([path]) })),
      );
    }
  }

  private async types(): Promise<TreeFacts['types']> {
    if (!this.commands.types || !this.installed.has('typescript')) return null;
    const line = 'node node_modules/typescript/bin/tsc --noEmit --pretty false -p .';
    const result = await this.inCopy(new Map(), async (folder) => await this.runIn(folder, line, { watched: true }));
    const outcome = this.outcome('tsc --noEmit', result);
    const errors = [...plain(result.stdout).matchAll(/^([^\s(][^(\n]*)\((\d+),\d+\): error (TS\d+): (.*)$/gm)].map(
      (match) => ({
        path: match[1]!,
        line: Number(match[2]),
        code: match[3]!,
        message: match[4]!,
      }),
    );
    const types = { ...outcome, errors };
    if (outcome.ok) this.keep('types', line, result, this.left(), types);
    return types;
  }

  private suite(): Promise<SuiteOutcome | null> {
    return (this.whole ??= withinCheck('tests', () => this.runSuite()));
  }

  private async runSuite(): Promise<SuiteOutcome | null> {
    const { outcome, reused } = await this.afterLanding();
    if (outcome === null) return await this.tests({ first: true, kept: 'tests' });
    if (reused !== undefined) this.reused.tests = reused;
    return outcome;
  }

  /** Tests, types and lint side by side once it is built: `tested` does not wait for the latter two. */
  facts(ofTheChange: OfTheChange | null = null): { tested: Promise<TreeFacts>; whole: Promise<TreeFacts> } {
    const notes: string[] = [];
    const guarded = async <T>(what: string, work: () => Promise<T>): Promise<T | null> => {
      try {
        return await withinCheck(what, work);
      } catch (error) {
        this.options.signal?.throwIfAborted();
        if (!(error instanceof SandboxError)) throw error;
        notes.push(`${what}: ${error.message}`);
        return null;
      }
    };
    this.beginAgain();
    const build = guarded('build', () => this.showBuild());
    const step = <T extends CommandOutcome>(
      name: 'types' | 'lint',
      run: () => Promise<T | null>,
      elsewhere: OfTheChange | null,
    ): Promise<T | null> => build.then(() => guarded(name, () => this.foundOrRun(name, run, elsewhere)));
    const tests = build.then(() => guarded('tests', () => this.suite()));
    const types = step('types', () => this.types(), ofTheChange);
    const lint = step('lint', () => this.lint(), this.lintsFileByFile() ? ofTheChange : null);
    const all = Promise.all([build, tests, types, lint]);
    const whole = all.then(([build, tests, types, lint]) => this.factsOf({ build, tests, types, lint, notes }));
    const tested = Promise.all([build, tests]).then(([build, tests]) =>
      this.factsOf({ build, tests, types: null, lint: null, notes: [...notes] }),
    );
    for (const each of [tested, whole]) each.catch(() => undefined); // whoever waits for it hears of it
    return { tested, whole };
  }

  private factsOf(seen: Omit<TreeFacts, 'rewritten' | 'reused'>): TreeFacts {
    return { ...seen, rewritten: [...this.rewritten], reused: { ...this.reused } };
  }

  async dispose(): Promise<void> {
    this.options.readings?.save();
    await this.copies.dispose();
    await discard(this.folder);
  }
}
