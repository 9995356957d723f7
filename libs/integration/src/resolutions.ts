import { posix } from 'node:path';
import {
  blobRef,
  digestOf,
  isBlobRef,
  maxResolveCharacters,
  resolveAnswer,
  type ResolveInput,
} from '@muster/contracts';
import { Injectable } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { Clock, MusterError } from '#kernel';
import { CancelTask, FindTask, RESOLVE_CAPABILITY, StartTask } from '#messages/runtime';
import { Blobs } from '#platform/blobs';
import { FileTooLarge, Repositories } from '#platform/git';
import type { Resolution, SubmissionRow } from './domain/submission.ts';

const LOCK_FILE = 'package-lock.json';
const MOST_MANIFESTS = 500;
/** Longer than a busy verifier takes to come to it. Afterwards whoever handed the change in settles the conflict. */
const PATIENCE_MS = 15 * 60_000;

type Json = Record<string, unknown>;
const record = (value: unknown): Json =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Json) : {};

/** Conflicts that a tool can settle because there is one answer: where nothing conflicts but npm's lock file. */
@Injectable()
export class Resolutions {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly blobs: Blobs,
    private readonly clock: Clock,
  ) {}

  /**
   * How far the settling of this conflict has come: as the row has it, with its task just begun, or with what became of it. Null: no tool
   * settles it. May be asked again at any time: the task is one for each submission and head.
   */
  async next(row: SubmissionRow, on: string): Promise<Resolution | null> {
    // What a revert conflicts with is later work, which a person looks at.
    if (row.kind === 'revert') return null;
    const known = row.resolution;
    if (known === null || known.on !== on) return await this.begin(row, on);
    if (known.files !== null || known.why !== null) return null;
    const task = await this.queries.execute(new FindTask(known.taskId));
    const refused = (why: string): Resolution => ({ ...known, why: why.slice(0, 2000) });
    switch (task?.state) {
      case undefined:
        return refused('Its task is gone.');
      case 'queued':
      case 'running':
      case 'waiting':
        if (this.clock.now().getTime() - Date.parse(task.createdAt) < PATIENCE_MS) return known;
        await this.cancel(known.taskId);
        return refused('Nobody took it up in time.');
      case 'failed':
      case 'cancelled':
        return refused(task.error ?? 'Its task was cancelled.');
      case 'succeeded':
        return await this.made(row, known, task.output);
    }
  }

  private async begin(row: SubmissionRow, on: string): Promise<Resolution | null> {
    const input = await this.inputOf(row, on);
    if (input === null) return null;
    const task = await this.commands.execute(
      new StartTask({
        teamId: row.team_id,
        projectId: row.project_id,
        capability: RESOLVE_CAPABILITY,
        title: `Settle the conflict in ${input.path}`,
        input: { ...input },
        priority: 'high',
        idempotencyKey: `resolve ${row.id} ${on}`,
        requestedBy: row.id,
      }),
    );
    return { on, taskId: task.id, files: null, why: null };
  }

  /** Null: something else conflicts as well, or there is more than one task holds. */
  private async inputOf(row: SubmissionRow, on: string): Promise<ResolveInput | null> {
    const { project_id: projectId, commit } = row;
    const found = await this.repositories.contentConflicts(projectId, on, commit);
    const [conflict, ...more] = found?.paths ?? [];
    if (found === null || conflict === undefined || more.length > 0) return null;
    const { path, stages } = conflict;
    if (posix.basename(path) !== LOCK_FILE) return null;
    const side = async (stage: number): Promise<string | null> => {
      const oid = stages.get(stage)?.oid;
      if (oid === undefined) return null;
      return (await this.repositories.readBlob(projectId, oid, maxResolveCharacters))?.toString('utf8') ?? null;
    };
    const [base, ours, theirs] = [await side(1), await side(2), await side(3)];
    if (ours === null || theirs === null) return null;
    const manifests = await this.manifests(projectId, found.tree, posix.dirname(path), [ours, theirs]);
    if (manifests === null) return null;
    const input: ResolveInput = { how: 'npm-lock', path, manifests, base, ours, theirs };
    return JSON.stringify(input).length > maxResolveCharacters ? null : input;
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

  private async made(row: SubmissionRow, known: Resolution, output: unknown): Promise<Resolution> {
    const { project_id: projectId, commit } = row;
    const told = isBlobRef(output) ? await this.blobs.get(digestOf(blobRef.parse(output))) : null;
    const answer = resolveAnswer.safeParse(told === null ? output : JSON.parse(told.toString('utf8')));
    if (!answer.success) return { ...known, why: 'What came of it cannot be read.' };
    if (!answer.data.resolved) return { ...known, why: answer.data.why };
    const conflict = (await this.repositories.contentConflicts(projectId, known.on, commit))?.paths[0];
    if (conflict === undefined) return { ...known, why: 'It does not conflict there any more.' };
    const { content, tool } = answer.data;
    const blob = await this.repositories.writeBlob(projectId, content);
    const { taskId } = known;
    return { ...known, files: [{ path: conflict.path, how: 'npm-lock', tool, blob, taskId }] };
  }

  private async cancel(taskId: string): Promise<void> {
    try {
      await this.commands.execute(new CancelTask(taskId, 'The conflict goes to whoever handed the change in.'));
    } catch (error) {
      // It ended meanwhile.
      if (!(error instanceof MusterError) || error.status >= 500) throw error;
    }
  }
}
