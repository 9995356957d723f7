import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { projectPolicy, type FirstLook } from '@muster/contracts';
import {
  checks,
  defaultLimits,
  detectSandbox,
  judge,
  runVerification,
  type Sandbox,
  type SandboxDriver,
} from '@muster/gate';
import { byHand, recording, type Step } from './machinery/by-hand.ts';
import { nowUs, sleep, until } from './machinery/clock.ts';
import { measureOf, type Measure } from './machinery/document.ts';
import { each, fastImport, git, handIn, repositoryOf } from './machinery/git.ts';
import { busyShare, familyMib } from './machinery/processor-time.ts';
import { providePackages, samples, writeProject, type ProjectFiles, type Sample } from './machinery/sample-projects.ts';
import { say, type Stage } from './machinery/stage.ts';
import { median, percentile } from './machinery/statistics.ts';

/** How soon the gate says something, how long a verdict takes against the same tools by hand, and what is asked again for a landing elsewhere. */
export async function gate(stage: Stage): Promise<Measure[]> {
  const sandbox = await detectSandbox('auto', [stage.folder]);
  if (sandbox.driver === null) throw new Error(`No sandbox withstands here: ${sandbox.notes.join('; ')}`);
  const { only, short } = stage.options;
  const wanted = samples().filter(({ project }, at) => (only === null ? !short || at === 0 : only.includes(project)));
  const measures = [await sandboxStart(sandbox.driver, stage)];
  const cold: number[] = [];
  const warm: number[] = [];
  for (const sample of wanted) {
    const desk = new Desk(sample, mkdtempSync(join(stage.folder, `gate-${sample.project}-`)), sandbox);
    const seen = await desk.play(stage.options.rounds);
    cold.push(...seen.firstLookCold);
    warm.push(...seen.firstLookWarm);
    measures.push(...measuresOf(sample.project, seen));
  }
  const look = (name: string, ours: number[]): Measure => {
    if (ours.some(Number.isNaN)) throw new Error('A first look at an honest change does not say “passing”.');
    return measureOf({ name, unit: 's', better: 'lower', ours: [percentile(ours, 95)] });
  };
  if (cold.length > 0) measures.unshift(look('first_look_cold_p95', cold), look('first_look_warm_p95', warm));
  if (only === null || only.includes('queued')) measures.push(...(await queued(stage)));
  return measures;
}

async function sandboxStart(driver: SandboxDriver, { folder, options }: Stage): Promise<Measure> {
  const took: number[] = [];
  const workDir = mkdtempSync(join(folder, 'start-'));
  chmodSync(workDir, 0o755);
  for (let round = 0; round < (options.short ? 10 : 50); round += 1) {
    const began = nowUs();
    const { exitCode } = await driver.run({ command: ['/bin/true'], workDir });
    took.push((nowUs() - began) / 1000);
    if (exitCode !== 0) throw new Error(`/bin/true ended with ${exitCode}.`);
  }
  return measureOf({ name: 'sandbox_start_p50', unit: 'ms', better: 'lower', ours: [median(took)] });
}

interface Seen {
  readonly firstLookCold: number[];
  readonly firstLookWarm: number[];
  /** The branch is known and the change is not, in seconds. */
  readonly full: number[];
  readonly byHand: number[];
  /** Seconds of verifying it again on top of something else that has landed. */
  readonly again: Record<keyof Sample['elsewhere'], number[]>;
}

function measuresOf(project: string, { full, byHand, again }: Seen): Measure[] {
  const share = (kind: keyof Sample['elsewhere']): Measure =>
    measureOf({
      name: `again_after_${kind}_${project}`,
      unit: '% of full',
      better: 'lower',
      ours: again[kind].map((seconds, at) => (seconds / full[at]!) * 100),
    });
  return [
    measureOf({ name: `full_${project}`, unit: 's', better: 'lower', ours: full, peers: { 'by hand': byHand } }),
    share('code'),
    share('prose'),
  ];
}

/** One project and its change, verified in this process by the published package, as the verifier does it. */
class Desk {
  private count = 0;
  private readonly trees = new Map<ProjectFiles, string>();
  private readonly cacheDir: string;
  private readonly sample: Sample;
  private readonly folder: string;
  private readonly sandbox: Sandbox;

  constructor(sample: Sample, folder: string, sandbox: Sandbox) {
    this.sample = sample;
    this.folder = folder;
    this.sandbox = sandbox;
    this.cacheDir = join(folder, 'cache');
    chmodSync(folder, 0o755);
  }

  async play(rounds: number): Promise<Seen> {
    const { sample } = this;
    const { base } = sample;
    const changed = sample.change(base);
    const seen: Seen = { firstLookCold: [], firstLookWarm: [], full: [], byHand: [], again: { code: [], prose: [] } };
    // As a person would run the same tools: what only the gate asks, canaries, the first look and test files one by one, is left out.
    const steps: Step[] = [];
    this.forget();
    await this.verify(base, null);
    const recorder = recording(this.sandbox.driver!, join(this.folder, 'by-hand'), steps);
    await this.verify(changed, base, { ...this.sandbox, driver: recorder, tellsReads: false }, false);
    for (let round = 0; round < rounds; round += 1) {
      this.forget();
      seen.firstLookCold.push((await this.verify(changed, base)).firstLook);
      this.forget();
      await this.verify(base, null);
      const { firstLook, seconds } = await this.verify(changed, base);
      seen.firstLookWarm.push(firstLook);
      seen.full.push(seconds);
      for (const kind of ['code', 'prose'] as const) {
        const head = sample.elsewhere[kind](base);
        // What lands elsewhere is somebody else's work, which the title of this one does not tell of.
        await this.verify(head, base, this.sandbox, true, null);
        seen.again[kind].push((await this.verify(sample.elsewhere[kind](changed), head)).seconds);
      }
      const hand = await byHand(steps, join(this.folder, 'kept'));
      if (hand.otherEnds.length > 0) throw new Error(`By hand it ends otherwise: ${hand.otherEnds.join('; ')}`);
      seen.byHand.push(hand.seconds);
      say(
        `  ${sample.project}, round ${round + 1}: first look ${seen.firstLookCold.at(-1)!.toFixed(2)} s cold, ${firstLook.toFixed(2)} s warm; full ${seconds.toFixed(2)} s, ${steps.length} steps by hand ${hand.seconds.toFixed(2)} s; again ${seen.again.code.at(-1)!.toFixed(2)} s after code, ${seen.again.prose.at(-1)!.toFixed(2)} s after prose`,
      );
    }
    return seen;
  }

  /** Everything but the packages, which are the operator's to provide. */
  private forget(): void {
    const packages = ['dependencies', 'npm', 'python'];
    for (const name of existsSync(this.cacheDir) ? readdirSync(this.cacheDir) : [])
      if (!packages.includes(name)) rmSync(join(this.cacheDir, name), { recursive: true, force: true });
  }

  private write(files: ProjectFiles): { dir: string; tree: string } {
    const tree = JSON.stringify([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
    const known = [...this.trees].find(([each]) => JSON.stringify([...each].sort(([a], [b]) => (a < b ? -1 : 1))) === tree);
    if (known !== undefined) return { dir: known[1], tree: known[1] };
    const dir = writeProject(join(this.folder, `tree-${this.count++}`), files);
    providePackages(dir, this.cacheDir);
    this.trees.set(files, dir);
    return { dir, tree: dir };
  }

  private async verify(
    files: ProjectFiles,
    onto: ProjectFiles | null,
    sandbox = this.sandbox,
    all = true,
    title: string | null = this.sample.title,
  ): Promise<{ seconds: number; firstLook: number }> {
    const [candidate, base] = [this.write(files), onto === null ? null : this.write(onto)];
    const policy = projectPolicy.parse({});
    const began = nowUs();
    let firstLook = NaN;
    const facts = await runVerification({
      candidateDir: candidate.dir,
      baseDir: base?.dir ?? null,
      restoresDir: null,
      input: {
        purpose: base === null ? 'base' : 'admission',
        candidateTree: candidate.tree,
        baseTree: base?.tree ?? null,
        restoresTree: null,
        policy,
        rulesDigest: 'bench',
        declared: { title, paths: null },
      },
      workDir: join(this.folder, 'run'),
      cacheDir: this.cacheDir,
      sandbox,
      checks: all ? checks : checks.filter(({ name }) => name !== 'canaries'),
      ...(all ? { onFirstLook: ({ state }: FirstLook) => (firstLook = state === 'passing' ? (nowUs() - began) / 1e6 : NaN) } : {}),
    });
    const seconds = (nowUs() - began) / 1e6;
    const { verdict, reasons } = judge(facts, policy, base === null ? 'base' : 'admission');
    if (verdict !== 'accepted') throw new Error(`An honest change of ${this.sample.project} is refused: ${reasons.join('; ')}`);
    return { seconds, firstLook };
  }
} // prettier-ignore

/** Twenty honest changes are handed in at once to the server as shipped: what its verifier makes of the machine until all are judged. */
async function queued({ server, folder, options }: Stage): Promise<Measure[]> {
  const count = options.short ? 4 : 20;
  const sample = samples().find(({ project }) => project === 'gazette')!;
  const source = join(folder, 'gate-queue');
  const texts = (files: ProjectFiles) =>
    [...files].map(([path, content]) => [path, typeof content === 'string' ? content : ''] as const);
  await repositoryOf(source, [...texts(sample.base), ['muster.yaml', 'landing: { mode: person }\n']]);
  const dir = writeProject(mkdtempSync(join(folder, 'packages-')), sample.base);
  const verifiers = join(server.dataFolder, 'verifiers');
  for (const name of readdirSync(verifiers)) providePackages(dir, join(verifiers, name, 'cache'));
  const project = await server.client.projects.create({ name: 'Bench gate', slug: 'bench-gate', source: { path: source } });
  const base = await git(source, 'rev-parse', 'main');
  const changed = sample.change(sample.base);
  const news = texts(changed).filter(([path, text]) => sample.base.get(path) !== text);
  const branches = Array.from({ length: count }, (_, at) => `change${at}`);
  await fastImport(
    source,
    branches.map((branch, at) => ({
      branch,
      from: base,
      message: `${sample.title}, ${at}`,
      files: news.map(([path, text]) => [path, path.endsWith('.js') ? `${text}\n// ${at}\n` : text] as const),
    })),
  );
  let peak = 0;
  let over = false;
  const watching = (async () => {
    for (; !over; await sleep(250)) peak = Math.max(peak, familyMib(server.pid) );
  })();
  const before = familyMib(server.pid);
  const busy = busyShare();
  const began = nowUs();
  await each(branches, 4, async (branch) =>
    handIn(source, `${server.url}${project.gitPath}`, server.producerToken, await git(source, 'rev-parse', branch)),
  );
  await until(`${count} verdicts`, 600, async () => {
    const { items } = await server.client.submissions.list({ projectId: project.id, limit: 100 });
    const lost = items.find(({ state }) => ['rejected', 'conflicted', 'failed'].includes(state));
    if (lost !== undefined) throw new Error(`${lost.id} is ${lost.state}: ${lost.reasons.join('; ')}`);
    return items.length === count && items.every(({ held }) => held === 'person');
  }, 200); // prettier-ignore
  const seconds = (nowUs() - began) / 1e6;
  const share = busy();
  over = true;
  await watching;
  const declared = (availableParallelism() + 1) * defaultLimits.totalMemoryMb;
  say(`  ${count} verifications in ${seconds.toFixed(1)} s, cores busy for ${(share * 100).toFixed(0)} %, peak ${peak.toFixed(0)} MiB of ${declared} declared`);
  const line = (name: string, unit: string, better: Measure['better'], ours: number, limit: number[] = []): Measure =>
    measureOf({ name: `queued_${count}_${name}`, unit, better, ours: [ours], limit });
  return [
    line('verdicts', 's', 'lower', seconds),
    line('cores_busy', '% of all cores', 'higher', share * 100),
    line('memory_added', 'MiB', 'lower', peak - before, [declared]),
  ];
} // prettier-ignore
