import { posix } from 'node:path';
import {
  blobRef,
  digestOf,
  isBlobRef,
  type LockConflict,
  maxResolveCharacters,
  type ProjectPolicy,
  type RebuiltAnswer,
  repositoryPath,
  resolveAnswer,
  type ResolvedFile,
  resolveInput,
  type ResolveInput,
} from '@muster/contracts';
import { Injectable } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import picomatch from 'picomatch';
import { Clock, MusterError } from '#kernel';
import {
  CancelTask,
  FindOfferedCapabilities,
  FindTask,
  RESOLVE_CAPABILITY,
  StartTask,
  VERIFY_CAPABILITY,
} from '#messages/runtime';
import { Blobs } from '#platform/blobs';
import { type ContentConflicts, FileTooLarge, PathRefused, Repositories } from '#platform/git';
import { CrashPoints } from './crash-points.ts';
import type { Resolution, SubmissionRow } from './domain/submission.ts';

const LOCK_FILE = 'package-lock.json';
const MOST_MANIFESTS = 500;
/** Longer than a busy verifier takes to come to it. Afterwards whoever handed the change in settles the conflict. */
const PATIENCE_MS = 15 * 60_000;
/** A verifier that is started again is back sooner. */
const RESTART_MS = 60_000;

type Json = Record<string, unknown>;
const record = (value: unknown): Json =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Json) : {};
const isOpen = ({ files, why }: Resolution): boolean => files === null && why === null;
type Rules = Pick<ProjectPolicy, 'generated' | 'checks'>;
const isGenerated = ({ generated }: Rules): ((path: string) => boolean) =>
  generated.length === 0
    ? () => false
    : picomatch(
        generated.flatMap(({ files }) => files),
        { dot: true },
      );

/** Conflicts that a tool can settle because there is one answer: where nothing conflicts but npm's lock file, and what the landed rules say is generated. */
@Injectable()
export class Resolutions {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly blobs: Blobs,
    private readonly clock: Clock,
    private readonly crash: CrashPoints,
  ) {}

  /**
   * How far the settling of this conflict has come: as the row has it, with its task just begun, or with what became of it. Null: no tool
   * settles it. May be asked again at any time: the task is one for each submission and head.
   * @param rules those of `on`, which has landed
   */
  async next(row: SubmissionRow, on: string, rules: Rules): Promise<Resolution | null> {
    // What a revert conflicts with is later work, which a person looks at.
    if (row.kind === 'revert') return null;
    const known = row.resolution;
    if (known === null || known.on !== on) {
      await this.drop(row);
      return await this.begin(row, on, rules);
    }
    if (!isOpen(known) || known.taskId === null) return null;
    const task = await this.queries.execute(new FindTask(known.taskId));
    const refused = (why: string): Resolution => ({ ...known, why: why.slice(0, 2000) });
    switch (task?.state) {
      case undefined:
        return refused('Its task is gone.');
      case 'queued':
      case 'waiting':
      case 'running': {
        const waited = this.clock.now().getTime() - Date.parse(task.createdAt);
        const nobody = task.state === 'running' ? null : await this.nobodyFor(waited);
        if (nobody === null && waited < PATIENCE_MS) return known;
        await this.cancel(known.taskId);
        return refused(nobody ?? 'Nobody took it up in time.');
      }
      case 'failed':
      case 'cancelled':
        return refused(task.error ?? 'Its task was cancelled.');
      case 'succeeded':
        return await this.made(row, known, task.output, rules);
    }
  }

  /** Nobody waits for it any more: its task is not done for nobody. */
  async drop({ resolution }: SubmissionRow): Promise<void> {
    if (resolution !== null && isOpen(resolution) && resolution.taskId !== null) await this.cancel(resolution.taskId);
  }

  /** Why it is no use to wait: those who are there do other things only, or nobody is. */
  private async nobodyFor(waitedMs: number): Promise<string | null> {
    const offered = await this.queries.execute(new FindOfferedCapabilities());
    if (offered.has(RESOLVE_CAPABILITY)) return null;
    if (offered.has(VERIFY_CAPABILITY)) return `No verifier that is connected offers ${RESOLVE_CAPABILITY}.`;
    return waitedMs < RESTART_MS ? null : 'No verifier is connected.';
  }

  private async begin(row: SubmissionRow, on: string, rules: Rules): Promise<Resolution | null> {
    const input = await this.inputOf(row, on, rules);
    if (input === null || (await this.nobodyFor(0)) !== null) return null;
    const what = input.how === 'generated' ? input.conflicts.join(', ') : input.path;
    const task = await this.commands.execute(
      new StartTask({
        teamId: row.team_id,
        projectId: row.project_id,
        capability: RESOLVE_CAPABILITY,
        title: `Settle the conflict in ${what}`.slice(0, 200),
        input: JSON.parse(JSON.stringify(input)) as NonNullable<StartTask['task']['input']>,
        priority: 'high',
        idempotencyKey: `resolve ${row.id} ${on}`,
        requestedBy: row.id,
      }),
    );
    this.crash.reach('resolution.task_started');
    return { on, taskId: task.id, files: null, why: null };
  }

  /** Null: something else conflicts as well, or there is more than one task holds. */
  private async inputOf(row: SubmissionRow, on: string, rules: Rules): Promise<ResolveInput | null> {
    const { project_id: projectId, commit } = row;
    const found = await this.repositories.contentConflicts(projectId, on, commit);
    if (found === null) return null;
    const declared = isGenerated(rules);
    const generated = found.paths.map(({ path }) => path).filter(declared);
    const [conflict, ...more] = found.paths.filter(({ path }) => !declared(path));
    if (more.length > 0) return null;
    const lock = conflict === undefined ? null : await this.lockConflict(projectId, found.tree, conflict);
    if (conflict !== undefined && lock === null) return null;
    const input =
      generated.length > 0
        ? {
            how: 'generated',
            submissionId: row.id,
            on,
            trees: {
              merged: found.tree,
              ours: await this.repositories.treeOf(projectId, on),
              theirs: await this.repositories.treeOf(projectId, commit),
            },
            rules: rules.generated,
            install: rules.checks.install,
            conflicts: generated,
            lock,
          }
        : { how: 'npm-lock', ...lock };
    if (JSON.stringify(input).length > maxResolveCharacters) return null;
    const fit = resolveInput.safeParse(input);
    return fit.success ? fit.data : null;
  }

  private async lockConflict(
    projectId: string,
    tree: string,
    { path, stages }: ContentConflicts['paths'][number],
  ): Promise<LockConflict | null> {
    if (posix.basename(path) !== LOCK_FILE) return null;
    const side = async (stage: number): Promise<string | null> => {
      const oid = stages.get(stage)?.oid;
      if (oid === undefined) return null;
      return (await this.repositories.readBlob(projectId, oid, maxResolveCharacters))?.toString('utf8') ?? null;
    };
    const [base, ours, theirs] = [await side(1), await side(2), await side(3)];
    if (ours === null || theirs === null) return null;
    const manifests = await this.manifests(projectId, tree, posix.dirname(path), [ours, theirs]);
    return manifests === null ? null : { path, manifests, base, ours, theirs };
  }

  /** The merged manifests of the project and of the workspaces that one of the locks names. */
  private async manifests(
    projectId: string,
    tree: string,
    folder: string,
    locks: readonly string[],
  ): Promise<Record<string, string> | null> {
    const places = new Set(['']);
    try {
      for (const lock of locks)
        for (const place of Object.keys(record(record(JSON.parse(lock))['packages'])))
          if (!place.includes('node_modules')) places.add(place);
    } catch {
      return null;
    }
    if (places.size > MOST_MANIFESTS) return null;
    const found: Record<string, string> = {};
    for (const place of places) {
      const path = posix.join(place, 'package.json');
      if (path.startsWith('..') || posix.isAbsolute(path)) return null;
      try {
        const at = posix.join(folder, path);
        const text = await this.repositories.readFile(projectId, tree, at, maxResolveCharacters);
        if (text !== null) found[path] = text.toString('utf8');
        JSON.parse(found[path] ?? '{}');
      } catch (error) {
        if (error instanceof SyntaxError || error instanceof FileTooLarge) return null;
        throw error;
      }
    }
    return found['package.json'] === undefined ? null : found;
  }

  private async made(row: SubmissionRow, known: Resolution, output: unknown, rules: Rules): Promise<Resolution> {
    const { project_id: projectId, commit } = row;
    const told = isBlobRef(output) ? await this.blobs.get(digestOf(blobRef.parse(output))) : null;
    const answer = resolveAnswer.safeParse(told === null ? output : JSON.parse(told.toString('utf8')));
    if (!answer.success) return { ...known, why: 'What came of it cannot be read.' };
    if (!answer.data.resolved) return { ...known, why: answer.data.why };
    const conflicts = await this.repositories.contentConflicts(projectId, known.on, commit);
    if (conflicts === null) return { ...known, why: 'It does not conflict there any more.' };
    const { taskId } = known;
    const files: ResolvedFile[] = [];
    const lock = 'content' in answer.data ? answer.data : answer.data.lock;
    const lockPath = conflicts.paths.map(({ path }) => path).find((path) => !isGenerated(rules)(path));
    if (lock !== null && lockPath !== undefined) {
      const blob = await this.repositories.writeBlob(projectId, lock.content);
      files.push({ path: lockPath, how: 'npm-lock', tool: lock.tool, blob, taskId });
    }
    if ('files' in answer.data) files.push(...(await this.rebuilt(projectId, answer.data, rules, taskId)));
    this.crash.reach('resolution.answer_kept');
    return (await this.fits(projectId, known.on, commit, files))
      ? { ...known, files }
      : { ...known, why: 'What came of it is not what was asked for.' };
  }

  /** Of what was made, what the rules declare. */
  private async rebuilt(
    projectId: string,
    { files, tool }: RebuiltAnswer,
    rules: Rules,
    taskId: string | null,
  ): Promise<ResolvedFile[]> {
    const declared = isGenerated(rules);
    const ran = rules.generated.map(({ run }) => run).join('; ');
    const made: ResolvedFile[] = [];
    for (const { path, encoding, content } of files.filter((file) => declared(file.path))) {
      const blob = await this.repositories.writeBlob(projectId, Buffer.from(content, encoding));
      made.push({ path, how: 'generated', tool: `${tool}: ${ran}`, blob, taskId });
    }
    return made;
  }

  /** Whether the merge can be made with them: everything that conflicts is there, and nothing stands where a folder is. */
  private async fits(projectId: string, on: string, commit: string, files: readonly ResolvedFile[]): Promise<boolean> {
    const blobs = new Map(files.map(({ path, blob }) => [path, blob]));
    const rebuilt = new Set(files.filter(({ how }) => how === 'generated').map(({ path }) => path));
    if (files.some(({ path }) => !repositoryPath.safeParse(path).success)) return false;
    try {
      return (await this.repositories.mergeWith(projectId, on, commit, blobs, rebuilt)) !== null;
    } catch (error) {
      if (error instanceof PathRefused) return false;
      throw error;
    }
  }

  private async cancel(taskId: string): Promise<void> {
    try {
      await this.commands.execute(new CancelTask(taskId, 'Nobody waits for it any more.'));
    } catch (error) {
      // It ended meanwhile.
      if (!(error instanceof MusterError) || error.status >= 500) throw error;
    }
  }
}
