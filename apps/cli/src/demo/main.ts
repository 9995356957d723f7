import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { chmod, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { ProjectView, VerificationView } from '@muster/contracts';
import { MusterClient, Workspace } from '@muster/sdk';
import picocolors from 'picocolors';
import { Authors } from './author-process.ts';
import { Journal } from './journal.ts';
import { printTable, type DemoReport, type StepResult } from './report.ts';
import { ServerProcess } from './server-process.ts';
import {
  archive,
  cloneRepository,
  copyLedger,
  realTests,
  type RealTest,
  type SourceRepository,
} from './source-repository.ts';
import { agentNames, capabilityOf, NotPlayable, playStep, programme, type Stage, type Step } from './steps.ts';
import { Timeline } from './timeline.ts';

const usage = `Plays the main job of Muster: changes that land, changes that are refused, and one that comes out again.

  npm run demo                         on the example project, with a server of its own
  npm run demo -- --repo <path|url>    on a copy of your own repository
  npm run --silent demo -- --json      one JSON document instead of the timeline

With MUSTER_URL and MUSTER_TOKEN set, an existing server is used.
`;
const leaseSeconds = 6;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    repo: { type: 'string' },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

/** The repository that this program was built in. */
async function projectRoot(): Promise<string> {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = await readFile(join(folder, 'package.json'), 'utf8').catch(() => '{}');
    if ((JSON.parse(manifest) as { name?: string }).name === 'muster') return folder;
  }
  throw new Error('The demo runs inside the Muster repository.');
}

class Demo {
  readonly #colors = picocolors.createColors(picocolors.isColorSupported && !values.json);
  /** With --json, stdout is for the document alone. */
  readonly #write = (text: string): void => void (values.json ? process.stderr : process.stdout).write(text);
  readonly #timeline = new Timeline(this.#colors, this.#write);
  #folder = '';
  #server: ServerProcess | null = null;
  #authors: Authors | null = null;
  #journal: Journal | null = null;
  #cleaning: Promise<void> | null = null;

  async run(): Promise<DemoReport> {
    const root = await projectRoot();
    this.#folder = await mkdtemp(join(tmpdir(), 'muster-demo-'));
    // PostgreSQL, where it runs as a user of its own, must be able to walk in.
    await chmod(this.#folder, 0o755);
    // What the demo's processes put aside goes with the folder, also of those that are killed on purpose.
    const aside = join(this.#folder, 'tmp');
    await mkdir(aside);
    await chmod(aside, 0o1777);
    process.env['TMPDIR'] = aside;
    this.#timeline.say(values.repo === undefined ? 'playing on examples/ledger' : `copying ${values.repo}`);
    const source =
      values.repo === undefined
        ? await copyLedger(join(root, 'examples', 'ledger'), join(this.#folder, 'ledger'))
        : await cloneRepository(values.repo, join(this.#folder, 'repository'));
    if (source.added.length > 0) this.#timeline.say(`the copy gets a commit on top: ${source.added.join(', ')}`);
    const client = await this.#connect(root);
    const project = await this.#import(client, source);
    const agentToken = await this.#introduceAgents(client, project);
    const patience = values.repo === undefined ? 240 : 1_800;
    const journal = new Journal(client, project.id, patience, (event) => this.#timeline.draw(event));
    this.#journal = journal;
    journal.start();
    const base = await this.#verifyBase(client, project, patience);
    const cases = base.facts?.testCases ?? [];
    const tests = values.repo === undefined ? [] : await realTests(source.folder, cases);
    this.#authors = new Authors(
      join(root, 'dist', 'examples', 'agents', 'scripted-author.js'),
      process.env,
      client.url,
      agentToken,
    );
    const stage: Stage = {
      client,
      agentToken,
      projectId: project.id,
      base: project.head!,
      journal,
      timeline: this.#timeline,
      authors: this.#authors,
      leaseSeconds,
      treeOf: (commit) => treeOf(client.url, agentToken, project, commit),
      onLedger: values.repo === undefined,
      tests,
      noRollback: source.noRollback,
    };
    const blocked = values.repo === undefined ? null : unplayable(base, tests);
    const steps = await this.#play(stage, blocked);
    steps.push(await this.#audit(client, project));
    return { steps, ok: steps.every((step) => step.ok) };
  }

  async #connect(root: string): Promise<MusterClient> {
    const url = process.env['MUSTER_URL'];
    const token = process.env['MUSTER_TOKEN'];
    if (url && token) {
      this.#timeline.say(`using ${url}`);
      return new MusterClient({ url, token, retryForMs: 180_000 });
    }
    if (url)
      throw new Error('MUSTER_URL is set, so MUSTER_TOKEN must be set as well: an API key that may manage projects.');
    this.#timeline.say('starting a server with a data folder and a port of its own');
    const credentials = { email: 'demo@muster.example', password: randomBytes(24).toString('base64url') };
    const data = join(this.#folder, 'data');
    await mkdir(data);
    this.#server = await ServerProcess.prepare({
      entry: join(root, 'dist', 'apps', 'server', 'src', 'main.js'),
      folder: root,
      log: join(this.#folder, 'server.log'),
      inherited: process.env,
      env: {
        MUSTER_DATA_DIR: data,
        MUSTER_LEASE_SECONDS: String(leaseSeconds),
        MUSTER_ADMIN_EMAIL: credentials.email,
        MUSTER_ADMIN_PASSWORD: credentials.password,
        MUSTER_IMPORT_PATHS: this.#folder,
        MUSTER_VERIFIERS: '2',
        MUSTER_LOG_PRETTY: 'false',
      },
      onRestart: (how) => this.#timeline.warn(`the server died (${how}) and is started again`),
    });
    await this.#server.start();
    this.#timeline.say(`server ready at ${this.#server.url} (process ${this.#server.pid})`);
    return new MusterClient({ url: this.#server.url, credentials, retryForMs: 180_000 });
  }

  async #import(client: MusterClient, source: SourceRepository): Promise<ProjectView> {
    const name = `${source.name} (demo)`;
    const slug = `demo-${randomBytes(4).toString('hex')}`;
    const project = this.#server
      ? await client.projects.create({ name, slug, source: { path: source.folder } })
      : await client.projects.importArchive({ name, slug }, await archive(source.folder));
    if (project.head === null) throw new Error('The import ended without a commit.');
    this.#timeline.say(`imported ${source.name} at ${project.head.slice(0, 10)} as ${project.id}`);
    return project;
  }

  async #introduceAgents(client: MusterClient, project: ProjectView): Promise<string> {
    const key = await client.keys.create({ name: `demo agents ${project.slug}`, role: 'agent' });
    for (const name of agentNames) {
      await client.agents.register({
        definition: {
          metadata: { name, version: '1.0.0', description: 'An author of the demo that follows a script.' },
          skills: [{ name: capabilityOf(name) }],
        },
        publish: true,
      });
      await client.projects.assign(project.id, { agent: name, capabilities: [capabilityOf(name)] });
    }
    this.#timeline.say(`${agentNames.length} agents published and assigned`);
    return key.secret;
  }

  async #verifyBase(client: MusterClient, project: ProjectView, patienceSeconds: number): Promise<VerificationView> {
    this.#timeline.say('verifying the base as it stands');
    const { id } = await client.verifications.request(project.id);
    const until = Date.now() + patienceSeconds * 1_000;
    for (;;) {
      const verification = await client.verifications.get(id);
      if (verification.state === 'finished') {
        this.#tellBase(verification);
        return verification;
      }
      if (Date.now() > until) throw new Error(`The base was not verified within ${patienceSeconds} seconds.`);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }

  #tellBase(verification: VerificationView): void {
    for (const check of verification.facts?.checks ?? [])
      this.#timeline.say(
        `base ${check.check.padEnd(12)} ${check.status.padEnd(9)} ${check.summary.split('\n')[0]!.slice(0, 140)}`,
      );
    const failures = verification.facts?.baseFailures ?? [];
    if (failures.length > 0)
      this.#timeline.warn(
        `${failures.length} test(s) fail on the base, which nobody is charged for: ${failures.slice(0, 10).join('; ')}`,
      );
  }

  /** @param blocked why nothing that stands on a running test suite can be played; null when it can */
  async #play(stage: Stage, blocked: string | null): Promise<StepResult[]> {
    const { steps, lanes } = programme(stage.onLedger);
    const results = new Map<Step, Promise<StepResult>>();
    const settle = new Map<Step, (result: StepResult) => void>();
    for (const step of steps) results.set(step, new Promise((resolve) => settle.set(step, resolve)));
    const playOne = async (step: Step): Promise<void> => {
      const played =
        blocked === null || step.withoutTests
          ? step
          : { ...step, play: () => Promise.reject(new NotPlayable(blocked)) };
      const result = await playStep(played, stage);
      settle.get(step)!(result);
      const mark = result.skipped
        ? this.#colors.yellow('○')
        : result.ok
          ? this.#colors.green('●')
          : this.#colors.red('●');
      this.#timeline.say(`${mark} ${this.#colors.bold(step.name)}: ${result.actual}`);
    };
    await Promise.all(
      lanes.map(async ({ after, steps: lane }) => {
        if (after) await results.get(after);
        for (const entry of lane)
          await Promise.all((Array.isArray(entry) ? (entry as readonly Step[]) : [entry as Step]).map(playOne));
      }),
    );
    return Promise.all(steps.map((step) => results.get(step)!));
  }

  async #audit(client: MusterClient, project: ProjectView): Promise<StepResult> {
    const startedAt = Date.now();
    const expected = 'every commit of the branch is backed by its signed evidence';
    const result = (ok: boolean, actual: string, commit: string | null): StepResult => ({
      name: 'audit of the history',
      expected,
      actual,
      ok,
      skipped: false,
      agent: null,
      taskId: null,
      submissionId: null,
      verdict: null,
      score: null,
      commit,
      ms: Date.now() - startedAt,
    });
    try {
      const report = await client.audit(project.id);
      const problems = report.commits.flatMap((commit) =>
        commit.problems.map((problem) => `${commit.commit.slice(0, 10)}: ${problem}`),
      );
      return result(
        report.ok,
        report.ok ? `${report.checked} commits checked` : problems.join('; '),
        report.commits[0]?.commit ?? null,
      );
    } catch (error) {
      return result(false, error instanceof Error ? error.message : String(error), null);
    }
  }

  print(report: DemoReport): void {
    if (values.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    else {
      printTable(report, this.#colors, this.#write);
      this.#write(
        report.ok ? this.#colors.green('Everything came true.\n') : this.#colors.red('Something did not come true.\n'),
      );
    }
  }

  /** Ends every process and removes every folder of the demo; once. */
  clean(): Promise<void> {
    this.#cleaning ??= (async () => {
      this.#journal?.close();
      this.#authors?.killAll();
      await this.#server?.stop();
      if (this.#folder === '') return;
      if (values.keep) this.#write(`kept: ${this.#folder}\n`);
      else await rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    })();
    return this.#cleaning;
  }
}

/** Why a change cannot be accepted on this repository, whoever makes it; null when it can. */
const unplayable = (base: VerificationView, tests: readonly RealTest[]): string | null => {
  const check = base.facts?.checks.find((candidate) => candidate.check === 'tests');
  if (check === undefined) return 'the base was verified without its tests';
  if (check.status === 'not_run' || check.status === 'inconclusive')
    return `its tests cannot be run here: ${check.summary}`;
  const passing = base.facts?.testCases.some((test) => test.status === 'passed') ?? false;
  if (check.status === 'failed' && !passing && tests.length === 0)
    return `none of its tests passes here as it stands: ${base.facts?.testCases[0]?.message?.trim().split('\n').at(-1) ?? check.summary}`;
  return null;
};

/** Asked of git, not of the API: fetches the commit and reads its tree. */
const treeOf = async (url: string, token: string, project: ProjectView, commit: string): Promise<string> => {
  const checkout = await Workspace.of({
    url,
    token: () => Promise.resolve(token),
    project: { branch: project.branch, gitPath: project.gitPath, head: commit },
    signal: AbortSignal.timeout(180_000),
  });
  try {
    return (await checkout.git(['rev-parse', `${commit}^{tree}`])).trim();
  } finally {
    await checkout.remove();
  }
};

if (values.help) {
  process.stdout.write(usage);
} else {
  const demo = new Demo();
  let interrupted = false;
  const onSignal = (): void => {
    if (interrupted) process.exit(130);
    interrupted = true;
    void demo.clean().finally(() => process.exit(130));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  let exitCode = 1;
  try {
    const report = await demo.run();
    if (!interrupted) demo.print(report);
    exitCode = report.ok ? 0 : 1;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (values.json && !interrupted)
      process.stdout.write(`${JSON.stringify({ steps: [], ok: false, error: message }, null, 2)}\n`);
    if (!interrupted) process.stderr.write(`The demo could not be played: ${message}\n`);
  }
  await demo.clean();
  process.exit(interrupted ? 130 : exitCode);
}
