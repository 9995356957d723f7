import type { Tx } from '#kernel';

type Sql = Pick<Tx, 'sql'>;

export interface BlobRow {
  readonly project_id: string;
  readonly digest: string;
  readonly size: number;
}

export const keepBlob = (
  tx: Sql,
  blob: { projectId: string; digest: string; teamId: string; size: number; by: string },
) =>
  tx.sql(
    `insert into task_blobs (project_id, digest, team_id, size, created_by, created_at, used_at)
     values ($1, $2, $3, $4, $5, muster_now(), muster_now())
     on conflict (project_id, digest) do update set used_at = excluded.used_at`,
    [blob.projectId, blob.digest, blob.teamId, blob.size, blob.by],
  );

/** It is asked for again, so it stays for a while. */
export async function useBlob(db: Sql, projectId: string, digest: string): Promise<BlobRow | null> {
  const [row] = await db.sql<BlobRow>(
    `update task_blobs set used_at = muster_now() where project_id = $1 and digest = $2 returning project_id, digest, size`,
    [projectId, digest],
  );
  return row ?? null;
}

export async function blobOf(db: Sql, projectId: string, digest: string): Promise<BlobRow | null> {
  const [row] = await db.sql<BlobRow>(
    `select project_id, digest, size from task_blobs where project_id = $1 and digest = $2`,
    [projectId, digest],
  );
  return row ?? null;
}

/** It is kept for as long as the task. Said before the task refers to it: a use too many keeps it longer, one too few would lose it. */
export const noteUse = (db: Sql, use: { taskId: string; projectId: string; digest: string }) =>
  db.sql(
    `insert into task_blob_uses (task_id, project_id, digest) values ($1, $2, $3) on conflict (task_id, digest) do nothing`,
    [use.taskId, use.projectId, use.digest],
  );

const unused = `b.used_at < muster_now() - $1 * interval '1 millisecond'
  and not exists (select from task_blob_uses u where u.digest = b.digest and u.project_id = b.project_id)`;

export const unusedBlobs = (db: Sql, olderThanMs: number, limit: number): Promise<BlobRow[]> =>
  db.sql(`select b.project_id, b.digest, b.size from task_blobs b where ${unused} order by b.used_at limit $2`, [
    olderThanMs,
    limit,
  ]);

/** Looked at again under the lock. @returns whether nobody else has the content either; null: it is used after all */
export async function dropBlob(tx: Sql, blob: BlobRow, olderThanMs: number): Promise<boolean | null> {
  const gone = await tx.sql(
    `delete from task_blobs b where b.project_id = $2 and b.digest = $3 and ${unused} returning b.digest`,
    [olderThanMs, blob.project_id, blob.digest],
  );
  if (gone.length === 0) return null;
  const others = await tx.sql(`select 1 from task_blobs where digest = $1 limit 1`, [blob.digest]);
  return others.length === 0;
}

/** Whose project an open attempt of this holder is; null: it has none. */
export async function projectOfAttempt(
  db: Sql,
  by: { actorId: string; taskId: string; fence: number },
): Promise<{ project_id: string; team_id: string } | null> {
  const [row] = await db.sql<{ project_id: string; team_id: string }>(
    `select t.project_id, t.team_id from task_running r join tasks t on t.id = r.task_id
     where r.task_id = $1 and r.fence = $2 and r.holder_id = $3`,
    [by.taskId, by.fence, by.actorId],
  );
  return row ?? null;
}
