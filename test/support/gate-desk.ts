import { type CheckFacts, gatePolicy, projectPolicy, type TestCase } from '@muster/contracts';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Check, CheckContext, CheckOutcome } from '../../packages/gate/src/checks/check.ts';
import { noTrials } from '../../packages/gate/src/checks/trials.ts';
import { type Installed, toolCaches } from '../../packages/gate/src/project/installed.ts';
import { scriptsOf } from '../../packages/gate/src/project/scripts.ts';
import { commandsFor, TreeRun, type TreeFacts } from '../../packages/gate/src/project/tree-run.ts';
import { detectSandbox, type Sandbox } from '../../packages/gate/src/sandbox/detect.ts';
import { sandboxPaths } from '../../packages/gate/src/sandbox/driver.ts';
import { changesBetween } from '../../packages/gate/src/source/changes.ts';
import { SourceTree } from '../../packages/gate/src/source/tree.ts';
import { runVerification, type VerificationOptions } from '../../packages/gate/src/verification.ts';

/** Path to text; a text that begins with `->` makes a link to what follows. */
export type Files = Record<string, string>;

/** A place where one check looks at one change that lies on the disk, as it would in a verification. */
export class GateDesk {
  readonly root = mkdtempSync(join(tmpdir(), 'gate-desk-'));
  private proven: Promise<Sandbox> | undefined;

  /** What this machine has, proven once for a desk. */
  sandbox(): Promise<Sandbox> {
    return (this.proven ??= detectSandbox('auto'));
  }

  clear(): void {
    rmSync(this.root, { recursive: true, force: true });
  }

  tree(files: Files): SourceTree {
    const dir = mkdtempSync(join(this.root, 'tree-'));
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      if (text.startsWith('->')) symlinkSync(text.slice(2), join(dir, path));
      else writeFileSync(join(dir, path), text);
    }
    return new SourceTree(dir);
  }

  async run(check: Check, before: Files | null, after: Files, more: Partial<CheckContext> = {}): Promise<CheckOutcome> {
    const base = before === null ? null : this.tree(before);
    const candidate = this.tree(after);
    return await check.run({
      purpose: 'admission',
      policy: projectPolicy.parse({}),
      approvedBy: null,
      candidate,
      base,
      restores: null,
      against: base,
      changes: changesBetween(base, candidate),
      installed: {
        status: 'nothing_needed',
        reason: '',
        refused: [],
        mounts: [],
        mountPoints: [],
        has: () => false,
        python: null,
        digest: '',
      },
      candidateFacts: null,
      baseFacts: null,
      restoresFacts: async () => null,
      run: null,
      baseRun: async () => null,
      trials: noTrials,
      cleanPython: null,
      declared: { title: null, paths: null },
      server: gatePolicy.parse({}),
      draw: () => 0.5,
      driver: null,
      workDir: this.root,
      cacheDir: this.root,
      npmRegistry: null,
      signal: undefined,
      progress: () => undefined,
      ...more,
    });
  }

  /** What a whole verification says of one check. */
  async verify(
    check: Check,
    before: Files,
    after: Files,
    title: string | null = null,
    settings = {},
  ): Promise<CheckFacts> {
    const idOf = (files: Files): string => createHash('sha1').update(JSON.stringify(files)).digest('hex');
    const facts = await runVerification({
      candidateDir: this.tree(after).dir,
      baseDir: this.tree(before).dir,
      restoresDir: null,
      input: {
        purpose: 'admission', candidateTree: idOf(after), baseTree: idOf(before), restoresTree: null,
        policy: projectPolicy.parse(settings), rulesDigest: 'r', declared: { title, paths: null },
      },
      workDir: join(this.root, 'work'), cacheDir: join(this.root, 'cache'), sandbox: await this.sandbox(), checks: [check],
    }); // prettier-ignore
    return facts.checks[0]!;
  }

  /**
   * What checks say of a tree on top of another, for landing; of a branch by itself where that is null.
   * @param more which verification it is, with which cache, in which sandbox; where a tree lies, if it is not simply laid out
   */
  async verifyOnto(
    files: Files,
    onto: Files | null,
    {
      folderOf = (tree) => this.tree(tree).dir,
      ...more
    }: {
      readonly verificationId: string;
      readonly cacheDir: string;
      readonly sandbox: Sandbox;
      readonly checks: readonly Check[];
      readonly folderOf?: (files: Files) => string;
    } & Pick<VerificationOptions, 'onCheck' | 'onFirstLook'>,
  ): Promise<readonly CheckFacts[]> {
    const { verificationId, ...rest } = more;
    const facts = await runVerification({
      candidateDir: folderOf(files),
      baseDir: onto === null ? null : folderOf(onto),
      restoresDir: null,
      input: {
        purpose: onto === null ? 'base' : 'landing',
        verificationId,
        candidateTree: JSON.stringify(files),
        baseTree: onto === null ? null : JSON.stringify(onto),
        restoresTree: null,
        policy: projectPolicy.parse({ timeoutSeconds: 60 }),
        rulesDigest: 'rules',
      },
      workDir: mkdtempSync(join(this.root, 'work-')),
      ...rest,
    });
    return facts.checks;
  }
}

/** What this repository installs, for suites that are run: as a verification would have installed it. */
export function repositoryPackages(): Installed {
  const modules = resolve('node_modules');
  const place = `${sandboxPaths.work}/node_modules`;
  for (const cache of toolCaches) mkdirSync(join(modules, cache), { recursive: true });
  return {
    status: 'installed',
    reason: '',
    refused: [],
    mounts: [
      { from: modules, to: place, mode: 'ro' },
      ...toolCaches.map((cache) => ({ from: '', to: `${place}/${cache}`, mode: 'tmpfs' as const })),
    ],
    mountPoints: ['node_modules'],
    has: () => true,
    python: null,
    digest: '',
  };
}

/** A tree made ready to run its suite in a sandbox that was proven. */
export async function treeRunOf(desk: GateDesk, tree: SourceTree): Promise<TreeRun> {
  const sandbox = await detectSandbox('auto');
  if (sandbox.driver === null) throw new Error(sandbox.notes.join('; '));
  const installed = repositoryPackages();
  return new TreeRun(tree, commandsFor(tree, scriptsOf(tree), projectPolicy.parse({}), installed), installed, {
    driver: sandbox.driver,
    workDir: mkdtempSync(join(desk.root, 'work-')),
    timeoutMs: 60_000,
    signal: undefined,
    onLog: undefined,
  });
}

export const suiteOf = (cases: [string, TestCase['status'], string?][]): TreeFacts => ({
  build: null,
  types: null,
  lint: null,
  notes: [],
  tests: {
    line: 'npm test',
    ok: true,
    timedOut: false,
    exitCode: 0,
    output: '',
    ms: 1,
    detailed: true,
    cases: cases.map(([name, status, file]) => ({ name, status, file: file ?? 'a.test.js', message: null, ms: 1 })),
  },
});
