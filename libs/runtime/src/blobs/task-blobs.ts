import { createHash } from 'node:crypto';
import { blobRef, type BlobView, digestOf, maxReferencedBytes, refTo } from '@muster/contracts';
import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { Blobs, lockToDrop, lockToKeep } from '#platform/blobs';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { isNestedTooDeep, maxNesting } from '#platform/http';
import { Rounds } from '#platform/rounds';
import { BlobDigestWrong, BlobNotJson, BlobRefInvalid, BlobTooLarge, BlobUnknown } from '../runtime.errors.ts';
import { blobOf, dropBlob, keepBlob, noteUse, projectOfAttempt, unusedBlobs, useBlob } from '../sql/task-blobs.ts';

const lookEveryMs = 600_000;
const perRound = 1_000;

/** For whom a content is kept. */
interface Kept {
  readonly teamId: string;
  readonly projectId: string;
  readonly by: string;
}

/** Large inputs and outputs: stored once by content, referred to by tasks of one project, gone when no task refers to them. */
@Injectable()
export class TaskBlobs implements OnApplicationBootstrap {
  readonly #log = new Logger('task-blobs');

  constructor(
    private readonly config: Config,
    private readonly database: Database,
    private readonly blobs: Blobs,
    private readonly rounds: Rounds,
  ) {}

  onApplicationBootstrap(): void {
    this.rounds.begin('unused blobs', lookEveryMs, (signal) => this.dropUnused(signal));
  }

  /** @param to `digest`: what the caller says that it sends */
  async keep(to: Kept & { digest: string }, bytes: Buffer): Promise<BlobView> {
    if (bytes.length > maxReferencedBytes) throw new BlobTooLarge(bytes.length, maxReferencedBytes);
    const digest = digestOfBytes(bytes);
    if (digest !== to.digest) throw new BlobDigestWrong(to.digest, digest);
    return this.store(to, bytes);
  }

  /** The JSON of a value that came as it is and is too large to stay so. */
  async keepValue(to: Kept, text: string): Promise<BlobView> {
    const bytes = Buffer.from(text);
    if (bytes.length > maxReferencedBytes) throw new BlobTooLarge(bytes.length, maxReferencedBytes);
    return this.store({ ...to, digest: digestOfBytes(bytes) }, bytes);
  }

  /** Null: the attempt is not the caller's any more. */
  async keepOfAttempt(
    by: { actorId: string; taskId: string; fence: number; digest: string },
    bytes: Buffer,
  ): Promise<BlobView | null> {
    const of = await projectOfAttempt(this.database, by);
    if (of === null) return null;
    return this.keep({ teamId: of.team_id, projectId: of.project_id, digest: by.digest, by: by.actorId }, bytes);
  }

  private async store(to: Kept & { readonly digest: string }, bytes: Buffer): Promise<BlobView> {
    const { digest } = to;
    await this.database.transaction(async (tx) => {
      await lockToKeep(tx, 'tasks', digest);
      await this.blobs.put(bytes);
      await keepBlob(tx, { ...to, size: bytes.length });
    });
    return { digest, size: bytes.length, ref: refTo(digest, bytes.length) };
  }

  async read(projectId: string, digest: string): Promise<Buffer> {
    const row = await blobOf(this.database, projectId, digest);
    const bytes = row === null ? null : await this.blobs.get(digest);
    if (bytes === null) throw new BlobUnknown(projectId, digest);
    return bytes;
  }

  /** What a reference stands for, to be judged as if it had been sent. It is not taken away for a while. */
  async valueOf(projectId: string, given: unknown): Promise<{ readonly digest: string; readonly value: unknown }> {
    const ref = blobRef.safeParse(given);
    if (!ref.success) throw new BlobRefInvalid(ref.error.issues.map(({ message }) => message).join('; '));
    const digest = digestOf(ref.data);
    const row = await useBlob(this.database, projectId, digest);
    const bytes = row === null ? null : await this.blobs.get(digest);
    if (bytes === null) throw new BlobUnknown(projectId, digest);
    if (bytes.length !== ref.data.size)
      throw new BlobRefInvalid(`size says ${ref.data.size}, and the content has ${bytes.length} bytes`);
    const value = jsonOf(bytes);
    if (value === undefined) throw new BlobNotJson(digest);
    if (isNestedTooDeep(value)) throw new BlobRefInvalid(`the content is nested deeper than ${maxNesting} levels`);
    return { digest, value };
  }

  async noteUse(taskId: string, projectId: string, digest: string): Promise<void> {
    await noteUse(this.database, { taskId, projectId, digest });
  }

  /** @returns how many went */
  async dropUnused(signal: AbortSignal): Promise<number> {
    const keptMs = this.config.blobsRetentionMs;
    if (keptMs === null) return 0;
    let gone = 0;
    for (const blob of await unusedBlobs(this.database, keptMs, perRound)) {
      if (signal.aborted) break;
      const dropped = await this.database.transaction(async (tx) => {
        await lockToDrop(tx, 'tasks', blob.digest);
        const last = await dropBlob(tx, blob, keptMs);
        // Before the commit: should that fail, a row without its content is found by whoever asks, and stored again.
        if (last === true) await this.blobs.remove(blob.digest);
        return last !== null;
      });
      if (dropped) gone += 1;
    }
    if (gone > 0) this.#log.log(`${gone} contents that no task refers to were taken away.`);
    return gone;
  }
}

const digestOfBytes = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)) as unknown;
  } catch {
    return undefined;
  }
}
