import { projectPolicy, type CheckFacts, type ProjectPolicy, type VerificationFacts } from '@muster/contracts';
import { checks as allChecks, dependenciesHome, judge, runVerification, type Sandbox } from '@muster/gate';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import type { CorpusCase, SampleProject } from './case.ts';
import { Draft, type Link } from './draft.ts';
import type { Packages } from './packages.ts';

/** Of what no sample project declares anything. */
const undeclared: Readonly<Record<string, string>> = {
  benchmarks: 'the project declares no benchmarks',
  'bundle-size': 'the project declares no artefacts',
  queries: 'the project declares no query log',
};

/** What the gate is not asked of a project that has nothing of the kind; anything else that is `not_run` is a fault. */
export const without: Readonly<Record<SampleProject, Readonly<Record<string, string>>>> = {
  shelf: {},
  courier: {},
  tally: {},
  gazette: {},
  stockroom: {},
};

export interface Outcome {
  verdict: 'accepted' | 'rejected' | 'none';
  score: number;
  reasons: string[];
  /** Rules that found an error, with their places. */
  errors: string[];
  /** Checks that execute something and were not run, with the reason. */
  notRun: string[];
  ms: number;
}

const executes = new Set(allChecks.filter((check) => check.needs.includes('sandbox')).map((check) => check.name));

/** The longest that one case may take; a case that takes longer counts as wrong. */
const mostMs = 240_000;

export interface WorkshopOptions {
  root: string;
  packages: Packages;
  workDir: string;
  cacheDir: string;
  sandbox: Sandbox;
  /** Judge again what an earlier run has judged. */
  fresh: boolean;
  /** What the gate itself is made of; another gate has other answers. */
  gateDigest: string;
}

/** Makes the trees of a case and has the product's own pipeline verify and judge them. */
export class Workshop {
  private readonly options: WorkshopOptions;
  private readonly packages: Packages;
  private readonly projects = new Map<SampleProject, ReadonlyMap<string, string | Link>>();
  private readonly bases = new Map<string, string>();

  constructor(options: WorkshopOptions) {
    this.options = options;
    this.packages = options.packages;
  }

  project(name: SampleProject): ReadonlyMap<string, string | Link> {
    let files = this.projects.get(name);
    if (files === undefined) {
      const read = readTree(join(this.options.root, 'test', 'gate', 'projects', name));
      files = this.withPackages(read);
      this.projects.set(name, files);
    }
    return files;
  }

  /** A project names its packages and leaves their versions to the repository. */
  private withPackages(files: Map<string, string | Link>): Map<string, string | Link> {
    const text = files.get('package.json');
    if (typeof text !== 'string') return files;
    const manifest = JSON.parse(text) as { name: string; version: string; devDependencies: Record<string, string> };
    for (const name of Object.keys(manifest.devDependencies))
      manifest.devDependencies[name] = this.packages.version(name);
    files.set('package.json', `${JSON.stringify(manifest, null, 2)}\n`);
    files.set('package-lock.json', `${JSON.stringify(this.packages.lockFor(manifest), null, 2)}\n`);
    return files;
  }

  async judge(each: CorpusCase): Promise<Outcome> {
    const branch = new Draft(this.project(each.project));
    each.branch?.(branch);
    const draft = new Draft(branch.files);
    each.change(draft);
    return await this.compare(
      branch.files,
      draft.files,
      { title: each.title, paths: each.paths ?? null },
      without[each.project],
      each.approvedBy ?? null,
    );
  }

  async compare(
    before: ReadonlyMap<string, string | Link>,
    after: ReadonlyMap<string, string | Link>,
    declared: { title: string; paths: string[] | null },
    lacking: Readonly<Record<string, string>>,
    approvedBy: string | null = null,
  ): Promise<Outcome> {
    const [baseTree, candidateTree] = [digestOf(before), digestOf(after)];
    const settings = before.get('muster.yaml');
    const policy = projectPolicy.parse(typeof settings === 'string' ? (parse(settings) ?? {}) : {});
    const key = createHash('sha256')
      .update(JSON.stringify([this.options.gateDigest, baseTree, candidateTree, declared, policy, lacking, approvedBy]))
      .digest('hex');
    const kept = join(this.options.cacheDir, 'judged', `${key}.json`);
    if (!this.options.fresh && existsSync(kept)) return JSON.parse(readFileSync(kept, 'utf8')) as Outcome;
    const outcome = await this.verify({
      before,
      after,
      baseTree,
      candidateTree,
      declared,
      policy,
      lacking,
      approvedBy,
    });
    if (outcome.verdict !== 'none') {
      mkdirSync(dirname(kept), { recursive: true });
      writeFileSync(`${kept}.draft`, JSON.stringify(outcome));
      renameSync(`${kept}.draft`, kept);
    }
    return outcome;
  }

  private async verify(given: {
    before: ReadonlyMap<string, string | Link>;
    after: ReadonlyMap<string, string | Link>;
    baseTree: string;
    candidateTree: string;
    declared: { title: string; paths: string[] | null };
    policy: ProjectPolicy;
    lacking: Readonly<Record<string, string>>;
    approvedBy: string | null;
  }): Promise<Outcome> {
    const { workDir, cacheDir, sandbox } = this.options;
    const started = performance.now();
    const baseDir = this.baseOf(given.baseTree, given.before);
    const candidateDir = join(workDir, `candidate-${given.candidateTree}`);
    writeTree(candidateDir, given.after);
    this.warm(candidateDir);
    const signal = AbortSignal.timeout(mostMs);
    try {
      const facts = await runVerification({
        candidateDir,
        baseDir,
        restoresDir: null,
        input: {
          purpose: 'admission',
          candidateTree: given.candidateTree,
          baseTree: given.baseTree,
          restoresTree: null,
          policy: given.policy,
          rulesDigest: createHash('sha256').update(JSON.stringify(given.policy)).digest('hex'),
          declared: given.declared,
          approvedBy: given.approvedBy,
          server: {
            checks: [],
            required: [],
            advisories: { provider: 'file', path: this.advisories(), maxAgeDays: 7 },
          },
        },
        workDir: join(workDir, `run-${given.candidateTree}`),
        cacheDir,
        sandbox,
        signal,
      });
      return summed(facts, given.policy, given.lacking, performance.now() - started);
    } catch (error) {
      if (!signal.aborted) throw error;
      return {
        verdict: 'none',
        score: 0,
        reasons: [`no verdict within ${mostMs / 1000} s`],
        errors: [],
        notRun: [],
        ms: performance.now() - started,
      };
    } finally {
      rmSync(candidateDir, { recursive: true, force: true });
    }
  }

  private baseOf(tree: string, files: ReadonlyMap<string, string | Link>): string {
    const known = this.bases.get(tree);
    if (known !== undefined) return known;
    const dir = join(this.options.workDir, `base-${tree}`);
    writeTree(dir, files);
    this.warm(dir);
    this.bases.set(tree, dir);
    return dir;
  }

  private warm(dir: string): void {
    const home = dependenciesHome(dir, this.options.cacheDir);
    if (home !== null)
      this.packages.fill(home, JSON.parse(readFileSync(join(dir, 'package-lock.json'), 'utf8')) as never);
  }

  /** What is known about vulnerable versions, as an operator without a network has it. */
  private advisories(): string {
    const path = join(this.options.workDir, 'advisories.json');
    if (!existsSync(path)) {
      const advisory = { id: 1, title: 'Runs what it is given', severity: 'critical', vulnerable_versions: '<2.0.0' };
      writeFileSync(path, JSON.stringify({ fetchedAt: new Date().toISOString(), npm: { 'old-template': [advisory] } }));
    }
    return path;
  }
}

function summed(
  facts: VerificationFacts,
  policy: ProjectPolicy,
  lacking: Readonly<Record<string, string>>,
  ms: number,
): Outcome {
  const { verdict, score, reasons } = judge(facts, policy, 'admission');
  // A check that has to pass refuses by what it found, whatever that costs.
  const isRefused = ({ check, status }: CheckFacts): boolean => policy.required.includes(check) && status === 'failed';
  const placed = (check: CheckFacts): string[] =>
    check.findings
      .filter(
        (each) =>
          each.veto ||
          each.level === 'error' ||
          (each.level === 'warning' && isRefused(check) && !check.findings.some(({ level }) => level === 'error')),
      )
      .map((each) => `${each.rule} ${each.path ?? ''}${each.line === null ? '' : `:${each.line}`} ${each.message}`);
  return {
    verdict,
    score,
    reasons,
    errors: facts.checks.flatMap(placed),
    notRun: facts.checks
      .filter(
        (check) =>
          executes.has(check.check) &&
          check.status === 'not_run' &&
          { ...undeclared, ...lacking }[check.check] !== check.summary,
      )
      .map((check) => `${check.check}: ${check.summary}`),
    ms: Math.round(ms),
  };
}

export function readTree(dir: string): Map<string, string | Link> {
  const files = new Map<string, string | Link>();
  const walk = (folder: string): void => {
    for (const entry of readdirSync(join(dir, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (path === 'node_modules' || entry.name === '__pycache__') continue;
      if (entry.isDirectory()) walk(path);
      else if (entry.isSymbolicLink()) files.set(path, { to: readlinkSync(join(dir, path)) });
      else files.set(path, readFileSync(join(dir, path), 'utf8'));
    }
  };
  walk('');
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function writeTree(dir: string, files: ReadonlyMap<string, string | Link>): void {
  for (const [path, content] of files) {
    const target = join(dir, path);
    mkdirSync(dirname(target), { recursive: true });
    if (lstatSync(target, { throwIfNoEntry: false }) !== undefined) continue;
    if (typeof content === 'string') writeFileSync(target, content);
    else symlinkSync(content.to, target);
  }
}

const digestOf = (files: ReadonlyMap<string, string | Link>): string =>
  createHash('sha1')
    .update(JSON.stringify([...files].sort(([a], [b]) => (a < b ? -1 : 1))))
    .digest('hex');
